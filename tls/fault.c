/* SPDX-License-Identifier: MIT */
/* Faults: a code and a sentence. */
#include "tls/fault.h"

#include <stdarg.h>
#include <stdio.h>
#include <thrum/error.h>

void thr_tls_fault_set(struct thr_tls_fault *f, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    f->code = code;
    vsnprintf(f->text, sizeof(f->text), format, args);
    va_end(args);
    for (char *p = f->text; *p; p++) {
        if (*p < ' ' || *p > '~')
            *p = '?';
    }
}

void thr_tls_fault_plain(struct thr_tls_fault *f, int code)
{
    if (f->code != code || !f->text[0])
        thr_tls_fault_set(f, code, "%s", thrum_strerror(code));
}
