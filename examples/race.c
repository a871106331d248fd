/* SPDX-License-Identifier: MIT */
/* The first answer wins: the same question to several mirrors, of which one is slow and one is down. Those that lose are
 * cancelled, and gone when thrum_race() returns: what lies on the caller's stack is its own again. */
#include <errno.h>
#include <stdio.h>
#include <thrum/thrum.h>

struct mirror {
    const char *name;
    uint64_t takes_ns;
    int answer; /* or a negative code */
};

static int ask(void *arg)
{
    struct mirror *m = arg;
    int err = thrum_sleep(m->takes_ns); /* -ECANCELED as soon as another one has answered */
    return err ? err : m->answer;
}

static int app(void *arg)
{
    struct mirror mirrors[] = {
        {"far", 60 * THRUM_SECOND, 1}, {"down", 0, -ECONNREFUSED}, {"near", THRUM_MILLISECOND, 3}};
    thrum_call calls[3];
    (void)arg;
    for (int i = 0; i < 3; i++)
        calls[i] = (thrum_call){.fn = ask, .arg = &mirrors[i]};
    ssize_t first = thrum_race(calls, 3);
    if (first < 0)
        return (int)first; /* nobody answered: the first failure */
    for (int i = 0; i < 3; i++)
        printf("%-4s %s\n", mirrors[i].name, i == first ? "won" : thrum_strerror(calls[i].result));
    return first == 2 && calls[0].result == -ECANCELED ? 0 : 1;
}

int main(void)
{
    return thrum_run(app, NULL, NULL) ? 1 : 0;
}
