/* SPDX-License-Identifier: MIT */
/* tls/fault.h: why a connection or a configuration failed: a code for programs and a sentence for people. */
#ifndef THR_TLS_FAULT_H
#define THR_TLS_FAULT_H

#include <stddef.h>
#include <stdint.h>
#include <thrum/common.h>

struct thr_tls_fault {
    int code; /* 0: none. THRUM_ETLS_* or -errno */
    char text[256];
};

/* Sets both, the text as by printf(3). Bytes of it that are no printable ASCII become '?': part of it comes from peers
 * and is shown on terminals. */
void thr_tls_fault_set(struct thr_tls_fault *f, int code, const char *format, ...)
    THRUM_PRINTF(3, 4);

/* Sets the text that thrum_strerror() has for the code, unless the fault has that code and a text already. */
void thr_tls_fault_plain(struct thr_tls_fault *f, int code);

#endif
