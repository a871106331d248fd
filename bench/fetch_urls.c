/* SPDX-License-Identifier: MIT */
/* Fetches a list of URLs as fast as it can and checks every answer.
 *
 *     fetch_urls URLS CONCURRENCY KEEPALIVE CA RESUME LENGTH CRC
 *
 * URLS has a URL a line; each must answer with status 200 and LENGTH bytes, and every 16th body is checked against CRC (CRC-32
 * in hexadecimal). KEEPALIVE 0 opens a connection for each, RESUME 0 does a full TLS handshake for each connection. Prints
 *
 *     RESULT ok=N bad=N bytes=N */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <thrum/thrum.h>
#include <zlib.h>

struct job {
    char **urls;
    size_t urls_n;
    unsigned concurrency;
    bool keepalive, resume;
    const char *ca;
    uint64_t length;
    uint32_t crc;
    thrum_http_client *client;
    thrum_mutex lock; /* for what follows */
    size_t next;
    uint64_t ok, bad, bytes;
};

enum { BUFFER_BYTES = 16 << 10 };

static bool read_body(struct job *job, thrum_http_response *r, char *buffer, bool check,
                      uint64_t *bytes)
{
    uLong crc = crc32(0, NULL, 0);
    ssize_t n;
    while ((n = thrum_http_read(r, buffer, BUFFER_BYTES)) > 0) {
        *bytes += (uint64_t)n;
        if (check)
            crc = crc32(crc, (const Bytef *)buffer, (uInt)n);
    }
    return n == 0 && *bytes == job->length && (!check || crc == job->crc);
}

static bool fetch_one(struct job *job, size_t index, char *buffer, uint64_t *bytes)
{
    thrum_http_info info;
    thrum_http_response *r;
    int err = thrum_http_get(job->client, job->urls[index], &info, &r);
    if (err) {
        fprintf(stderr, "bad: %s: %s\n", job->urls[index], info.detail);
        return false;
    }
    bool ok = thrum_http_status(r) == 200 && read_body(job, r, buffer, index % 16 == 0, bytes);
    thrum_http_response_close(r);
    return ok;
}

/* Takes the next index and hands in the result of the one before. */
static size_t next_index(struct job *job, uint64_t ok, uint64_t bad, uint64_t bytes)
{
    thrum_mutex_lock_shielded(&job->lock);
    job->ok += ok;
    job->bad += bad;
    job->bytes += bytes;
    size_t index = job->next++;
    thrum_mutex_unlock(&job->lock);
    return index;
}

static int fetcher(void *arg)
{
    struct job *job = arg;
    char *buffer = malloc(BUFFER_BYTES);
    if (!buffer)
        return -1;
    size_t index = next_index(job, 0, 0, 0);
    while (index < job->urls_n) {
        uint64_t bytes = 0;
        bool ok = fetch_one(job, index, buffer, &bytes);
        index = next_index(job, ok, !ok, bytes);
    }
    free(buffer);
    return 0;
}

static int fetch_all(void *arg)
{
    struct job *job = arg;
    thrum_tls_config *tls;
    thrum_scope scope;
    int err = thrum_tls_config_new(
        &tls, &(thrum_tls_opts){.ca_file = job->ca, .no_resume = !job->resume});
    if (err)
        return err;
    err = thrum_http_client_new(&job->client,
                                &(thrum_http_client_opts){.tls = tls,
                                                          .no_keepalive = !job->keepalive,
                                                          .idle_max = 2 * job->concurrency});
    thrum_tls_config_unref(tls);
    if (err)
        return err;
    thrum_scope_open(&scope, NULL);
    for (unsigned i = 0; i < job->concurrency && !err; i++)
        err = thrum_scope_spawn(&scope, fetcher, job);
    int failed = thrum_scope_close(&scope);
    thrum_http_client_free(job->client);
    return err ? err : failed;
}

/* Splits text at its line ends into job->urls. */
static bool split_lines(struct job *job, char *text)
{
    size_t lines = 1;
    for (const char *p = text; *p; p++)
        lines += *p == '\n';
    job->urls = calloc(lines, sizeof(*job->urls));
    if (!job->urls)
        return false;
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        job->urls[job->urls_n++] = line;
    return true;
}

static char *read_file(const char *path)
{
    char *text = NULL;
    size_t room = 0;
    FILE *f = fopen(path, "re");
    if (!f)
        return NULL;
    ssize_t n = getdelim(&text, &room, '\0', f);
    fclose(f);
    return n < 0 ? NULL : text;
}

int main(int argc, char **argv)
{
    if (argc != 8) {
        fprintf(stderr, "usage: fetch_urls URLS CONCURRENCY KEEPALIVE CA RESUME LENGTH CRC\n");
        return 2;
    }
    struct job job = {
        .concurrency = (unsigned)strtoul(argv[2], NULL, 10),
        .keepalive = argv[3][0] == '1',
        .ca = argv[4],
        .resume = argv[5][0] == '1',
        .length = strtoull(argv[6], NULL, 10),
        .crc = (uint32_t)strtoul(argv[7], NULL, 16),
    };
    char *text = read_file(argv[1]);
    if (!text || !split_lines(&job, text)) {
        fprintf(stderr, "fetch_urls: cannot read %s\n", argv[1]);
        return 2;
    }
    int err = thrum_run(fetch_all, &job, NULL);
    if (err)
        fprintf(stderr, "fetch_urls: %s\n", thrum_strerror(err));
    printf("RESULT ok=%" PRIu64 " bad=%" PRIu64 " bytes=%" PRIu64 "\n", job.ok, job.bad, job.bytes);
    free(job.urls);
    free(text);
    return err || job.bad ? 1 : 0;
}
