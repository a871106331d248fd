/* SPDX-License-Identifier: MIT */
/* One connection used by several tasks: reader and writer at once, interrupted writes, a close under both. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client.h"
#include "support/nginx.h"
#include "support/relay.h"
#include "support/sserver.h"
#include "tls/conn.h"

/* `openssl s_server -rev` sends each line back reversed: what is written and what is read both can be computed. */
#define LINE_BYTES 1024
#define LINES_N 10240 /* 10 MiB */

static struct sup_sserver *server[2]; /* TLS 1.2, TLS 1.3 */

static void line_fill(char *line, unsigned number, bool reversed)
{
    unsigned x = number * 2654435761u + 1;
    for (size_t i = 0; i < LINE_BYTES - 1; i++) {
        x = x * 1664525u + 1013904223u;
        line[reversed ? LINE_BYTES - 2 - i : i] = "0123456789abcdefghijklmnopqrstuv"[x >> 27];
    }
    line[LINE_BYTES - 1] = '\n';
}

struct duplex {
    struct client c;
    unsigned lines_n;
    size_t piece;            /* bytes of one write */
    uint64_t limit_ns;       /* of one write; 0: none */
    struct sup_relay *relay; /* released when a write has run into its limit */
    unsigned interrupted;    /* filled in */
    int read_result, write_result;
};

static int read_lines(void *arg)
{
    struct duplex *d = arg;
    char *got = malloc(LINE_BYTES), *want = malloc(LINE_BYTES);
    int err = 0;
    for (unsigned i = 0; i < d->lines_n && !err; i++) {
        line_fill(want, i, true);
        err = thrum_stream_read_exactly(d->c.stream, got, LINE_BYTES, NULL);
        if (!err && memcmp(got, want, LINE_BYTES) != 0)
            err = -EBADMSG;
    }
    free(got);
    free(want);
    return d->read_result = err;
}

/* Writes buf; a write that its limit interrupts goes on where it was interrupted. */
static int write_piece(struct duplex *d, const char *buf, size_t len)
{
    size_t done = 0;
    int err = -ETIMEDOUT;
    while (err == -ETIMEDOUT) {
        size_t put = 0;
        thrum_timeout limit;
        thrum_timeout_begin(&limit, d->limit_ns ? d->limit_ns : THRUM_NEVER);
        err = thrum_stream_write(d->c.stream, buf + done, len - done, &put);
        thrum_timeout_end(&limit);
        done += put;
        if (err == -ETIMEDOUT && d->interrupted++ == 0)
            sup_relay_release(d->relay, 1);
    }
    return err ? err : done == len ? 0 : -EBADMSG;
}

static int write_lines(void *arg)
{
    struct duplex *d = arg;
    size_t all = (size_t)d->lines_n * LINE_BYTES;
    char *buf = malloc(all);
    for (unsigned i = 0; i < d->lines_n; i++)
        line_fill(buf + (size_t)i * LINE_BYTES, i, false);
    int err = 0;
    for (size_t at = 0, n; at < all && !err; at += n) {
        n = all - at < d->piece ? all - at : d->piece;
        err = write_piece(d, buf + at, n);
    }
    free(buf);
    return d->write_result = err;
}

static int duplex_task(void *arg)
{
    struct duplex *d = arg;
    int err = client_open(&d->c);
    if (err)
        return err;
    thrum_scope scope;
    thrum_scope_open(&scope, NULL);
    thrum_scope_spawn(&scope, read_lines, d);
    thrum_scope_spawn(&scope, write_lines, d);
    err = thrum_scope_close(&scope);
    client_close(&d->c);
    return err;
}

static void ten_megabytes_go_up_and_come_down_at_once(void **state)
{
    (void)state;
    static const size_t pieces[] = {1000000, 17000, 16384, 999};
    for (size_t i = 0; i < 4; i++) {
        struct duplex d = {.lines_n = LINES_N, .piece = pieces[i]};
        d.c.port = sup_sserver_port(server[i % 2]);
        d.c.config = client_config((thrum_tls_opts){0});
        assert_int_equal(thrum_run(duplex_task, &d, &(thrum_run_opts){.workers = 2 + (unsigned)i}),
                         0);
        assert_int_equal(d.read_result, 0);
        assert_int_equal(d.write_result, 0);
        thrum_tls_config_unref(d.c.config);
    }
}

static void an_interrupted_write_loses_and_doubles_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct sup_relay_rule rule = {
            .fault = SUP_RELAY_STALL, .direction = SUP_TO_SERVER, .at_byte = 100000};
        struct sup_relay *r = sup_relay_start(sup_sserver_port(server[i]), &rule, 1);
        assert_non_null(r);
        struct duplex d = {
            .lines_n = 8192, .piece = 8 << 20, .limit_ns = 100 * THRUM_MILLISECOND, .relay = r};
        d.c.port = sup_relay_port(r);
        d.c.config = client_config((thrum_tls_opts){0});
        assert_int_equal(thrum_run(duplex_task, &d, NULL), 0);
        assert_true(d.interrupted >= 1);
        thrum_tls_config_unref(d.c.config);
        sup_relay_stop(r);
    }
}

