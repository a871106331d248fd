/* SPDX-License-Identifier: MIT */
/* support/nginx_conf.h: the configuration of support/nginx.c. */
#ifndef SUPPORT_NGINX_CONF_H
#define SUPPORT_NGINX_CONF_H

#include "support/nginx.h"

struct sup_nginx_setup {
    struct sup_nginx_opts opts;
    uint16_t ports[SUP_NGINX_PORTS]; /* 0: no such listener */
    char *dir;                       /* prefix: configuration, logs, large files */
    const char *pages_dir;
};

/* Writes nginx.conf and locations.conf to the prefix. */
bool sup_nginx_conf_write(const struct sup_nginx_setup *setup);

#endif
