/* SPDX-License-Identifier: MIT */
/* The resolver when memory runs out: the 1st, 2nd, ... n-th allocation fails, until all succeed. Each time the look-ups
 * end, with -ENOMEM if anything is wrong with them, and nothing leaks.
 *
 * The files are compiled into this test with their allocations going through it; they come before the library, so the
 * linker does not take them from there as well. c-ares allocates as usual. */
#include "dns_run.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_long
    fail_at; /* counts down to the failing allocation; 0 and less: none fails any more */
static atomic_long live; /* allocations not yet freed */

static void *failing_realloc(void *old, size_t n)
{
    if (atomic_fetch_sub(&fail_at, 1) == 1)
        return NULL;
    void *got = realloc(old, n);
    if (got && !old)
        atomic_fetch_add(&live, 1);
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
        atomic_fetch_sub(&live, 1);
    free(old);
}

#define malloc failing_malloc
#define calloc failing_calloc
#define realloc failing_realloc
#undef strdup
#define strdup failing_strdup
#define free counting_free
#include "dns/actor.c"          /* NOLINT(bugprone-suspicious-include): see above */
#include "dns/channel.c"        /* NOLINT(bugprone-suspicious-include): see above */
#include "dns/channel_config.c" /* NOLINT(bugprone-suspicious-include): see above */
#include "dns/hosts.c"          /* NOLINT(bugprone-suspicious-include): see above */
#include "dns/hosts_table.c"    /* NOLINT(bugprone-suspicious-include): see above */
#include "dns/lookup.c"         /* NOLINT(bugprone-suspicious-include): see above */
#include "dns/reply.c"          /* NOLINT(bugprone-suspicious-include): see above */
#include "dns/resolver.c"       /* NOLINT(bugprone-suspicious-include): see above */
#undef malloc
#undef calloc
#undef realloc
#undef strdup
#undef free

#include "support/dnsserver.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct sup_unbound *server;
static char *hosts_path;

static int start_server(void **state)
{
    (void)state;
    static const char text[] = "10.0.0.1 one uno\nfd00::1 one\n";
    server = sup_unbound_start(NULL);
    hosts_path = sup_tmpname("hosts");
    return server && sup_file_write(hosts_path, text, sizeof(text) - 1) ? 0 : -1;
}

static int stop_server(void **state)
{
    (void)state;
    free(hosts_path);
    sup_unbound_stop(server);
    return 0;
}

static void a_failed_allocation_is_reported_and_leaks_nothing(void **state)
{
    (void)state;
    long failures = 0;
    for (long n = 1;; n++) {
        struct asked a[] = {
            {.host = "both.thrum.test"}, {.host = "missing.thrum.test."}, {.host = "one"}};
        struct session s = {.opts = {.servers = sup_unbound_address(server),
                                     .hosts_path = hosts_path,
                                     .try_timeout_ns = 10 * THRUM_SECOND},
                            .asks = a,
                            .asks_n = 3};
        atomic_store(&fail_at, n);
        int err = session_run(&s);
        assert_int_equal(atomic_load(&live), 0);
        assert_true(err == 0 || err == -ENOMEM);
        if (atomic_load(&fail_at) > 0)
            break;
        failures++;
        if (err)
            continue;
        assert_true(a[0].err == 0 || a[0].err == -ENOMEM);
        assert_true(a[1].err == THRUM_EDNS_NOTFOUND || a[1].err == -ENOMEM);
        assert_true(a[2].err == 0 || a[2].err == -ENOMEM);
        assert_true(a[0].err ? a[0].out.n == 0 : a[0].out.n > 0);
    }
    assert_true(failures >= 15);
}

/* What is not the name's fault is not kept: the same question right after it succeeds. */
static void lack_of_memory_is_not_remembered(void **state)
{
    (void)state;
    for (long n = 1;; n++) {
        struct asked a[] = {{.host = "v4.thrum.test"}, {.host = "v4.thrum.test"}};
        struct session s = {.opts = {.servers = sup_unbound_address(server),
                                     .hosts_path = "",
                                     .try_timeout_ns = 10 * THRUM_SECOND},
                            .asks = a,
                            .asks_n = 2};
        atomic_store(&fail_at, n);
        int err = session_run(&s);
        if (atomic_load(&fail_at) > 0)
            break;
        if (!err && a[0].err)
            assert_int_equal(a[1].err, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failed_allocation_is_reported_and_leaks_nothing),
        cmocka_unit_test(lack_of_memory_is_not_remembered),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
