/* SPDX-License-Identifier: MIT */
/* exec/items.h: items of one size in chunks: taken from either end, growing at the back, never moved.
 *
 * An item's position never changes while it is in; position p lies in chunk p / per, and a directory, a ring itself, leads
 * to the chunks. So growing copies a few pointers, not the items, and memory is asked for and given back by the caller
 * outside its lock: the store itself calls no allocator once it is set up.
 *
 * Invariants  M1  the directory has a chunk for each index from that of `first` to that of the last item; it may have one
 *                 for the position after the last item (a room that was made and not used), and has no others.
 *             M2  a store that was reserved has as many chunks as its items can need, wherever `first` lies in its chunk,
 *                 and keeps them all.
 * Not for several threads: the caller has a lock. */
#ifndef THR_EXEC_ITEMS_H
#define THR_EXEC_ITEMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct thr_items_chunk { /* a spare one; else it is just items */
    struct thr_items_chunk *next;
};

struct thr_items {
    size_t bytes;      /* of an item */
    size_t per;        /* items a chunk: a power of two */
    unsigned per_log2; /* its logarithm */
    uint64_t first;    /* position of the first item */
    size_t count;
    void **dir;
    size_t dir_n; /* a power of two, or 0 */
    struct thr_items_chunk *spares;
    size_t spares_n, spares_max;
};

/* Memory for a store: on its way in, or out of it. Zero: none. */
struct thr_items_more {
    void *chunk;
    void **dir;
    size_t chunk_bytes, dir_n; /* wanted; 0: the directory is large enough */
};

/* An empty store. reserve: 0, or for how many items there shall always be room.
 *
 * Returns: 0, -ENOMEM, -EINVAL (too large); fini copes with either. */
int thr_items_init(struct thr_items *it, size_t item_bytes, size_t reserve);

/* Frees the memory; what is in it is forgotten. A zeroed store is allowed. */
void thr_items_fini(struct thr_items *it);

/* Makes room for one more item at the back, if the memory for it is there. */
bool thr_items_room(struct thr_items *it);

/* Under the lock: says in *more what is wanted to make room. */
void thr_items_want(const struct thr_items *it, struct thr_items_more *more);

/* Without the lock: gets it. Returns: 0 or -ENOMEM (*more is then empty). */
int thr_items_more_get(struct thr_items_more *more);

/* Under the lock: takes it in. In *more remains what is not needed any more, to be freed without the lock. */
void thr_items_add(struct thr_items *it, struct thr_items_more *more);
void thr_items_more_free(struct thr_items_more *more);

/* The item so many places behind the first; at(count) is the room that was made. */
static inline void *thr_items_at(const struct thr_items *it, size_t index)
{
    uint64_t p = it->first + index;
    char *chunk = it->dir[(p >> it->per_log2) & (it->dir_n - 1)];
    return chunk + (size_t)(p & (it->per - 1)) * it->bytes;
}

/* Takes in what was written to the room. */
static inline void thr_items_push(struct thr_items *it)
{
    it->count++;
}

/* Drops an item, which was copied before. Returns: NULL, or memory that the caller must free() after its lock. */
void *thr_items_drop_first(struct thr_items *it);
void *thr_items_drop_last(struct thr_items *it);

#endif
