/* SPDX-License-Identifier: MIT */
/* Sessions to resume. */
#include "tls/resume.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <thrum/task.h>
#include <thrum/time.h>

#include "exec/clock.h"

#define PLACES_MAX 1024

/* Tickets live as long as the server says, which mbedTLS heeds for TLS 1.3; a day bounds what a session that was
 * verified once is worth. */
#define SESSION_AGE_MAX_NS (UINT64_C(86400) * THRUM_SECOND)

/* ---- Sessions --------------------------------------------------------------------------------------------------- */

static struct thr_tls_session *session_new(const void *bytes, size_t len)
{
    struct thr_tls_session *s = malloc(sizeof(*s) + len);
    if (!s)
        return NULL;
    thr_store(&s->refs, 1, THR_RELAXED);
    s->len = len;
    memcpy(s->bytes, bytes, len);
    return s;
}

static struct thr_tls_session *session_ref(struct thr_tls_session *s)
{
    thr_fetch_add(&s->refs, 1, THR_RELAXED);
    return s;
}

void thr_tls_session_unref(struct thr_tls_session *s)
{
    if (!s || thr_fetch_sub(&s->refs, 1, THR_ACQ_REL) != 1)
        return;
    explicit_bzero(s->bytes, s->len); /* it has keys */
    free(s);
}

/* ---- Places. Context of all: lock held -------------------------------------------------------------------------- */

/* FNV-1a. Collisions that somebody makes on purpose cost a walk of at most places_max. */
static unsigned bucket_of(const char *host, uint16_t port)
{
    uint32_t h = UINT32_C(2166136261) ^ port;
    for (const char *p = host; *p; p++)
        h = (h ^ (unsigned char)*p) * UINT32_C(16777619);
    return (h ^ h >> 16) % THR_TLS_RESUME_BUCKETS;
}

static void unlink_age(struct thr_tls_resume *r, struct thr_tls_place *p)
{
    *(p->older ? &p->older->newer : &r->oldest) = p->newer;
    *(p->newer ? &p->newer->older : &r->newest) = p->older;
}

static void link_newest(struct thr_tls_resume *r, struct thr_tls_place *p)
{
    p->newer = NULL;
    p->older = r->newest;
    *(r->newest ? &r->newest->newer : &r->oldest) = p;
    r->newest = p;
}

static void place_free(struct thr_tls_resume *r, struct thr_tls_place *p)
{
    struct thr_tls_place **link = &r->buckets[bucket_of(p->host, p->port)];
    while (*link != p)
        link = &(*link)->chain;
    *link = p->chain;
    unlink_age(r, p);
    r->places_n--;
    thr_tls_session_unref(p->session);
    free(p);
}

/* R1: makes room for one more, if there is a place that nobody uses. */
static void throw_out(struct thr_tls_resume *r)
{
    struct thr_tls_place *p = r->oldest;
    while (p && r->places_n >= r->places_max) {
        struct thr_tls_place *next = p->newer;
        if (p->users == 0)
            place_free(r, p);
        p = next;
    }
}

static struct thr_tls_place *place_new(struct thr_tls_resume *r, const char *host, uint16_t port)
{
    size_t len = strlen(host) + 1;
    struct thr_tls_place *p = calloc(1, sizeof(*p) + len);
    if (!p)
        return NULL;
    p->changed = (thrum_event)THRUM_EVENT_INIT;
    p->port = port;
    memcpy(p->host, host, len);
    throw_out(r);
    unsigned b = bucket_of(host, port);
    p->chain = r->buckets[b];
    r->buckets[b] = p;
    link_newest(r, p);
    r->places_n++;
    return p;
}

static struct thr_tls_place *place_get(struct thr_tls_resume *r, const char *host, uint16_t port)
{
    struct thr_tls_place *p = r->buckets[bucket_of(host, port)];
    while (p && (p->port != port || strcmp(p->host, host) != 0))
        p = p->chain;
    if (!p)
        return place_new(r, host, port);
    unlink_age(r, p);
    link_newest(r, p);
    return p;
}

static void drop_session(struct thr_tls_place *p)
{
    thr_tls_session_unref(p->session);
    p->session = NULL;
}

static void unsettle(struct thr_tls_ticket *t)
{
    if (t->fresh)
        t->place->fresh--; /* R2 */
    t->fresh = false;
}

