/* SPDX-License-Identifier: MIT */
/* The reader of lists. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tools/common/lines.h"

/* Bytes that come in steps, with a failure once at one place. */
struct source {
    const char *data;
    size_t n, at, step;
    size_t fails_at; /* SIZE_MAX: never */
};

static ssize_t read_source(void *arg, void *buf, size_t n)
{
    struct source *s = arg;
    if (s->at == s->fails_at) {
        s->fails_at = SIZE_MAX;
        return -EIO;
    }
    size_t left = s->n - s->at;
    size_t step = left < s->step ? left : s->step;
    if (step > n)
        step = n;
    if (s->at < s->fails_at && s->fails_at - s->at < step)
        step = s->fails_at - s->at;
    memcpy(buf, s->data + s->at, step);
    s->at += step;
    return (ssize_t)step;
}

static void expect_lines(const char *data, size_t n, const char *const *lines)
{
    for (size_t step = 1; step <= n + 1; step++) {
        struct source source = {data, n, 0, step, SIZE_MAX};
        struct thr_lines l;
        const char *line;
        size_t len;
        assert_int_equal(thr_lines_init(&l, read_source, &source), 0);
        for (size_t i = 0; lines[i]; i++) {
            assert_int_equal(thr_lines_next(&l, &line, &len), 1);
            assert_int_equal(len, strlen(lines[i]));
            assert_memory_equal(line, lines[i], len);
            assert_false(l.cut);
        }
        assert_int_equal(thr_lines_next(&l, &line, &len), 0);
        assert_int_equal(thr_lines_next(&l, &line, &len), 0);
        thr_lines_fini(&l);
    }
}

#define EXPECT(text, ...) expect_lines(text, sizeof(text) - 1, (const char *const[]){__VA_ARGS__})

static void lines_come_without_ends_blanks_and_comments(void **state)
{
    (void)state;
    EXPECT("", NULL);
    EXPECT("\n\n \t\n\r\n", NULL);
    EXPECT("a", "a", NULL);
    EXPECT("a\n", "a", NULL);
    EXPECT("a\r\nb\r\n", "a", "b", NULL);
    EXPECT("a\n\n# no\n  #no\n\tb c \r\n#\nd#e", "a", "b c", "d#e", NULL);
    EXPECT("\xEF\xBB\xBF"
           "a\n\xEF\xBB\xBF"
           "b\n",
           "a",
           "\xEF\xBB\xBF"
           "b",
           NULL);
}

static void a_nul_is_part_of_its_line(void **state)
{
    (void)state;
    struct source source = {"a\0b\nc", 5, 0, 5, SIZE_MAX};
    struct thr_lines l;
    const char *line;
    size_t n;
    assert_int_equal(thr_lines_init(&l, read_source, &source), 0);
    assert_int_equal(thr_lines_next(&l, &line, &n), 1);
    assert_int_equal(n, 3);
    assert_memory_equal(line, "a\0b", 3);
    assert_int_equal(thr_lines_next(&l, &line, &n), 1);
    assert_int_equal(n, 1);
    thr_lines_fini(&l);
}

/* A line of long_n bytes between two short ones. */
static void expect_long(size_t long_n, size_t step, bool last)
{
    size_t n = 2 + long_n + (last ? 0 : 2);
    char *data = malloc(n);
    assert_non_null(data);
    memset(data, 'x', n);
    memcpy(data, "a\n", 2);
    if (!last)
        memcpy(data + 2 + long_n, "\nb", 2);

    struct source source = {data, n, 0, step, SIZE_MAX};
    struct thr_lines l;
    const char *line;
    size_t len;
    assert_int_equal(thr_lines_init(&l, read_source, &source), 0);
    assert_int_equal(thr_lines_next(&l, &line, &len), 1);
    assert_int_equal(thr_lines_next(&l, &line, &len), 1);
    assert_int_equal(l.cut, long_n > THR_LINE_MAX);
    assert_int_equal(len, l.cut ? THR_LINE_MAX : long_n);
    assert_int_equal(thr_lines_next(&l, &line, &len), last ? 0 : 1);
    if (!last) {
        assert_int_equal(len, 1);
        assert_int_equal(*line, 'b');
        assert_false(l.cut);
        assert_int_equal(thr_lines_next(&l, &line, &len), 0);
    }
    thr_lines_fini(&l);
    free(data);
}

static void a_line_that_is_too_long_is_cut_and_the_next_is_whole(void **state)
{
    (void)state;
    const size_t sizes[] = {THR_LINE_MAX - 1, THR_LINE_MAX,         THR_LINE_MAX + 1,
                            2 * THR_LINE_MAX, 2 * THR_LINE_MAX + 1, 5 * THR_LINE_MAX};
    const size_t steps[] = {1000, THR_LINE_MAX, 10 * THR_LINE_MAX};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (size_t k = 0; k < sizeof(steps) / sizeof(steps[0]); k++) {
            expect_long(sizes[i], steps[k], false);
            expect_long(sizes[i], steps[k], true);
        }
    }
}

static void a_failed_read_loses_nothing(void **state)
{
    (void)state;
    static const char data[] = "first\nsecond\nthird";
    for (size_t at = 0; at < sizeof(data); at++) {
        struct source source = {data, sizeof(data) - 1, 0, 4, at};
        struct thr_lines l;
        const char *line;
        size_t n, failures = 0, bytes = 0, lines = 0;
        int got;
        assert_int_equal(thr_lines_init(&l, read_source, &source), 0);
        while ((got = thr_lines_next(&l, &line, &n)) != 0) {
            if (got < 0) {
                assert_int_equal(got, -EIO);
                failures++;
            } else {
                bytes += n;
                lines++;
            }
        }
        assert_int_equal(failures, 1);
        assert_int_equal(lines, 3);
        assert_int_equal(bytes, 16);
        thr_lines_fini(&l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_without_ends_blanks_and_comments),
        cmocka_unit_test(a_nul_is_part_of_its_line),
        cmocka_unit_test(a_line_that_is_too_long_is_cut_and_the_next_is_whole),
        cmocka_unit_test(a_failed_read_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
