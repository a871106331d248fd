/* SPDX-License-Identifier: MIT */
/* Task-locals: bindings are links of the chain of limits, which children of a scope inherit as it is (scope.h): the links
 * outside a scope's own lie in frames that its owner cannot leave before the scope is closed, and nobody writes to them
 * while they are linked but for `fired`. A table copied at each spawn was rejected: it would make spawning dearer for
 * everybody, and lookups are rare and chains short. */
#include "exec/scope.h"
#include "exec/task.h"
#include "exec/util.h"
#include "exec/worker.h"

#include <thrum/local.h>
#include <thrum/time.h>

void thrum_local_bind(thrum_local_binding *binding, const thrum_local *local, void *value)
{
    struct thrum_task *task = thr_task_self();
    binding->local = local;
    binding->value = value;
    binding->link = (thrum_timeout){
        .deadline_ns = task->limit->deadline_ns, /* waits look at the innermost link only */
        .own_ns = THRUM_NEVER, /* no deadline is this link's own: thr_limit_fired() goes on */
        .scope = task->limit->scope,
        .outer = task->limit,
        .kind = THR_LIMIT_LOCAL,
    };
    task->limit = &binding->link;
}

void thrum_local_unbind(thrum_local_binding *binding)
{
    struct thrum_task *task = thr_task_self();
    THR_ASSERT(task->limit == &binding->link); /* innermost first, by who bound it */
    task->limit = binding->link.outer;
}

/* The innermost binding of local around the current task, or NULL. */
static const thrum_local_binding *find(const thrum_local *local)
{
    for (struct thrum_timeout *l = thr_task_self()->limit; l; l = l->outer) {
        if (l->kind != THR_LIMIT_LOCAL)
            continue;
        const thrum_local_binding *b = THR_CONTAINER(l, thrum_local_binding, link);
        if (b->local == local)
            return b;
    }
    return NULL;
}

void *thrum_local_get(const thrum_local *local)
{
    const thrum_local_binding *b = find(local);
    return b ? b->value : local->unbound;
}

bool thrum_local_is_bound(const thrum_local *local)
{
    return find(local) != NULL;
}