/* Decides, and returns true, unless the connection has to wait. */
static bool decide(struct thr_tls_ticket *t, unsigned fresh_max, bool patient)
{
    struct thr_tls_place *p = t->place;
    t->tls12 = p->tls12;
    if (p->session && thr_clock_now() - p->stored_ns > SESSION_AGE_MAX_NS)
        drop_session(p);
    if (p->session) {
        t->session = session_ref(p->session);
        return true;
    }
    if (!patient || p->barren || p->fresh < fresh_max) {
        p->fresh++;
        t->fresh = true;
        return true;
    }
    thrum_event_clear(
        &p->changed); /* under the lock that R3 is kept under: a later change sets it again */
    return false;
}

/* ---- The interface ---------------------------------------------------------------------------------------------- */

void thr_tls_resume_init(struct thr_tls_resume *r, unsigned places_max)
{
    memset(r, 0, sizeof(*r));
    pthread_mutex_init(&r->lock, NULL);
    r->places_max = places_max ? places_max : PLACES_MAX;
}

void thr_tls_resume_fini(struct thr_tls_resume *r)
{
    for (struct thr_tls_place *p = r->oldest, *next; p; p = next) {
        next = p->newer;
        place_free(r, p);
    }
    pthread_mutex_destroy(&r->lock);
}

/* Waits until the place changes or the limit is over; the latter is no failure. */
static int wait_for_change(struct thr_tls_place *p, uint64_t until_ns, bool *patient)
{
    uint64_t now = thr_clock_now();
    thrum_timeout limit;
    thrum_timeout_begin(&limit, until_ns > now ? until_ns - now : 0);
    int err = thrum_event_wait(&p->changed);
    bool own = thrum_timeout_end(&limit);
    if (err == -ETIMEDOUT && own)
        err = thrum_check(); /* an enclosing deadline may have come with ours */
    if (thr_clock_now() >= until_ns)
        *patient = false;
    return err;
}

int thr_tls_resume_begin(struct thr_tls_resume *r, struct thr_tls_ticket *t, const char *host,
                         uint16_t port, unsigned fresh_max, uint64_t wait_ns)
{
    memset(t, 0, sizeof(*t));
    uint64_t until_ns = thr_clock_after(wait_ns);
    bool patient = wait_ns > 0;
    pthread_mutex_lock(&r->lock);
    t->place = place_get(r, host, port);
    if (t->place)
        t->place->users++;
    bool decided = t->place && decide(t, fresh_max, patient);
    pthread_mutex_unlock(&r->lock);
    if (!t->place)
        return -ENOMEM;

    int err = 0;
    while (!decided && !err) {
        err = wait_for_change(t->place, until_ns, &patient);
        pthread_mutex_lock(&r->lock);
        decided = !err && decide(t, fresh_max, patient);
        pthread_mutex_unlock(&r->lock);
    }
    if (err)
        thr_tls_resume_end(r, t, false);
    return err;
}

void thr_tls_resume_store(struct thr_tls_resume *r, struct thr_tls_ticket *t, const void *bytes,
                          size_t len)
{
    struct thr_tls_session *s = session_new(bytes, len);
    if (!t->place || !s) {
        thr_tls_session_unref(s);
        return;
    }
    pthread_mutex_lock(&r->lock);
    drop_session(t->place);
    t->place->session = s;
    t->place->stored_ns = thr_clock_now();
    t->place->barren = false;
    unsettle(t);
    thrum_event_set(&t->place->changed); /* R3 */
    pthread_mutex_unlock(&r->lock);
}

void thr_tls_resume_only_tls12(struct thr_tls_resume *r, struct thr_tls_ticket *t)
{
    pthread_mutex_lock(&r->lock);
    t->place->tls12 = true;
    pthread_mutex_unlock(&r->lock);
}

void thr_tls_resume_settle(struct thr_tls_resume *r, struct thr_tls_ticket *t)
{
    if (!t->fresh)
        return; /* only its own connection writes it */
    pthread_mutex_lock(&r->lock);
    unsettle(t);
    t->place->barren = t->place->session == NULL;
    thrum_event_set(&t->place->changed);
    pthread_mutex_unlock(&r->lock);
}

void thr_tls_resume_end(struct thr_tls_resume *r, struct thr_tls_ticket *t, bool failed)
{
    struct thr_tls_place *p = t->place;
    if (!p)
        return;
    pthread_mutex_lock(&r->lock);
    if (failed && t->session && p->session == t->session)
        drop_session(p);
    if (t->fresh) {
        unsettle(t);
        p->barren = p->barren || (failed && !p->session); /* R4 */
        thrum_event_set(&p->changed);
    }
    if (--p->users == 0 && r->places_n > r->places_max)
        place_free(r, p);
    pthread_mutex_unlock(&r->lock);
    thr_tls_session_unref(t->session);
    memset(t, 0, sizeof(*t));
}
