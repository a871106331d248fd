/* SPDX-License-Identifier: MIT */
/* tools/fetch/options.h: the command line of `thrum fetch`. */
#ifndef TOOLS_FETCH_OPTIONS_H
#define TOOLS_FETCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <thrum/http.h>

#include "tools/common/text.h"

#define THR_FETCH_AT_ONCE_DEFAULT 64
#define THR_FETCH_AT_ONCE_MAX 100000
#define THR_FETCH_WORKERS_MAX 1024

/* What is not owned points into argv. */
struct thr_fetch_options {
    const char **urls; /* owned; its strings are argv's */
    size_t urls_n;
    const char *input; /* -i: a file, "-", or NULL */
    const char *dir;   /* -o, or NULL */
    uint64_t at_once;
    bool json, insecure, stats, help;
    const char *method;
    thrum_http_header *headers; /* owned, and so are its strings */
    size_t headers_n;
    struct thr_text body; /* all -d, joined with '&' */
    bool has_body;
    bool reads_stdin;            /* -d @- */
    uint64_t max_time_ns;        /* 0: none */
    uint64_t connect_timeout_ns; /* 0: the client's default */
    uint64_t max_redirects;
    bool limits_redirects; /* false: the client's default */
    uint64_t retries;
    const char *cacert;
    thrum_http_override *overrides; /* owned, and so are its hosts */
    size_t overrides_n;
    uint64_t workers; /* 0: the runtime's default */
};

/* Reads a command line (without the program and command names) into *o, and files that it names with
 * -d @FILE.
 *
 * Owns:    fini is called for *o in any case.
 * Returns: 0; -EINVAL for a fault of the user's, with a line about it in error; -ENOMEM. */
int thr_fetch_options_read(struct thr_fetch_options *o, int argc, char *const *argv, char *error,
                           size_t error_bytes);
void thr_fetch_options_fini(struct thr_fetch_options *o);

/* What --help prints. */
extern const char thr_fetch_help[];

#endif
