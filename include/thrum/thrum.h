/* SPDX-License-Identifier: MIT */
/* The whole of thrum. */
#ifndef THRUM_THRUM_H
#define THRUM_THRUM_H

#include <thrum/addr.h>
#include <thrum/blocking.h>
#include <thrum/broadcast.h>
#include <thrum/chan.h>
#include <thrum/common.h>
#include <thrum/dns.h>
#include <thrum/error.h>
#include <thrum/fork.h>
#include <thrum/gather.h>
#include <thrum/http.h>
#include <thrum/local.h>
#include <thrum/queue.h>
#include <thrum/runtime.h>
#include <thrum/select.h>
#include <thrum/stack.h>
#include <thrum/stream.h>
#include <thrum/sync.h>
#include <thrum/task.h>
#include <thrum/tcp.h>
#include <thrum/time.h>
#include <thrum/timer.h>
#include <thrum/tls.h>
#include <thrum/url.h>
#include <thrum/watch.h>

#endif
