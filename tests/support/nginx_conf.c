/* SPDX-License-Identifier: MIT */
/* support/nginx_conf.c: what nginx is told.  The paths are documented in support/nginx.h. */
#include "support/nginx_conf.h"

#include <stdio.h>
#include <stdlib.h>

#define REDIRECTS_MAX 20

struct listener {
    enum sup_cert cert;
    const char *protocols; /* NULL: no TLS */
};

static const struct listener listeners[SUP_NGINX_PORTS] = {
    [SUP_NGINX_HTTP] = {SUP_CERT_GOOD, NULL},
    [SUP_NGINX_HTTPS] = {SUP_CERT_GOOD, "TLSv1.2 TLSv1.3"},
    [SUP_NGINX_TLS12] = {SUP_CERT_GOOD, "TLSv1.2"},
    [SUP_NGINX_TLS13] = {SUP_CERT_GOOD, "TLSv1.3"},
    [SUP_NGINX_HTTP6] = {SUP_CERT_GOOD, NULL},
    [SUP_NGINX_HTTPS6] = {SUP_CERT_GOOD, "TLSv1.2 TLSv1.3"},
    [SUP_NGINX_RSA] = {SUP_CERT_RSA, "TLSv1.2 TLSv1.3"},
    [SUP_NGINX_CHAIN] = {SUP_CERT_CHAIN, "TLSv1.2 TLSv1.3"},
    [SUP_NGINX_INCOMPLETE] = {SUP_CERT_INCOMPLETE, "TLSv1.2 TLSv1.3"},
    [SUP_NGINX_EXPIRED] = {SUP_CERT_EXPIRED, "TLSv1.2 TLSv1.3"},
    [SUP_NGINX_NOT_YET] = {SUP_CERT_NOT_YET, "TLSv1.2 TLSv1.3"},
    [SUP_NGINX_SELF_SIGNED] = {SUP_CERT_SELF_SIGNED, "TLSv1.2 TLSv1.3"},
    [SUP_NGINX_WRONG_HOST] = {SUP_CERT_WRONG_HOST, "TLSv1.2 TLSv1.3"},
    [SUP_NGINX_UNKNOWN_CA] = {SUP_CERT_UNKNOWN_CA, "TLSv1.2 TLSv1.3"},
};

static void write_pages(FILE *f, const char *pages)
{
    static const char *const variants[][2] = {
        {"pages", ""},
        {"gzip", "gzip on; gzip_types *;"},
        {"chunked", "ssi on; ssi_types *;"}, /* nothing to expand, but the length is gone */
        {"until-close", "ssi on; ssi_types *; chunked_transfer_encoding off;"},
        {"close", "keepalive_timeout 0;"},
        {"slow", "limit_rate 512;"},
    };
    for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++)
        fprintf(f, "location /%s/ { alias %s/; %s }\n", variants[i][0], pages, variants[i][1]);
}

static void write_files(FILE *f, const char *dir)
{
    fprintf(f, "location = /large { alias %s/large; }\n", dir);
    fprintf(f, "location = /large-gzip { alias %s/large; gzip on; gzip_types *; }\n", dir);
    fprintf(f, "location = /bomb-gzip { alias %s/bomb.gz; add_header Content-Encoding gzip; }\n",
            dir);
}

static void write_statuses(FILE *f)
{
    static const int codes[] = {200, 204, 400, 401, 403, 404, 410, 418, 429, 500, 502, 503, 504};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        fprintf(f, "location = /status/%d { return %d \"status %d\\n\"; }\n", codes[i], codes[i],
                codes[i]);
}

static void write_redirects(FILE *f, const struct sup_nginx_setup *s)
{
    static const int codes[] = {301, 302, 303, 307, 308};
    fputs("location = /redirect/1 { return 302 /pages/0; }\n"
          "location = /redirect-abs/1 { return 302 $scheme://$http_host/pages/0; }\n"
          "location = /redirect-loop { return 302 /redirect-loop; }\n",
          f);
    for (int i = 2; i <= REDIRECTS_MAX; i++) {
        fprintf(f, "location = /redirect/%d { return 302 /redirect/%d; }\n", i, i - 1);
        fprintf(
            f, "location = /redirect-abs/%d { return 302 $scheme://$http_host/redirect-abs/%d; }\n",
            i, i - 1);
    }
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        fprintf(f, "location = /redirect-code/%d { return %d /echo; }\n", codes[i], codes[i]);
    fprintf(f, "location = /redirect-http { return 302 http://$host:%u/pages/1; }\n",
            s->ports[SUP_NGINX_HTTP]);
    if (!s->opts.no_tls)
        fprintf(f, "location = /redirect-https { return 302 https://$host:%u/pages/1; }\n",
                s->ports[SUP_NGINX_HTTPS]);
}

