/* SPDX-License-Identifier: MIT */
/* support/nginx.c: nginx in its own directory, on ports that were reserved for it.
 *
 * One process without a master, whose workers would outlive a test that crashes.  The sockets cannot be
 * passed to it (variable NGINX): a process without a master crashes on inherited ones.
 */
#include "support/nginx.h"

#include "support/nginx_conf.h"
#include "support/pages.h"
#include "support/proc.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define BOMB_BYTES ((size_t)4 << 20)
#define STATUS_PAUSE_MS 5

struct sup_nginx {
    struct sup_nginx_setup setup;
    struct sup_proc *proc;
    int reserved[SUP_NGINX_PORTS]; /* keep the ports, -1: none */
    char *bases[SUP_NGINX_PORTS];
    char *name_bases[SUP_NGINX_PORTS];
    char *access_log;
    pthread_mutex_t lock;
    uint64_t asked; /* our own status requests, guarded by lock */
};

/* -- What it serves ----------------------------------------------------------------------------- */

static pthread_mutex_t pages_lock = PTHREAD_MUTEX_INITIALIZER;
static char *pages_dir;     /* shared by all servers of this process, guarded by pages_lock */
static uint32_t pages_made; /* files 0 to pages_made - 1 are there, likewise */

static bool write_page(uint32_t i)
{
    size_t bytes;
    char *page = sup_page_new(i, &bytes);
    char *path = sup_format("%s/%u", pages_dir, i);
    bool ok = sup_file_write(path, page, bytes);
    free(path);
    free(page);
    return ok;
}

/* Makes the first n pages; returns their directory, NULL on failure. */
static const char *make_pages(uint32_t n)
{
    pthread_mutex_lock(&pages_lock);
    if (!pages_dir)
        pages_dir = sup_tmpdir_new("pages");
    bool ok = pages_dir != NULL;
    while (ok && pages_made < n) {
        ok = write_page(pages_made);
        pages_made += ok;
    }
    const char *dir = ok ? pages_dir : NULL;
    pthread_mutex_unlock(&pages_lock);
    return dir;
}

static bool make_large(const char *dir, uint64_t bytes)
{
    char *path = sup_format("%s/large", dir);
    FILE *f = fopen(path, "we");
    free(path);
    if (!f)
        return false;
    bool ok = true;
    for (uint64_t at = 0; at < bytes && ok;) {
        char piece[2048];
        size_t n = bytes - at < sizeof(piece) ? (size_t)(bytes - at) : sizeof(piece);
        sup_stream_fill(SUP_NGINX_LARGE_SEED, at, piece, n);
        ok = fwrite(piece, 1, n, f) == n;
        at += n;
    }
    return fclose(f) == 0 && ok;
}

static bool make_bomb(const char *dir)
{
    static const char *const argv[] = {"gzip", "-9", "-c", NULL};
    char *data = malloc(BOMB_BYTES);
    struct sup_run_result result;
    if (!data)
        abort();
    memset(data, 'A', BOMB_BYTES);
    struct sup_run_opts opts = {.argv = argv, .stdin_data = data, .stdin_bytes = BOMB_BYTES};
    bool ok = sup_run(&result, &opts) && result.exit_code == 0;
    char *path = sup_format("%s/bomb.gz", dir);
    ok = ok && sup_file_write(path, result.out, result.out_bytes);
    free(path);
    sup_run_result_free(&result);
    free(data);
    return ok;
}

/* -- Start -------------------------------------------------------------------------------------- */

static bool wanted(const struct sup_nginx_opts *o, enum sup_nginx_port port)
{
    bool ipv6 = port == SUP_NGINX_HTTP6 || port == SUP_NGINX_HTTPS6;
    if (port != SUP_NGINX_HTTP && port != SUP_NGINX_HTTP6 && o->no_tls)
        return false;
    if (port >= SUP_NGINX_RSA && !o->bad_certs)
        return false;
    return !ipv6 || sup_has_ipv6();
}

static bool open_ports(struct sup_nginx *n)
{
    for (int i = 0; i < SUP_NGINX_PORTS; i++) {
        bool ipv6 = i == SUP_NGINX_HTTP6 || i == SUP_NGINX_HTTPS6;
        bool tls = i != SUP_NGINX_HTTP && i != SUP_NGINX_HTTP6;
        if (!wanted(&n->setup.opts, i))
            continue;
        n->reserved[i] = sup_port_reserve(ipv6, &n->setup.ports[i]);
        if (n->reserved[i] < 0)
            return false;
        const char *scheme = tls ? "https" : "http";
        unsigned port = n->setup.ports[i];
        n->bases[i] = sup_format("%s://%s:%u", scheme, ipv6 ? "[::1]" : "127.0.0.1", port);
        n->name_bases[i] = sup_format("%s://localhost:%u", scheme, port);
    }
    return true;
}

/* It logs what it uses after it has begun to listen. */
static bool launch(struct sup_nginx *n)
{
    const char *argv[] = {"nginx", "-p", n->setup.dir, "-c", "nginx.conf", "-e", "stderr", NULL};
    struct sup_nginx_stats stats;
    n->proc = sup_proc_start(&(struct sup_proc_opts){.argv = argv});
    if (!n->proc || !sup_proc_wait_output(n->proc, "event method", SUP_TIMEOUT_MS))
        return false;
    if (sup_nginx_stats(n, &stats))
        return true;
    sup_say("nginx does not answer");
    sup_proc_show(n->proc);
    return false;
}

