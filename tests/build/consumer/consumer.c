/* SPDX-License-Identifier: MIT */
/* A program that knows only what is installed: it runs tasks and makes a client, so that every layer is linked. */
#include <stdio.h>

#include <thrum/thrum.h>

static int twice(void *arg)
{
    int *n = arg;
    *n *= 2;
    return 0;
}

static int app(void *arg)
{
    (void)arg;
    int n[3] = {1, 2, 3};
    thrum_scope scope;
    thrum_scope_open(&scope, NULL);
    for (int i = 0; i < 3; i++)
        if (thrum_scope_spawn(&scope, twice, &n[i]) < 0)
            break;
    int err = thrum_scope_close(&scope);

    thrum_http_client *client = NULL;
    if (!err)
        err = thrum_http_client_new(&client, NULL);
    thrum_http_client_free(client);
    return err ? err : n[0] + n[1] + n[2];
}

int main(void)
{
    int sum = thrum_run(app, NULL, NULL);
    if (sum != 12) {
        fprintf(stderr, "consumer: got %d: %s\n", sum, sum < 0 ? thrum_strerror(sum) : "wrong sum");
        return 1;
    }
    return 0;
}
