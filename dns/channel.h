/* SPDX-License-Identifier: MIT */
/* dns/channel.h: c-ares, as one task drives it.
 *
 * c-ares 1.18 has no locks, and later versions call back with theirs held; so one task, the resolver's actor, makes every
 * call of a channel, and both behave alike. c-ares opens, closes and reuses descriptors as it likes, and says so through
 * a callback: the channel keeps the list, registers a socket with the event loop when it first waits for it, and
 * deregisters it in the callback, before c-ares closes it.
 *
 * c-ares cannot end one question: it is answered, or times out, or ends with the channel.
 * Nothing here suspends but thr_channel_wait(). */
#ifndef THR_DNS_CHANNEL_H
#define THR_DNS_CHANNEL_H

#include "exec/doorbell.h"
#include <thrum/dns.h>

/* What came of a question. */
struct thr_reply {
    int err; /* 0, -ENOMEM, -ECANCELED (the channel was freed), THRUM_EDNS_* */
    unsigned addrs_n;
    thrum_addr *addrs; /* the callee's, from malloc(), without a port; not NULL if err is 0 */
    uint64_t ttl_ns;
};

/* Called once a question, within a call of thr_channel_ask(), _process() or _free(). It must not call the channel. */
typedef void thr_reply_fn(void *arg, const struct thr_reply *reply);

struct thr_channel;

/* Makes a channel; reads resolv.conf.
 *
 * Returns: 0, -ENOMEM, THRUM_EDNS_CONFIG. Context: any thread. */
int thr_channel_new(struct thr_channel **out, const thrum_resolver_opts *opts);

/* Ends the channel: questions under way are answered with -ECANCELED. NULL is allowed. */
void thr_channel_free(struct thr_channel *ch);

/* Asks for the addresses of one family, AF_INET or AF_INET6. name is borrowed until fn is called. */
void thr_channel_ask(struct thr_channel *ch, const char *name, int family, thr_reply_fn *fn,
                     void *arg);

/* How many questions are under way. */
size_t thr_channel_questions(const struct thr_channel *ch);

/* How many more questions the servers can be given now without losing some.
 *
 * What a server has not read yet waits in its socket's buffer, which holds some 270 small packets at Linux' default size;
 * what comes then is dropped and asked again only after a time limit. Packets are read in the order they came, so an
 * answer shows that all that was asked before its question has been read; and what was asked two ticks ago is taken for
 * read, however slow the answers are. So questions are bounded that nobody vouches for, not those under way. */
size_t thr_channel_room(const struct thr_channel *ch);

/* Waits until a socket is ready, the bell rings, or the deadline has passed; while questions are under way it returns at
 * each tick (50 ms) besides, at which c-ares' own time limits are seen to.
 *
 * Returns: 0, -ECANCELED. Context: the channel's task. Suspends. */
int thr_channel_wait(struct thr_channel *ch, struct thr_doorbell *bell, uint64_t deadline_ns);

/* Takes what the last wait found, and looks at time limits that are due. */
void thr_channel_process(struct thr_channel *ch);

/* Takes what has come meanwhile, without waiting. To be called after each question: that keeps the sockets' buffers from
 * running over, and the kernel's word that nobody listens at a port, which the next send would get (and c-ares then
 * moves that one question on to the next server), reaches c-ares as that of a receive (and it moves all of them on). */
void thr_channel_drain(struct thr_channel *ch);

#endif