static void set_defaults(struct sup_nginx_opts *o)
{
    o->pages_n = o->pages_n ? o->pages_n : 100;
    o->large_bytes = o->large_bytes ? o->large_bytes : (uint64_t)8 << 20;
    o->keepalive_n = o->keepalive_n ? o->keepalive_n : 1000000;
    o->keepalive_ms = o->keepalive_ms ? o->keepalive_ms : 60000;
    o->connections_max = o->connections_max ? o->connections_max : 4096;
}

static bool prepare(struct sup_nginx *n)
{
    struct sup_nginx_setup *s = &n->setup;
    s->dir = sup_tmpdir_new("nginx");
    if (!s->dir)
        return false;
    n->access_log = sup_format("%s/access.log", s->dir);
    s->pages_dir = make_pages(s->opts.pages_n);
    return s->pages_dir && make_large(s->dir, s->opts.large_bytes) && make_bomb(s->dir) &&
           open_ports(n) && sup_nginx_conf_write(s);
}

struct sup_nginx *sup_nginx_start(const struct sup_nginx_opts *opts)
{
    struct sup_nginx *n = calloc(1, sizeof(*n));
    if (!n)
        abort();
    if (opts)
        n->setup.opts = *opts;
    set_defaults(&n->setup.opts);
    pthread_mutex_init(&n->lock, NULL);
    for (int i = 0; i < SUP_NGINX_PORTS; i++)
        n->reserved[i] = -1;

    if (prepare(n) && launch(n))
        return n;
    sup_nginx_stop(n);
    return NULL;
}

bool sup_nginx_stop(struct sup_nginx *n)
{
    if (!n)
        return true;
    int status = sup_proc_stop(n->proc);
    if (n->setup.dir)
        sup_rmtree(n->setup.dir);
    for (int i = 0; i < SUP_NGINX_PORTS; i++) {
        if (n->reserved[i] >= 0)
            close(n->reserved[i]);
        free(n->bases[i]);
        free(n->name_bases[i]);
    }
    free(n->access_log);
    free(n->setup.dir);
    pthread_mutex_destroy(&n->lock);
    free(n);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* -- Questions ---------------------------------------------------------------------------------- */

uint16_t sup_nginx_port(const struct sup_nginx *n, enum sup_nginx_port which)
{
    return n->setup.ports[which];
}

const char *sup_nginx_base(const struct sup_nginx *n, enum sup_nginx_port which)
{
    return n->bases[which];
}

const char *sup_nginx_base_name(const struct sup_nginx *n, enum sup_nginx_port which)
{
    return n->name_bases[which];
}

pid_t sup_nginx_pid(const struct sup_nginx *n)
{
    return sup_proc_pid(n->proc);
}

const char *sup_nginx_access_log(const struct sup_nginx *n)
{
    return n->access_log;
}

const char *sup_nginx_error_log(const struct sup_nginx *n)
{
    return sup_proc_output(n->proc);
}

/* "Active connections: 1 \nserver accepts handled requests\n 1 1 1 \nReading: 0 Writing: 1 Waiting: 0 \n"
 */
static bool parse_status(const char *text, struct sup_nginx_stats *stats)
{
    unsigned long active;
    unsigned long accepted;
    unsigned long requests;
    unsigned long waiting;
    const char *at = strstr(text, "Active connections:");
    if (!at || sscanf(at,
                      "Active connections: %lu server accepts handled requests %lu %*u %lu "
                      "Reading: %*u Writing: %*u Waiting: %lu",
                      &active, &accepted, &requests, &waiting) != 4)
        return false;
    *stats = (struct sup_nginx_stats){
        .connections = accepted, .requests = requests, .active = active, .waiting = waiting};
    return true;
}

bool sup_nginx_stats(struct sup_nginx *n, struct sup_nginx_stats *stats)
{
    pthread_mutex_lock(
        &n->lock); /* one question at a time, so that `asked` is what nginx counted */
    char *answer = sup_http_get(n->setup.ports[SUP_NGINX_HTTP], "/sup-status", SUP_TIMEOUT_MS);
    n->asked++;
    bool ok = answer && parse_status(answer, stats);
    if (ok) {
        stats->connections -= n->asked;
        stats->requests -= n->asked;
        stats->active -= 1;
    }
    pthread_mutex_unlock(&n->lock);
    free(answer);
    return ok;
}

bool sup_nginx_wait_active(struct sup_nginx *n, uint64_t active, int timeout_ms)
{
    int64_t deadline = sup_now_ms() + timeout_ms;
    struct sup_nginx_stats stats;
    while (sup_nginx_stats(n, &stats)) {
        if (stats.active == active)
            return true;
        if (sup_left_ms(deadline) == 0)
            break;
        poll(NULL, 0, STATUS_PAUSE_MS); /* nginx tells nobody when a connection ends */
    }
    return false;
}
