/* SPDX-License-Identifier: MIT */
/* What parsing a response head costs: one of 700 bytes with 14 fields, and one of 703 bytes with the fields of a
 * browser's request (few, long ones).  Prints the fastest of ten rounds, since the slower ones measured the
 * neighbours, and a checksum over what was parsed, which no compiler can leave out.
 *
 *     build/release/bench/bench_http_parse [MESSAGES_PER_ROUND] */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "http/parse.h"

#define ROUNDS 10

static const char typical[] =
    "HTTP/1.1 200 OK\r\n"
    "Date: Mon, 23 Nov 2026 10:11:12 GMT\r\n"
    "Server: nginx/1.22.1\r\n"
    "Content-Type: text/html; charset=utf-8\r\n"
    "Content-Length: 17482\r\n"
    "Connection: keep-alive\r\n"
    "Last-Modified: Sun, 22 Nov 2026 01:02:03 GMT\r\n"
    "ETag: \"65f3a1b2-444a\"\r\n"
    "Cache-Control: public, max-age=3600, stale-while-revalidate=60\r\n"
    "Strict-Transport-Security: max-age=63072000; includeSubDomains; preload\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "Vary: Accept-Encoding, Accept-Language\r\n"
    "Set-Cookie: session=3f9a1c5be2d84f0c97ab6d1e; Path=/; Secure; HttpOnly; SameSite=Lax\r\n"
    "Content-Security-Policy: default-src 'self'; img-src 'self' data: https:; script-src "
    "'self'\r\n"
    "Accept-Ranges: bytes\r\n"
    "Via: 1.1 varnish, 1.1 cache-17.example.net (squid/6.)\r\n"
    "\r\n";

static const char browser[] =
    "HTTP/1.1 200 OK\r\n"
    "Host: www.example.org\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Safari/537.36\r\n"
    "Accept: "
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
    "Accept-Language: en-GB,en;q=0.7,de;q=0.3\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Connection: keep-alive\r\n"
    "Cookie: wp_ozh_wsa_visits=2; wp_ozh_wsa_visit_lasttime=xxxxxxxxxx; "
    "__utma=xxxxxxxxx.xxxxxxxxxx."
    "xxxxxxxxxx.xxxxxxxxxx.xxxxxxxxxx.x; __utmz=xxxxxxxxx.xxxxxxxxxx.x.x.utmccn=(referral)|utmcsr="
    "reader.example.org|utmcct=/reader/view/|utmcmd=referral\r\n"
    "Upgrade-Insecure-Requests: 1\r\n"
    "Priority: u=0, i\r\n"
    "Referer: https://reader.example.org/a/page/whose/address-is-longe\r\n"
    "\r\n";

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

/* Parses text n times; returns a sum over what came out. */
static uint64_t parse_many(const char *text, size_t len, size_t n)
{
    struct thr_field fields[THR_HEAD_FIELDS_DEFAULT];
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        struct thr_parse p;
        struct thr_response r;
        thr_parse_init(&p, fields, THR_HEAD_FIELDS_DEFAULT, NULL);
        ssize_t rc = thr_parse_response(&p, text, len, &r);
        if (rc < 0)
            return 0;
        sum += (uint64_t)rc + r.fields.n + r.fields.at[r.fields.n - 1].value_len;
    }
    return sum;
}

static void measure(const char *name, const char *text, size_t n)
{
    size_t len = strlen(text);
    double best = 0;
    uint64_t sum = 0;
    for (int round = 0; round < ROUNDS; round++) {
        double start = now_ns();
        sum += parse_many(text, len, n);
        double each = (now_ns() - start) / (double)n;
        if (round == 0 || each < best)
            best = each;
    }
    printf("%-8s %4zu bytes  %6.1f ns/message  %5.2f GB/s  checksum %" PRIu64 "\n", name, len, best,
           (double)len / best, sum);
}

int main(int argc, char **argv)
{
    size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 200000;
    if (n == 0) {
        fprintf(stderr, "usage: bench_http_parse [MESSAGES_PER_ROUND]\n");
        return 2;
    }
    measure("response", typical, n);
    measure("browser", browser, n);
    return 0;
}
