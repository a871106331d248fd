/* SPDX-License-Identifier: MIT */
/* What the tests of `thrum fetch` share: running it, and reading what it prints. */
#ifndef TESTS_TOOLS_PROGRAM_H
#define TESTS_TOOLS_PROGRAM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/proc.h"

/* The program under test: what the build made, or what $THRUM_PROGRAM names. */
static inline const char *program(void)
{
    const char *path = getenv("THRUM_PROGRAM");
    if (!path)
        fail_msg("THRUM_PROGRAM does not name the program to test");
    return path;
}

#define ARGS_MAX 300

/* Runs `thrum WORD...`: the line is formatted, and spaces separate its words ('~' stands for a space within
 * a word). opts may be NULL; its argv is not looked at. */
__attribute__((format(printf, 3, 4))) static inline void
run(struct sup_run_result *r, const struct sup_run_opts *opts, const char *format, ...)
{
    va_list args;
    char *line = NULL, *rest = NULL;
    va_start(args, format);
    assert_true(vasprintf(&line, format, args) >= 0);
    va_end(args);

    const char *argv[ARGS_MAX + 2] = {program()};
    size_t argc = 1;
    for (char *p = strtok_r(line, " ", &rest); p; p = strtok_r(NULL, " ", &rest)) {
        assert_true(argc <= ARGS_MAX);
        for (char *c = p; *c; c++)
            *c = *c == '~' ? ' ' : *c;
        argv[argc++] = p;
    }
    struct sup_run_opts mine = opts ? *opts : (struct sup_run_opts){0};
    mine.argv = argv;
    assert_true(sup_run(r, &mine));
    free(line);
    if (r->timed_out)
        fail_msg("it did not end: %s%s", r->out, r->err);
}

/* Runs a script of sh(1) in which $0 is the program, and $1, $2 the arguments (NULL: none). */
static inline void run_script(struct sup_run_result *r, const struct sup_run_opts *opts,
                              const char *script, const char *one, const char *two)
{
    const char *argv[] = {"sh", "-c", script, program(), one, one ? two : NULL, NULL};
    struct sup_run_opts mine = opts ? *opts : (struct sup_run_opts){0};
    mine.argv = argv;
    assert_true(sup_run(r, &mine));
    if (r->timed_out)
        fail_msg("it did not end: %s%s", r->out, r->err);
}

/* Asserts on the exit status, and shows what was said if it is another. */
static inline void expect_exit(const struct sup_run_result *r, int code)
{
    if (r->exit_code != code)
        fail_msg("exit status %d (signal %d), not %d; standard error: %s", r->exit_code,
                 r->signal_no, code, r->err);
}

static inline size_t count_lines(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

/* Asserts that text is one line that begins and ends so. */
static inline void expect_line(const char *text, const char *begin, const char *end)
{
    size_t n = strlen(text), begin_n = strlen(begin), end_n = strlen(end);
    if (count_lines(text) != 1 || n < begin_n + end_n + 1 || memcmp(text, begin, begin_n) != 0 ||
        memcmp(text + n - 1 - end_n, end, end_n) != 0)
        fail_msg("not \"%s...%s\": %s", begin, end, text);
}

/* -- JSON --------------------------------------------------------------------------------------- */

/* A strict reader of RFC 8259 for objects that hold objects once, as those of --json; each function gives
 * the first byte behind what it read, or NULL. */
typedef const char *json_reader(const char *p);

static inline const char *json_string(const char *p)
{
    if (*p++ != '"')
        return NULL;
    while (*p != '"') {
        if ((unsigned char)*p < 0x20)
            return NULL;
        if (*p++ != '\\')
            continue;
        if (*p == 'u') {
            if (strspn(p + 1, "0123456789abcdefABCDEF") < 4)
                return NULL;
            p += 5;
        } else if (*p && strchr("\"\\/bfnrt", *p)) {
            p++;
        } else {
            return NULL;
        }
    }
    return p + 1;
}

static inline const char *json_object(const char *p, json_reader *value)
{
    if (*++p == '}')
        return p + 1;
    for (;;) {
        p = json_string(p);
        if (!p || *p != ':')
            return NULL;
        p = value(p + 1);
        if (!p || (*p != ',' && *p != '}'))
            return NULL;
        if (*p++ == '}')
            return p;
    }
}

static inline const char *json_number(const char *p)
{
    size_t n = strspn(p, "0123456789");
    return n == 0 || (n > 1 && *p == '0') ? NULL : p + n;
}

static inline const char *json_scalar(const char *p)
{
    static const char *const words[] = {"null", "true", "false"};
    if (*p == '"')
        return json_string(p);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strncmp(p, words[i], strlen(words[i])) == 0)
            return p + strlen(words[i]);
    }
    return json_number(p);
}

static inline const char *json_inner(const char *p)
{
    return *p == '{' ? json_object(p, json_scalar) : json_scalar(p);
}

static inline const char *json_value(const char *p)
{
    return *p == '{' ? json_object(p, json_inner) : json_scalar(p);
}

/* The raw value of a key of the object at p, in new memory; NULL if it has no such key. Escapes stay. */
static inline char *json_get(const char *p, const char *key)
{
    size_t key_n = strlen(key);
    if (!p || *p++ != '{')
        return NULL;
    while (*p == '"') {
        const char *name = p + 1, *value = json_string(p) + 1;
        const char *end = json_value(value);
        if (strncmp(name, key, key_n) == 0 && name[key_n] == '"')
            return strndup(value, (size_t)(end - value));
        p = end + (*end == ',');
    }
    return NULL;
}

/* The line about a URL, checked to be one valid object; NULL if there is none. */
static inline const char *json_line(const char *out, const char *url)
{
    for (const char *p = out; *p; p = strchr(p, '\n') + 1) {
        const char *end = *p == '{' ? json_value(p) : NULL;
        if (!end || *end != '\n')
            fail_msg("not a line of JSON: %s", p);
        char *value = json_get(p, "url");
        size_t n = strlen(url);
        bool found = value && strlen(value) == n + 2 && memcmp(value + 1, url, n) == 0;
        free(value);
        if (found)
            return p;
    }
    return NULL;
}

/* Asserts on the raw value of a key, written key.key for one within another. */
static inline void expect_json(const char *line, const char *key, const char *expected)
{
    assert_non_null(line);
    char *value = json_get(line, key);
    if (!value || strcmp(value, expected) != 0)
        fail_msg("%s is %s, not %s", key, value ? value : "missing", expected);
    free(value);
}

#endif
