/* SPDX-License-Identifier: MIT */
/* support/proc.h: other programs, as servers beside a test and as the program under test.
 *
 * A child is sent SIGKILL when the thread that started it ends (PR_SET_PDEATHSIG), so that a test
 * that dies leaves nothing behind: start servers from the test's main thread.  A child inherits the
 * descriptors 0, 1 and 2 and those it is explicitly given.
 */
#ifndef SUPPORT_PROC_H
#define SUPPORT_PROC_H

#include "support/util.h"

/* The path of an installed program, looked for in $PATH and the sbin directories.  NULL, after a line
 * that names tools/deps.sh, if it is not there.  The string lives as long as the process. */
const char *sup_program(const char *name);

/* -- Servers ------------------------------------------------------------------------------------ */

struct sup_proc;

struct sup_proc_opts {
    const char *const *argv; /* argv[0]: a path, or a name for sup_program(); ends in NULL */
    const char *const *env;  /* "NAME=value" added to the environment, ends in NULL; may be NULL */
    const char *dir;         /* NULL: the test's own working directory */
    const int *fds;          /* descriptors to pass on; they keep their numbers */
    size_t fds_n;
    bool stdin_open; /* false: standard input is /dev/null; true: an idle pipe */
    int stop_signal; /* 0: SIGTERM */
};

/* Starts a program; its standard output and error go to the file sup_proc_output().  NULL if it cannot
 * be executed. */
struct sup_proc *sup_proc_start(const struct sup_proc_opts *opts);

/* Ends it with the stop signal, after 5 seconds with SIGKILL, reaps it and frees p.  Returns the wait
 * status, as waitpid(2) gives it; -1 for p == NULL. */
int sup_proc_stop(struct sup_proc *p);

pid_t sup_proc_pid(const struct sup_proc *p);
bool sup_proc_is_running(struct sup_proc *p);

/* The file with its output.  Lives as long as p. */
const char *sup_proc_output(const struct sup_proc *p);

/* Waits until needle stands in the output.  false when the time is up or the program has ended
 * without it; then its output is printed. */
bool sup_proc_wait_output(struct sup_proc *p, const char *needle, int timeout_ms);

/* Waits until 127.0.0.1:port accepts a TCP connection.  false as above. */
bool sup_proc_wait_port(struct sup_proc *p, uint16_t port, int timeout_ms);

/* Prints the last 4 KiB of its output on standard error, for a test that is about to fail. */
void sup_proc_show(const struct sup_proc *p);

/* -- Programs run to their end ------------------------------------------------------------------ */

struct sup_run_opts {
    const char *const *argv; /* as above */
    const char *const *env;
    const char *dir;
    const void *stdin_data; /* NULL: standard input is empty */
    size_t stdin_bytes;
    int timeout_ms; /* 0: SUP_TIMEOUT_MS; then SIGKILL */

    /* One signal is sent when the first of these that is set comes true. */
    int signal_no;                  /* 0: none */
    const char *signal_on_output;   /* this stands in its standard output or error so far */
    bool (*signal_when)(void *arg); /* asked every few milliseconds on the calling thread */
    void *signal_arg;

    size_t
        stdout_close_after; /* > 0: the reading end closes after so many bytes (SIGPIPE, EPIPE) */
    bool stderr_tty;        /* standard error is a terminal of 80 columns */
};

struct sup_run_result {
    int exit_code;  /* -1: it ended by a signal */
    int signal_no;  /* 0: it exited */
    bool timed_out; /* killed by the time limit */
    bool signalled; /* opts.signal_no was sent */
    char *out;      /* standard output and error, NUL added */
    size_t out_bytes;
    char *err;
    size_t err_bytes;
    long
        max_rss_kib; /* wait4(2); never below what the test process itself had resident, for the kernel
                       * counts the copy before exec */
    int64_t wall_ms;
    int64_t user_ms;
    int64_t system_ms;
};

/* Runs a program to its end.  Returns false only if it could not be started; *result is then empty.
 * sup_run_result_free() frees what it holds. */
bool sup_run(struct sup_run_result *result, const struct sup_run_opts *opts);
void sup_run_result_free(struct sup_run_result *result);

/* The usual case: runs argv, true if it exits with 0; otherwise prints its output. */
bool sup_run_ok(const char *const *argv);

#endif
