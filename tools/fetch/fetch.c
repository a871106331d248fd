/* SPDX-License-Identifier: MIT */
/* The command `thrum fetch`: what comes before the runtime, and after. */
#include "tools/fetch/fetch.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <thrum/error.h>
#include <thrum/runtime.h>
#include <unistd.h>

#include "tools/fetch/retry.h"
#include "tools/fetch/run.h"

enum { EXIT_ALL = 0, EXIT_SOME = 1, EXIT_USAGE = 2, EXIT_SIGNAL = 128 };

/* Writes one line about the command as a whole. */
static void say(const char *what, const char *why)
{
    struct thr_text t = {0};
    thr_text_adds(&t, "thrum fetch: ");
    thr_text_add_plain(&t, what);
    if (why)
        thr_text_addf(&t, ": %s", why);
    thr_text_adds(&t, "\n");
    if (!t.failed)
        (void)thr_output_put(STDERR_FILENO, t.data, t.n);
    thr_text_fini(&t);
}

static int usage(const char *fault)
{
    static const char hint[] = "Try 'thrum fetch --help'.\n";
    say(fault, NULL);
    (void)thr_output_put(STDERR_FILENO, hint, sizeof(hint) - 1);
    return EXIT_USAGE;
}

/* Allows as many descriptors as the URLs under way can want (two connections while one of them is chosen,
 * a file), or lowers their number to what there is. */
static void fit_descriptors(struct thr_fetch *f)
{
    const rlim_t each = 3, others = 256;
    struct rlimit limit;
    rlim_t wanted = (rlim_t)f->at_once * each + others;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return;

    rlim_t most = limit.rlim_cur > others + each ? (limit.rlim_cur - others) / each : 1;
    f->at_once = (uint64_t)most;
    struct thr_text t = {0};
    thr_text_addf(&t, "the limit on open files (ulimit -H -n) allows %llu at once only",
                  (unsigned long long)most);
    if (!t.failed)
        say(t.data, NULL);
    thr_text_fini(&t);
}

/* Reads the certificates now, for a bad file is a fault of the command line and not of each URL. */
static int open_tls(struct thr_fetch *f)
{
    static const char *const alpn[] = {"http/1.1", NULL};
    const struct thr_fetch_options *o = f->options;
    char detail[160] = "";
    thrum_tls_opts opts = {.ca_file = o->cacert, .alpn = alpn, .insecure = o->insecure};
    int err = thrum_tls_config_new(&f->tls, &opts);
    if (!err && o->cacert)
        err = thrum_tls_config_load(f->tls, detail, sizeof(detail));
    if (err)
        say(o->cacert ? o->cacert : "TLS", detail[0] ? detail : thrum_strerror(err));
    return err;
}

static int open_list(struct thr_fetch *f)
{
    const struct thr_fetch_options *o = f->options;
    int err = thr_urls_init(&f->urls, o->urls, o->urls_n, o->input, f->signals.quit_fd);
    if (err)
        say(o->input ? o->input : "URLs", thrum_strerror(err));
    else if (f->bar)
        thr_urls_count(&f->urls);
    return err;
}

/* Chooses where bodies go: to files, else to standard output in order, unless that has the JSON. */
static int open_target(struct thr_fetch *f)
{
    const struct thr_fetch_options *o = f->options;
    f->target.dir_fd = -1;
    if (o->dir) {
        f->target.dir_fd = thr_sink_open_dir(o->dir);
        if (f->target.dir_fd >= 0)
            return 0;
        say(o->dir, thrum_strerror(f->target.dir_fd));
        return f->target.dir_fd;
    }
    if (o->json)
        return 0;
    f->target.order = &f->order;
    int err = thr_order_init(&f->order, &f->out, f->at_once, 0);
    if (err)
        say("standard output", thrum_strerror(err));
    return err;
}

