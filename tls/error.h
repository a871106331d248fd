/* SPDX-License-Identifier: MIT */
/* tls/error.h: mbedTLS's error codes, alerts and certificate flags as faults of ours. For the files that know mbedTLS. */
#ifndef THR_TLS_ERROR_H
#define THR_TLS_ERROR_H

#include "tls/fault.h"

#include <mbedtls/x509_crt.h>

/* What an mbedTLS call reported. alert is the number of the peer's alert if it was one, else -1. */
void thr_tls_fault_from_code(struct thr_tls_fault *f, int code, int alert);

/* What is wrong with the certificate at this depth of the chain (0: the peer's own), with flags other than 0. Keeps the
 * graver of this fault and the one *f already has. host is what the certificate should be for. */
void thr_tls_fault_from_cert(struct thr_tls_fault *f, const mbedtls_x509_crt *crt, int depth,
                             uint32_t flags, const char *host);

/* The same where only the flags are known. */
void thr_tls_fault_from_flags(struct thr_tls_fault *f, uint32_t flags);

#endif
