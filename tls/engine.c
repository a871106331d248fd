/* SPDX-License-Identifier: MIT */
/* TLS by mbedTLS 3.6, without input or output. */
#include "tls/engine.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <mbedtls/oid.h>
#include <mbedtls/platform_util.h>
#include <mbedtls/ssl.h>
#include <thrum/error.h>

#include "tls/error.h"
#include "tls/profile.h"

/* One record with its header and what encryption adds, and some of the next. */
#define IN_BYTES (17 * 1024)

/* What a record may be larger than its content, generously. */
#define RECORD_EXTRA 512

#define HOST_MAX 253 /* of a domain name in text, RFC 1035 */

struct thr_tls_engine {
    mbedtls_ssl_context ssl;

    unsigned char *in; /* NULL, or IN_BYTES, of which [in_start, in_end) is not used yet */
    size_t in_start, in_end;
    bool in_over;  /* the stream has ended */
    bool starved;  /* the receive callback had nothing to give in this call */
    char first[5]; /* the first bytes of all: a server that does not speak TLS is known by them */
    unsigned first_n;

    unsigned char *out; /* NULL, or out_max bytes, of which out_len are to be sent */
    size_t out_len, out_max;

    thr_tls_session_fn *on_session;
    void *arg;
    bool hybrid;      /* TLS 1.2 and 1.3 are on offer */
    bool wants_tls12; /* see engine.h */
    bool full;        /* the server sent its certificate: not resumed */
    bool peer_closed; /* its close_notify has come */
    bool said_goodbye;

    struct thr_tls_fault fault;
    struct thr_tls_fault cert; /* what the verification found, before mbedTLS says that it failed */
    unsigned char ip[16]; /* host as an address, ip_len bytes of it; ip_len 0: host is a name */
    size_t ip_len;
    char host[HOST_MAX + 1];
};

/* ---- What mbedTLS calls ----------------------------------------------------------------------------------------- */

static int receive(void *arg, unsigned char *buf, size_t len)
{
    struct thr_tls_engine *e = arg;
    size_t n = e->in_end - e->in_start;
    if (n == 0) {
        if (e->in_over)
            return 0;
        e->starved = true; /* E2 */
        return MBEDTLS_ERR_SSL_WANT_READ;
    }
    if (n > len)
        n = len;
    memcpy(buf, e->in + e->in_start, n);
    e->in_start += n;
    return (int)n;
}

static bool reserve(struct thr_tls_engine *e, size_t len)
{
    size_t want = e->out_len + len, max = e->out_max ? e->out_max : 1024;
    if (want <= e->out_max)
        return true;
    while (max < want)
        max *= 2;
    unsigned char *grown = realloc(e->out, max);
    if (!grown)
        return false;
    e->out = grown;
    e->out_max = max;
    return true;
}

static int transmit(void *arg, const unsigned char *buf, size_t len)
{
    struct thr_tls_engine *e = arg;
    if (!reserve(e, len))
        return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    memcpy(e->out + e->out_len, buf, len);
    e->out_len += len;
    return (int)len; /* E1 */
}

static bool has_ip(const mbedtls_x509_crt *crt, const unsigned char *ip, size_t ip_len)
{
    if (!mbedtls_x509_crt_has_ext_type(crt, MBEDTLS_X509_EXT_SUBJECT_ALT_NAME))
        return false;
    for (const mbedtls_x509_sequence *san = &crt->subject_alt_names; san; san = san->next) {
        if ((san->buf.tag & MBEDTLS_ASN1_TAG_VALUE_MASK) == MBEDTLS_X509_SAN_IP_ADDRESS &&
            san->buf.len == ip_len && memcmp(san->buf.p, ip, ip_len) == 0)
            return true;
    }
    return false;
}

/* Called for each certificate of the chain, the root first. A numeric host is checked here, because mbedTLS would also
 * send it as SNI, which RFC 6066 forbids, if it were told of it. */
static int inspect(void *arg, mbedtls_x509_crt *crt, int depth, uint32_t *flags)
{
    struct thr_tls_engine *e = arg;
    if (depth == 0 && e->ip_len && !has_ip(crt, e->ip, e->ip_len))
        *flags |= MBEDTLS_X509_BADCERT_CN_MISMATCH;
    if (*flags)
        thr_tls_fault_from_cert(&e->cert, crt, depth, *flags, e->host);
    return 0;
}

/* ---- Making and freeing ----------------------------------------------------------------------------------------- */

