/* SPDX-License-Identifier: MIT */
/* mbedTLS's codes in our words. */
#include "tls/error.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <mbedtls/bignum.h>
#include <mbedtls/ecp.h>
#include <mbedtls/error.h>
#include <mbedtls/oid.h>
#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <psa/crypto.h>
#include <thrum/error.h>

#include "exec/util.h"

/* Names of the alerts of RFC 8446 section 6 and RFC 5246 section 7.2. */
static const struct {
    int number;
    const char *name;
} alerts[] = {
    {0, "close notify"},
    {10, "unexpected message"},
    {20, "bad record MAC"},
    {21, "decryption failed"},
    {22, "record overflow"},
    {30, "decompression failure"},
    {40, "handshake failure"},
    {41, "no certificate"},
    {42, "bad certificate"},
    {43, "unsupported certificate"},
    {44, "certificate revoked"},
    {45, "certificate expired"},
    {46, "certificate unknown"},
    {47, "illegal parameter"},
    {48, "unknown CA"},
    {49, "access denied"},
    {50, "decode error"},
    {51, "decrypt error"},
    {60, "export restriction"},
    {70, "protocol version"},
    {71, "insufficient security"},
    {80, "internal error"},
    {86, "inappropriate fallback"},
    {90, "user canceled"},
    {100, "no renegotiation"},
    {109, "missing extension"},
    {110, "unsupported extension"},
    {111, "certificate unobtainable"},
    {112, "unrecognized name"},
    {113, "bad certificate status response"},
    {114, "bad certificate hash value"},
    {115, "unknown PSK identity"},
    {116, "certificate required"},
    {120, "no application protocol"},
};

#define ALERT_PROTOCOL_VERSION 70

/* Codes that say more than mbedTLS's own words for them, or that need a code of ours. */
static const struct {
    int mbedtls;
    int code;
    const char *text;
} codes[] = {
    {MBEDTLS_ERR_SSL_ALLOC_FAILED, -ENOMEM, "out of memory in TLS"},
    {MBEDTLS_ERR_X509_ALLOC_FAILED, -ENOMEM, "out of memory in TLS"},
    {MBEDTLS_ERR_PK_ALLOC_FAILED, -ENOMEM, "out of memory in TLS"},
    {MBEDTLS_ERR_MPI_ALLOC_FAILED, -ENOMEM, "out of memory in TLS"},
    {MBEDTLS_ERR_ECP_ALLOC_FAILED, -ENOMEM, "out of memory in TLS"},
    {PSA_ERROR_INSUFFICIENT_MEMORY, -ENOMEM, "out of memory in TLS"},
    {MBEDTLS_ERR_SSL_CONN_EOF, THRUM_ETLS_HANDSHAKE,
     "the server closed the connection during the TLS handshake"},
    {MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY, THRUM_ETLS_HANDSHAKE,
     "the server said goodbye during the TLS handshake"},
    {MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION, THRUM_ETLS_VERSION,
     "the server offers no TLS version that is allowed here"},
    {MBEDTLS_ERR_SSL_HANDSHAKE_FAILURE, THRUM_ETLS_HANDSHAKE,
     "the server wants a cipher, group or signature that is not allowed here"},
    {MBEDTLS_ERR_SSL_NO_APPLICATION_PROTOCOL, THRUM_ETLS_HANDSHAKE,
     "no application protocol (ALPN) in common with the server"},
    {MBEDTLS_ERR_SSL_NO_CLIENT_CERTIFICATE, THRUM_ETLS_BAD_CERT, "the server sent no certificate"},
    {MBEDTLS_ERR_SSL_INVALID_MAC, THRUM_ETLS_PROTOCOL, "a TLS record was damaged on its way"},
    {MBEDTLS_ERR_SSL_INVALID_RECORD, THRUM_ETLS_PROTOCOL, "what the server sent is no TLS record"},
    {MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE, THRUM_ETLS_PROTOCOL,
     "the server sent an unexpected TLS message"},
    {MBEDTLS_ERR_SSL_UNEXPECTED_RECORD, THRUM_ETLS_PROTOCOL,
     "the server sent an unexpected TLS record"},
    {MBEDTLS_ERR_SSL_DECODE_ERROR, THRUM_ETLS_PROTOCOL,
     "a TLS message of the server cannot be decoded"},
    {MBEDTLS_ERR_SSL_ILLEGAL_PARAMETER, THRUM_ETLS_PROTOCOL,
     "a TLS message of the server has an illegal parameter"},
    {MBEDTLS_ERR_SSL_UNSUPPORTED_EXTENSION, THRUM_ETLS_PROTOCOL,
     "the server answered with a TLS extension that was not offered"},
    {MBEDTLS_ERR_SSL_BUFFER_TOO_SMALL, THRUM_ETLS_PROTOCOL,
     "a TLS message of the server is too large"},
};