static void write_echoes(FILE *f, uint16_t http_port)
{
    fputs("location = /echo { return 200 \"$request_method $request_uri $server_protocol "
          "host=[$http_host] ua=[$http_user_agent] accept=[$http_accept] "
          "encoding=[$http_accept_encoding] auth=[$http_authorization] x-test=[$http_x_test] "
          "type=[$http_content_type] length=[$http_content_length]\\n\"; }\n"
          "location = /tls { return 200 "
          "\"$tls_protocol $tls_cipher $tls_name $tls_alpn $tls_reused\\n\"; }\n",
          f);
    /* Only a proxied location reads the body into a variable; the header carries it back to us. */
    fprintf(f,
            "location = /echo-body { client_body_buffer_size 8k; client_body_in_single_buffer on; "
            "proxy_method GET; proxy_pass_request_body off; proxy_set_header Content-Length \"\"; "
            "proxy_set_header X-Body $request_body; "
            "proxy_pass http://127.0.0.1:%u/echo-body-inner; }\n"
            "location = /echo-body-inner { return 200 $http_x_body; }\n",
            http_port);
}

static void write_headers(FILE *f)
{
    static const int counts[] = {10, 100};
    for (int i = 0; i < 2; i++) {
        fprintf(f, "location = /headers/%d {\n", counts[i]);
        for (int k = 0; k < counts[i]; k++)
            fprintf(f, "add_header X-Fill-%d %064d;\n", k, k);
        fputs("return 200 \"ok\\n\"; }\n", f);
    }
}

static void write_server(FILE *f, const struct sup_nginx_setup *s, enum sup_nginx_port which)
{
    const struct listener *l = &listeners[which];
    bool ipv6 = which == SUP_NGINX_HTTP6 || which == SUP_NGINX_HTTPS6;
    fprintf(f, "server { listen %s:%u backlog=4096%s;\n", ipv6 ? "[::1]" : "127.0.0.1",
            s->ports[which], l->protocols ? " ssl" : "");
    if (l->protocols)
        fprintf(f, "ssl_certificate %s; ssl_certificate_key %s; ssl_protocols %s;\n",
                sup_cert_file(l->cert), sup_key_file(l->cert), l->protocols);
    fprintf(f, "include locations.conf;\n%s\n}\n",
            s->opts.server_extra ? s->opts.server_extra : "");
}

/* An empty variable is said as "-", so that a line splits into words. */
static void write_maps(FILE *f)
{
    static const char *const names[][2] = {
        {"ssl_protocol", "tls_protocol"},     {"ssl_cipher", "tls_cipher"},
        {"ssl_server_name", "tls_name"},      {"ssl_alpn_protocol", "tls_alpn"},
        {"ssl_session_reused", "tls_reused"},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        fprintf(f, "map $%s $%s { \"\" -; default $%s; }\n", names[i][0], names[i][1], names[i][0]);
}

static void write_main(FILE *f, const struct sup_nginx_setup *s)
{
    const struct sup_nginx_opts *o = &s->opts;
    fprintf(f,
            "daemon off; master_process off; pid nginx.pid; error_log stderr info;\n"
            "events { worker_connections %u; multi_accept on; }\n"
            "http {\n"
            "types { } default_type text/plain; root %s; server_tokens off; sendfile on;\n"
            "tcp_nodelay on; absolute_redirect off; client_max_body_size 16m;\n"
            "keepalive_requests %u; keepalive_timeout %ums;\n"
            "client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;\n"
            "uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n"
            "log_format brief '$server_port $connection $connection_requests $request_method "
            "$request_uri $server_protocol $status $body_bytes_sent $tls_protocol';\n",
            o->connections_max, s->pages_dir, o->keepalive_n, o->keepalive_ms);
    if (o->no_access_log)
        fputs("access_log off;\n", f);
    else
        fprintf(f, "access_log %s/access.log brief;\n", s->dir);
    if (o->no_tickets)
        fputs("ssl_session_tickets off; ssl_session_cache off;\n", f);
    else
        fputs("ssl_session_cache shared:tls:4m;\n", f);
    write_maps(f);
    fprintf(f, "%s\n", o->http_extra ? o->http_extra : "");
    for (int i = 0; i < SUP_NGINX_PORTS; i++)
        if (s->ports[i])
            write_server(f, s, i);
    fputs("}\n", f);
}

static FILE *create(const struct sup_nginx_setup *s, const char *name)
{
    char *path = sup_format("%s/%s", s->dir, name);
    FILE *f = fopen(path, "we");
    if (!f)
        sup_say("cannot write %s", path);
    free(path);
    return f;
}

bool sup_nginx_conf_write(const struct sup_nginx_setup *s)
{
    for (int i = 0; i < SUP_NGINX_PORTS; i++)
        if (s->ports[i] && listeners[i].protocols && !sup_key_file(listeners[i].cert))
            return false;

    FILE *f = create(s, "nginx.conf");
    if (!f)
        return false;
    write_main(f, s);
    bool ok = fclose(f) == 0;

    f = create(s, "locations.conf");
    if (!f)
        return false;
    fputs("location = /sup-status { stub_status; access_log off; }\n", f);
    write_pages(f, s->pages_dir);
    write_files(f, s->dir);
    write_statuses(f);
    write_redirects(f, s);
    write_echoes(f, s->ports[SUP_NGINX_HTTP]);
    write_headers(f);
    return fclose(f) == 0 && ok;
}
