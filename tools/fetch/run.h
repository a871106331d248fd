/* SPDX-License-Identifier: MIT */
/* tools/fetch/run.h: fetches all URLs, as tasks.
 *
 * At most -c tasks each take the next URL, fetch it and report, until there is none: a million URLs cost the
 * memory of those under way. A task that has got its first URL starts the next one, so there are never more
 * tasks than there is work for, however slowly a list comes in. Three scopes lie in one another: the outer one is what signals
 * cancel; the middle one has the progress bar, cancelled when the work is done; the inner one the work.
 */
#ifndef TOOLS_FETCH_RUN_H
#define TOOLS_FETCH_RUN_H

#include <stdatomic.h>
#include <stdbool.h>

#include "tools/common/console.h"
#include "tools/common/output.h"
#include "tools/common/signals.h"
#include "tools/fetch/options.h"
#include "tools/fetch/order.h"
#include "tools/fetch/page.h"
#include "tools/fetch/report.h"
#include "tools/fetch/urls.h"

struct thr_fetch {
    const struct thr_fetch_options *options;
    thrum_tls_config *tls;
    struct thr_signals signals;
    struct thr_console console;
    struct thr_output out; /* standard output */
    struct thr_urls urls;
    struct thr_order order;
    struct thr_sink_target target;
    struct thr_page_how how;
    bool bar;
    uint64_t at_once; /* as options, or fewer if there are not enough descriptors */
    uint64_t begun;
    thrum_scope work;             /* the inner scope */
    atomic_uint_fast64_t tasks_n; /* started in it */

    struct thr_report_counts counts;
    struct thr_report_end end;
    atomic_int out_error;  /* standard output failed, or 0 */
    atomic_int list_error; /* reading the list of -i failed, or 0 */
};

/* The first task of the runtime; arg is the struct thr_fetch.
 * Returns: 0, also when URLs failed or it was cancelled; what kept it from starting. */
int thr_fetch_run(void *arg);

#endif
