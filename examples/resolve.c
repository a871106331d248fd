/* SPDX-License-Identifier: MIT */
/* Looks up all the host names of the command line at once, and prints each as soon as it is known. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <thrum/thrum.h>

struct hosts {
    thrum_resolver *resolver;
    char **names;
    size_t names_n;
};

struct host {
    const struct hosts *all;
    const char *name;
};

static int look_up(void *arg)
{
    const struct host *host = arg;
    thrum_addrs addrs;
    int err = thrum_resolve(host->all->resolver, host->name, 0, &addrs);

    flockfile(stdout); /* the tasks run on several threads; nothing suspends until it is unlocked */
    printf("%s:", host->name);
    if (err)
        printf(" %s", thrum_strerror(err));
    for (unsigned i = 0; i < addrs.n; i++) {
        char text[INET6_ADDRSTRLEN];
        const struct sockaddr *sa = &addrs.at[i].u.sa;
        const void *bytes = sa->sa_family == AF_INET6 ? (const void *)&addrs.at[i].u.in6.sin6_addr
                                                      : (const void *)&addrs.at[i].u.in4.sin_addr;
        printf(" %s", inet_ntop(sa->sa_family, bytes, text, sizeof(text)));
    }
    putchar('\n');
    funlockfile(stdout);
    return err;
}

static int look_up_all(struct hosts *all)
{
    struct host *hosts = calloc(all->names_n, sizeof(*hosts));
    if (!hosts)
        return -ENOMEM;
    thrum_scope scope;
    thrum_scope_open(&scope, &(thrum_scope_opts){.keep_going = true});
    for (size_t i = 0; i < all->names_n; i++) {
        hosts[i] = (struct host){.all = all, .name = all->names[i]};
        int err = thrum_scope_spawn(&scope, look_up, &hosts[i]);
        if (err)
            fprintf(stderr, "%s: %s\n", hosts[i].name, thrum_strerror(err));
    }
    int err = thrum_scope_close(&scope); /* waits for all; the first failure, if any */
    free(hosts);
    return err;
}

static int app(void *arg)
{
    struct hosts *all = arg;
    int err = thrum_resolver_new(&all->resolver, NULL);
    if (err) {
        fprintf(stderr, "resolve: %s\n", thrum_strerror(err));
        return err;
    }
    err = look_up_all(all);
    thrum_resolver_free(all->resolver);
    return err;
}

int main(int argc, char **argv)
{
    struct hosts all = {.names = argv + 1, .names_n = argc > 0 ? (size_t)argc - 1 : 0};
    if (all.names_n == 0) {
        fprintf(stderr, "usage: resolve NAME...\n");
        return 2;
    }
    return thrum_run(app, &all, NULL) ? 1 : 0;
}
