/* SPDX-License-Identifier: MIT */
/* What every public header needs: visibility, attributes, the version. */
#ifndef THRUM_COMMON_H
#define THRUM_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define THRUM_VERSION_MAJOR 0
#define THRUM_VERSION_MINOR 1
#define THRUM_VERSION_PATCH 0
#define THRUM_VERSION "0.1.0"

#if defined(__GNUC__)
#define THRUM_API __attribute__((visibility("default")))
#define THRUM_MUST_CHECK __attribute__((warn_unused_result))
#define THRUM_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define THRUM_API
#define THRUM_MUST_CHECK
#define THRUM_PRINTF(fmt, args)
#endif

#ifdef __cplusplus
#define THRUM_BEGIN_DECLS extern "C" {
#define THRUM_END_DECLS }
#else
#define THRUM_BEGIN_DECLS
#define THRUM_END_DECLS
#endif

#endif
