/* SPDX-License-Identifier: MIT */
/* tools/fetch/fetch.h: the command `thrum fetch`. */
#ifndef TOOLS_FETCH_FETCH_H
#define TOOLS_FETCH_FETCH_H

/* Runs the command; argv begins behind its name. Returns the exit status. */
int thr_fetch_main(int argc, char *const *argv);

#endif
