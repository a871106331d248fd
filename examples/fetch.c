/* SPDX-License-Identifier: MIT */
/* Fetches many pages at once and gathers what came back: asyncio's first example, on every core.
 *
 *     fetch https://example.org/ https://example.com/ ... */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <thrum/thrum.h>

struct page {
    thrum_http_client *client;
    const char *url;
    thrum_http_info info; /* filled in by the client, whether or not all went well */
    int status;
    size_t bytes;
};

/* One task a page. It is written as if it blocked; while it waits its worker runs others. */
static int fetch(void *arg)
{
    struct page *page = arg;
    thrum_http_response *response;
    int err = thrum_http_get(page->client, page->url, &page->info, &response);
    if (err)
        return err;

    void *body;
    page->status = thrum_http_status(response);
    err = thrum_http_read_all(response, &body, &page->bytes);
    if (!err)
        free(body);
    thrum_http_response_close(response);
    return err;
}

static void report(const struct page *page, int err)
{
    if (err) /* the client's sentence says what, where and with whom */
        fprintf(stderr, "%s: %s\n", page->url, page->info.detail);
    else
        printf("%d %9zu bytes %6" PRIu64 " ms %s\n", page->status, page->bytes,
               page->info.timing.total_ns / THRUM_MILLISECOND, page->url);
}

struct job {
    struct page *pages;
    thrum_call *calls;
    char **urls;
    size_t n;
};

static int app(void *arg)
{
    struct job *job = arg;
    thrum_http_client *client;
    int err = thrum_http_client_new(&client, NULL);
    if (err) {
        fprintf(stderr, "fetch: %s\n", thrum_strerror(err));
        return err;
    }

    for (size_t i = 0; i < job->n; i++) {
        job->pages[i] = (struct page){.client = client, .url = job->urls[i]};
        job->calls[i] = (thrum_call){.fn = fetch, .arg = &job->pages[i]};
    }
    thrum_timeout limit;
    thrum_timeout_begin(&limit, 30 * THRUM_SECOND); /* bounds every wait within, however deep */
    err = thrum_gather(job->calls, job->n);
    thrum_timeout_end(&limit);

    for (size_t i = 0; i < job->n; i++)
        report(&job->pages[i], job->calls[i].result);
    thrum_http_client_free(client);
    return err;
}

int main(int argc, char **argv)
{
    struct job job = {.urls = argv + 1, .n = (size_t)argc - (argc > 0)};
    job.pages = calloc(job.n + 1, sizeof(*job.pages));
    job.calls = calloc(job.n + 1, sizeof(*job.calls));
    int err = job.pages && job.calls ? thrum_run(app, &job, NULL) : -1;
    free(job.pages);
    free(job.calls);
    return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