static const char *alert_name(int alert)
{
    for (size_t i = 0; i < THR_COUNT_OF(alerts); i++) {
        if (alerts[i].number == alert)
            return alerts[i].name;
    }
    return NULL;
}

static void from_alert(struct thr_tls_fault *f, int alert)
{
    const char *name = alert_name(alert);
    int code = alert == ALERT_PROTOCOL_VERSION ? THRUM_ETLS_VERSION : THRUM_ETLS_ALERT;
    if (name)
        thr_tls_fault_set(f, code, "the server ended TLS with the alert \"%s\"", name);
    else
        thr_tls_fault_set(f, code, "the server ended TLS with alert number %d", alert);
}

/* mbedTLS's X.509 codes: -0x2000 to -0x2F80 in its high part. */
static bool is_x509_code(int code)
{
    int high = -code & 0xFF80;
    return high >= 0x2000 && high < 0x3000;
}

void thr_tls_fault_from_code(struct thr_tls_fault *f, int code, int alert)
{
    if (code == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE) {
        from_alert(f, alert);
        return;
    }
    for (size_t i = 0; i < THR_COUNT_OF(codes); i++) {
        if (codes[i].mbedtls == code) {
            thr_tls_fault_set(f, codes[i].code, "%s", codes[i].text);
            return;
        }
    }
    char words[160];
    mbedtls_strerror(code, words, sizeof(words));
    thr_tls_fault_set(f, is_x509_code(code) ? THRUM_ETLS_BAD_CERT : THRUM_ETLS, "%s (-0x%04X)",
                      words, (unsigned)-code);
}

/* ---- Certificates ----------------------------------------------------------------------------------------------- */

/* The flags of a code of ours; the order is that in which one is reported where several apply: whom to trust comes
 * first, since the rest of an untrusted certificate means nothing. */
static const struct {
    uint32_t flags;
    int code;
} grades[] = {
    {MBEDTLS_X509_BADCERT_MISSING, THRUM_ETLS_BAD_CERT},
    {MBEDTLS_X509_BADCERT_NOT_TRUSTED, THRUM_ETLS_UNKNOWN_CA},
    {MBEDTLS_X509_BADCERT_REVOKED, THRUM_ETLS_REVOKED},
    {MBEDTLS_X509_BADCERT_EXPIRED, THRUM_ETLS_EXPIRED},
    {MBEDTLS_X509_BADCERT_FUTURE, THRUM_ETLS_NOT_YET_VALID},
    {MBEDTLS_X509_BADCERT_CN_MISMATCH, THRUM_ETLS_WRONG_HOST},
    {MBEDTLS_X509_BADCERT_BAD_MD | MBEDTLS_X509_BADCERT_BAD_PK | MBEDTLS_X509_BADCERT_BAD_KEY,
     THRUM_ETLS_WEAK},
    {UINT32_MAX, THRUM_ETLS_BAD_CERT},
};

static size_t grade_of_flags(uint32_t flags)
{
    size_t i = 0;
    while (!(grades[i].flags & flags))
        i++;
    return i;
}

static size_t grade_of_code(int code)
{
    if (code == THRUM_ETLS_SELF_SIGNED)
        code = THRUM_ETLS_UNKNOWN_CA;
    size_t i =
        1; /* BAD_CERT stands at both ends; a missing certificate is never merged with another fault */
    while (i < THR_COUNT_OF(grades) - 1 && grades[i].code != code)
        i++;
    return i;
}

static const char *words_of_bad_cert(uint32_t flags)
{
    if (flags & MBEDTLS_X509_BADCERT_MISSING)
        return "the server sent no certificate";
    if (flags & MBEDTLS_X509_BADCERT_KEY_USAGE)
        return "the certificate's key must not be used like this (keyUsage)";
    if (flags & (MBEDTLS_X509_BADCERT_EXT_KEY_USAGE | MBEDTLS_X509_BADCERT_NS_CERT_TYPE))
        return "the certificate is not for servers (extKeyUsage)";
    return "the certificate is not acceptable";
}

static const char *words_of_weak(uint32_t flags)
{
    if (flags & MBEDTLS_X509_BADCERT_BAD_MD)
        return "is signed with a hash that is too weak";
    if (flags & MBEDTLS_X509_BADCERT_BAD_PK)
        return "has a kind of key that is not accepted";
    return "has a key that is too short or on an unknown curve";
}

static bool is_self_signed(const mbedtls_x509_crt *crt)
{
    return crt->issuer_raw.len == crt->subject_raw.len &&
           memcmp(crt->issuer_raw.p, crt->subject_raw.p, crt->subject_raw.len) == 0;
}

