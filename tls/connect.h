/* SPDX-License-Identifier: MIT */
/* tls/connect.h: the handshake for a caller that can connect once more. */
#ifndef THR_TLS_CONNECT_H
#define THR_TLS_CONNECT_H

#include <thrum/tls.h>

/* As thrum_tls_connect(). *again is true if it failed in a way that the next handshake with this host and port will avoid,
 * on a new connection: the session that was offered is given up, or TLS 1.3 is not offered. */
int thr_tls_connect(thrum_tls **out, thrum_tls_config *config, thrum_stream *stream,
                    const char *host, uint16_t port, bool *again, char *detail,
                    size_t detail_bytes);

#endif
