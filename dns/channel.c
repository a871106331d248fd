/* SPDX-License-Identifier: MIT */
/* The sockets and questions of one c-ares channel. */
#include "dns/channel.h"
#include "dns/channel_config.h"
#include "dns/reply.h"
#include "exec/clock.h"
#include "exec/util.h"
#include "io/fd.h"

#include <ares.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <thrum/task.h>

/* How often c-ares is told to look at its time limits while questions are under way. Asking it when the next one is due
 * (ares_timeout) walks through all questions in 1.18. */
#define TICK_NS UINT64_C(50000000)

/* Questions that nobody vouches for (thr_channel_room). */
#define UNREAD_MAX 128

/* 1.18 forgets what a server said when it said SERVFAIL or REFUSED and no other server does better: the question ends as
 * if no server could be reached. A question that ends so is then asked once more on a candid channel. */
#define ARES_FORGETS (ARES_VERSION < 0x011300)

/* One channel of c-ares. */
struct engine {
    struct thr_channel *ch;
    ares_channel ares;
};

struct channel_socket {
    struct engine *engine;
    int fd;
    bool read, write;
    uint64_t serial;    /* tells two sockets with the same number apart */
    struct thr_fd *reg; /* NULL: not registered yet, or that failed */
};

struct thr_channel {
    struct engine normal, candid; /* candid.ares is NULL if it is not needed */
    size_t questions;
    uint64_t asked;      /* in all */
    uint64_t vouched;    /* of those, how many the servers have read for sure */
    uint64_t tick_asked; /* asked before the last tick */
    uint64_t tick_ns;    /* when the time limits are due */
    struct channel_socket *sockets;
    struct thr_fd_want *wants; /* as long as sockets; of the last wait */
    uint64_t *want_serials;    /* likewise */
    unsigned sockets_n, sockets_max, wants_n;
    uint64_t serial;
};

/* ---- Sockets ---- */

static struct channel_socket *find_socket(struct thr_channel *ch, int fd)
{
    for (unsigned i = 0; i < ch->sockets_n; i++)
        if (ch->sockets[i].fd == fd)
            return &ch->sockets[i];
    return NULL;
}

static int grow_sockets(struct thr_channel *ch)
{
    if (ch->sockets_n < ch->sockets_max)
        return 0;
    unsigned max = ch->sockets_max ? ch->sockets_max * 2 : 8;
    void *sockets = realloc(ch->sockets, max * sizeof(*ch->sockets));
    if (sockets)
        ch->sockets = sockets;
    void *wants = realloc(ch->wants, max * sizeof(*ch->wants));
    if (wants)
        ch->wants = wants;
    void *serials = realloc(ch->want_serials, max * sizeof(*ch->want_serials));
    if (serials)
        ch->want_serials = serials;
    if (!sockets || !wants || !serials)
        return -ENOMEM; /* what has grown is only larger than it says */
    ch->sockets_max = max;
    return 0;
}

static void drop_socket(struct thr_channel *ch, struct channel_socket *s)
{
    if (s->reg)
        thr_fd_release(s->reg); /* nobody waits for it now, so it returns at once */
    *s = ch->sockets[--ch->sockets_n];
}

/* c-ares opens, uses or is about to close a socket. If there is no memory to note a new one, c-ares is not hindered, but
 * its answers are not seen and the question times out. */
static void on_socket(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct engine *e = arg;
    struct thr_channel *ch = e->ch;
    struct channel_socket *s = find_socket(ch, fd);
    if (!readable && !writable) {
        if (s)
            drop_socket(ch, s);
        return;
    }
    if (!s) {
        if (grow_sockets(ch) != 0)
            return;
        s = &ch->sockets[ch->sockets_n++];
        *s = (struct channel_socket){.engine = e, .fd = fd, .serial = ++ch->serial};
    }
    s->read = readable;
    s->write = writable;
}

/* ---- The channel ---- */

int thr_channel_new(struct thr_channel **out, const thrum_resolver_opts *opts)
{
    *out = NULL;
    struct thr_channel *ch = calloc(1, sizeof(*ch));
    if (!ch)
        return -ENOMEM;
    ch->normal.ch = ch->candid.ch = ch;
    int err = grow_sockets(ch); /* the first ones are there when memory is not */
    if (!err)
        err = thr_channel_configure(&ch->normal.ares, opts, false, on_socket, &ch->normal);
    if (!err && ARES_FORGETS)
        err = thr_channel_configure(&ch->candid.ares, opts, true, on_socket, &ch->candid);
    if (err) {
        thr_channel_free(ch);
        return err;
    }
    *out = ch;
    return 0;
}

void thr_channel_free(struct thr_channel *ch)
{
    if (!ch)
        return;
    if (ch->normal.ares)
        ares_destroy(ch->normal.ares); /* calls back for each question and socket */
    if (ch->candid.ares)
        ares_destroy(ch->candid.ares);
    THR_ASSERT(ch->questions == 0 && ch->sockets_n == 0);
    free(ch->sockets);
    free(ch->wants);
    free(ch->want_serials);
    free(ch);
}

size_t thr_channel_questions(const struct thr_channel *ch)
{
    return ch->questions;
}

/* ---- Questions ---- */

struct question {
    struct thr_channel *ch;
    const char *name;
    int family;
    bool candid;     /* asked the second time */
    uint64_t number; /* in the order of asking, from 1 */
    thr_reply_fn *fn;
    void *arg;
};

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *answer);

