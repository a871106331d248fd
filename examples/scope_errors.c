/* SPDX-License-Identifier: MIT */
/* What goes wrong in a scope: the first failure cancels the rest, or, with `keep_going`, each failure is listed: who it was
 * and where it was spawned, as with asyncio's ExceptionGroup. */
#include <errno.h>
#include <stdio.h>
#include <thrum/thrum.h>

enum { PARTS = 6 };

static int check_part(void *arg)
{
    int part = *(int *)arg;
    int err = thrum_sleep((uint64_t)(part + 1) * 2 * THRUM_MILLISECOND);
    if (err)
        return err; /* -ECANCELED once another part has failed */
    return part % 3 == 1 ? -EBADMSG : 0;
}

/* Returns: what the scope's close returned. *failed_n: how many failed by themselves. */
static int check_all(bool keep_going, size_t *failed_n)
{
    int parts[PARTS], err = 0;
    thrum_scope_error errors[PARTS];
    thrum_scope scope;
    thrum_scope_open(&scope, &(thrum_scope_opts){
                                 .keep_going = keep_going, .errors = errors, .errors_max = PARTS});
    for (int i = 0; i < PARTS && !err; i++) {
        parts[i] = i;
        err = thrum_scope_spawn_named(&scope, i % 2 ? "odd part" : "even part", check_part,
                                      &parts[i]);
    }
    int first = thrum_scope_close(&scope); /* all have returned, whatever happened */
    *failed_n = thrum_scope_errors_n(&scope);
    for (size_t i = 0; i < *failed_n && i < PARTS; i++)
        printf("  %s %d: %s, spawned in %s()\n", errors[i].name, *(int *)errors[i].arg,
               thrum_strerror(errors[i].code), errors[i].site ? errors[i].site->function : "?");
    return err ? err : first;
}

static int app(void *arg)
{
    size_t failed_n, all_failed_n;
    (void)arg;
    puts("the first failure ends it:");
    int err = check_all(false, &failed_n);
    puts("all are checked:");
    int all = check_all(true, &all_failed_n);
    return err == -EBADMSG && failed_n >= 1 && all == -EBADMSG && all_failed_n == 2 ? 0 : 1;
}

int main(void)
{
    return thrum_run(app, NULL, NULL) ? 1 : 0;
}