static void describe_request(struct thr_fetch *f)
{
    const struct thr_fetch_options *o = f->options;
    f->how = (struct thr_page_how){
        .request = {.method = o->method,
                    .headers = o->headers,
                    .headers_n = o->headers_n,
                    .body = o->has_body ? o->body.data ? o->body.data : "" : NULL,
                    .body_bytes = o->body.n},
        .max_time_ns = o->max_time_ns,
        .retries = thr_retry_method(o->method) ? o->retries : 0,
        .facts = o->json,
        .bytes = &f->counts.bytes,
    };
    if (getrandom(&f->how.seed, sizeof(f->how.seed), GRND_NONBLOCK) < 0)
        f->how.seed = (uint64_t)getpid() << 32 ^ thrum_now();
}

/* Opens everything. Returns 0 or a negative code, after a line about it. */
static int open_all(struct thr_fetch *f)
{
    const struct thr_fetch_options *o = f->options;
    int quit_fd = f->signals.quit_fd;
    bool out_is_used = !o->dir || o->json;
    f->at_once = o->at_once;
    thr_console_init(&f->console, quit_fd);
    thr_output_init(&f->out, STDOUT_FILENO, quit_fd);
    f->bar = thr_console_has_bar() && !(out_is_used && isatty(STDOUT_FILENO));
    fit_descriptors(f);
    describe_request(f);
    int err = open_target(f);
    if (!err)
        err = open_list(f);
    if (!err)
        err = open_tls(f);
    return err;
}

static void close_all(struct thr_fetch *f)
{
    if (f->target.order)
        thr_order_fini(&f->order);
    if (f->target.dir_fd >= 0)
        close(f->target.dir_fd);
    thr_urls_fini(&f->urls);
    if (f->tls)
        thrum_tls_config_unref(f->tls);
    free(f->end.workers);
}

static void say_text(struct thr_text *t)
{
    if (!t->failed)
        (void)thr_output_put(STDERR_FILENO, t->data, t->n);
    thr_text_fini(t);
}

/* Says what is to be said at the end, and gives the exit status. */
static int conclude(struct thr_fetch *f, int err)
{
    const struct thr_fetch_options *o = f->options;
    int caught = thr_signals_caught(&f->signals), out_error = atomic_load(&f->out_error);
    int list_error = atomic_load(&f->list_error);
    struct thr_text t = {0};
    thr_console_finish(&f->console);
    if (!caught && out_error == -EPIPE)
        return EXIT_SIGNAL + SIGPIPE;
    if (err)
        say(thrum_strerror(err), NULL);
    if (out_error)
        say("standard output", thrum_strerror(out_error));
    if (list_error)
        say(o->input ? o->input : "URLs", thrum_strerror(list_error));
    if (caught)
        thr_report_interrupted(&t, &f->counts, atomic_load(&f->urls.total), f->target.order);
    if (o->stats && !err)
        thr_report_stats(&t, &f->counts, &f->end);
    say_text(&t);
    if (caught)
        return EXIT_SIGNAL + caught;
    return err || out_error || list_error || atomic_load(&f->counts.failed) ? EXIT_SOME : EXIT_ALL;
}

static int fetch(const struct thr_fetch_options *options)
{
    struct thr_fetch f = {.options = options, .target.dir_fd = -1, .urls.fd = -1};
    int status = EXIT_USAGE;
    int err = thr_signals_start(&f.signals);
    if (err) {
        say(thrum_strerror(err), NULL);
        status = EXIT_SOME;
    } else if (open_all(&f) == 0) {
        thrum_run_opts opts = {.workers = (unsigned)options->workers};
        err = thrum_run(thr_fetch_run, &f, &opts);
        status = conclude(&f, err);
    }
    close_all(&f);
    thr_signals_stop(&f.signals);
    return status;
}

int thr_fetch_main(int argc, char *const *argv)
{
    struct thr_fetch_options options;
    char fault[256] = "";
    int status;
    int err = thr_fetch_options_read(&options, argc, argv, fault, sizeof(fault));
    if (err == -EINVAL)
        status = usage(fault);
    else if (err)
        status = usage(thrum_strerror(err));
    else if (options.help)
        status = thr_output_put(STDOUT_FILENO, thr_fetch_help, strlen(thr_fetch_help)) ? 1 : 0;
    else
        status = fetch(&options);
    thr_fetch_options_fini(&options);
    return status;
}
