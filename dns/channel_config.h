/* SPDX-License-Identifier: MIT */
/* dns/channel_config.h: a resolver's options in c-ares' terms. */
#ifndef THR_DNS_CHANNEL_CONFIG_H
#define THR_DNS_CHANNEL_CONFIG_H

#include <ares.h>
#include <thrum/dns.h>

/* Makes a c-ares channel that says through socket_cb(arg, ...) which sockets it uses.
 *
 * candid: it gives what a server answered even if that is a failure, where a normal one goes on to the next server.
 * Returns: 0, -ENOMEM, THRUM_EDNS_CONFIG; *out is then NULL. */
int thr_channel_configure(ares_channel *out, const thrum_resolver_opts *opts, bool candid,
                          ares_sock_state_cb socket_cb, void *arg);

/* Writes a list of servers, as thrum_resolver_opts has it, with a port for each: "1.2.3.4:53,[::1]:5353".
 *
 * Owns:    *out is the caller's, ended with free().
 * Returns: 0, -ENOMEM, THRUM_EDNS_CONFIG; *out is then NULL. */
int thr_servers_normalise(char **out, const char *servers);

#endif
