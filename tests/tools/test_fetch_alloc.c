/* SPDX-License-Identifier: MIT */
/* `thrum fetch` when memory runs out: the 1st, 2nd, ... n-th of its own allocations fails, until none does. Each time
 * it ends, leaks nothing, leaves no part of a page, and says 0 only if all that was asked for is there.
 *
 * Its files are compiled into this test with their allocations going through it; they come before the library, so
 * the linker does not take them from there as well. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_size_t fail_at; /* counts down to the failing allocation; 0: none fails any more */
static atomic_long live;      /* allocations not yet freed */

static int is_due(void)
{
    size_t left = atomic_load(&fail_at);
    while (left > 0 && !atomic_compare_exchange_weak(&fail_at, &left, left - 1))
        ;
    return left == 1;
}

static void *failing_realloc(void *old, size_t n)
{
    if (is_due())
        return NULL;
    void *got = realloc(old, n);
    atomic_fetch_add(&live, got && !old);
    return got;
}

static void *failing_malloc(size_t n)
{
    return failing_realloc(NULL, n);
}

static void *failing_calloc(size_t n, size_t size)
{
    void *got = failing_malloc(n * size);
    return got ? memset(got, 0, n * size) : NULL;
}

static char *failing_strndup(const char *s, size_t max)
{
    size_t n = strnlen(s, max);
    char *got = failing_malloc(n + 1);
    if (got) {
        memcpy(got, s, n);
        got[n] = '\0';
    }
    return got;
}

static char *failing_strdup(const char *s)
{
    return failing_strndup(s, strlen(s));
}

static void counting_free(void *old)
{
    atomic_fetch_sub(&live, old != NULL);
    free(old);
}

#undef strdup
#undef strndup
#define malloc failing_malloc
#define calloc failing_calloc
#define realloc failing_realloc
#define strdup failing_strdup
#define strndup failing_strndup
#define free counting_free
#include "tools/common/console.c" /* NOLINT(bugprone-suspicious-include): see above */
#include "tools/common/digest.c"  /* NOLINT(bugprone-suspicious-include): see above */
#include "tools/common/file.c"    /* NOLINT(bugprone-suspicious-include): see above */
#include "tools/common/json.c"    /* NOLINT(bugprone-suspicious-include): see above */
#include "tools/common/text.c"    /* NOLINT(bugprone-suspicious-include): see above */
#include "tools/fetch/fetch.c"    /* NOLINT(bugprone-suspicious-include): see above */
#include "tools/fetch/name.c"     /* NOLINT(bugprone-suspicious-include): see above */
#include "tools/fetch/options.c"  /* NOLINT(bugprone-suspicious-include): see above */
#include "tools/fetch/order.c"    /* NOLINT(bugprone-suspicious-include): see above */
#include "tools/fetch/page.c"     /* NOLINT(bugprone-suspicious-include): see above */
#include "tools/fetch/report.c"   /* NOLINT(bugprone-suspicious-include): see above */
#include "tools/fetch/run.c"      /* NOLINT(bugprone-suspicious-include): see above */
#include "tools/fetch/sink.c"     /* NOLINT(bugprone-suspicious-include): see above */
#include "tools/fetch/urls.c"     /* NOLINT(bugprone-suspicious-include): see above */
#undef BUF_BYTES                  /* run.c's; lines.c has another */
#include "tools/common/lines.c"   /* NOLINT(bugprone-suspicious-include): see above */
#undef malloc
#undef calloc
#undef realloc
#undef strdup
#undef strndup
#undef free

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <dirent.h>

#include "support/nginx.h"
#include "support/pages.h"
#include "support/util.h"

#define PAGES 6

static struct sup_nginx *nginx;
static char *list, *dir, *out;

