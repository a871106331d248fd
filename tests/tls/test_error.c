/* SPDX-License-Identifier: MIT */
/* mbedTLS's codes and flags in our words, also those that no server here brings about. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <thrum/error.h>

#include <mbedtls/ssl.h>

#include "support/certs.h"
#include "tls/error.h"

static void codes_have_a_code_and_a_sentence(void **state)
{
    (void)state;
    static const struct {
        int mbedtls, alert, code;
        const char *words;
    } cases[] = {
        {MBEDTLS_ERR_SSL_ALLOC_FAILED, -1, -ENOMEM, "out of memory in TLS"},
        {MBEDTLS_ERR_SSL_INVALID_MAC, -1, THRUM_ETLS_PROTOCOL,
         "a TLS record was damaged on its way"},
        {MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION, -1, THRUM_ETLS_VERSION, "no TLS version"},
        {MBEDTLS_ERR_SSL_NO_CLIENT_CERTIFICATE, -1, THRUM_ETLS_BAD_CERT, "sent no certificate"},
        {MBEDTLS_ERR_SSL_INTERNAL_ERROR, -1, THRUM_ETLS, "(-0x6C00)"},
        {MBEDTLS_ERR_X509_INVALID_EXTENSIONS, -1, THRUM_ETLS_BAD_CERT, "(-0x2500)"},
        {MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE, 48, THRUM_ETLS_ALERT, "the alert \"unknown CA\""},
        {MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE, 116, THRUM_ETLS_ALERT,
         "the alert \"certificate required\""},
        {MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE, 70, THRUM_ETLS_VERSION,
         "the alert \"protocol version\""},
        {MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE, 255, THRUM_ETLS_ALERT, "alert number 255"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct thr_tls_fault f = {0};
        thr_tls_fault_from_code(&f, cases[i].mbedtls, cases[i].alert);
        assert_int_equal(f.code, cases[i].code);
        assert_non_null(strstr(f.text, cases[i].words));
    }
}

static void each_flag_has_its_code(void **state)
{
    (void)state;
    static const struct {
        uint32_t flags;
        int code;
        const char *words;
    } cases[] = {
        {MBEDTLS_X509_BADCERT_EXPIRED, THRUM_ETLS_EXPIRED, "expired on 20"},
        {MBEDTLS_X509_BADCERT_FUTURE, THRUM_ETLS_NOT_YET_VALID, "is not valid before 20"},
        {MBEDTLS_X509_BADCERT_REVOKED, THRUM_ETLS_REVOKED, "revoked"},
        {MBEDTLS_X509_BADCERT_NOT_TRUSTED, THRUM_ETLS_UNKNOWN_CA, "unknown authority ("},
        {MBEDTLS_X509_BADCERT_CN_MISMATCH, THRUM_ETLS_WRONG_HOST, ", not host.test"},
        {MBEDTLS_X509_BADCERT_BAD_MD, THRUM_ETLS_WEAK, "a hash that is too weak"},
        {MBEDTLS_X509_BADCERT_BAD_KEY, THRUM_ETLS_WEAK, "a key that is too short"},
        {MBEDTLS_X509_BADCERT_BAD_PK, THRUM_ETLS_WEAK, "a kind of key"},
        {MBEDTLS_X509_BADCERT_KEY_USAGE, THRUM_ETLS_BAD_CERT, "(keyUsage)"},
        {MBEDTLS_X509_BADCERT_EXT_KEY_USAGE, THRUM_ETLS_BAD_CERT, "(extKeyUsage)"},
        {MBEDTLS_X509_BADCERT_OTHER, THRUM_ETLS_BAD_CERT, "not acceptable"},
    };
    mbedtls_x509_crt crt;
    mbedtls_x509_crt_init(&crt);
    assert_int_equal(mbedtls_x509_crt_parse_file(&crt, sup_cert_file(SUP_CERT_GOOD)), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct thr_tls_fault f = {0}, known = {0};
        thr_tls_fault_from_cert(&f, &crt, 0, cases[i].flags, "host.test");
        assert_int_equal(f.code, cases[i].code);
        assert_non_null(strstr(f.text, cases[i].words));
        thr_tls_fault_from_flags(&known, cases[i].flags);
        assert_int_equal(known.code, cases[i].code);
        assert_true(known.text[0]);
    }
    struct thr_tls_fault f = {0};
    thr_tls_fault_from_cert(&f, &crt, 1, MBEDTLS_X509_BADCERT_EXPIRED, "host.test");
    assert_non_null(strstr(f.text, "the certificate of the authority that signed it expired on"));
    mbedtls_x509_crt_free(&crt);
}

static void the_gravest_of_several_faults_is_told(void **state)
{
    (void)state;
    mbedtls_x509_crt crt;
    mbedtls_x509_crt_init(&crt);
    assert_int_equal(mbedtls_x509_crt_parse_file(&crt, sup_cert_file(SUP_CERT_GOOD)), 0);
    struct thr_tls_fault f = {0};
    thr_tls_fault_from_cert(&f, &crt, 0, MBEDTLS_X509_BADCERT_OTHER, "h");
    assert_int_equal(f.code, THRUM_ETLS_BAD_CERT);
    thr_tls_fault_from_cert(&f, &crt, 0,
                            MBEDTLS_X509_BADCERT_CN_MISMATCH | MBEDTLS_X509_BADCERT_EXPIRED, "h");
    assert_int_equal(f.code, THRUM_ETLS_EXPIRED);
    thr_tls_fault_from_cert(&f, &crt, 1, MBEDTLS_X509_BADCERT_NOT_TRUSTED, "h");
    assert_int_equal(f.code, THRUM_ETLS_UNKNOWN_CA);
    thr_tls_fault_from_cert(&f, &crt, 0, MBEDTLS_X509_BADCERT_EXPIRED, "h");
    assert_int_equal(f.code, THRUM_ETLS_UNKNOWN_CA);
    mbedtls_x509_crt_free(&crt);
}

static void what_a_peer_wrote_is_made_printable(void **state)
{
    (void)state;
    struct thr_tls_fault f = {0};
    char name[600];
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    thr_tls_fault_set(&f, THRUM_ETLS, "a%sb", "\x1b[31m\n\xc3\xa9\x7f");
    assert_string_equal(f.text, "a?[31m????b");
    thr_tls_fault_set(&f, THRUM_ETLS, "%s", name);
    assert_int_equal(strlen(f.text), sizeof(f.text) - 1);
    thr_tls_fault_plain(&f, -ENOMEM);
    assert_string_equal(f.text, thrum_strerror(-ENOMEM));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_have_a_code_and_a_sentence),
        cmocka_unit_test(each_flag_has_its_code),
        cmocka_unit_test(the_gravest_of_several_faults_is_told),
        cmocka_unit_test(what_a_peer_wrote_is_made_printable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
