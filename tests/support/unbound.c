/* SPDX-License-Identifier: MIT */
/* support/unbound.c: unbound as the authority of a zone made up here, and of nothing else. */
#include "support/dnsserver.h"
#include "support/proc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define START_TRIES 8
#define MANY_N 200
#define MANY6_N 100

struct sup_unbound {
    struct sup_proc *proc;
    uint16_t port;
    char *dir;
    char *address;
};

static const char zone_head[] =
    "$ORIGIN thrum.test.\n$TTL 300\n"
    "@ IN SOA ns hostmaster 1 3600 600 86400 60\n"
    "@ IN NS ns\nns IN A 127.0.0.1\n"
    "@ IN A 127.0.0.1\n@ IN AAAA ::1\n"
    "v4 IN A 127.0.0.1\nv6 IN AAAA ::1\n"
    "two IN A 127.0.0.1\ntwo IN A 127.0.0.2\n"
    "both IN A 127.0.0.1\nboth IN AAAA ::1\n"
    "txt IN TXT \"no address here\"\n"
    "cname IN CNAME v4\ndangling IN CNAME nowhere\n"
    "loop0 IN CNAME loop1\nloop1 IN CNAME loop0\n"
    "ttl0 0 IN A 127.0.0.1\nttl1 1 IN A 127.0.0.1\n"
    "*.wild IN A 127.0.0.1\n"
    "refused IN A 127.0.0.9\nrefused IN AAAA ::1\n"
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa IN A 127.0.0.1\n"
    "chain7 IN CNAME both\n";

static FILE *create(const char *dir, const char *name)
{
    char *path = sup_format("%s/%s", dir, name);
    FILE *f = fopen(path, "we");
    if (!f)
        sup_say("cannot write %s", path);
    free(path);
    return f;
}

static bool write_zone(const char *dir, const char *extra)
{
    FILE *f = create(dir, "zone");
    if (!f)
        return false;
    fputs(zone_head, f);
    for (int i = 0; i < 7; i++)
        fprintf(f, "chain%d IN CNAME chain%d\n", i, i + 1);
    for (int i = 1; i <= MANY_N; i++)
        fprintf(f, "many IN A 127.0.1.%d\n", i);
    for (int i = 1; i <= MANY6_N; i++)
        fprintf(f, "many6 IN AAAA fd00::%x\n", i);
    if (extra)
        fprintf(f, "%s\n", extra);
    return fclose(f) == 0;
}

static bool write_config(const char *dir, uint16_t port)
{
    FILE *f = create(dir, "unbound.conf");
    if (!f)
        return false;
    fprintf(f,
            "server:\n"
            " interface: 127.0.0.1@%u\n access-control: 127.0.0.0/8 allow\n"
            " do-ip6: no\n do-daemonize: no\n num-threads: 1\n so-reuseport: no\n"
            " username: \"\"\n chroot: \"\"\n directory: \"%s\"\n pidfile: \"\"\n"
            " use-syslog: no\n logfile: \"\"\n verbosity: 1\n log-queries: yes\n"
            " module-config: \"iterator\"\n do-not-query-localhost: yes\n"
            " local-zone: \".\" static\n local-zone: \"thrum.test.\" transparent\n"
            "auth-zone:\n name: \"thrum.test\"\n zonefile: \"zone\"\n"
            " for-downstream: yes\n for-upstream: no\n fallback-enabled: no\n"
            "remote-control:\n control-enable: no\n",
            port, dir);
    return fclose(f) == 0;
}

static bool launch(struct sup_unbound *u)
{
    const char *argv[] = {"unbound", "-d", "-c", "unbound.conf", NULL};
    u->port = sup_port_free();
    if (!u->port || !write_config(u->dir, u->port))
        return false;
    u->proc = sup_proc_start(&(struct sup_proc_opts){.argv = argv, .dir = u->dir});
    return u->proc && sup_proc_wait_output(u->proc, "start of service", SUP_TIMEOUT_MS);
}

struct sup_unbound *sup_unbound_start(const char *zone_extra)
{
    struct sup_unbound *u = calloc(1, sizeof(*u));
    if (!u)
        abort();
    u->dir = sup_tmpdir_new("unbound");
    bool ok = u->dir && sup_program("unbound") && write_zone(u->dir, zone_extra);
    bool up = false;
    /* It takes no bound socket: when somebody else was faster at the port, try another. */
    for (int tries = 0; ok && !up && tries < START_TRIES; tries++) {
        sup_proc_stop(u->proc);
        u->proc = NULL;
        up = launch(u);
    }
    if (!up) {
        sup_unbound_stop(u);
        return NULL;
    }
    u->address = sup_format("127.0.0.1:%u", u->port);
    return u;
}

void sup_unbound_stop(struct sup_unbound *u)
{
    if (!u)
        return;
    sup_proc_stop(u->proc);
    if (u->dir)
        sup_rmtree(u->dir);
    free(u->dir);
    free(u->address);
    free(u);
}

uint16_t sup_unbound_port(const struct sup_unbound *u)
{
    return u->port;
}

const char *sup_unbound_address(const struct sup_unbound *u)
{
    return u->address;
}

/* "... info: 127.0.0.1 v4.thrum.test. A IN" */
size_t sup_unbound_queries(const struct sup_unbound *u, const char *name, const char *type)
{
    char *needle =
        type ? sup_format(" 127.0.0.1 %s. %s IN", name, type) : sup_format(" 127.0.0.1 %s. ", name);
    size_t n = sup_file_count(sup_proc_output(u->proc), needle);
    free(needle);
    return n;
}
