/* SPDX-License-Identifier: MIT */
/* support/certs.h: test certificates, made with the openssl program when first asked for.
 *
 * They lie in sup_tmpdir() and are kept for the life of the process.  One test CA (P-256) signs all
 * leaves but the self-signed one and that of the unknown CA.  Unless said otherwise a leaf is good for
 * localhost, thrum.test, *.thrum.test, 127.0.0.1 and ::1, valid from 2020 to 2049.
 */
#ifndef SUPPORT_CERTS_H
#define SUPPORT_CERTS_H

enum sup_cert {
    SUP_CERT_GOOD,       /* P-256 */
    SUP_CERT_RSA,        /* RSA 2048 */
    SUP_CERT_CHAIN,      /* signed by an intermediate, which the file includes */
    SUP_CERT_INCOMPLETE, /* the same leaf, the intermediate left out */
    SUP_CERT_EXPIRED,    /* ended in 2021 */
    SUP_CERT_NOT_YET,    /* begins in 2100 */
    SUP_CERT_SELF_SIGNED,
    SUP_CERT_WRONG_HOST, /* for other.test only */
    SUP_CERT_UNKNOWN_CA, /* signed by a CA that sup_ca_file() does not hold */
    SUP_CERT_N
};

/* The CA certificate to trust, PEM.  NULL if the openssl program failed. */
const char *sup_ca_file(void);

/* The CA that signed SUP_CERT_UNKNOWN_CA. */
const char *sup_unknown_ca_file(void);

/* A certificate (with its intermediates) and its private key, PEM.  NULL as above. */
const char *sup_cert_file(enum sup_cert cert);
const char *sup_key_file(enum sup_cert cert);

/* Only the intermediates of SUP_CERT_CHAIN; NULL for the others, and as above. */
const char *sup_chain_file(enum sup_cert cert);

/* "good", "rsa", ...: for messages. */
const char *sup_cert_name(enum sup_cert cert);

#endif
