/* SPDX-License-Identifier: MIT */
/* exec/driver_builtin.h: which driver a runtime that starts now gets. */
#ifndef THR_EXEC_DRIVER_BUILTIN_H
#define THR_EXEC_DRIVER_BUILTIN_H

#include "exec/driver.h"

/* The installed driver, or the built-in one. Context: any thread, once main() runs. */
const struct thr_driver *thr_driver_current(void);

#endif
