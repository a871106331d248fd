/* SPDX-License-Identifier: MIT */
/* The text of a progress bar. */
#include "tools/common/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/common/quantity.h"

#define BAR_MIN 10
#define BAR_MAX 40

/* "[=====>    ] " of `width` characters between the brackets. */
static size_t draw_bar(char *text, unsigned width, const struct thr_progress *p)
{
    uint64_t done = p->done < p->total ? p->done : p->total;
    unsigned full = (unsigned)((double)done / (double)p->total * width);
    text[0] = '[';
    for (unsigned i = 0; i < width; i++)
        text[1 + i] = i < full ? '=' : i == full ? '>' : ' ';
    memcpy(text + 1 + width, "] ", 3);
    return width + 3;
}

/* " 0:42 left", guessed from the pace so far; nothing in the first second. */
static void draw_left(char *text, size_t text_bytes, const struct thr_progress *p)
{
    text[0] = '\0';
    if (p->done == 0 || p->done >= p->total || p->elapsed_ns < UINT64_C(1000000000))
        return;
    double left = (double)p->elapsed_ns / 1e9 / (double)p->done * (double)(p->total - p->done);
    if (left < 360000)
        snprintf(text, text_bytes, "  %u:%02u left", (unsigned)left / 60, (unsigned)left % 60);
}

char *thr_progress_text(const struct thr_progress *p, unsigned columns, char text[THR_PROGRESS_MAX])
{
    char total[32] = "", bytes[THR_QUANTITY_TEXT_MAX], failed[40] = "", left[32];
    if (p->total)
        snprintf(total, sizeof(total), "/%" PRIu64, p->total);
    if (p->failed)
        snprintf(failed, sizeof(failed), "  %" PRIu64 " failed", p->failed);
    draw_left(left, sizeof(left), p);
    double seconds = (double)p->elapsed_ns / 1e9;
    double pace = seconds > 0 ? (double)p->done / seconds : 0;

    char words[THR_PROGRESS_MAX];
    int n = snprintf(words, sizeof(words), "%" PRIu64 "%s pages  %s  %.0f pages/s%s%s", p->done,
                     total, thr_quantity_bytes(p->bytes, bytes), pace, failed, left);
    size_t room = columns > THR_PROGRESS_MAX ? THR_PROGRESS_MAX - 1 : columns > 1 ? columns - 1 : 0;
    size_t bar = 0;
    if (p->total && room >= (size_t)n + BAR_MIN + 3) {
        size_t width = room - (size_t)n - 3;
        bar = draw_bar(text, (unsigned)(width < BAR_MAX ? width : BAR_MAX), p);
    }
    snprintf(text + bar, room - bar + 1, "%s", words);
    return text;
}
