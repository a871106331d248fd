/* SPDX-License-Identifier: MIT */
/* tls/trust.h: trusted certificates, parsed once and shared by all configurations that want the same ones. */
#ifndef THR_TLS_TRUST_H
#define THR_TLS_TRUST_H

#include "tls/fault.h"

#include <mbedtls/x509_crt.h>

struct thr_tls_trust;

/* Opens the certificates of a PEM file, or the system's if ca_file is NULL: SSL_CERT_FILE and SSL_CERT_DIR of the
 * environment, else the bundle where this system has it. The system's stay in memory for the next configuration.
 *
 * A certificate that cannot be parsed is passed over; none at all is a fault.
 *
 * Owns:    *out is counted: a reference for the caller, given back with thr_tls_trust_unref().
 * Returns: 0; THRUM_ETLS_TRUST_STORE or -ENOMEM, which *f then has too.
 * Context: any thread; reads files, computes for some 15 ms. */
int thr_tls_trust_open(struct thr_tls_trust **out, const char *ca_file, struct thr_tls_fault *f);

/* NULL is allowed. */
void thr_tls_trust_unref(struct thr_tls_trust *t);

/* Never changes while t is referenced. */
mbedtls_x509_crt *thr_tls_trust_chain(struct thr_tls_trust *t);

#endif
