/* SPDX-License-Identifier: MIT */
/* The end of a program that has found a bug in itself. */
#include "exec/util.h"

#include <stdio.h>
#include <stdlib.h>

void thr_panic(const char *file, int line, const char *what)
{
    fprintf(stderr, "thrum: %s:%d: %s\n", file, line, what);
    abort();
}
