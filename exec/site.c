/* SPDX-License-Identifier: MIT */
#include "exec/site.h"

#include "exec/lock.h"

static struct thr_lock lock;
static thr_aptr table[THR_SITES_MAX]; /* written under lock; entry 0 stays empty */
static uint32_t used_n = 1;           /* guarded by lock */

uint16_t thr_site_register(thrum_site *site)
{
    thr_au32 *id = (thr_au32 *)(void *)&site->id;
    thr_lock(&lock);
    uint32_t n = thr_load(id, THR_RELAXED);
    if (n == 0 && used_n < THR_SITES_MAX) {
        n = used_n++;
        thr_store(&table[n], site, THR_RELEASE); /* -> thr_site_at(), load acquire */
        thr_store(id, n, THR_RELAXED);
    }
    thr_unlock(&lock);
    return (uint16_t)n;
}

const thrum_site *thr_site_at(unsigned id)
{
    return id < THR_SITES_MAX ? thr_load(&table[id], THR_ACQUIRE) : NULL;
}
