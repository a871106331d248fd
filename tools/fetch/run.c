/* SPDX-License-Identifier: MIT */
/* Fetches all URLs, as tasks. */
#include "tools/fetch/run.h"

#include <errno.h>
#include <stdlib.h>
#include <thrum/task.h>

#include "tools/common/progress.h"

#define BUF_BYTES ((size_t)16 * 1024) /* a TLS record */
#define BAR_PERIOD (100 * THRUM_MILLISECOND)

/* Keeps the first error. */
static void note(atomic_int *where, int err)
{
    int none = 0;
    atomic_compare_exchange_strong(where, &none, err);
}

/* Standard output cannot be written any more: nothing that is still fetched has a place to go. */
static void output_failed(struct thr_fetch *f, int err)
{
    if (err == -ECANCELED)
        return;
    note(&f->out_error, err);
    thr_signals_trip(&f->signals);
}

static void report(struct thr_fetch *f, const struct thr_page *page, const struct thr_sink *sink)
{
    struct thr_text t = {0};
    thr_report_count(&f->counts, page);
    if (f->options->json) {
        thr_report_json(&t, page, sink->name);
        int err = t.failed ? -ENOMEM : thr_output_write(&f->out, t.data, t.n);
        if (err)
            output_failed(f, err);
        thr_text_clear(&t);
    }
    if (page->fault != THR_PAGE_FETCHED) {
        thr_report_line(&t, page);
        thr_console_line(&f->console, &t);
    }
    thr_text_fini(&t);
}

static void fetch_one(struct thr_fetch *f, const struct thr_url_given *given, void *buf)
{
    struct thr_sink sink;
    struct thr_page page = {0};
    atomic_fetch_add(&f->counts.started, 1);
    thr_sink_init(&sink, &f->target, given->index, given->text);
    thr_page_fetch(&page, &f->how, given, &sink, buf, BUF_BYTES);

    int out_error = f->target.order ? atomic_load(&f->order.error) : 0;
    if (out_error)
        output_failed(f, out_error);
    else if (page.fault != THR_PAGE_CANCELED)
        report(f, &page, &sink);
    thr_page_fini(&page);
}

static int fetch_task(void *arg);

/* Starts one more task, if there may be one. Without memory for it, those there are do all the work. */
static void start_another(struct thr_fetch *f)
{
    if (atomic_fetch_add(&f->tasks_n, 1) < f->at_once)
        (void)thrum_scope_spawn_named(&f->work, "fetch", fetch_task, f);
}

/* Takes the next URL. Returns false when there is none, or no use in it. */
static bool take_url(struct thr_fetch *f, struct thr_url_given *given)
{
    struct thr_order *order = f->target.order;
    if (thrum_check() != 0 || (order && thr_order_reserve(order) != 0))
        return false;
    int got = thr_urls_next(&f->urls, given);
    if (got > 0)
        return true;
    if (order)
        thr_order_unreserve(order);
    if (got < 0 && got != -ECANCELED)
        note(&f->list_error, got);
    return false;
}

static int fetch_task(void *arg)
{
    struct thr_fetch *f = arg;
    struct thr_url_given given;
    void *buf = malloc(BUF_BYTES);
    if (!buf) /* the first task is missed; without another, those there are do all the work */
        return atomic_load(&f->tasks_n) == 1 ? -ENOMEM : 0;
    if (take_url(f, &given)) {
        start_another(f);
        do {
            fetch_one(f, &given, buf);
            free(given.text);
        } while (take_url(f, &given));
    }
    free(buf);
    return 0;
}

static int bar_task(void *arg)
{
    struct thr_fetch *f = arg;
    char text[THR_PROGRESS_MAX];
    do {
        struct thr_progress p = {
            .failed = atomic_load(&f->counts.failed),
            .total = atomic_load(&f->urls.total),
            .bytes = atomic_load(&f->counts.bytes),
            .elapsed_ns = thrum_now() - f->begun,
        };
        p.done = atomic_load(&f->counts.fetched) + p.failed;
        thr_console_bar(&f->console, thr_progress_text(&p, thr_console_columns(), text));
    } while (thrum_sleep(BAR_PERIOD) == 0);
    return 0;
}

/* Fetches in a scope of its own. Returns: 0, or -ENOMEM if not even one task could begin. */
static int fetch_all(struct thr_fetch *f)
{
    thrum_scope_open(&f->work, &(thrum_scope_opts){.keep_going = true});
    atomic_store(&f->tasks_n, 1);
    int err = thrum_scope_spawn_named(&f->work, "fetch", fetch_task, f);
    int closed = thrum_scope_close(&f->work);
    if (!err)
        err = closed;
    return err == -ECANCELED ? 0 : err;
}

static int fetch_with_bar(struct thr_fetch *f)
{
    thrum_scope bar;
    thrum_scope_open(&bar, &(thrum_scope_opts){.keep_going = true});
    if (f->bar)
        (void)thrum_scope_spawn_named(&bar, "bar", bar_task, f); /* without memory, without a bar */
    int err = fetch_all(f);
    thrum_scope_cancel(&bar);
    (void)thrum_scope_close(&bar);
    return err;
}

static void take_end(struct thr_fetch *f)
{
    struct thr_report_end *end = &f->end;
    end->elapsed_ns = thrum_now() - f->begun;
    thrum_http_client_stats(f->how.client, &end->http);
    end->workers_n = thrum_workers();
    end->workers = calloc(end->workers_n, sizeof(*end->workers));
    for (unsigned i = 0; end->workers && i < end->workers_n; i++)
        (void)thrum_stats(i, &end->workers[i]);
}

static int make_client(struct thr_fetch *f)
{
    const struct thr_fetch_options *o = f->options;
    thrum_http_client_opts opts = {
        .tls = f->tls,
        .overrides = o->overrides,
        .overrides_n = o->overrides_n,
        .idle_max = f->at_once > 1024 ? (unsigned)f->at_once : 0,
        .connect_timeout_ns = o->connect_timeout_ns,
        .redirects_max = (unsigned)o->max_redirects,
        .no_redirects = o->limits_redirects && o->max_redirects == 0,
    };
    return thrum_http_client_new(&f->how.client, &opts);
}

int thr_fetch_run(void *arg)
{
    struct thr_fetch *f = arg;
    f->begun = thrum_now();
    int err = make_client(f);
    if (err)
        return err;

    thrum_scope outer;
    thrum_scope_open(&outer, &(thrum_scope_opts){.keep_going = true});
    thr_signals_attach(&f->signals, &outer);
    err = fetch_with_bar(f);
    thr_signals_detach(&f->signals);
    (void)thrum_scope_close(&outer);
    take_end(f);
    thrum_http_client_free(f->how.client);
    return err;
}
