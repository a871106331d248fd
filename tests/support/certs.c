/* SPDX-License-Identifier: MIT */
/* support/certs.c: certificates by the openssl program.
 *
 * `openssl ca` signs them all, for it alone can set both dates in 3.0 (x509 -not_before came with 3.4).
 * Leaves with a P-256 key share one key, which saves half of the time.
 */
#include "support/certs.h"

#include "support/proc.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOSTS "DNS:localhost,DNS:thrum.test,DNS:*.thrum.test,IP:127.0.0.1,IP:::1"
#define LEAF_EXTENSIONS                                                                            \
    "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature,keyEncipherment\n"     \
    "extendedKeyUsage=serverAuth\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
#define CA_EXTENSIONS                                                                              \
    "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n"                   \
    "subjectKeyIdentifier=hash\n"

#define BEGIN "20200101000000Z"
#define END "20491231000000Z"

/* Paths are "<directory>/<name>.pem", keys "<name>.key". */
struct kind {
    const char *name;
    const char *issuer; /* NULL: itself */
    const char *hosts;
    const char *begin;
    const char *end;
};

static const struct kind kinds[SUP_CERT_N] = {
    [SUP_CERT_GOOD] = {"good", "ca", HOSTS, BEGIN, END},
    [SUP_CERT_RSA] = {"rsa", "ca", HOSTS, BEGIN, END},
    [SUP_CERT_CHAIN] = {"chain", "intermediate", HOSTS, BEGIN, END},
    [SUP_CERT_INCOMPLETE] = {"incomplete", "intermediate", HOSTS, BEGIN, END},
    [SUP_CERT_EXPIRED] = {"expired", "ca", HOSTS, BEGIN, "20210101000000Z"},
    [SUP_CERT_NOT_YET] = {"not-yet", "ca", HOSTS, "21000101000000Z", "21100101000000Z"},
    [SUP_CERT_SELF_SIGNED] = {"self-signed", NULL, HOSTS, BEGIN, END},
    [SUP_CERT_WRONG_HOST] = {"wrong-host", "ca", "DNS:other.test", BEGIN, END},
    [SUP_CERT_UNKNOWN_CA] = {"unknown-ca", "other-ca", HOSTS, BEGIN, END},
};

/* Everything below is guarded by lock; made once, kept until exit. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *directory;
static char *ca_file;
static char *other_ca_file;
static char *intermediate_file;
static char *cert_files[SUP_CERT_N];
static char *key_files[SUP_CERT_N];

static char *file_of(const char *name, const char *ending)
{
    return sup_format("%s/%s.%s", directory, name, ending);
}

/* Runs openssl in the directory with the arguments of a command line without quotes. */
static bool openssl(const char *format, ...) __attribute__((format(printf, 1, 2)));
static bool openssl(const char *format, ...)
{
    char line[1024];
    const char *argv[48] = {"openssl"};
    size_t n = 1;
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    char *rest = NULL;
    for (char *word = strtok_r(line, " ", &rest); word && n < 47; word = strtok_r(NULL, " ", &rest))
        argv[n++] = word;

    struct sup_run_result result;
    bool ok = sup_run(&result, &(struct sup_run_opts){.argv = argv, .dir = directory});
    if (ok && result.exit_code != 0) {
        sup_say("openssl %s failed: %s%s", argv[1], result.out, result.err);
        ok = false;
    }
    sup_run_result_free(&result);
    return ok;
}

static bool write_in_directory(const char *name, const char *ending, const char *text)
{
    char *path = file_of(name, ending);
    bool ok = sup_file_write(path, text, strlen(text));
    free(path);
    return ok;
}

/* What `openssl ca` needs to be told: where its list of certificates is (one an issuer). */
static bool write_ca_config(const char *issuer)
{
    char *text = sup_format("[ca]\ndefault_ca=here\n"
                            "[here]\ndatabase=%s.index\nnew_certs_dir=.\ndefault_md=sha256\n"
                            "policy=any\nunique_subject=no\nrand_serial=yes\nemail_in_dn=no\n"
                            "[any]\ncommonName=supplied\n",
                            issuer);
    bool ok = write_in_directory(issuer, "cnf", text) && write_in_directory(issuer, "index", "");
    free(text);
    return ok;
}

/* The request configuration holds nothing: names come by -subj, extensions by -extfile. */
static bool request(const char *name, const char *key)
{
    return openssl("req -new -config req.cnf -key %s.key -subj /CN=%s -out %s.csr", key, name,
                   name);
}

