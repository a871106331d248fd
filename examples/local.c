/* SPDX-License-Identifier: MIT */
/* Whose request is it? A name that is bound once where a request comes in, and known to all that is done for it, in whatever
 * task, without an argument in each function between. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <thrum/thrum.h>

static char nobodys[] = "nobody's", alices[] = "alice's", bobs[] = "bob's";
static char account[] = "account", address[] = "address";

static thrum_local request_name = THRUM_LOCAL_INIT_TO(nobodys);

static void __attribute__((format(printf, 1, 2))) log_line(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    flockfile(stdout); /* the tasks run on several threads; nothing suspends until it is unlocked */
    printf("[%s] ", (const char *)thrum_local_get(&request_name));
    vprintf(format, args);
    putchar('\n');
    funlockfile(stdout);
    va_end(args);
}

static int look_up(void *arg)
{
    int err = thrum_sleep(THRUM_MILLISECOND);
    log_line("looked up the %s", (const char *)arg); /* a task of its own, but the request's */
    return err;
}

static int serve(void *arg)
{
    thrum_local_binding binding;
    thrum_scope scope;
    thrum_local_bind(&binding, &request_name, arg);
    log_line("begins");
    thrum_scope_open(&scope, NULL); /* its tasks inherit what is bound here */
    int err = thrum_scope_spawn(&scope, look_up, account);
    if (!err)
        err = thrum_scope_spawn(&scope, look_up, address);
    int closed = thrum_scope_close(&scope);
    log_line("ends");
    thrum_local_unbind(&binding);
    return err ? err : closed;
}

static int app(void *arg)
{
    (void)arg;
    log_line("log line");
    thrum_call calls[] = {{.fn = serve, .arg = alices}, {.fn = serve, .arg = bobs}};
    return thrum_gather(calls, 2);
}

int main(void)
{
    int err = thrum_run(app, NULL, NULL);
    if (err)
        fprintf(stderr, "local: %s\n", thrum_strerror(err));
    return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