/* Takes the host over as it is verified: without the root's dot, without an IPv6 scope. */
static bool set_host(struct thr_tls_engine *e, const char *host)
{
    size_t len = strlen(host);
    if (len > 0 && host[len - 1] == '.')
        len--;
    if (len == 0 || len > HOST_MAX)
        return false;
    memcpy(e->host, host, len);
    e->host[len] = '\0';
    if (strchr(e->host, ':'))
        e->host[strcspn(e->host, "%")] = '\0';
    if (inet_pton(AF_INET, e->host, e->ip) == 1)
        e->ip_len = 4;
    else if (inet_pton(AF_INET6, e->host, e->ip) == 1)
        e->ip_len = 16;
    return true;
}

static int set_up(struct thr_tls_engine *e, const mbedtls_ssl_config *conf)
{
    int err = mbedtls_ssl_setup(&e->ssl, conf);
    if (!err) /* NULL: no SNI, and no check by mbedTLS, which inspect() does */
        err = mbedtls_ssl_set_hostname(&e->ssl, e->ip_len ? NULL : e->host);
    if (err)
        return err;
    mbedtls_ssl_set_verify(&e->ssl, inspect, e);
    mbedtls_ssl_set_bio(&e->ssl, e, transmit, receive, NULL);
    return 0;
}

int thr_tls_engine_new(struct thr_tls_engine **out, struct thr_tls_profile *profile,
                       const char *host, bool tls12, thr_tls_session_fn *on_session, void *arg,
                       struct thr_tls_fault *f)
{
    *out = NULL;
    struct thr_tls_engine *e = calloc(1, sizeof(*e));
    if (!e) {
        thr_tls_fault_plain(f, -ENOMEM);
        return f->code;
    }
    mbedtls_ssl_init(&e->ssl);
    e->on_session = on_session;
    e->hybrid = !tls12;
    e->arg = arg;
    int err = 0;
    if (!set_host(e, host)) {
        thr_tls_fault_set(f, THRUM_ETLS_CONFIG, "the host name is empty or too long for TLS");
        err = f->code;
    } else if ((err = set_up(e, tls12 ? &profile->conf_tls12 : &profile->conf)) != 0) {
        thr_tls_fault_from_code(f, err, -1);
        err = f->code;
    }
    if (err) {
        thr_tls_engine_free(e);
        return err;
    }
    *out = e;
    return 0;
}

void thr_tls_engine_free(struct thr_tls_engine *e)
{
    if (!e)
        return;
    mbedtls_ssl_free(&e->ssl);
    free(e->in);
    free(e->out);
    free(e);
}

/* ---- Sessions --------------------------------------------------------------------------------------------------- */

void thr_tls_engine_offer(struct thr_tls_engine *e, const void *session, size_t len)
{
    mbedtls_ssl_session s;
    mbedtls_ssl_session_init(&s);
    if (mbedtls_ssl_session_load(&s, session, len) == 0)
        (void)mbedtls_ssl_set_session(&e->ssl, &s);
    mbedtls_ssl_session_free(&s);
}

/* A TLS 1.2 server that gave neither a ticket nor an id will not resume. Offering the session all the same would only
 * tie the next connection to that version. */
static bool is_resumable(const mbedtls_ssl_session *s)
{
    return s->MBEDTLS_PRIVATE(ticket_len) > 0 || mbedtls_ssl_session_get_id_len(s) > 0;
}

/* Hands the current session to on_session. Failing to is no fault: the next connection does a full handshake. */
static void export_session(struct thr_tls_engine *e)
{
    mbedtls_ssl_session s;
    unsigned char *buf = NULL;
    size_t len = 0;
    if (!e->on_session)
        return;
    mbedtls_ssl_session_init(&s);
    if (mbedtls_ssl_get_session(&e->ssl, &s) == 0 && is_resumable(&s)) {
        (void)mbedtls_ssl_session_save(&s, NULL, 0, &len);
        buf = malloc(len);
    }
    if (buf && mbedtls_ssl_session_save(&s, buf, len, &len) == 0)
        e->on_session(e->arg, buf, len);
    if (buf)
        mbedtls_platform_zeroize(buf, len);
    free(buf);
    mbedtls_ssl_session_free(&s);
}

/* ---- Operations ------------------------------------------------------------------------------------------------- */

/* In TLS 1.2 an illegal parameter of the key exchange is its signature's algorithm. Had TLS 1.3 not been on offer, rsa_pss_*
 * would not have been either. */
