/* SPDX-License-Identifier: MIT */
#include "exec/ring.h"

uint32_t thr_ring_steal(struct thr_ring *victim, void **out, uint32_t max)
{
    uint32_t head = thr_load(&victim->head, THR_ACQUIRE);
    for (;;) {
        uint32_t tail = thr_load(&victim->tail, THR_SEQ_CST); /* (B) */
        uint32_t n = tail - head;
        if (n > THR_RING) { /* head is stale: the two loads were far apart */
            head = thr_load(&victim->head, THR_ACQUIRE);
            continue;
        }
        n -= n / 2;
        if (n > max)
            n = max;
        if (n == 0)
            return 0;
        for (uint32_t i = 0; i < n; i++)
            out[i] = thr_load(&victim->slots[(head + i) % THR_RING], THR_RELAXED);
        if (thr_cas_weak(&victim->head, &head, head + n, THR_ACQ_REL, THR_ACQUIRE)) /* (C), R3 */
            return n;
    }
}
