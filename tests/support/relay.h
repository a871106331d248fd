/* SPDX-License-Identifier: MIT */
/* support/relay.h: a TCP relay in front of a real server that spoils what passes at a chosen byte.
 *
 * With it a fault can lie inside an established TLS connection, or in the middle of a handshake,
 * without a TLS library here.  In TLS a server's first flight is larger than 500 bytes, so
 * {TO_CLIENT, at_byte 100} lies in the handshake; for a byte in the answer see
 * sup_relay_bytes() of an undisturbed run.
 */
#ifndef SUPPORT_RELAY_H
#define SUPPORT_RELAY_H

#include "support/util.h"

enum sup_relay_direction { SUP_TO_CLIENT, SUP_TO_SERVER };

enum sup_relay_fault {
    SUP_RELAY_NONE,
    SUP_RELAY_CLOSE,    /* at that byte both connections are closed (FIN) */
    SUP_RELAY_RESET,    /* ... or reset (RST) */
    SUP_RELAY_TRUNCATE, /* the destination sees the end (FIN) there, the other direction goes on */
    SUP_RELAY_STALL,    /* nothing more passes in this direction until sup_relay_release() */
    SUP_RELAY_CORRUPT,  /* that byte has its lowest bit flipped; all else passes */
    SUP_RELAY_DRIP,     /* from there on each byte is sent by itself */
    SUP_RELAY_DELAY     /* once, for delay_ms */
};

struct sup_relay_rule {
    enum sup_relay_fault fault;
    enum sup_relay_direction direction;
    uint64_t at_byte;  /* so many bytes pass unharmed in this direction */
    unsigned delay_ms; /* for SUP_RELAY_DELAY */
    size_t first, n; /* applies to connections [first, first + n), counted from 0; n 0: all after */
};

struct sup_relay;

/* Starts a relay on a free port of 127.0.0.1 to 127.0.0.1:upstream.  One fault a connection: the first
 * rule that applies to it.  The rules are copied; rules_n may be 0. */
struct sup_relay *sup_relay_start(uint16_t upstream, const struct sup_relay_rule *rules,
                                  size_t rules_n);
void sup_relay_stop(struct sup_relay *r);

uint16_t sup_relay_port(const struct sup_relay *r);
size_t sup_relay_connections(struct sup_relay *r);

/* Connections on which the fault has happened. */
size_t sup_relay_faults(struct sup_relay *r);

/* Waits until so many faults have happened. */
bool sup_relay_wait_faults(struct sup_relay *r, size_t n, int timeout_ms);

/* Lets n stalled connections, present or future ones, go on. */
void sup_relay_release(struct sup_relay *r, unsigned n);

/* Bytes passed on by connection i in a direction so far. */
uint64_t sup_relay_bytes(struct sup_relay *r, size_t i, enum sup_relay_direction direction);

#endif
