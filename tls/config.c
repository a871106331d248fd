/* SPDX-License-Identifier: MIT */
/* Client configurations. */
#include "tls/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <thrum/error.h>
#include <thrum/task.h>

#include "tls/profile.h"

/* RFC 7301: a protocol's name has 1 to 255 bytes, the list of them 65,535. */
#define ALPN_NAME_MAX 255
#define ALPN_N_MAX 64

static size_t alpn_count(const char *const *alpn)
{
    size_t n = 0;
    while (alpn && alpn[n])
        n++;
    return n;
}

static bool are_valid(const thrum_tls_opts *opts)
{
    if (opts->tls12_only && opts->tls13_only)
        return false;
    size_t n = alpn_count(opts->alpn);
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(opts->alpn[i]);
        if (len == 0 || len > ALPN_NAME_MAX)
            return false;
    }
    return n <= ALPN_N_MAX && !(opts->ca_file && !opts->ca_file[0]);
}

static void free_alpn(const char *const *alpn)
{
    size_t n = alpn_count(alpn);
    for (size_t i = 0; i < n; i++)
        free((void *)(uintptr_t)alpn[i]); /* our own copy: const only for its readers */
    free((void *)(uintptr_t)alpn);
}

static int copy_alpn(thrum_tls_opts *to, const char *const *alpn)
{
    char **copy = calloc(alpn_count(alpn) + 1, sizeof(*copy));
    if (!copy)
        return -ENOMEM;
    to->alpn = (const char *const *)copy;
    for (size_t i = 0; alpn[i]; i++) {
        copy[i] = strdup(alpn[i]);
        if (!copy[i])
            return -ENOMEM;
    }
    return 0;
}

static int copy_opts(thrum_tls_opts *to, const thrum_tls_opts *from)
{
    *to = *from;
    to->alpn = NULL;
    to->ca_file = NULL;
    if (from->ca_file) {
        to->ca_file = strdup(from->ca_file);
        if (!to->ca_file)
            return -ENOMEM;
    }
    return from->alpn ? copy_alpn(to, from->alpn) : 0;
}

static void config_free(thrum_tls_config *config)
{
    thr_tls_profile_free(config->profile);
    thr_tls_resume_fini(&config->resume);
    pthread_mutex_destroy(&config->load_lock);
    free_alpn(config->opts.alpn);
    free((void *)(uintptr_t)config->opts.ca_file);
    free(config);
}

int thrum_tls_config_new(thrum_tls_config **out, const thrum_tls_opts *opts)
{
    static const thrum_tls_opts defaults;
    *out = NULL;
    if (!opts)
        opts = &defaults;
    if (!are_valid(opts))
        return THRUM_ETLS_CONFIG;
    thrum_tls_config *config = calloc(1, sizeof(*config));
    if (!config)
        return -ENOMEM;
    thr_store(&config->refs, 1, THR_RELAXED);
    pthread_mutex_init(&config->load_lock, NULL);
    config->load_turn = (thrum_mutex)THRUM_MUTEX_INIT;
    thr_tls_resume_init(&config->resume, 0);
    int err = copy_opts(&config->opts, opts);
    if (err) {
        config_free(config);
        return err;
    }
    *out = config;
    return 0;
}

void thr_tls_config_ref(thrum_tls_config *config)
{
    thr_fetch_add(&config->refs, 1, THR_RELAXED);
}

void thrum_tls_config_unref(thrum_tls_config *config)
{
    if (config && thr_fetch_sub(&config->refs, 1, THR_ACQ_REL) == 1)
        config_free(config);
}

/* ---- Loading ---------------------------------------------------------------------------------------------------- */

static int load(thrum_tls_config *config, struct thr_tls_fault *f)
{
    int err = 0;
    pthread_mutex_lock(&config->load_lock);
    if (!config->profile)
        err = thr_tls_profile_new(&config->profile, &config->opts, f);
    if (!err)
        thr_store(&config->ready, 1, THR_RELEASE); /* (A) */
    pthread_mutex_unlock(&config->load_lock);
    return err;
}

int thrum_tls_config_load(thrum_tls_config *config, char *detail, size_t detail_bytes)
{
    struct thr_tls_fault f = {0};
    if (detail && detail_bytes)
        detail[0] = '\0';
    if (thr_load(&config->ready, THR_ACQUIRE)) /* (B) */
        return 0;
    int err = load(config, &f);
    if (err && detail)
        snprintf(detail, detail_bytes, "%s", f.text);
    return err;
}

struct load_call {
    thrum_tls_config *config;
    struct thr_tls_fault *fault;
};

static int load_blocking(void *arg)
{
    struct load_call *call = arg;
    return load(call->config, call->fault);
}

static void set_permits(thrum_tls_config *config)
{
    if (thr_load(&config->shaking_set, THR_ACQUIRE)) /* (D) */
        return;
    pthread_mutex_lock(&config->load_lock); /* nobody loads any more, so this is short */
    if (!thr_load(&config->shaking_set, THR_RELAXED)) {
        thrum_sem_init(&config->shaking, THR_TLS_SHAKING_PER_WORKER * thrum_workers());
        thr_store(&config->shaking_set, 1, THR_RELEASE); /* (C) */
    }
    pthread_mutex_unlock(&config->load_lock);
}

static int load_in_task(thrum_tls_config *config, struct thr_tls_fault *f)
{
    int err = thrum_mutex_lock(&config->load_turn);
    if (err)
        return err;
    if (!thr_load(&config->ready, THR_ACQUIRE)) { /* (B) */
        struct load_call call = {.config = config, .fault = f};
        err = thrum_blocking(load_blocking, &call);
    }
    thrum_mutex_unlock(&config->load_turn);
    return err;
}

int thr_tls_config_ready(thrum_tls_config *config, struct thr_tls_fault *f)
{
    if (!thr_load(&config->ready, THR_ACQUIRE)) { /* (B) */
        int err = load_in_task(config, f);
        if (err)
            return err;
    }
    set_permits(config);
    return 0;
}
