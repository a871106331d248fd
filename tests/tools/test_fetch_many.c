/* SPDX-License-Identifier: MIT */
/* `thrum fetch` at its main job: 10,000 HTTPS pages, 1,000 at once. */
#include "support/certs.h"
#include "support/nginx.h"
#include "support/pages.h"
#include "tests/tools/program.h"

#define PAGES 10000

static struct sup_nginx *nginx;
static const char *https;
static char *list;

static int start_nginx(void **state)
{
    (void)state;
    nginx = sup_nginx_start(
        &(struct sup_nginx_opts){.pages_n = PAGES, .connections_max = 8192, .no_access_log = true});
    if (!nginx)
        return -1;
    https = sup_nginx_base(nginx, SUP_NGINX_HTTPS);
    list = sup_tmpname("list");
    return 0;
}

static int stop_nginx(void **state)
{
    (void)state;
    free(list);
    return sup_nginx_stop(nginx) ? 0 : -1;
}

/* A list of n pages, each a URL of its own. */
static void write_list(unsigned n)
{
    FILE *f = fopen(list, "w");
    assert_non_null(f);
    for (unsigned i = 0; i < n; i++)
        fprintf(f, "%s/pages/%u?%u\n", https, i % PAGES, i);
    assert_int_equal(fclose(f), 0);
}

/* Checks each line, and that each of n pages has one. */
static void expect_all(const char *out, unsigned n)
{
    unsigned char *seen = calloc(n, 1);
    size_t base_n = strlen(https), lines = 0;
    char sha256[SUP_SHA256_HEX], quoted[SUP_SHA256_HEX + 2];
    assert_non_null(seen);
    for (const char *p = out; *p; p = strchr(p, '\n') + 1, lines++) {
        const char *end = *p == '{' ? json_value(p) : NULL;
        assert_true(end && *end == '\n');
        char *url = json_get(p, "url");
        assert_memory_equal(url + 1, https, base_n);
        unsigned page = 0, index = 0;
        assert_int_equal(sscanf(url + 1 + base_n, "/pages/%u?%u\"", &page, &index), 2);
        assert_true(index < n && !seen[index] && page == index % PAGES);
        seen[index] = 1;
        sup_page_sha256_hex(page, sha256);
        snprintf(quoted, sizeof(quoted), "\"%s\"", sha256);
        expect_json(p, "sha256", quoted);
        expect_json(p, "error", "null");
        free(url);
    }
    assert_int_equal(lines, n);
    free(seen);
}

static long fetch_many(unsigned n, unsigned at_once, const char *options)
{
    struct sup_run_result r;
    write_list(n);
    /* AddressSanitizer keeps 256 MiB of what was freed, which would be taken for growth. */
    const char *const env[] = {"ASAN_OPTIONS=detect_stack_use_after_return=0:quarantine_size_mb=8",
                               NULL};
    const struct sup_run_opts opts = {.timeout_ms = 600000, .env = env};
    run(&r, &opts, "fetch %s --json -c %u --cacert %s -i %s", options, at_once, sup_ca_file(),
        list);
    expect_exit(&r, 0);
    assert_string_equal(r.err, "");
    expect_all(r.out, n);
    print_message("%u pages, -c %u %s: %.1f s, user %.1f s, system %.1f s, %ld KiB resident\n", n,
                  at_once, options, (double)r.wall_ms / 1000, (double)r.user_ms / 1000,
                  (double)r.system_ms / 1000, r.max_rss_kib);
    long rss = r.max_rss_kib;
    sup_run_result_free(&r);
    return rss;
}

static void ten_thousand_pages_are_all_right(void **state)
{
    (void)state;
    fetch_many(PAGES, 1000, "");
}

static void sixteen_workers_do_it_too(void **state)
{
    (void)state;
    fetch_many(PAGES, 1000, "--workers 16");
}

/* When the connections are there, URLs cost nothing more. */
static void memory_is_flat_after_warm_up(void **state)
{
    (void)state;
    long warm = fetch_many(PAGES / 2, 100, "--workers 2");
    long more = fetch_many(3 * PAGES, 100, "--workers 2");
    assert_true(more < warm + warm / 10 + 2048);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_thousand_pages_are_all_right),
        cmocka_unit_test(sixteen_workers_do_it_too),
        cmocka_unit_test(memory_is_flat_after_warm_up),
    };
    return cmocka_run_group_tests(tests, start_nginx, stop_nginx);
}