static bool sign(const char *name, const char *key, const char *issuer, const char *begin,
                 const char *end)
{
    return request(name, key) &&
           (issuer
                ? openssl("ca -batch -notext -config %s.cnf -cert %s.pem -keyfile %s.key -in "
                          "%s.csr -startdate %s -enddate %s -extfile %s.ext -out %s.pem",
                          issuer, issuer, issuer, name, begin, end, name, name)
                : openssl("ca -batch -notext -selfsign -config %s.cnf -keyfile %s.key -in %s.csr "
                          "-startdate %s -enddate %s -extfile %s.ext -out %s.pem",
                          name, key, name, begin, end, name, name));
}

static bool make_ca(const char *name, const char *issuer)
{
    return write_ca_config(name) && write_in_directory(name, "ext", CA_EXTENSIONS) &&
           openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out %s.key", name) &&
           sign(name, name, issuer, BEGIN, END);
}

static bool make_directory(void)
{
    if (directory)
        return true;
    directory = sup_tmpdir_new("certs");
    return directory && write_in_directory("req", "cnf", "[req]\ndistinguished_name=dn\n[dn]\n") &&
           openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out leaf.key");
}

/* The path of a CA's certificate, made when it is first asked for. */
static const char *ca(char **file, const char *name)
{
    if (!*file && make_directory() && make_ca(name, NULL))
        *file = file_of(name, "pem");
    return *file;
}

static bool have_issuer(const char *issuer)
{
    if (!ca(&ca_file, "ca"))
        return false;
    if (issuer && strcmp(issuer, "other-ca") == 0)
        return ca(&other_ca_file, "other-ca") != NULL;
    if (!issuer || strcmp(issuer, "intermediate") != 0)
        return true;
    if (!intermediate_file && make_ca("intermediate", "ca"))
        intermediate_file = file_of("intermediate", "pem");
    return intermediate_file != NULL;
}

/* Adds the issuer's certificate to the leaf's file. */
static bool append_issuer(const char *leaf, const char *issuer)
{
    size_t a_bytes;
    size_t b_bytes;
    char *path = file_of(leaf, "pem");
    char *issuer_path = file_of(issuer, "pem");
    char *a = sup_file_read(path, &a_bytes);
    char *b = sup_file_read(issuer_path, &b_bytes);
    char *both = sup_format("%s%s", a ? a : "", b ? b : "");
    bool ok = a && b && sup_file_write(path, both, strlen(both));
    free(both);
    free(b);
    free(a);
    free(issuer_path);
    free(path);
    return ok;
}

static bool make_leaf(enum sup_cert cert)
{
    const struct kind *k = &kinds[cert];
    const char *key = cert == SUP_CERT_RSA ? "rsa" : "leaf";
    if (!have_issuer(k->issuer))
        return false;
    char *extensions = sup_format("%ssubjectAltName=%s\n", LEAF_EXTENSIONS, k->hosts);
    bool ok = write_in_directory(k->name, "ext", extensions);
    free(extensions);
    if (cert == SUP_CERT_RSA)
        ok = ok && openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.key");
    if (!k->issuer)
        ok = ok && write_ca_config(k->name);
    ok = ok && sign(k->name, key, k->issuer, k->begin, k->end);
    if (cert == SUP_CERT_CHAIN)
        ok = ok && append_issuer(k->name, k->issuer);
    if (!ok)
        return false;
    key_files[cert] = file_of(key, "key");
    cert_files[cert] = file_of(k->name, "pem");
    return true;
}

const char *sup_ca_file(void)
{
    pthread_mutex_lock(&lock);
    const char *file = ca(&ca_file, "ca");
    pthread_mutex_unlock(&lock);
    return file;
}

const char *sup_unknown_ca_file(void)
{
    pthread_mutex_lock(&lock);
    const char *file = ca(&other_ca_file, "other-ca");
    pthread_mutex_unlock(&lock);
    return file;
}

const char *sup_cert_file(enum sup_cert cert)
{
    pthread_mutex_lock(&lock);
    bool ok = cert_files[cert] || make_leaf(cert);
    const char *file = ok ? cert_files[cert] : NULL;
    pthread_mutex_unlock(&lock);
    return file;
}

const char *sup_key_file(enum sup_cert cert)
{
    if (!sup_cert_file(cert))
        return NULL;
    pthread_mutex_lock(&lock);
    const char *file = key_files[cert];
    pthread_mutex_unlock(&lock);
    return file;
}

const char *sup_chain_file(enum sup_cert cert)
{
    if (cert != SUP_CERT_CHAIN || !sup_cert_file(cert))
        return NULL;
    pthread_mutex_lock(&lock);
    const char *file = intermediate_file;
    pthread_mutex_unlock(&lock);
    return file;
}

const char *sup_cert_name(enum sup_cert cert)
{
    return kinds[cert].name;
}