static void send_question(struct engine *e, struct question *q)
{
    /* One socket type, or each address comes once for each. */
    struct ares_addrinfo_hints hints = {
        .ai_flags = ARES_AI_NOSORT, .ai_family = q->family, .ai_socktype = SOCK_STREAM};
    ares_getaddrinfo(e->ares, q->name, NULL, &hints, on_answer, q); /* may call back at once */
}

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *answer)
{
    (void)timeouts;
    struct question *q = arg;
    struct thr_channel *ch = q->ch;
    if (status == ARES_ECONNREFUSED && !q->candid && ch->candid.ares) {
        q->candid = true;
        send_question(&ch->candid,
                      q); /* another channel of c-ares: it does not mind whose callback this is */
        return;
    }
    if (q->candid && status == ARES_ETIMEOUT)
        status = ARES_ECONNREFUSED; /* no more was learnt */
    if (q->number > ch->vouched)
        ch->vouched = q->number;
    struct thr_reply reply;
    thr_reply_from_ares(&reply, status, answer);
    ares_freeaddrinfo(answer);
    ch->questions--;
    q->fn(q->arg, &reply);
    free(q);
}

void thr_channel_ask(struct thr_channel *ch, const char *name, int family, thr_reply_fn *fn,
                     void *arg)
{
    struct question *q = malloc(sizeof(*q));
    if (!q) {
        fn(arg, &(struct thr_reply){.err = -ENOMEM});
        return;
    }
    *q = (struct question){
        .ch = ch, .name = name, .family = family, .number = ++ch->asked, .fn = fn, .arg = arg};
    if (ch->questions++ == 0)
        ch->tick_ns = thr_clock_after(TICK_NS);
    send_question(&ch->normal, q);
}

size_t thr_channel_room(const struct thr_channel *ch)
{
    uint64_t unread = ch->asked - ch->vouched;
    return unread < UNREAD_MAX ? (size_t)(UNREAD_MAX - unread) : 0;
}

/* ---- Waiting and processing ---- */

static void register_sockets(struct thr_channel *ch)
{
    for (unsigned i = 0; i < ch->sockets_n; i++) {
        struct channel_socket *s = &ch->sockets[i];
        if (!s->reg && thr_fd_borrow(&s->reg, s->fd) != 0)
            s->reg = NULL; /* the ticks look at it */
    }
}

static void collect_wants(struct thr_channel *ch)
{
    ch->wants_n = 0;
    for (unsigned i = 0; i < ch->sockets_n; i++) {
        const struct channel_socket *s = &ch->sockets[i];
        if (!s->reg)
            continue;
        ch->want_serials[ch->wants_n] = s->serial;
        ch->wants[ch->wants_n++] =
            (struct thr_fd_want){.fd = s->reg, .read = s->read, .write = s->write};
    }
}

int thr_channel_wait(struct thr_channel *ch, struct thr_doorbell *bell, uint64_t deadline_ns)
{
    register_sockets(ch);
    collect_wants(ch);
    if (ch->questions && ch->tick_ns < deadline_ns)
        deadline_ns = ch->tick_ns;
    int err = thr_fd_wait_any(ch->wants, ch->wants_n, bell, deadline_ns, false);
    if (err == 0 || err == -ECANCELED)
        return err;
    ch->wants_n = 0;
    if (err == -ETIMEDOUT)
        return 0;
    /* The kernel has no memory for poll(2): wait blindly, the ticks look at the sockets' state. */
    err = thrum_sleep(TICK_NS);
    return err == -ECANCELED ? err : 0;
}

static struct channel_socket *find_serial(struct thr_channel *ch, uint64_t serial)
{
    for (unsigned i = 0; i < ch->sockets_n; i++)
        if (ch->sockets[i].serial == serial)
            return &ch->sockets[i];
    return NULL;
}

/* c-ares may close any socket, and open others, while it looks at one. */
static void process_ready(struct thr_channel *ch)
{
    unsigned n = ch->wants_n;
    ch->wants_n = 0;
    for (unsigned i = 0; i < n; i++) {
        const struct thr_fd_want *w = &ch->wants[i];
        const struct channel_socket *s =
            w->readable || w->writable ? find_serial(ch, ch->want_serials[i]) : NULL;
        if (!s)
            continue;
        int fd = s->fd;
        ares_process_fd(s->engine->ares, w->readable ? fd : ARES_SOCKET_BAD,
                        w->writable ? fd : ARES_SOCKET_BAD);
    }
}

/* Tries each socket as if it were ready; those that are opened meanwhile are left for later. */
static void process_all(struct thr_channel *ch, bool write)
{
    uint64_t last = ch->serial;
    for (unsigned i = ch->sockets_n; i-- > 0;) {
        if (i >= ch->sockets_n || ch->sockets[i].serial > last)
            continue; /* c-ares has closed some: the last ones have moved forward */
        int fd = ch->sockets[i].fd;
        ares_process_fd(ch->sockets[i].engine->ares, fd,
                        write && ch->sockets[i].write ? fd : ARES_SOCKET_BAD);
    }
}

static void tick(struct thr_channel *ch)
{
    process_all(ch, true); /* what could not be registered, too */
    ares_process_fd(ch->normal.ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    if (ch->candid.ares)
        ares_process_fd(ch->candid.ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    if (ch->tick_asked > ch->vouched)
        ch->vouched = ch->tick_asked;
    ch->tick_asked = ch->asked;
    ch->tick_ns = thr_clock_after(TICK_NS);
}

void thr_channel_process(struct thr_channel *ch)
{
    process_ready(ch);
    if (ch->questions && thr_clock_now() >= ch->tick_ns)
        tick(ch);
}

void thr_channel_drain(struct thr_channel *ch)
{
    process_all(ch, false);
}
