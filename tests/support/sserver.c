/* SPDX-License-Identifier: MIT */
/* support/sserver.c: `openssl s_server` on a port that the kernel chooses and it prints. */
#include "support/sserver.h"

#include "support/proc.h"

#include <stdlib.h>
#include <string.h>

#define ARGS_MAX 64

struct sup_sserver {
    struct sup_proc *proc;
    uint16_t port;
};

struct args {
    const char *v[ARGS_MAX];
    size_t n;
};

static void add(struct args *a, const char *word)
{
    if (a->n < ARGS_MAX - 1) /* the last one stays NULL */
        a->v[a->n++] = word;
}

static void add_option(struct args *a, const char *option, const char *value)
{
    if (!value)
        return;
    add(a, option);
    add(a, value);
}

static void add_options(struct args *a, const struct sup_sserver_opts *o)
{
    static const char *const modes[] = {
        [SUP_SSERVER_WWW] = "-www", [SUP_SSERVER_FILES] = "-WWW", [SUP_SSERVER_ECHO] = "-rev"};
    add(a, "openssl");
    add(a, "s_server");
    add_option(a, "-accept", "127.0.0.1:0");
    add(a, modes[o->mode]);
    add_option(a, "-cert", sup_cert_file(o->cert));
    add_option(a, "-key", sup_key_file(o->cert));
    add_option(a, "-cert_chain", sup_chain_file(o->cert));
    add_option(a, "-alpn", o->alpn);
    add_option(a, "-cipher", o->ciphers);
    add_option(a, "-ciphersuites", o->ciphersuites);
    add_option(a, "-groups", o->groups);
    if (o->tls)
        add(a, strcmp(o->tls, "1.2") == 0 ? "-tls1_2" : "-tls1_3");
    if (o->no_tickets) {
        add(a, "-no_ticket");
        add_option(a, "-num_tickets", "0");
    }
    for (const char *const *word = o->extra; word && *word; word++)
        add(a, *word);
}

/* It prints "ACCEPT 127.0.0.1:PORT" once it listens. */
static uint16_t read_port(struct sup_proc *proc)
{
    static const char label[] = "ACCEPT 127.0.0.1:";
    if (!sup_proc_wait_output(proc, label, SUP_TIMEOUT_MS))
        return 0;
    unsigned long port = 0;
    /* The line may have been written in two pieces. */
    for (int64_t until = sup_now_ms() + SUP_TIMEOUT_MS; port == 0 && sup_left_ms(until) > 0;) {
        char *text = sup_file_read(sup_proc_output(proc), NULL);
        const char *at = text ? strstr(text, label) : NULL;
        if (at && strchr(at, '\n'))
            port = strtoul(at + sizeof(label) - 1, NULL, 10);
        free(text);
    }
    return (uint16_t)port;
}

struct sup_sserver *sup_sserver_start(const struct sup_sserver_opts *opts)
{
    static const struct sup_sserver_opts defaults = {0};
    const struct sup_sserver_opts *o = opts ? opts : &defaults;
    struct args args = {.n = 0};
    if (!sup_key_file(o->cert))
        return NULL;
    add_options(&args, o);
    struct sup_sserver *s = calloc(1, sizeof(*s));
    if (!s)
        abort();
    /* An idle pipe: at the end of its standard input it would end itself. */
    s->proc =
        sup_proc_start(&(struct sup_proc_opts){.argv = args.v, .dir = o->root, .stdin_open = true});
    s->port = s->proc ? read_port(s->proc) : 0;
    if (s->port != 0)
        return s;
    sup_sserver_stop(s);
    return NULL;
}

void sup_sserver_stop(struct sup_sserver *s)
{
    if (!s)
        return;
    sup_proc_stop(s->proc);
    free(s);
}

uint16_t sup_sserver_port(const struct sup_sserver *s)
{
    return s->port;
}

const char *sup_sserver_output(const struct sup_sserver *s)
{
    return sup_proc_output(s->proc);
}
