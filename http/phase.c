/* SPDX-License-Identifier: MIT */
/* What is told of an exchange: phases, timings, details. */
#include "http/phase.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <thrum/time.h>

const char *thrum_http_phase_name(thrum_http_phase phase)
{
    static const char *const names[] = {
        [THRUM_HTTP_PHASE_REQUEST] = "request",   [THRUM_HTTP_PHASE_POOL] = "pool",
        [THRUM_HTTP_PHASE_DNS] = "dns",           [THRUM_HTTP_PHASE_CONNECT] = "connect",
        [THRUM_HTTP_PHASE_TLS] = "tls",           [THRUM_HTTP_PHASE_SEND] = "send",
        [THRUM_HTTP_PHASE_HEADER] = "header",     [THRUM_HTTP_PHASE_BODY] = "body",
        [THRUM_HTTP_PHASE_REDIRECT] = "redirect", [THRUM_HTTP_PHASE_DONE] = "done",
    };
    unsigned i = (unsigned)phase;
    return i < sizeof(names) / sizeof(names[0]) ? names[i] : "unknown";
}

void thr_info_begin(thrum_http_info *info)
{
    memset(info, 0, sizeof(*info));
    info->remote.u.sa.sa_family = AF_UNSPEC;
    info->timing.started = thrum_now();
}

void thr_info_begin_hop(thrum_http_info *info)
{
    uint64_t started = info->timing.started;
    memset(&info->timing, 0, sizeof(info->timing));
    info->timing.started = started;
    memset(&info->remote, 0, sizeof(info->remote));
    info->tls_version[0] = '\0';
    info->tls_cipher[0] = '\0';
    info->reused = false;
    info->tls_resumed = false;
    info->detail[0] = '\0';
    info->wire_bytes = 0;
    info->body_bytes = 0;
}

void thr_info_begin_attempt(thrum_http_info *info)
{
    uint64_t pool_ns = info->timing.pool_ns;
    thr_info_begin_hop(info);
    info->timing.pool_ns = pool_ns;
}

uint64_t thr_info_lap(uint64_t *mark)
{
    uint64_t now = thrum_now();
    uint64_t ns = now - *mark;
    *mark = now;
    return ns;
}

void thr_info_detail(thrum_http_info *info, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(info->detail, sizeof(info->detail), format, args);
    va_end(args);
    for (char *c = info->detail; *c; c++)
        if ((unsigned char)*c < 0x20 || (unsigned char)*c == 0x7F)
            *c = '?';
}

bool thr_is_our_own(int err)
{
    return err == -ECANCELED || err == -ETIMEDOUT || err == -ENOMEM || err == -EBUSY;
}

void thr_info_end(thrum_http_info *info)
{
    info->timing.total_ns = thrum_now() - info->timing.started;
}

const char *thr_where(char text[THR_WHERE_BYTES], const char *host, uint16_t port)
{
    bool is_ipv6 = strchr(host, ':') != NULL;
    snprintf(text, THR_WHERE_BYTES, is_ipv6 ? "[%.80s]:%u" : "%.80s:%u", host, (unsigned)port);
    return text;
}