static void set_untrusted(struct thr_tls_fault *f, const mbedtls_x509_crt *crt, int depth)
{
    char issuer[128];
    if (depth == 0 && is_self_signed(crt)) {
        thr_tls_fault_set(f, THRUM_ETLS_SELF_SIGNED, "the certificate is self-signed");
        return;
    }
    int n = mbedtls_x509_dn_gets(issuer, sizeof(issuer), &crt->issuer);
    thr_tls_fault_set(f, THRUM_ETLS_UNKNOWN_CA,
                      "the certificate is signed by an unknown authority (%s)",
                      n > 0 ? issuer : "name unknown");
}

/* Appends to a text of limited size; what does not fit is left out. */
static void append(char *text, size_t text_bytes, const char *piece, size_t len)
{
    size_t used = strlen(text);
    if (len > text_bytes - used - 1)
        len = text_bytes - used - 1;
    memcpy(text + used, piece, len);
    text[used + len] = '\0';
}

/* Writes one name of the certificate, if it is a host name or an address. */
static bool append_name(char *text, size_t text_bytes, const mbedtls_x509_buf *san, bool first)
{
    char ip[INET6_ADDRSTRLEN];
    const char *name = (const char *)san->p;
    size_t len = san->len;
    int kind = san->tag & MBEDTLS_ASN1_TAG_VALUE_MASK;
    if (kind == MBEDTLS_X509_SAN_IP_ADDRESS && (len == 4 || len == 16)) {
        inet_ntop(len == 4 ? AF_INET : AF_INET6, san->p, ip, sizeof(ip));
        name = ip;
        len = strlen(ip);
    } else if (kind != MBEDTLS_X509_SAN_DNS_NAME) {
        return false;
    }
    if (!first)
        append(text, text_bytes, ", ", 2);
    append(text, text_bytes, name, len);
    return true;
}

static void set_wrong_host(struct thr_tls_fault *f, const mbedtls_x509_crt *crt, const char *host)
{
    char names[112] = "";
    unsigned shown = 0, more = 0;
    const mbedtls_x509_sequence *san = &crt->subject_alt_names;
    if (!mbedtls_x509_crt_has_ext_type(crt, MBEDTLS_X509_EXT_SUBJECT_ALT_NAME)) {
        thr_tls_fault_set(f, THRUM_ETLS_WRONG_HOST,
                          "the certificate names no host, so it is not for %s", host);
        return;
    }
    for (; san; san = san->next) {
        if (shown == 3)
            more++;
        else if (append_name(names, sizeof(names), &san->buf, shown == 0))
            shown++;
    }
    thr_tls_fault_set(f, THRUM_ETLS_WRONG_HOST, "the certificate is for %s%s, not %s",
                      shown ? names : "no host", more ? " and others" : "", host);
}

static void set_dated(struct thr_tls_fault *f, int code, const mbedtls_x509_crt *crt, int depth)
{
    bool expired = code == THRUM_ETLS_EXPIRED;
    const mbedtls_x509_time *t = expired ? &crt->valid_to : &crt->valid_from;
    thr_tls_fault_set(f, code, "the %s %s %04d-%02d-%02d",
                      depth == 0 ? "certificate" : "certificate of the authority that signed it",
                      expired ? "expired on" : "is not valid before", t->year, t->mon, t->day);
}

void thr_tls_fault_from_cert(struct thr_tls_fault *f, const mbedtls_x509_crt *crt, int depth,
                             uint32_t flags, const char *host)
{
    size_t grade = grade_of_flags(flags);
    if (f->code && grade_of_code(f->code) <= grade)
        return;
    int code = grades[grade].code;
    if (code == THRUM_ETLS_UNKNOWN_CA)
        set_untrusted(f, crt, depth);
    else if (code == THRUM_ETLS_EXPIRED || code == THRUM_ETLS_NOT_YET_VALID)
        set_dated(f, code, crt, depth);
    else if (code == THRUM_ETLS_WRONG_HOST)
        set_wrong_host(f, crt, host);
    else if (code == THRUM_ETLS_WEAK)
        thr_tls_fault_set(f, code, "%s %s",
                          depth == 0 ? "the certificate" : "an authority's certificate",
                          words_of_weak(flags));
    else
        thr_tls_fault_from_flags(f, flags);
}

void thr_tls_fault_from_flags(struct thr_tls_fault *f, uint32_t flags)
{
    int code = grades[grade_of_flags(flags)].code;
    if (code == THRUM_ETLS_BAD_CERT)
        thr_tls_fault_set(f, code, "%s", words_of_bad_cert(flags));
    else if (code == THRUM_ETLS_WEAK)
        thr_tls_fault_set(f, code, "the certificate %s", words_of_weak(flags));
    else
        thr_tls_fault_set(f, code, "%s", thrum_strerror(code));
}