/* ---- What an interrupted write leaves is sent by a read --------------------------------------------------------- */

struct leftover {
    struct duplex d;
    size_t put, got;
    int write_result, read_result;
};

static int leftover_task(void *arg)
{
    struct leftover *l = arg;
    char *line = malloc(LINE_BYTES), *big = malloc(8 << 20);
    int err = client_open(&l->d.c);
    memset(big, 'x', 8 << 20);
    thrum_timeout limit;
    thrum_timeout_begin(&limit, 200 * THRUM_MILLISECOND);
    if (!err)
        l->write_result = thrum_stream_write(l->d.c.stream, big, 8 << 20, &l->put);
    thrum_timeout_end(&limit);
    sup_relay_release(l->d.relay, 1);
    while (!err &&
           l->read_result >= 0) { /* only reads from here on, until nothing comes any more */
        thrum_timeout_begin(&limit, 500 * THRUM_MILLISECOND);
        l->read_result = (int)thrum_stream_read(l->d.c.stream, line, LINE_BYTES);
        l->got += l->read_result > 0 ? (size_t)l->read_result : 0;
        thrum_timeout_end(&limit);
    }
    client_close(&l->d.c);
    free(line);
    free(big);
    return err;
}

static void what_an_interrupted_write_leaves_is_sent_by_the_next_read(void **state)
{
    (void)state;
    struct sup_relay_rule rule = {
        .fault = SUP_RELAY_STALL, .direction = SUP_TO_SERVER, .at_byte = 100000};
    struct sup_relay *r = sup_relay_start(sup_sserver_port(server[1]), &rule, 1);
    assert_non_null(r);
    struct leftover l = {.d = {.relay = r}};
    l.d.c.port = sup_relay_port(r);
    l.d.c.config = client_config((thrum_tls_opts){0});
    assert_int_equal(thrum_run(leftover_task, &l, NULL), 0);
    assert_int_equal(l.write_result, -ETIMEDOUT);
    assert_true(l.put > 100000 && l.put < 8 << 20);
    assert_true(sup_relay_bytes(r, 0, SUP_TO_SERVER) >
                l.put); /* all that was accepted, and its overhead */
    thrum_tls_config_unref(l.d.c.config);
    sup_relay_stop(r);
}

/* ---- Deadlines and two of a kind -------------------------------------------------------------------------------- */

struct pair {
    struct client c;
    thrum_event reading; /* set shortly before */
    int results[4];
};

static int read_one(void *arg)
{
    struct pair *p = arg;
    char byte;
    thrum_event_set(&p->reading);
    return p->results[0] = (int)thrum_stream_read(p->c.stream, &byte, 1);
}

static int busy_task(void *arg)
{
    struct pair *p = arg;
    char line[8];
    int err = client_open(&p->c);
    if (err)
        return err;
    thrum_timeout limit;
    thrum_timeout_begin(&limit, 50 * THRUM_MILLISECOND);
    p->results[1] =
        (int)thrum_stream_read(p->c.stream, line, sizeof(line)); /* nothing comes in time, ... */
    thrum_timeout_end(&limit);

    thrum_scope scope;
    thrum_scope_open(&scope, NULL);
    thrum_scope_spawn(&scope, read_one, p);
    err = thrum_event_wait(&p->reading);
    thrum_sleep(50 * THRUM_MILLISECOND);
    thrum_timeout_begin(&limit, 20 * THRUM_SECOND);
    p->results[2] = (int)thrum_stream_read(p->c.stream, line, sizeof(line)); /* a second reader */
    thrum_timeout_end(&limit);
    if (!err)
        err = thrum_stream_write(p->c.stream, "ba\n", 3, NULL); /* a writer beside it */
    int joined = thrum_scope_close(&scope);
    p->results[3] =
        thrum_stream_read_exactly(p->c.stream, line, 2, NULL); /* ... and nothing is lost */
    if (!err && joined >= 0 && memcmp(line, "b\n", 2) != 0)
        err = -EBADMSG;
    client_close(&p->c);
    return err;
}

static void a_second_reader_is_refused_and_a_deadline_loses_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct pair p = {.c.port = sup_sserver_port(server[i])};
        p.c.config = client_config((thrum_tls_opts){0});
        assert_int_equal(thrum_run(busy_task, &p, NULL), 0);
        assert_int_equal(p.results[0], 1);
        assert_int_equal(p.results[1], -ETIMEDOUT);
        assert_int_equal(p.results[2], -EBUSY);
        assert_int_equal(p.results[3], 0);
        thrum_tls_config_unref(p.c.config);
    }
}

/* ---- Closing under a reader and a writer ------------------------------------------------------------------------ */

#define MUCH_BYTES (64 << 20) /* more than all buffers on the way hold */

