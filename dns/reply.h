/* SPDX-License-Identifier: MIT */
/* dns/reply.h: what c-ares says, in our terms. */
#ifndef THR_DNS_REPLY_H
#define THR_DNS_REPLY_H

#include "dns/channel.h"

#include <ares.h>

/* How long an answer is kept, whatever its server says. */
#define THR_TTL_NS_MIN UINT64_C(1000000000)
#define THR_TTL_NS_MAX UINT64_C(3600000000000)

/* Fills in *out from what c-ares calls back with. answer may be NULL and stays the caller's. */
void thr_reply_from_ares(struct thr_reply *out, int status, const struct ares_addrinfo *answer);

/* The code for a status of c-ares: 0, -ENOMEM, -ECANCELED or THRUM_EDNS_*. */
int thr_reply_error(int status);

#endif
