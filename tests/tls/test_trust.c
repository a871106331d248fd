/* SPDX-License-Identifier: MIT */
/* Trusted certificates and configurations, as far as they need no connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <thrum/error.h>
#include <thrum/tls.h>
#include <unistd.h>

#include "support/certs.h"
#include "support/util.h"
#include "tls/trust.h"

static unsigned count(struct thr_tls_trust *t)
{
    unsigned n = 0;
    for (const mbedtls_x509_crt *c = thr_tls_trust_chain(t); c && c->version; c = c->next)
        n++;
    return n;
}

static char *file_of(const char *a, const char *b, const char *c)
{
    char *path = sup_tmpname("ca");
    char *text = sup_format("%s%s%s", a, b, c);
    assert_true(sup_file_write(path, text, strlen(text)));
    free(text);
    return path;
}

static void no_environment(void)
{
    unsetenv("SSL_CERT_FILE");
    unsetenv("SSL_CERT_DIR");
}

static void a_file_that_is_of_no_use_is_explained(void **state)
{
    (void)state;
    char *missing = sup_tmpname("missing"), *empty = file_of("", "", ""),
         *garbage = file_of("no ", "certificate\n", "");
    char *broken =
        file_of("-----BEGIN CERTIFICATE-----\n", "AAAA\n", "-----END CERTIFICATE-----\n");
    const struct {
        const char *path, *words;
    } cases[] = {
        {missing, "No such file or directory"},
        {empty, "there is no usable certificate in"},
        {garbage, "there is no usable certificate in"},
        {broken, "there is no usable certificate in"},
        {sup_tmpdir(), "Is a directory"},
        {"/dev/null", "Illegal seek"},
        {sup_key_file(SUP_CERT_GOOD), "there is no usable certificate in"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        thrum_tls_config *config;
        char detail[256];
        assert_int_equal(thrum_tls_config_new(&config, &(thrum_tls_opts){.ca_file = cases[i].path}),
                         0);
        assert_int_equal(thrum_tls_config_load(config, detail, sizeof(detail)),
                         THRUM_ETLS_TRUST_STORE);
        assert_non_null(strstr(detail, cases[i].words));
        assert_non_null(strstr(detail, cases[i].path));
        assert_int_equal(thrum_tls_config_load(config, NULL, 0),
                         THRUM_ETLS_TRUST_STORE); /* again */
        thrum_tls_config_unref(config);
    }
    free(missing);
    free(empty);
    free(garbage);
    free(broken);
}

static void a_file_that_appears_later_is_read_then(void **state)
{
    (void)state;
    char *path = sup_tmpname("later");
    thrum_tls_config *config;
    assert_int_equal(thrum_tls_config_new(&config, &(thrum_tls_opts){.ca_file = path}), 0);
    assert_int_equal(thrum_tls_config_load(config, NULL, 0), THRUM_ETLS_TRUST_STORE);
    size_t bytes;
    char *pem = sup_file_read(sup_ca_file(), &bytes);
    assert_true(sup_file_write(path, pem, bytes));
    assert_int_equal(thrum_tls_config_load(config, NULL, 0), 0);
    assert_true(sup_rmtree(path));
    assert_int_equal(thrum_tls_config_load(config, NULL, 0), 0); /* once is enough */
    thrum_tls_config_unref(config);
    free(pem);
    free(path);
}

static void what_cannot_be_parsed_in_a_bundle_is_passed_over(void **state)
{
    (void)state;
    char *a = sup_file_read(sup_ca_file(), NULL), *b = sup_file_read(sup_unknown_ca_file(), NULL);
    char *path =
        file_of(a, "# text\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", b);
    struct thr_tls_trust *t;
    struct thr_tls_fault f = {0};
    assert_int_equal(thr_tls_trust_open(&t, path, &f), 0);
    assert_int_equal(count(t), 2);
    thr_tls_trust_unref(t);
    free(path);
    free(a);
    free(b);
}