static int write_much(void *arg)
{
    struct pair *p = arg;
    char *much = calloc(1, MUCH_BYTES);
    p->results[1] = thrum_stream_write(p->c.stream, much, MUCH_BYTES, NULL);
    free(much);
    return p->results[1];
}

/* Waits until reader and writer are both parked in the stream below: only then may the close begin. */
static int wait_until_parked(thrum_tls *tls)
{
    for (int i = 0; i < SUP_TIMEOUT_MS; i++) {
        thrum_mutex_lock_shielded(&tls->lock);
        bool parked = tls->parked[THR_TLS_READING] && tls->parked[THR_TLS_WRITING];
        thrum_mutex_unlock(&tls->lock);
        if (parked)
            return thrum_sleep(50 * THRUM_MILLISECOND); /* the writer's buffers fill up */
        thrum_sleep(THRUM_MILLISECOND);
    }
    return -ETIMEDOUT;
}

static int close_task(void *arg)
{
    struct pair *p = arg;
    int err = client_open(&p->c);
    if (err)
        return err;
    thrum_scope scope;
    thrum_scope_open(&scope, &(thrum_scope_opts){.keep_going = true});
    thrum_scope_spawn(&scope, read_one, p);
    thrum_scope_spawn(&scope, write_much, p);
    err = wait_until_parked(p->c.tls);
    client_close(&p->c);
    (void)thrum_scope_close(&scope);
    return err;
}

static void a_close_sends_reader_and_writer_away(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        struct sup_relay_rule rule = {
            .fault = SUP_RELAY_STALL, .direction = SUP_TO_SERVER, .at_byte = 10000};
        struct sup_relay *r = sup_relay_start(sup_sserver_port(server[i % 2]), &rule, 1);
        assert_non_null(r);
        struct pair p = {.c.port = sup_relay_port(r)};
        p.c.config = client_config((thrum_tls_opts){0});
        assert_int_equal(thrum_run(close_task, &p, &(thrum_run_opts){.workers = 1 + i}), 0);
        assert_int_equal(p.results[0], THRUM_ECLOSED);
        assert_int_equal(p.results[1], THRUM_ECLOSED);
        thrum_tls_config_unref(p.c.config);
        sup_relay_stop(r);
    }
}

/* ---- Writing to a peer that has gone ---------------------------------------------------------------------------- */

static int gone_task(void *arg)
{
    struct pair *p = arg;
    char *all, *body;
    int err = client_open(&p->c);
    if (!err)
        err = client_ask(&p->c, "/pages/1");
    if (!err) {
        ssize_t n = client_answer(&p->c, &all, &body); /* HTTP/1.0: nginx closes */
        err = n < 0 ? (int)n : 0;
        free(all);
    }
    for (int i = 0; i < 1000 && !err && p->results[0] == 0; i++) {
        p->results[0] = thrum_stream_write(p->c.stream, "x", 1, NULL);
        thrum_sleep(THRUM_MILLISECOND);
        p->results[1] = i;
    }
    client_close(&p->c);
    return err;
}

static void writing_to_a_peer_that_closed_fails(void **state)
{
    (void)state;
    struct sup_nginx *nginx = sup_nginx_start(NULL);
    assert_non_null(nginx);
    for (int tls12 = 0; tls12 < 2; tls12++) {
        struct pair p = {.c.port = sup_nginx_port(nginx, SUP_NGINX_HTTPS)};
        p.c.config = client_config((thrum_tls_opts){.tls12_only = tls12});
        assert_int_equal(thrum_run(gone_task, &p, NULL), 0);
        if (tls12) {
            assert_int_equal(p.results[0], -EPIPE); /* the goodbye ends both directions */
            assert_int_equal(p.results[1], 0);
        } else {
            assert_true(p.results[0] == -EPIPE || p.results[0] == -ECONNRESET);
        }
        thrum_tls_config_unref(p.c.config);
    }
    assert_true(sup_nginx_stop(nginx));
}

static int start(void **state)
{
    (void)state;
    server[0] =
        sup_sserver_start(&(struct sup_sserver_opts){.mode = SUP_SSERVER_ECHO, .tls = "1.2"});
    server[1] =
        sup_sserver_start(&(struct sup_sserver_opts){.mode = SUP_SSERVER_ECHO, .tls = "1.3"});
    return server[0] && server[1] ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    sup_sserver_stop(server[0]);
    sup_sserver_stop(server[1]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_megabytes_go_up_and_come_down_at_once),
        cmocka_unit_test(an_interrupted_write_loses_and_doubles_nothing),
        cmocka_unit_test(what_an_interrupted_write_leaves_is_sent_by_the_next_read),
        cmocka_unit_test(a_second_reader_is_refused_and_a_deadline_loses_nothing),
        cmocka_unit_test(a_close_sends_reader_and_writer_away),
        cmocka_unit_test(writing_to_a_peer_that_closed_fails),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
