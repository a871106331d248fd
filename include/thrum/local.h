/* SPDX-License-Identifier: MIT */
/* Task-locals: values that are bound for the time of a call and for the tasks it starts, as Java's ScopedValue and
 * asyncio's contextvars: who asks, a request's name, a tracing span, without an argument in each function between.
 *
 *     static thrum_local request_id = THRUM_LOCAL_INIT;
 *
 *     thrum_local_binding binding;
 *     thrum_local_bind(&binding, &request_id, request->id);
 *     serve(request);                    // thrum_local_get(&request_id) is its id here and in the scopes that it opens
 *     thrum_local_unbind(&binding);
 *
 * A task sees its own bindings, innermost first, then those in force where the scope it was spawned into was opened.
 * So a binding nests strictly with scopes, time limits and other bindings of its task: what was begun last ends first, which
 * is asserted. It cannot be changed, only hidden by another one further in: nothing needs a lock. What the value points to
 * must be safe for several tasks at once if tasks that inherit it use it.
 *
 * Tasks of thrum_spawn() outlive the scopes around them, so they inherit nothing: they get what they need as argument.
 * Functions run by thrum_blocking() are outside every task and must not ask. */
#ifndef THRUM_LOCAL_H
#define THRUM_LOCAL_H

#include <thrum/common.h>
#include <thrum/task.h>

THRUM_BEGIN_DECLS

/* A task-local: its address is what identifies it. Usually a static variable, never changed. */
typedef struct thrum_local {
    void *unbound; /* what thrum_local_get() returns where nothing is bound */
} thrum_local;

#define THRUM_LOCAL_INIT                                                                           \
    {                                                                                              \
        NULL                                                                                       \
    }

/* The same with a value for where nothing is bound. */
#define THRUM_LOCAL_INIT_TO(value)                                                                 \
    {                                                                                              \
        (value)                                                                                    \
    }

/* A value bound to a local. In the caller's storage, usually on its stack. */
typedef struct thrum_local_binding {
    /* Private to the library. */
    thrum_timeout link;
    const thrum_local *local;
    void *value;
} thrum_local_binding;

/* Binds value to local, from now on until thrum_local_unbind(), for this task and all that are spawned into scopes opened
 * meanwhile. A scope that is open already does not hand it on.
 *
 * Owns:    the binding's storage is the caller's and must stay where it is; value is only kept.
 * Context: task. Does not suspend, does not fail. */
THRUM_API void thrum_local_bind(thrum_local_binding *binding, const thrum_local *local,
                                void *value);

/* Ends the binding: what was bound before is in force again.
 *
 * Context: the task that bound it, innermost first. Does not suspend. */
THRUM_API void thrum_local_unbind(thrum_local_binding *binding);

/* The innermost value bound to local, or its `unbound` if there is none. Takes time in proportion to the bindings, limits
 * and scopes around the caller: a few nanoseconds for a few.
 *
 * Context: task. Does not suspend. */
THRUM_API void *thrum_local_get(const thrum_local *local);

/* True if a value, be it NULL, is bound to local.
 *
 * Context: task. Does not suspend. */
THRUM_API bool thrum_local_is_bound(const thrum_local *local);

THRUM_END_DECLS

#endif
