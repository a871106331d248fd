/* SPDX-License-Identifier: MIT */
/* Descriptors that tasks can wait for: the table of entries, and operations on one entry. See the header. */
#include "io/fd.h"

#include "exec/util.h"
#include "io/loop.h"
#include "io/sys.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <thrum/error.h>

/* ---- The table (F1): chunks that double in size, so that an index finds its entry with two loads and none ever moves.
 * Chunk k holds the indices from FIRST * (2^k - 1) on, FIRST * 2^k of them. */

#define CHUNK_FIRST_N 64U
#define CHUNKS_N 26 /* 2^32 - 64 entries */

static struct {
    struct thr_lock lock;
    thr_aptr chunks[CHUNKS_N]; /* set once each, under lock; read by deliver without */
    uint32_t used_n;           /* guarded by lock: entries that have ever been in use */
    struct thr_fd *free;       /* guarded by lock: newest first, its lines are warm */
} table;

static unsigned chunk_of(uint32_t index)
{
    return 31U - (unsigned)__builtin_clz(index / CHUNK_FIRST_N + 1);
}

static struct thr_fd *entry_at(uint32_t index)
{
    unsigned k = chunk_of(index);
    struct thr_fd *chunk = thr_load(&table.chunks[k], THR_ACQUIRE);
    return chunk ? &chunk[index - CHUNK_FIRST_N * ((1U << k) - 1)] : NULL;
}

/* Makes the chunk that the next unused index lies in, unless another thread does so first. */
static bool chunk_add(unsigned k)
{
    struct thr_fd *chunk = calloc((size_t)CHUNK_FIRST_N << k, sizeof(*chunk));
    if (!chunk)
        return false;
    thr_lock(&table.lock);
    if (!thr_load(&table.chunks[k], THR_RELAXED)) {
        thr_store(&table.chunks[k], (void *)chunk, THR_RELEASE);
        chunk = NULL;
    }
    thr_unlock(&table.lock);
    free(chunk);
    return true;
}

static struct thr_fd *entry_new(void)
{
    for (;;) {
        thr_lock(&table.lock);
        struct thr_fd *f = table.free;
        uint32_t next = table.used_n;
        if (f) {
            table.free = f->free_next;
        } else if ((f = entry_at(next))) {
            f->index = next;
            table.used_n = next + 1;
        }
        thr_unlock(&table.lock);
        if (f)
            return f;
        if (!chunk_add(chunk_of(next)))
            return NULL;
    }
}

static void entry_free(struct thr_fd *f)
{
    thr_lock(&f->lock);
    f->in_use = false;
    f->generation++; /* F2: events under way are for nobody now */
    f->loop = NULL;
    thr_unlock(&f->lock);

    thr_lock(&table.lock);
    f->free_next = table.free;
    table.free = f;
    thr_unlock(&table.lock);
}

/* ---- Opening and closing ---- */

/* Returns the key of f, which is now in use. Under the lock, because a late event may be looking at it. */
static uint64_t entry_begin(struct thr_fd *f, int fd, uint32_t ready, void *loop)
{
    thr_lock(&f->lock);
    thr_store(&f->ready, ready, THR_RELAXED);
    f->fd = fd;
    f->users = 0;
    f->busy = 0;
    f->in_use = true;
    f->closing = false;
    f->loop = loop;
    f->waiters[THR_FD_READ] = f->waiters[THR_FD_WRITE] = NULL;
    f->closer = NULL;
    uint64_t key = (uint64_t)f->index << 32 | f->generation;
    thr_unlock(&f->lock);
    return key;
}

static int fd_register(struct thr_fd **out, int fd, uint32_t ready)
{
    *out = NULL;
    if (thrum_worker_index() == UINT_MAX)
        return THRUM_ENOTTASK;
    void *loop = thr_driver_loop();
    struct thr_fd *f = entry_new();
    if (!f)
        return -ENOMEM;

    /* The first event may be delivered before watch() returns. */
    uint64_t key = entry_begin(f, fd, ready, loop);
    int err = thr_loop_backend()->watch(loop, fd, key);
    if (err)
        entry_free(f);
    else
        *out = f;
    return err;
}

int thr_fd_open(struct thr_fd **out, int fd, uint32_t ready)
{
    int err = fd_register(out, fd, ready);
    if (err)
        thr_sys_close(fd);
    return err;
}

int thr_fd_borrow(struct thr_fd **out, int fd)
{
    return fd_register(out, fd, 0);
}

/* From here on no operation begins, and those that wait end (F5). */
static void begin_closing(struct thr_fd *f)
{
    struct thr_wakeups wakeups = {0};
    thr_lock(&f->lock);
    THR_ASSERT(f->in_use && !f->closing);
    f->closing = true;
    for (int side = 0; side < 2; side++) {
        if (f->waiters[side])
            (void)thr_waiter_fire(f->waiters[side], THR_FIRED_CLOSED, &wakeups);
    }
    thr_unlock(&f->lock);
    thr_wakeups_run(&wakeups);
}

/* Whether operations are under way; if so, w will be fired when the last one leaves. */
static bool await_users(struct thr_fd *f, struct thr_waiter *w)
{
    thr_lock(&f->lock);
    bool used = f->users > 0;
    if (used)
        f->closer = w;
    thr_unlock(&f->lock);
    return used;
}

