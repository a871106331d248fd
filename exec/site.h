/* SPDX-License-Identifier: MIT */
/* exec/site.h: the places in the program that spawn tasks, numbered, so that a task's record needs two bytes for its own.
 *
 * Roles       id, at: any thread.
 * Invariants  N1  a site gets one number, at its first use, for ever; the table entry is written before the number. */
#ifndef THR_EXEC_SITE_H
#define THR_EXEC_SITE_H

#include "exec/atomic.h"
#include <thrum/task.h>

enum { THR_SITES_MAX = 4096 };

/* Gives the site a number. */
uint16_t thr_site_register(thrum_site *site);

/* The site's number; 0 if it is NULL or there are too many. */
static inline uint16_t thr_site_id(thrum_site *site)
{
    if (!site)
        return 0;
    uint32_t id = thr_load((thr_au32 *)(void *)&site->id, THR_RELAXED); /* N1: at() synchronises */
    return id ? (uint16_t)id : thr_site_register(site);
}

/* The site with this number, or NULL. */
const thrum_site *thr_site_at(unsigned id);

#endif
