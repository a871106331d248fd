/* SPDX-License-Identifier: MIT */
/* Whether a request is worth another try, and when. */
#include "tools/fetch/retry.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <thrum/error.h>
#include <thrum/time.h>

#define WAIT_FIRST (THRUM_SECOND / 2)
#define WAIT_MAX (60 * THRUM_SECOND)

bool thr_retry_method(const char *method)
{
    static const char *const idempotent[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"};
    if (!method)
        return true;
    for (size_t i = 0; i < sizeof(idempotent) / sizeof(idempotent[0]); i++) {
        if (strcmp(method, idempotent[i]) == 0)
            return true;
    }
    return false;
}

bool thr_retry_error(int err)
{
    static const int passing[] = {
        -ECONNREFUSED,
        -ECONNRESET,
        -ECONNABORTED,
        -EPIPE,
        -ETIMEDOUT,
        -ENETUNREACH,
        -EHOSTUNREACH,
        -ENETDOWN,
        -EHOSTDOWN,
        -ENODATA,
        THRUM_ECLOSED,
        THRUM_EDNS_SERVFAIL,
        THRUM_EDNS_TIMEOUT,
        THRUM_EDNS_REFUSED,
        THRUM_EDNS_UNREACHABLE,
        THRUM_ETLS_TRUNCATED,
        THRUM_EHTTP_TRUNCATED,
        THRUM_EHTTP_LOST,
    };
    for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++) {
        if (passing[i] == err)
            return true;
    }
    return false;
}

bool thr_retry_status(int status)
{
    return status == 408 || status == 429 || (status >= 500 && status <= 599);
}

uint64_t thr_retry_after(const char *value)
{
    uint64_t seconds = 0;
    if (!value || *value < '0' || *value > '9')
        return 0;
    for (; *value >= '0' && *value <= '9'; value++) {
        if (seconds < 1000) /* far above the most that is waited */
            seconds = seconds * 10 + (unsigned)(*value - '0');
    }
    return *value == '\0' ? seconds * THRUM_SECOND : 0;
}

uint64_t thr_retry_wait(uint64_t tried, uint64_t after_ns, uint64_t random)
{
    uint64_t wait = tried > 7 ? WAIT_MAX : WAIT_FIRST << (tried - 1);
    wait += random % (wait / 2 + 1);
    if (wait < after_ns)
        wait = after_ns;
    return wait < WAIT_MAX ? wait : WAIT_MAX;
}