static void wait_for_users(struct thr_fd *f)
{
    if (!await_users(f, NULL))
        return; /* the usual case, and the only one for a thread without a task */
    struct thr_waiter w;
    thr_wait_begin(&w, true);
    if (!await_users(f, &w)) {
        (void)thr_wait_abandon();
        return;
    }
    (void)thr_wait_park(THRUM_NEVER);
    thr_lock(&f->lock);
    f->closer = NULL;
    thr_unlock(&f->lock);
}

/* Ends all use of f and returns its descriptor. The explicit deregistration matters: a duplicate of the descriptor, in a
 * child process say, would keep the registration alive after close(2). */
static int fd_end(struct thr_fd *f)
{
    begin_closing(f);
    wait_for_users(f);
    int fd = f->fd;
    thr_lock(
        &f->lock); /* a thread that closes while the runtime ends: the loop is there as long as it is here */
    if (f->loop)
        thr_loop_backend()->unwatch(f->loop, fd);
    thr_unlock(&f->lock);
    return fd;
}

void thr_fd_close(struct thr_fd *f)
{
    thr_sys_close(fd_end(f));
    entry_free(f);
}

void thr_fd_release(struct thr_fd *f)
{
    (void)fd_end(f);
    entry_free(f);
}

/* ---- Operations ---- */

int thr_fd_enter(struct thr_fd *f, enum thr_fd_side side)
{
    uint32_t mine = side == THR_FD_NEITHER ? 0 : 1U << side;
    int err = 0;
    thr_lock(&f->lock);
    if (f->closing || !f->in_use)
        err = THRUM_ECLOSED;
    else if (f->busy & mine)
        err = -EBUSY;
    if (!err) {
        f->busy |= mine;
        f->users++;
    }
    thr_unlock(&f->lock);
    return err;
}

void thr_fd_leave(struct thr_fd *f, enum thr_fd_side side)
{
    struct thr_wakeups wakeups = {0};
    thr_lock(&f->lock);
    if (side != THR_FD_NEITHER)
        f->busy &= ~(1U << side);
    f->users--;
    if (f->users == 0 && f->closer)
        (void)thr_waiter_fire(f->closer, THR_FIRED_OK, &wakeups);
    thr_unlock(&f->lock); /* F6: no access to f below */
    thr_wakeups_run(&wakeups);
}

/* The bits of `ready` that let an operation on the side go on. */
static uint32_t side_bits(enum thr_fd_side side)
{
    return side == THR_FD_READ ? THR_FD_READABLE | THR_FD_ENDED : THR_FD_WRITABLE;
}

bool thr_fd_take(struct thr_fd *f, enum thr_fd_side side)
{
    uint32_t before = thr_fetch_and(&f->ready, ~(1U << side), THR_ACQ_REL); /* (B) */
    return (before & side_bits(side)) != 0;
}

void thr_fd_more(struct thr_fd *f, enum thr_fd_side side)
{
    thr_fetch_or(&f->ready, 1U << side, THR_RELEASE);
}

bool thr_fd_link(struct thr_fd *f, enum thr_fd_side side, struct thr_waiter *w, int *err)
{
    thr_lock(&f->lock);
    bool ready = (thr_load(&f->ready, THR_ACQUIRE) & side_bits(side)) != 0;
    *err = 0;
    if (f->closing || !f->loop)
        *err = THRUM_ECLOSED;
    else if (f->waiters[side])
        *err = -EBUSY;
    bool linked = !*err && !ready;
    if (linked)
        f->waiters[side] = w;
    thr_unlock(&f->lock);
    return linked;
}

void thr_fd_unlink(struct thr_fd *f, enum thr_fd_side side, const struct thr_waiter *w)
{
    thr_lock(&f->lock);
    if (f->waiters[side] == w)
        f->waiters[side] = NULL;
    thr_unlock(&f->lock);
}

int thr_fd_wait(struct thr_fd *f, enum thr_fd_side side, uint64_t deadline_ns)
{
    struct thr_waiter w;
    int err;
    thr_wait_begin(&w, false);
    if (!thr_fd_link(f, side, &w, &err)) { /* ready, or not to be had */
        (void)thr_wait_abandon();
        return err;
    }
    enum thr_reason reason = thr_wait_park(deadline_ns);
    thr_fd_unlink(f, side, &w);
    return thr_reason_error(reason);
}

/* ---- For the loops ---- */

void thr_fd_deliver(uint64_t key, uint32_t what, struct thr_wakeups *out)
{
    struct thr_fd *f = entry_at((uint32_t)(key >> 32));
    thr_lock(&f->lock);
    if (f->in_use && f->generation == (uint32_t)key) { /* F2 */
        thr_fetch_or(&f->ready, what, THR_RELEASE);    /* (A) */
        for (int side = 0; side < 2; side++) {
            if ((what & side_bits((enum thr_fd_side)side)) && f->waiters[side])
                (void)thr_waiter_fire(f->waiters[side], THR_FIRED_OK, out);
        }
    }
    thr_unlock(&f->lock);
}

void thr_fd_forget_loop(const void *loop)
{
    thr_lock(&table.lock);
    uint32_t used_n = table.used_n;
    thr_unlock(&table.lock);
    for (uint32_t i = 0; i < used_n; i++) {
        struct thr_fd *f = entry_at(i);
        thr_lock(&f->lock);
        if (f->loop == loop)
            f->loop = NULL;
        thr_unlock(&f->lock);
    }
}
