/* SPDX-License-Identifier: MIT */
/* Standard error as lines, with a progress bar below them. */
#include "tools/common/console.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define ERASE_LINE "\r\x1b[K"

void thr_console_init(struct thr_console *c, int quit_fd)
{
    thr_output_init(&c->out, STDERR_FILENO, quit_fd);
    atomic_init(&c->bar_shown, false);
}

bool thr_console_has_bar(void)
{
    const char *term = getenv("TERM"); /* NOLINT(concurrency-mt-unsafe): there are no others yet */
    return isatty(STDERR_FILENO) && (!term || strcmp(term, "dumb") != 0);
}

unsigned thr_console_columns(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return 80;
    return size.ws_col;
}

void thr_console_line(struct thr_console *c, const struct thr_text *line)
{
    struct thr_text t = {0};
    if (atomic_exchange(&c->bar_shown, false))
        thr_text_adds(&t, ERASE_LINE);
    thr_text_add(&t, line->data, line->n);
    thr_text_adds(&t, "\n");
    if (!t.failed && !line->failed)
        (void)thr_output_write(&c->out, t.data, t.n);
    thr_text_fini(&t);
}

void thr_console_bar(struct thr_console *c, const char *bar)
{
    struct thr_text t = {0};
    thr_text_addf(&t, ERASE_LINE "%s", bar);
    /* Before the write: a line that comes in between erases once too often, which shows nothing. */
    atomic_store(&c->bar_shown, true);
    if (!t.failed)
        (void)thr_output_write(&c->out, t.data, t.n);
    thr_text_fini(&t);
}

void thr_console_finish(struct thr_console *c)
{
    if (atomic_exchange(&c->bar_shown, false))
        (void)thr_output_put(STDERR_FILENO, ERASE_LINE, sizeof(ERASE_LINE) - 1);
}
