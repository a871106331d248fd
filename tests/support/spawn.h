/* SPDX-License-Identifier: MIT */
/* support/spawn.h: fork and exec, for the files of the support library alone. */
#ifndef SUPPORT_SPAWN_H
#define SUPPORT_SPAWN_H

#include "support/util.h"

struct sup_spawn {
    const char *const *argv;
    const char *const *env;
    const char *dir;
    int stdio[3]; /* become descriptors 0, 1 and 2 of the child */
    const int *fds;
    size_t fds_n;
    bool raise_limits; /* as many descriptors as the hard limit allows: for servers */
};

struct sup_child {
    pid_t pid;
    int pidfd; /* readable once the child has ended */
};

/* Starts the program; false, after a line on standard error, if it cannot be executed. */
bool sup_spawn(struct sup_child *child, const struct sup_spawn *spawn);

#endif