static bool is_pss_refused(const struct thr_tls_engine *e, int code)
{
    return code == MBEDTLS_ERR_SSL_ILLEGAL_PARAMETER && e->hybrid &&
           e->ssl.MBEDTLS_PRIVATE(state) == MBEDTLS_SSL_SERVER_KEY_EXCHANGE &&
           mbedtls_ssl_get_version_number(&e->ssl) == MBEDTLS_SSL_VERSION_TLS1_2;
}

/* Makes the fault out of what mbedTLS said. Alert numbers and the state are private to mbedTLS 3.6, which has no other
 * way to learn them. */
static int fail(struct thr_tls_engine *e, int code)
{
    uint32_t flags = mbedtls_ssl_get_verify_result(&e->ssl);
    if (code == MBEDTLS_ERR_X509_CERT_VERIFY_FAILED || code == MBEDTLS_ERR_SSL_BAD_CERTIFICATE) {
        if (e->cert.code)
            e->fault = e->cert;
        else if (flags && flags != UINT32_MAX)
            thr_tls_fault_from_flags(&e->fault, flags);
        else
            thr_tls_fault_set(&e->fault, THRUM_ETLS_BAD_CERT,
                              "the server's certificate cannot be read");
        return e->fault.code;
    }
    if (e->first_n == sizeof(e->first) && memcmp(e->first, "HTTP/", sizeof(e->first)) == 0) {
        thr_tls_fault_set(&e->fault, THRUM_ETLS_PROTOCOL,
                          "the server speaks plain HTTP there, not TLS");
        return e->fault.code;
    }
    if (is_pss_refused(e, code)) {
        e->wants_tls12 = true;
        thr_tls_fault_set(
            &e->fault, THRUM_ETLS_HANDSHAKE,
            "the server signs TLS 1.2 with RSA-PSS, which needs a second try without TLS 1.3");
        return e->fault.code;
    }
    int alert =
        code == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE ? e->ssl.MBEDTLS_PRIVATE(in_msg)[1] : -1;
    thr_tls_fault_from_code(&e->fault, code, alert);
    return e->fault.code;
}

/* What the operations have in common after a call of mbedTLS that gave ret < 0: true if it is to be made again. */
static bool again(struct thr_tls_engine *e, int ret)
{
    if (ret == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET) {
        export_session(e);
        return true;
    }
    return (ret == MBEDTLS_ERR_SSL_WANT_READ || ret == MBEDTLS_ERR_SSL_WANT_WRITE) &&
           !e->starved; /* E2 */
}

static int finish(struct thr_tls_engine *e)
{
    if (mbedtls_ssl_get_version_number(&e->ssl) == MBEDTLS_SSL_VERSION_TLS1_2)
        export_session(e); /* in TLS 1.3 the tickets come later */
    return 0;
}

int thr_tls_engine_handshake(struct thr_tls_engine *e)
{
    if (e->fault.code)
        return e->fault.code;
    e->starved = false;
    int ret = mbedtls_ssl_handshake_step(&e->ssl);
    if (e->ssl.MBEDTLS_PRIVATE(state) == MBEDTLS_SSL_SERVER_CERTIFICATE)
        e->full = true;
    if (ret == 0)
        return mbedtls_ssl_is_handshake_over(&e->ssl) ? finish(e) : THR_TLS_MORE;
    if (again(e, ret))
        return THR_TLS_MORE;
    if (e->starved && ret == MBEDTLS_ERR_SSL_WANT_READ)
        return -EAGAIN;
    return fail(e, ret);
}

ssize_t thr_tls_engine_read(struct thr_tls_engine *e, void *buf, size_t len)
{
    if (e->peer_closed)
        return 0;
    if (e->fault.code)
        return e->fault.code;
    if (len > INT32_MAX)
        len = INT32_MAX;
    for (;;) {
        e->starved = false;
        int ret = mbedtls_ssl_read(&e->ssl, buf, len);
        if (ret > 0)
            return ret;
        if ((ret == 0 || ret == MBEDTLS_ERR_SSL_CONN_EOF) && e->in_over && e->in_start == e->in_end)
            return THRUM_ETLS_TRUNCATED;
        if (ret == 0 || again(e, ret)) /* 0: an empty record */
            continue;
        if (ret == MBEDTLS_ERR_SSL_WANT_READ)
            return -EAGAIN;
        if (ret == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY) {
            e->peer_closed = true;
            return 0;
        }
        return fail(e, ret);
    }
}

