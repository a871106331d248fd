/* SPDX-License-Identifier: MIT */
/* tools/common/args.h: reads a command line against a table of options.
 *
 * GNU rules: -x, -xVALUE, -x VALUE, -xyz for flags, --name, --name=VALUE, --name VALUE; options and
 * operands in any order; `--` ends the options; `-` alone is an operand. Long names are not abbreviated:
 * what is unique today would not be tomorrow. (getopt_long() keeps its state in globals and prints by
 * itself; a library of commands wants neither.)
 */
#ifndef TOOLS_COMMON_ARGS_H
#define TOOLS_COMMON_ARGS_H

#include <stdbool.h>
#include <stddef.h>

#define THR_ARG_OPERAND 0 /* the id of what is no option */

/* The table ends with an entry whose id is 0. */
struct thr_arg {
    int id;           /* > 0; two entries may share one */
    char letter;      /* '\0': none */
    const char *name; /* without the dashes; NULL: none */
    bool has_value;
};

struct thr_args {
    const struct thr_arg *table;
    int argc;
    char *const *argv; /* argv[0] is the first argument, not the program */
    int next;
    const char *cluster; /* the rest of -xyz, or NULL */
    bool only_operands;  /* `--` has been seen */
    char error[160];
};

void thr_args_init(struct thr_args *a, const struct thr_arg *table, int argc, char *const *argv);

/* Gives the next option or operand: its id, and its value (NULL for a flag).
 *
 * Returns: 1; 0 at the end; -1 for a fault of the user's, with a line about it in a->error. */
int thr_args_next(struct thr_args *a, int *id, const char **value);

#endif
