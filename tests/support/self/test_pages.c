/* SPDX-License-Identifier: MIT */
/* Self test of support/pages.h and support/util.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/pages.h"
#include "support/util.h"

static void sha256_agrees_with_the_published_vectors(void **state)
{
    (void)state;
    char hex[SUP_SHA256_HEX];
    char *million = malloc(1000000);
    assert_non_null(million);
    memset(million, 'a', 1000000);

    sup_sha256_hex("", 0, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    sup_sha256_hex("abc", 3, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sup_sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, hex);
    assert_string_equal(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    sup_sha256_hex(million, 1000000, hex);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(million);
}

static void a_stream_is_the_same_in_any_pieces(void **state)
{
    (void)state;
    char whole[1000];
    char piece[1000];
    sup_stream_fill(7, 3, whole, sizeof(whole));
    for (size_t step = 1; step < 20; step++) {
        for (size_t at = 0; at < sizeof(whole); at += step) {
            size_t n = sizeof(whole) - at < step ? sizeof(whole) - at : step;
            sup_stream_fill(7, 3 + at, piece + at, n);
            assert_true(sup_stream_match(7, 3 + at, whole + at, n));
        }
        assert_memory_equal(whole, piece, sizeof(whole));
    }
    whole[999] ^= 1;
    assert_false(sup_stream_match(7, 3, whole, sizeof(whole)));
    assert_false(sup_stream_match(8, 3, piece, sizeof(piece)));
}

static void pages_differ_and_match_only_themselves(void **state)
{
    (void)state;
    size_t total = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        size_t bytes;
        char hex[2][SUP_SHA256_HEX];
        char *page = sup_page_new(i, &bytes);
        assert_int_equal(bytes, sup_page_size(i));
        assert_in_range(bytes, SUP_PAGE_MIN, SUP_PAGE_MAX);
        assert_true(sup_page_match(i, page, bytes));
        assert_false(sup_page_match(i + 1, page, bytes));
        assert_false(sup_page_match(i, page, bytes - 1));
        sup_sha256_hex(page, bytes, hex[0]);
        sup_page_sha256_hex(i, hex[1]);
        assert_string_equal(hex[0], hex[1]);
        total += bytes;
        free(page);
    }
    assert_in_range(total / 1000, 2000, 4000);
}

static void files_are_written_counted_waited_for_and_removed(void **state)
{
    (void)state;
    char *dir = sup_tmpdir_new("files");
    assert_non_null(dir);
    char *path = sup_format("%s/a", dir);
    assert_false(sup_file_wait(path, "x", 1, 30, -1)); /* not there yet */
    assert_true(sup_file_write(path, "xyxyx", 5));
    assert_int_equal(sup_file_count(path, "xy"), 2);
    assert_int_equal(sup_file_count(path, "z"), 0);
    assert_true(sup_file_wait(path, "x", 3, SUP_TIMEOUT_MS, -1));
    int64_t before = sup_now_ms();
    assert_false(sup_file_wait(path, "x", 4, 30, -1));
    assert_in_range(sup_now_ms() - before, 30, 5000);
    assert_true(sup_rmtree(dir));
    assert_int_equal(access(dir, F_OK), -1);
    free(path);
    free(dir);
}

static void open_descriptors_are_counted(void **state)
{
    (void)state;
    uint16_t port;
    int before = sup_fd_count();
    int fd = sup_listen(false, 1, &port);
    assert_true(fd >= 0);
    assert_int_equal(sup_fd_count(), before + 1);
    assert_false(sup_fd_count_falls_to(before, 20));
    close(fd);
    assert_true(sup_fd_count_falls_to(before, 20));
    assert_true(sup_rss_kib() > 100);
    assert_true(sup_thread_count() >= 1); /* a sanitizer may have one of its own */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_agrees_with_the_published_vectors),
        cmocka_unit_test(a_stream_is_the_same_in_any_pieces),
        cmocka_unit_test(pages_differ_and_match_only_themselves),
        cmocka_unit_test(files_are_written_counted_waited_for_and_removed),
        cmocka_unit_test(open_descriptors_are_counted),
    };
    return cmocka_run_group_tests_name("support.pages", tests, NULL, NULL);
}
