/* SPDX-License-Identifier: MIT */
/* A connection when memory runs out: the 1st, 2nd, ... n-th allocation of this layer fails, until all succeed. Each time
 * the call says -ENOMEM or does without, and leaks nothing.
 *
 * The files are compiled into this test with their allocations going through it; they come before the library, so the
 * linker does not take them from there as well. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "exec/atomic.h"

static thr_ai64 left; /* allocations that still succeed; below 0: one has failed */
static thr_ai64 live; /* allocations not yet freed */

static void *failing_realloc(void *old, size_t n)
{
    if (thr_fetch_sub(&left, 1, THR_RELAXED) == 0)
        return NULL;
    void *got = realloc(old, n);
    if (got && !old)
        thr_fetch_add(&live, 1, THR_RELAXED);
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

static char *failing_strdup(const char *text)
{
    size_t n = strlen(text) + 1;
    char *got = failing_malloc(n);
    return got ? memcpy(got, text, n) : NULL;
}

static void counting_free(void *old)
{
    if (old)
        thr_fetch_sub(&live, 1, THR_RELAXED);
    free(old);
}

#define malloc failing_malloc
#define calloc failing_calloc
#define realloc failing_realloc
#define strdup failing_strdup
#define free counting_free
#include "tls/config.c"   /* NOLINT(bugprone-suspicious-include): see above */
#include "tls/conn.c"     /* NOLINT(bugprone-suspicious-include): see above */
#include "tls/engine.c"   /* NOLINT(bugprone-suspicious-include): see above */
#include "tls/profile.c"  /* NOLINT(bugprone-suspicious-include): see above */
#include "tls/resume.c"   /* NOLINT(bugprone-suspicious-include): see above */
#include "tls/transfer.c" /* NOLINT(bugprone-suspicious-include): see above */
#include "tls/trust.c"    /* NOLINT(bugprone-suspicious-include): see above */
#undef malloc
#undef calloc
#undef realloc
#undef strdup
#undef free

#include <cmocka.h> /* after the files above: it defines a macro named fail */

#include "client.h"
#include "support/nginx.h"
#include "support/pages.h"

static struct sup_nginx *nginx;

/* Two connections, the second resumed, each with a request in two pieces. */
static int fetch_twice(void *arg)
{
    static const char *const alpn[] = {"h2", "http/1.1", NULL};
    static const char ask[] = "GET /pages/3 HTTP/1.0\r\n\r\n";
    thrum_tls_opts opts = {.ca_file = sup_ca_file(), .alpn = alpn, .tls12_only = arg != NULL};
    struct client c = {.port = sup_nginx_port(nginx, SUP_NGINX_HTTPS)};
    int err = thrum_tls_config_new(&c.config, &opts);
    for (int i = 0; i < 2 && !err; i++) {
        char *all = NULL, *body;
        struct iovec pieces[2] = {{(void *)(uintptr_t)ask, 9},
                                  {(void *)(uintptr_t)(ask + 9), sizeof(ask) - 10}};
        err = client_open(&c);
        if (!err)
            err = thrum_stream_writev(c.stream, pieces, 2, NULL);
        ssize_t n = err ? err : client_answer(&c, &all, &body);
        if (!err && n < 0)
            err = (int)n;
        if (!err && !sup_page_match(3, body, (size_t)n))
            err = -EBADMSG;
        free(all);
        client_close(&c);
    }
    thrum_tls_config_unref(c.config);
    return err;
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    for (int tls12 = 0; tls12 < 2; tls12++) {
        unsigned failed = 0;
        bool reached = true;
        for (int64_t n = 0; reached; n++) {
            thr_store(&left, n, THR_RELAXED);
            int err = thrum_run(fetch_twice, tls12 ? &nginx : NULL, NULL);
            reached = thr_load(&left, THR_RELAXED) < 0;
            if (err != 0 && err != -ENOMEM)
                print_message("allocation %d: %d %s\n", (int)n, err, thrum_strerror(err));
            assert_true(err == 0 || err == -ENOMEM); /* 0: it can do without, as with a session */
            assert_true(reached || err == 0);
            assert_int_equal(thr_load(&live, THR_RELAXED), 0);
            failed += err != 0;
        }
        assert_true(failed >= 20);
    }
}

static int start(void **state)
{
    (void)state;
    nginx = sup_nginx_start(NULL);
    return nginx && sup_ca_file() ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    return sup_nginx_stop(nginx) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
