/* SPDX-License-Identifier: MIT */
/* dns/name.h: what a host name may look like, and how names are compared. */
#ifndef THR_DNS_NAME_H
#define THR_DNS_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room for the longest name: 253 characters (RFC 1035: 255 bytes on the wire), a last dot and the NUL. */
#define THR_NAME_BYTES 255
#define THR_LABEL_MAX 63

/* Copies host in lower case, which is how names are kept and compared here, and checks it.
 *
 * Allowed are labels of 1 to 63 letters, digits, hyphens and underscores, and a last dot (it says that the name is
 * complete: no search domain is tried). A name whose last label is a number is refused: there is no such top-level
 * domain, and other programs would read "127.1" or "0x7f.1" as an address.
 *
 * out: may be host itself; then it needs no more room than host has.
 * Returns: the length, or THRUM_EDNS_BADNAME; out is then not to be used. */
int thr_name_canonical(char out[], const char *host);

/* True for localhost and what is below it, with or without a last dot (RFC 6761 section 6.3). name is canonical. */
bool thr_name_is_localhost(const char *name, size_t len);

/* A hash of the bytes; the same seed gives the same value. */
uint64_t thr_name_hash(const char *name, size_t len, uint64_t seed);

#endif