static int start_nginx(void **state)
{
    (void)state;
    nginx = sup_nginx_start(&(struct sup_nginx_opts){.no_tls = true});
    if (!nginx)
        return -1;
    list = sup_tmpname("list");
    dir = sup_tmpdir_new("pages");
    out = sup_tmpname("out");
    FILE *f = fopen(list, "w");
    for (unsigned i = 0; f && i < PAGES; i++)
        fprintf(f, "%s/pages/%u\n", sup_nginx_base(nginx, SUP_NGINX_HTTP), i);
    return f && fclose(f) == 0 ? 0 : -1;
}

static int stop_nginx(void **state)
{
    (void)state;
    free(list);
    free(dir);
    free(out);
    return sup_nginx_stop(nginx) ? 0 : -1;
}

/* Runs the command with standard output and error in files, and gives its exit status. */
static int run_here(int argc, char *const *argv)
{
    fflush(stdout);
    fflush(stderr);
    int saved[] = {dup(STDOUT_FILENO), dup(STDERR_FILENO)};
    int fds[] = {open(out, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600),
                 open("/dev/null", O_WRONLY | O_CLOEXEC)};
    for (int i = 0; i < 2; i++)
        dup2(fds[i], STDOUT_FILENO + i);
    int status = thr_fetch_main(argc, argv);
    for (int i = 0; i < 2; i++) {
        dup2(saved[i], STDOUT_FILENO + i);
        close(saved[i]);
        close(fds[i]);
    }
    return status;
}

static bool all_bodies_are_there(void)
{
    size_t n, at = 0;
    char *data = sup_file_read(out, &n);
    bool right = data;
    for (uint32_t i = 0; right && i < PAGES; i++) {
        size_t bytes = sup_page_size(i);
        right = at + bytes <= n && sup_page_match(i, data + at, bytes);
        at += bytes;
    }
    free(data);
    return right && at == n;
}

/* No part of a page in the directory; how many pages. */
static unsigned count_pages(void)
{
    unsigned n = 0;
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        char *path = sup_format("%s/%s", dir, e->d_name);
        size_t bytes;
        char *data = sup_file_read(path, &bytes);
        unsigned number = 0;
        assert_int_equal(sscanf(e->d_name, "%06u-", &number), 1);
        assert_true(data && number >= 1 && sup_page_match(number - 1, data, bytes));
        assert_int_equal(unlink(path), 0);
        free(data);
        free(path);
        n++;
    }
    closedir(d);
    return n;
}

static bool all_lines_and_files_are_there(void)
{
    return sup_file_count(out, "\"error\":null") == PAGES && count_pages() == PAGES;
}

/* Runs with each allocation failing in turn. */
static void fail_each(int argc, char *const *argv, bool (*is_all_there)(void))
{
    unsigned failed = 0;
    int fds_n = sup_fd_count();
    for (size_t n = 1;; n++) {
        atomic_store(&fail_at, n);
        int status = run_here(argc, argv);
        bool reached = atomic_exchange(&fail_at, 0) == 0;
        assert_int_equal(atomic_load(&live), 0);
        assert_true(sup_fd_count_falls_to(fds_n, SUP_TIMEOUT_MS));
        assert_in_range(status, 0, 2);
        if (status == 0 && !is_all_there())
            fail_msg("allocation %zu failed, which was not told", n);
        count_pages();
        failed += status != 0;
        if (!reached) {
            assert_int_equal(status, 0);
            break;
        }
    }
    assert_true(failed > 10);
}

static void bodies_to_standard_output(void **state)
{
    (void)state;
    char input[] = "-i", at_once[] = "-c3", header[] = "-HA: b", resolve[] = "--resolve=a:1:::1";
    char *const argv[] = {at_once, header, resolve, input, list};
    fail_each(5, argv, all_bodies_are_there);
}

static void json_and_files(void **state)
{
    (void)state;
    char input[] = "-i", json[] = "--json", stats[] = "--stats", to[] = "-o", retry[] = "--retry=1";
    char *const argv[] = {json, stats, retry, to, dir, input, list};
    fail_each(7, argv, all_lines_and_files_are_there);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_to_standard_output),
        cmocka_unit_test(json_and_files),
    };
    return cmocka_run_group_tests(tests, start_nginx, stop_nginx);
}