ssize_t thr_tls_engine_write(struct thr_tls_engine *e, const void *buf, size_t len)
{
    if (e->fault.code)
        return e->fault.code;
    if (e->said_goodbye ||
        (e->peer_closed && mbedtls_ssl_get_version_number(&e->ssl) == MBEDTLS_SSL_VERSION_TLS1_2))
        return -EPIPE;
    int max = mbedtls_ssl_get_max_out_record_payload(&e->ssl);
    if (max > 0 && len > (size_t)max)
        len = (size_t)max;
    if (!reserve(e, len + RECORD_EXTRA))
        return -ENOMEM;
    for (;;) {
        e->starved = false;
        int ret = mbedtls_ssl_write(&e->ssl, buf, len);
        if (ret >= 0)
            return ret;
        if (again(e, ret))
            continue;
        if (ret == MBEDTLS_ERR_SSL_WANT_READ)
            return -EAGAIN;
        return fail(e, ret);
    }
}

int thr_tls_engine_goodbye(struct thr_tls_engine *e)
{
    if (e->fault.code)
        return e->fault.code;
    if (e->said_goodbye || !mbedtls_ssl_is_handshake_over(&e->ssl))
        return 0;
    int ret = mbedtls_ssl_close_notify(&e->ssl);
    if (ret)
        return fail(e, ret);
    e->said_goodbye = true;
    return 0;
}

bool thr_tls_engine_is_quiet(struct thr_tls_engine *e)
{
    unsigned char none[1];
    if (e->fault.code || e->peer_closed || e->said_goodbye || e->in_over)
        return false;
    int ret;
    do { /* a read of 0 bytes decrypts what is there and takes nothing */
        e->starved = false;
        ret = mbedtls_ssl_read(&e->ssl, none, 0);
    } while (ret < 0 && again(e, ret));
    if (ret == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY)
        e->peer_closed = true;
    else if (ret < 0 && ret != MBEDTLS_ERR_SSL_WANT_READ)
        fail(e, ret);
    return ret == MBEDTLS_ERR_SSL_WANT_READ && e->ssl.MBEDTLS_PRIVATE(in_left) == 0 &&
           mbedtls_ssl_check_pending(&e->ssl) == 0;
}

/* ---- Bytes in and out ------------------------------------------------------------------------------------------- */

bool thr_tls_engine_has_input(const struct thr_tls_engine *e)
{
    return e->in_start < e->in_end || e->in_over;
}

size_t thr_tls_engine_room(struct thr_tls_engine *e, void **at)
{
    if (!e->in)
        e->in = malloc(IN_BYTES);
    e->in_start = 0;
    e->in_end = 0;
    *at = e->in;
    return e->in ? IN_BYTES : 0;
}

void thr_tls_engine_fed(struct thr_tls_engine *e, size_t n)
{
    if (n == 0)
        e->in_over = true;
    for (size_t i = 0; i < n && e->first_n < sizeof(e->first); i++)
        e->first[e->first_n++] = (char)e->in[i];
    e->in_end = n;
}

void thr_tls_engine_trim(struct thr_tls_engine *e)
{
    if (e->in_start < e->in_end)
        return;
    free(e->in);
    e->in = NULL;
    e->in_start = 0;
    e->in_end = 0;
}

bool thr_tls_engine_take(struct thr_tls_engine *e, struct thr_tls_bytes *out)
{
    if (e->out_len == 0)
        return false;
    out->at = e->out;
    out->len = e->out_len;
    e->out = NULL;
    e->out_len = 0;
    e->out_max = 0;
    return true;
}

/* ---- Facts ------------------------------------------------------------------------------------------------------ */

const struct thr_tls_fault *thr_tls_engine_fault(const struct thr_tls_engine *e)
{
    return &e->fault;
}

const char *thr_tls_engine_version(const struct thr_tls_engine *e)
{
    return mbedtls_ssl_get_version(&e->ssl);
}

const char *thr_tls_engine_cipher(const struct thr_tls_engine *e)
{
    return mbedtls_ssl_get_ciphersuite(&e->ssl);
}

const char *thr_tls_engine_alpn(const struct thr_tls_engine *e)
{
    return mbedtls_ssl_get_alpn_protocol(&e->ssl);
}

bool thr_tls_engine_was_resumed(const struct thr_tls_engine *e)
{
    return !e->full;
}

bool thr_tls_engine_wants_tls12(const struct thr_tls_engine *e)
{
    return e->wants_tls12;
}
