/* SPDX-License-Identifier: MIT */
/* The client when memory runs out: the 1st, 2nd, ... n-th of its allocations fails, until a request gets through. Each
 * failure is -ENOMEM, leaves the client usable and leaks neither memory nor a connection.
 *
 * The client's files are compiled into this test with their allocations going through it; they come before the library,
 * so the linker does not take them from there as well. */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* One worker, so one thread: no atomics. */
static size_t fail_at; /* counts down to the failing allocation; 0: none fails any more */
static long live;      /* allocations not yet freed */

static int is_due(void)
{
    return fail_at && --fail_at == 0;
}

static void *failing_realloc(void *old, size_t n)
{
    if (is_due())
        return NULL;
    void *got = realloc(old, n);
    live += got && !old;
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

static char *failing_strndup(const char *text, size_t most)
{
    size_t n = strnlen(text, most);
    char *got = failing_malloc(n + 1);
    if (got) {
        memcpy(got, text, n);
        got[n] = '\0';
    }
    return got;
}

static char *failing_strdup(const char *text)
{
    return failing_strndup(text, SIZE_MAX);
}

static void counting_free(void *old)
{
    live -= old != NULL;
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
#include "http/client.c"   /* NOLINT(bugprone-suspicious-include): see above */
#include "http/conn.c"     /* NOLINT(bugprone-suspicious-include): see above */
#include "http/dial.c"     /* NOLINT(bugprone-suspicious-include): see above */
#include "http/exchange.c" /* NOLINT(bugprone-suspicious-include): see above */
#include "http/outgoing.c" /* NOLINT(bugprone-suspicious-include): see above */
#include "http/phase.c"    /* NOLINT(bugprone-suspicious-include): see above */
#include "http/pool.c"     /* NOLINT(bugprone-suspicious-include): see above */
#include "http/redirect.c" /* NOLINT(bugprone-suspicious-include): see above */
#include "http/response.c" /* NOLINT(bugprone-suspicious-include): see above */
#include "http/send.c"     /* NOLINT(bugprone-suspicious-include): see above */

#include "fetching.h"
#undef malloc
#undef calloc
#undef realloc
#undef strdup
#undef strndup
#undef free

#include "support/scripted.h"

#define REQUEST SUP_EXPECT("\r\n\r\n")
#define UPLOAD_BYTES 200000

struct hungry {
    const char *name;
    struct sup_step steps[6];
    const char *path;
    bool upload;
    size_t bytes; /* of the body that comes */
};

static const struct hungry hungries[] = {
    {"plain",
     {REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 5\r\n\r\nhello"),
      SUP_REPEAT(0)},
     "/#f",
     false,
     5},
    {"large, by the end",
     {REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\n\r\n"), SUP_SEND_STREAM(1, 100000), SUP_CLOSE},
     "/",
     false,
     100000},
    {"user and password",
     {REQUEST, SUP_SEND("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), SUP_REPEAT(0)},
     "user@/",
     false,
     0},
    {"redirected",
     {REQUEST, SUP_SEND("HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"), REQUEST,
      SUP_SEND("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"), SUP_CLOSE},
     "/#f",
     false,
     2},
    {"upload",
     {REQUEST, SUP_READ(UPLOAD_BYTES),
      SUP_SEND("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"), SUP_CLOSE},
     "/",
     true,
     2},
};

struct course {
    const struct hungry *hungry;
    uint16_t port;
    char *upload;
    size_t failed_n;
};

static int starve(thrum_http_client *c, void *arg)
{
    struct course *course = arg;
    const struct hungry *h = course->hungry;
    const thrum_http_request request = {.body = course->upload,
                                        .body_bytes = course->upload ? UPLOAD_BYTES : 0};
    bool user = h->path[0] == 'u';
    char url[128];
    snprintf(url, sizeof(url), "http://%s127.0.0.1:%u%s", user ? "user:secret@" : "", course->port,
             user ? "/" : h->path);
    for (size_t n = 1;; n++) {
        struct got g;
        fail_at = n;
        fetch(c, url, &request, &g);
        bool through = fail_at > 0;
        fail_at = 0;
        if (g.err)
            CHECK(g.err == -ENOMEM && !through);
        else
            CHECK(g.status == 200 && g.bytes == h->bytes);
        CHECK(g.body == NULL || g.err == 0);
        counting_free(g.body);
        course->failed_n += g.err != 0;
        CHECK(thr_pool_counts(&c->pool).open_n == thr_pool_counts(&c->pool).idle_n);
        if (through)
            return 0;
    }
}

static void a_request_survives_each_failing_allocation(void **state)
{
    (void)state;
    char *upload = calloc(1, UPLOAD_BYTES);
    assert_non_null(upload);
    for (size_t i = 0; i < THR_COUNT_OF(hungries); i++) {
        const struct sup_script script = {hungries[i].steps, THR_COUNT_OF(hungries[i].steps)};
        struct sup_scripted *server = sup_scripted_start(&script, 1);
        assert_non_null(server);
        struct course course = {.hungry = &hungries[i],
                                .port = sup_scripted_port(server),
                                .upload = hungries[i].upload ? upload : NULL};
        run_with(starve, &course, NULL, NULL, 1);
        sup_scripted_stop(server);
        assert_true(course.failed_n >= 5);
        assert_int_equal(live, 0);
    }
    free(upload);
}

static int make_clients(void *arg)
{
    (void)arg;
    thrum_http_override o = {.host = "a.test", .port = 1};
    CHECK(thrum_addr_parse(&o.addr, "127.0.0.1", 1) == 0);
    const thrum_http_client_opts opts = {.overrides = &o, .overrides_n = 1};
    for (size_t n = 1;; n++) {
        thrum_http_client *c;
        fail_at = n;
        int err = thrum_http_client_new(&c, &opts);
        bool through = fail_at > 0;
        fail_at = 0;
        CHECK(err == (through ? 0 : -ENOMEM) && (c != NULL) == through);
        thrum_http_client_free(c);
        CHECK(live == 0);
        if (through)
            return n > 3 ? 0 : -1;
    }
}

static void a_client_is_made_whole_or_not_at_all(void **state)
{
    (void)state;
    assert_int_equal(thrum_run(make_clients, NULL, &(thrum_run_opts){.workers = 1}), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_survives_each_failing_allocation),
        cmocka_unit_test(a_client_is_made_whole_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
