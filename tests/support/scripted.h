/* SPDX-License-Identifier: MIT */
/* support/scripted.h: a TCP server that follows a script, for faults that no real server makes.
 *
 * It speaks bytes only, so a TLS fault is one of raw bytes (SUP_TLS_ALERT_*) or of support/relay.h in
 * front of a real server.  Threads: one accepts, one runs each connection; stopping ends and joins all
 * of them at once.
 *
 *     static const struct sup_step half_answer[] = {
 *         SUP_EXPECT("\r\n\r\n"),
 *         SUP_SEND("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this"),
 *         SUP_CLOSE,
 *     };
 *     struct sup_scripted *s = sup_scripted_start(SUP_SCRIPT(half_answer));
 */
#ifndef SUPPORT_SCRIPTED_H
#define SUPPORT_SCRIPTED_H

#include "support/util.h"

enum sup_step_kind {
    SUP_STEP_END, /* close, as at the end of the array */
    SUP_STEP_EXPECT,
    SUP_STEP_READ,
    SUP_STEP_READ_TO_END,
    SUP_STEP_SEND,
    SUP_STEP_SEND_STREAM,
    SUP_STEP_SEND_FOREVER,
    SUP_STEP_DELAY,
    SUP_STEP_STALL,
    SUP_STEP_HALF_CLOSE,
    SUP_STEP_CLOSE,
    SUP_STEP_RESET,
    SUP_STEP_REPEAT
};

struct sup_step {
    enum sup_step_kind kind;
    const void *data;
    size_t bytes;
    size_t piece;  /* bytes of one send(2); 0: all at once */
    unsigned n;    /* milliseconds between pieces, of a delay; repeats */
    uint64_t seed; /* for streams */
};

/* Reads until the text has come (what follows it is kept for the next step); one more request. */
#define SUP_EXPECT(text)                                                                           \
    {                                                                                              \
        .kind = SUP_STEP_EXPECT, .data = (text), .bytes = sizeof(text) - 1                         \
    }
/* Reads exactly so many bytes: a body, a TLS record. */
#define SUP_READ(count)                                                                            \
    {                                                                                              \
        .kind = SUP_STEP_READ, .bytes = (count)                                                    \
    }
/* Reads until the client closes its side. */
#define SUP_READ_TO_END                                                                            \
    {                                                                                              \
        .kind = SUP_STEP_READ_TO_END                                                               \
    }
#define SUP_SEND(text)                                                                             \
    {                                                                                              \
        .kind = SUP_STEP_SEND, .data = (text), .bytes = sizeof(text) - 1                           \
    }
#define SUP_SEND_BYTES(pointer, count)                                                             \
    {                                                                                              \
        .kind = SUP_STEP_SEND, .data = (pointer), .bytes = (count)                                 \
    }
/* In pieces of `size` bytes, each its own segment, `ms` milliseconds apart. */
#define SUP_SEND_PIECES(text, size, ms)                                                            \
    {                                                                                              \
        .kind = SUP_STEP_SEND, .data = (text), .bytes = sizeof(text) - 1, .piece = (size),         \
        .n = (ms)                                                                                  \
    }
/* `count` bytes of stream `s` (support/pages.h). */
#define SUP_SEND_STREAM(s, count)                                                                  \
    {                                                                                              \
        .kind = SUP_STEP_SEND_STREAM, .bytes = (count), .seed = (s)                                \
    }
/* The text again and again, until the client ends the connection: endless headers, endless body. */
#define SUP_SEND_FOREVER(text)                                                                     \
    {                                                                                              \
        .kind = SUP_STEP_SEND_FOREVER, .data = (text), .bytes = sizeof(text) - 1                   \
    }
#define SUP_DELAY(ms)                                                                              \
    {                                                                                              \
        .kind = SUP_STEP_DELAY, .n = (ms)                                                          \
    }
/* Does nothing until sup_scripted_release(), or until the client ends the connection. */
#define SUP_STALL                                                                                  \
    {                                                                                              \
        .kind = SUP_STEP_STALL                                                                     \
    }
