/* SPDX-License-Identifier: MIT */
/* Words for error codes, from the one table in thrum/error.h. */
#include <thrum/error.h>

#include <string.h>

const char *thrum_strerror(int code)
{
    switch (code) {
    case 0:
        return "success";
#define WORDS(name, value, words)                                                                  \
    case value:                                                                                    \
        return words;
        THRUM_ERRORS(WORDS)
#undef WORDS
    default:
        break;
    }
    /* strerrordesc_np() is constant and needs no locale, unlike strerror(). */
    const char *words = code < 0 && code > -4096 ? strerrordesc_np(-code) : NULL;
    return words ? words : "unknown error";
}