static void the_environment_chooses_the_systems_certificates(void **state)
{
    (void)state;
    struct thr_tls_trust *a, *b, *c;
    struct thr_tls_fault f = {0};
    char *dir = sup_tmpdir_new("certs"), *in_dir = sup_format("%s/unknown.pem", dir);
    char *pem = sup_file_read(sup_unknown_ca_file(), NULL);
    assert_true(sup_file_write(in_dir, pem, strlen(pem)));
    char *dirs = sup_format(":/nowhere:%s", dir);

    no_environment();
    setenv("SSL_CERT_FILE", sup_ca_file(), 1);
    assert_int_equal(thr_tls_trust_open(&a, NULL, &f), 0);
    assert_int_equal(count(a), 1);
    assert_int_equal(thr_tls_trust_open(&b, NULL, &f), 0);
    assert_ptr_equal(a, b); /* parsed once */
    setenv("SSL_CERT_DIR", dirs, 1);
    assert_int_equal(thr_tls_trust_open(&c, NULL, &f), 0);
    assert_int_equal(count(c), 2); /* both, if both are set */
    thr_tls_trust_unref(c);
    unsetenv("SSL_CERT_FILE");
    assert_int_equal(thr_tls_trust_open(&c, NULL, &f), 0);
    assert_int_equal(count(c), 1);
    thr_tls_trust_unref(c);
    assert_int_equal(count(a), 1); /* the first is still whole */
    thr_tls_trust_unref(a);
    thr_tls_trust_unref(b);

    setenv("SSL_CERT_DIR", "/nowhere", 1);
    assert_int_equal(thr_tls_trust_open(&a, NULL, &f), THRUM_ETLS_TRUST_STORE);
    assert_non_null(strstr(f.text, "/nowhere"));
    no_environment();
    setenv("SSL_CERT_FILE", "/nowhere.pem", 1);
    assert_int_equal(thr_tls_trust_open(&a, NULL, &f), THRUM_ETLS_TRUST_STORE);
    assert_non_null(strstr(f.text, "/nowhere.pem"));
    no_environment();
    free(pem);
    free(dirs);
    free(in_dir);
    free(dir);
}

static void the_systems_bundle_is_found(void **state)
{
    (void)state;
    struct thr_tls_trust *t;
    struct thr_tls_fault f = {0};
    no_environment();
    if (access("/etc/ssl/certs/ca-certificates.crt", R_OK) != 0)
        skip();
    assert_int_equal(thr_tls_trust_open(&t, NULL, &f), 0);
    assert_true(count(t) > 50);
    thr_tls_trust_unref(t);
}

static void insecure_needs_no_certificates(void **state)
{
    (void)state;
    thrum_tls_config *config;
    assert_int_equal(
        thrum_tls_config_new(&config, &(thrum_tls_opts){.insecure = true, .ca_file = "/nowhere"}),
        0);
    assert_int_equal(thrum_tls_config_load(config, NULL, 0), 0);
    thrum_tls_config_unref(config);
}

static void options_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    char longest[257];
    memset(longest, 'a', 256);
    longest[256] = '\0';
    const char *const too_long[] = {longest, NULL}, *const blank[] = {"h2", "", NULL};
    const char *many[66];
    for (size_t i = 0; i < 65; i++)
        many[i] = "h2";
    many[65] = NULL;
    const thrum_tls_opts cases[] = {
        {.tls12_only = true, .tls13_only = true},
        {.alpn = too_long},
        {.alpn = blank},
        {.alpn = many},
        {.ca_file = ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        thrum_tls_config *config = (thrum_tls_config *)&config;
        assert_int_equal(thrum_tls_config_new(&config, &cases[i]), THRUM_ETLS_CONFIG);
        assert_null(config);
    }
    thrum_tls_config_unref(NULL);
}

static void *load(void *arg)
{
    return thrum_tls_config_load(arg, NULL, 0) == 0 ? NULL : arg;
}

static void threads_may_load_at_once(void **state)
{
    (void)state;
    thrum_tls_config *config;
    pthread_t threads[8];
    assert_int_equal(thrum_tls_config_new(&config, &(thrum_tls_opts){.ca_file = sup_ca_file()}), 0);
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, load, config), 0);
    for (size_t i = 0; i < 8; i++) {
        void *failed;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    thrum_tls_config_unref(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_that_is_of_no_use_is_explained),
        cmocka_unit_test(a_file_that_appears_later_is_read_then),
        cmocka_unit_test(what_cannot_be_parsed_in_a_bundle_is_passed_over),
        cmocka_unit_test(the_environment_chooses_the_systems_certificates),
        cmocka_unit_test(the_systems_bundle_is_found),
        cmocka_unit_test(insecure_needs_no_certificates),
        cmocka_unit_test(options_that_make_no_sense_are_refused),
        cmocka_unit_test(threads_may_load_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