#define SUP_HALF_CLOSE                                                                             \
    {                                                                                              \
        .kind = SUP_STEP_HALF_CLOSE                                                                \
    } /* our side only: FIN */
#define SUP_CLOSE                                                                                  \
    {                                                                                              \
        .kind = SUP_STEP_CLOSE                                                                     \
    } /* FIN both ways, after what was sent arrived */
#define SUP_RESET                                                                                  \
    {                                                                                              \
        .kind = SUP_STEP_RESET                                                                     \
    } /* RST */
/* Starts the script again, `count` times in all (0: for ever): keep-alive. */
#define SUP_REPEAT(count)                                                                          \
    {                                                                                              \
        .kind = SUP_STEP_REPEAT, .n = (count)                                                      \
    }

struct sup_script {
    const struct sup_step *steps;
    size_t steps_n;
};
#define SUP_SCRIPT(array) (&(struct sup_script){(array), sizeof(array) / sizeof((array)[0])}), 1

/* TLS records to send in answer to a client hello: fatal alerts, and the head of a handshake record of
 * 16,384 bytes that never comes.  A client hello is read with SUP_READ(5), its head. */
#define SUP_TLS_ALERT_HANDSHAKE_FAILURE "\x15\x03\x03\x00\x02\x02\x28"
#define SUP_TLS_ALERT_PROTOCOL_VERSION "\x15\x03\x03\x00\x02\x02\x46"
#define SUP_TLS_ALERT_UNRECOGNIZED_NAME "\x15\x03\x03\x00\x02\x02\x70"
#define SUP_TLS_ALERT_INTERNAL_ERROR "\x15\x03\x03\x00\x02\x02\x50"
#define SUP_TLS_HALF_RECORD "\x16\x03\x03\x40\x00\x02\x00\x00\x76\x03\x03"

struct sup_scripted;

/* Starts the server on a free port of 127.0.0.1.  Connection number i (from 0) runs script
 * min(i, scripts_n - 1).  Scripts and their data must outlive the server. */
struct sup_scripted *sup_scripted_start(const struct sup_script *scripts, size_t scripts_n);

/* Ends every connection (with a reset, if its script is not through), joins the threads, frees s. */
void sup_scripted_stop(struct sup_scripted *s);

uint16_t sup_scripted_port(const struct sup_scripted *s);

/* Lets n stalled connections, present or future ones, go on. */
void sup_scripted_release(struct sup_scripted *s, unsigned n);

/* Counts so far. */
struct sup_scripted_counts {
    size_t connections;  /* accepted */
    size_t requests;     /* SUP_EXPECT steps that found their text */
    size_t stalled;      /* connections that have reached a SUP_STALL, ever */
    size_t ended;        /* connections whose script is over or failed, ... */
    size_t client_ended; /* ... and those of them that the client ended before the script did */
    uint64_t sent;       /* bytes */
};
void sup_scripted_counts(struct sup_scripted *s, struct sup_scripted_counts *counts);

/* Waits until the counts reach at least those given. */
bool sup_scripted_wait(struct sup_scripted *s, const struct sup_scripted_counts *least,
                       int timeout_ms);

/* What connection i has received so far (the first 64 KiB), NUL added.  The caller frees it; NULL if
 * there is no such connection. */
char *sup_scripted_received(struct sup_scripted *s, size_t i, size_t *bytes);

/* -- Ports that do not answer ------------------------------------------------------------------- */

/* A port on 127.0.0.1 that refuses connections, and goes on to until it is closed: it is bound, so
 * nobody else gets it, but does not listen.  Returns the socket to close(2), -1 on failure. */
int sup_port_refusing(uint16_t *port);

/* A port whose connections are never established: its listener never accepts and its backlog is full,
 * so a connect(2) only ends by its own time limit. */
struct sup_blackhole;
struct sup_blackhole *sup_blackhole_start(uint16_t *port);
void sup_blackhole_stop(struct sup_blackhole *b);

#endif
