/* SPDX-License-Identifier: MIT */
/* Trusted certificates. */
#include "tls/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mbedtls/pk.h>
#include <thrum/error.h>

#include "exec/atomic.h"
#include "exec/util.h"

struct thr_tls_trust {
    thr_au32 refs;
    mbedtls_x509_crt chain;
};

/* Where distributions have their bundle: Debian and Arch, Fedora and RHEL, openSUSE, Alpine. */
static const char *const bundles[] = {
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
};

/* The system's certificates that were read last, and the environment that chose them. */
static struct {
    pthread_mutex_t lock;
    struct thr_tls_trust *trust; /* guarded by lock, as are the others */
    char *file, *dir;            /* SSL_CERT_FILE and SSL_CERT_DIR then, or NULL */
} shared = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct thr_tls_trust *trust_new(void)
{
    struct thr_tls_trust *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    thr_store(&t->refs, 1, THR_RELAXED);
    mbedtls_x509_crt_init(&t->chain);
    return t;
}

static void trust_ref(struct thr_tls_trust *t)
{
    thr_fetch_add(&t->refs, 1, THR_RELAXED);
}

void thr_tls_trust_unref(struct thr_tls_trust *t)
{
    if (!t || thr_fetch_sub(&t->refs, 1, THR_ACQ_REL) != 1)
        return;
    mbedtls_x509_crt_free(&t->chain);
    free(t);
}

mbedtls_x509_crt *thr_tls_trust_chain(struct thr_tls_trust *t)
{
    return &t->chain;
}

static bool is_empty(const struct thr_tls_trust *t)
{
    return t->chain.version == 0;
}

/* Opens the file for a try, since mbedTLS does not say why it could not, and asks for a buffer of 2^63 bytes if it is a
 * directory. Only regular files have a size, which it needs. */
static THR_NOINLINE int readable(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    int err = fstat(fd, &st) != 0 ? -errno : 0;
    close(fd);
    if (!err && !S_ISREG(st.st_mode))
        err = S_ISDIR(st.st_mode) ? -EISDIR : -ESPIPE;
    return err;
}

static int add_file(struct thr_tls_trust *t, const char *path, struct thr_tls_fault *f)
{
    int err = readable(path);
    if (err) {
        thr_tls_fault_set(f, THRUM_ETLS_TRUST_STORE, "cannot read trusted certificates from %s: %s",
                          path, thrum_strerror(err));
        return f->code;
    }
    err = mbedtls_x509_crt_parse_file(&t->chain, path);
    if (err == MBEDTLS_ERR_X509_ALLOC_FAILED || err == MBEDTLS_ERR_PK_ALLOC_FAILED) {
        thr_tls_fault_plain(f, -ENOMEM);
        return f->code;
    }
    if (is_empty(t)) {
        thr_tls_fault_set(f, THRUM_ETLS_TRUST_STORE, "there is no usable certificate in %s", path);
        return f->code;
    }
    return 0; /* err > 0: so many were passed over */
}

/* A list of directories, separated by colons; what is no certificate there is passed over. */
static int add_dirs(struct thr_tls_trust *t, const char *dirs, struct thr_tls_fault *f)
{
    char *copy = strdup(dirs), *rest = copy, *dir;
    if (!copy) {
        thr_tls_fault_plain(f, -ENOMEM);
        return f->code;
    }
    while ((dir = strsep(&rest, ":")) != NULL) {
        if (*dir)
            (void)mbedtls_x509_crt_parse_path(&t->chain, dir);
    }
    free(copy);
    if (is_empty(t)) {
        thr_tls_fault_set(f, THRUM_ETLS_TRUST_STORE, "there is no usable certificate in %s", dirs);
        return f->code;
    }
    return 0;
}

static int add_system(struct thr_tls_trust *t, const char *file, const char *dir,
                      struct thr_tls_fault *f)
{
    int err = 0;
    if (file)
        err = add_file(t, file, f);
    if (!err && dir)
        err = add_dirs(t, dir, f);
    if (file || dir)
        return err;
    for (size_t i = 0; i < THR_COUNT_OF(bundles); i++) {
        if (readable(bundles[i]) == 0)
            return add_file(t, bundles[i], f);
    }
    thr_tls_fault_set(f, THRUM_ETLS_TRUST_STORE,
                      "no trusted certificates found on this system (install ca-certificates, or "
                      "set SSL_CERT_FILE)");
    return f->code;
}

static bool same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Keeps t for those who come later; if that needs memory which is not there, it is not kept. Context: lock held. */
static void keep(struct thr_tls_trust *t, const char *file, const char *dir)
{
    char *file_copy = file ? strdup(file) : NULL;
    char *dir_copy = dir ? strdup(dir) : NULL;
    if ((file && !file_copy) || (dir && !dir_copy)) {
        free(file_copy);
        free(dir_copy);
        return;
    }
    free(shared.file);
    free(shared.dir);
    thr_tls_trust_unref(shared.trust);
    trust_ref(t);
    shared.trust = t;
    shared.file = file_copy;
    shared.dir = dir_copy;
}

/* Context: lock held, so that several configurations that start at once read the files once. */
static int open_system(struct thr_tls_trust *fresh, struct thr_tls_trust **out,
                       struct thr_tls_fault *f)
{
    const char *file = secure_getenv("SSL_CERT_FILE");
    const char *dir = secure_getenv("SSL_CERT_DIR");
    if (shared.trust && same(file, shared.file) && same(dir, shared.dir)) {
        trust_ref(shared.trust);
        *out = shared.trust;
        return 0;
    }
    int err = add_system(fresh, file, dir, f);
    if (err)
        return err;
    keep(fresh, file, dir);
    trust_ref(fresh);
    *out = fresh;
    return 0;
}

int thr_tls_trust_open(struct thr_tls_trust **out, const char *ca_file, struct thr_tls_fault *f)
{
    *out = NULL;
    struct thr_tls_trust *t = trust_new();
    if (!t) {
        thr_tls_fault_plain(f, -ENOMEM);
        return f->code;
    }
    int err;
    if (ca_file) {
        err = add_file(t, ca_file, f);
        if (!err) {
            trust_ref(t);
            *out = t;
        }
    } else {
        pthread_mutex_lock(&shared.lock);
        err = open_system(t, out, f);
        pthread_mutex_unlock(&shared.lock);
    }
    thr_tls_trust_unref(t);
    return err;
}
