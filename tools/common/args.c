/* SPDX-License-Identifier: MIT */
/* Reads a command line against a table of options. */
#include "tools/common/args.h"

#include <stdio.h>
#include <string.h>

void thr_args_init(struct thr_args *a, const struct thr_arg *table, int argc, char *const *argv)
{
    *a = (struct thr_args){.table = table, .argc = argc, .argv = argv};
}

static const struct thr_arg *find_letter(const struct thr_arg *table, char letter)
{
    for (; table->id; table++) {
        if (table->letter == letter)
            return table;
    }
    return NULL;
}

static const struct thr_arg *find_name(const struct thr_arg *table, const char *name, size_t n)
{
    for (; table->id; table++) {
        if (table->name && strlen(table->name) == n && memcmp(table->name, name, n) == 0)
            return table;
    }
    return NULL;
}

/* The value that is an argument of its own. */
static int take_value(struct thr_args *a, const char *shown, const char **value)
{
    if (a->next >= a->argc) {
        snprintf(a->error, sizeof(a->error), "option %.60s needs a value", shown);
        return -1;
    }
    *value = a->argv[a->next++];
    return 1;
}

static int next_short(struct thr_args *a, int *id, const char **value)
{
    char shown[] = {'-', *a->cluster++, '\0'};
    const struct thr_arg *arg = find_letter(a->table, shown[1]);
    if (!arg) {
        snprintf(a->error, sizeof(a->error), "no such option: %s", shown);
        return -1;
    }
    const char *rest = *a->cluster ? a->cluster : NULL;
    *id = arg->id;
    if (!arg->has_value) {
        a->cluster = rest;
        return 1;
    }
    a->cluster = NULL;
    if (rest) {
        *value = rest;
        return 1;
    }
    return take_value(a, shown, value);
}

static int next_long(struct thr_args *a, const char *text, int *id, const char **value)
{
    size_t n = strcspn(text + 2, "=");
    const char *given = text[2 + n] ? text + 2 + n + 1 : NULL;
    const struct thr_arg *arg = find_name(a->table, text + 2, n);
    if (!arg) {
        snprintf(a->error, sizeof(a->error), "no such option: %.60s", text);
        return -1;
    }
    if (given && !arg->has_value) {
        snprintf(a->error, sizeof(a->error), "option --%s takes no value", arg->name);
        return -1;
    }
    *id = arg->id;
    *value = given;
    return arg->has_value && !given ? take_value(a, text, value) : 1;
}

int thr_args_next(struct thr_args *a, int *id, const char **value)
{
    *value = NULL;
    if (a->cluster)
        return next_short(a, id, value);
    if (!a->only_operands && a->next < a->argc && strcmp(a->argv[a->next], "--") == 0) {
        a->only_operands = true;
        a->next++;
    }
    if (a->next >= a->argc)
        return 0;

    const char *text = a->argv[a->next++];
    if (a->only_operands || text[0] != '-' || text[1] == '\0') {
        *id = THR_ARG_OPERAND;
        *value = text;
        return 1;
    }
    if (text[1] == '-')
        return next_long(a, text, id, value);
    a->cluster = text + 1;
    return next_short(a, id, value);
}
