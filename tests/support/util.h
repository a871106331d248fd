/* SPDX-License-Identifier: MIT */
/* support/util.h: clocks, files and sockets shared by the test support library.
 *
 * What fails says so in one line on standard error and returns NULL, -1 or false; no function of
 * this library asserts, so each may be called from any thread.  Every wait has a time limit.
 */
#ifndef SUPPORT_UTIL_H
#define SUPPORT_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The time limit to use where a test has no reason for another: generous, because it only bounds
 * how long a broken test takes, and sanitizers on a busy machine are slow. */
#define SUP_TIMEOUT_MS 30000

/* Milliseconds of the monotonic clock. */
int64_t sup_now_ms(void);

/* What is left until deadline_ms, as poll(2) takes it: 0 or more. */
int sup_left_ms(int64_t deadline_ms);

/* Prints one line, prefixed with "support: ", on standard error. */
void sup_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Formats into a new string; the caller frees it.  Ends the process when memory is exhausted. */
char *sup_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* -- Files -------------------------------------------------------------------------------------- */

/* The directory of this test process, made on first use below $TMPDIR (or /tmp) and removed with
 * everything in it when the process exits normally; a test that aborts leaves it, with the logs of its
 * servers.  NULL if it cannot be made. */
const char *sup_tmpdir(void);

/* A new file or directory name below sup_tmpdir() that nothing uses: "<tmpdir>/<stem>-<n>".
 * The caller frees it. */
char *sup_tmpname(const char *stem);

/* Makes a new directory named as by sup_tmpname().  The caller frees the name; the directory goes
 * with sup_tmpdir(), or earlier by sup_rmtree(). */
char *sup_tmpdir_new(const char *stem);

/* Removes a file, or a directory with all in it.  Returns false if something is left. */
bool sup_rmtree(const char *path);

/* Writes a whole file. */
bool sup_file_write(const char *path, const void *data, size_t bytes);

/* Reads a whole file, NUL added; *bytes (may be NULL) is its size.  The caller frees it. */
char *sup_file_read(const char *path, size_t *bytes);

/* How many times needle stands in the file (no overlaps); 0 when there is no such file. */
size_t sup_file_count(const char *path, const char *needle);

/* Waits until needle stands in the file at least n times, woken by the kernel's word (inotify) that
 * the file was written to.  The file's directory must exist, the file need not.  `quit_fd`, unless
 * negative, ends the wait when it becomes readable.  Returns true when it is there. */
bool sup_file_wait(const char *path, const char *needle, size_t n, int timeout_ms, int quit_fd);

/* -- This process ------------------------------------------------------------------------------- */

/* Open descriptors, threads, and resident memory now.  -1 if /proc cannot be read. */
int sup_fd_count(void);
int sup_thread_count(void);
long sup_rss_kib(void);

/* Waits until at most `most` descriptors are open here; true if so.  For a count taken after a
 * runtime has stopped whose last threads may still be closing theirs. */
bool sup_fd_count_falls_to(int most, int timeout_ms);

/* -- Sockets ------------------------------------------------------------------------------------ */

/* A port that is free for TCP and UDP on 127.0.0.1 at this moment; 0 on failure.  Somebody may take
 * it before its user binds it, so a server that cannot take a bound socket is started in a loop. */
uint16_t sup_port_free(void);

/* A TCP port on 127.0.0.1 or ::1 that the returned socket keeps from others: it is bound, does not listen
 * (connections are refused) and has SO_REUSEADDR, so that a server which sets that too, as nginx and
 * openssl do, can listen there all the same.  -1 on failure; close(2) it when the server has stopped. */
int sup_port_reserve(bool ipv6, uint16_t *port);

/* True when ::1 can be bound here. */
bool sup_has_ipv6(void);

/* A listening TCP socket (non-blocking, close-on-exec) on 127.0.0.1, or ::1; *port is what the kernel
 * chose.  -1 on failure. */
int sup_listen(bool ipv6, int backlog, uint16_t *port);

/* A UDP socket (likewise) on 127.0.0.1:port.  -1 if that is taken; nothing is printed. */
int sup_bind_udp(uint16_t port);

/* Connects to 127.0.0.1:port within the time; the socket is non-blocking.  Returns -errno on failure
 * (-ECONNREFUSED, -ETIMEDOUT, ...) and prints nothing. */
int sup_connect(uint16_t port, int timeout_ms);

/* Waits for poll(2) events on fd, or for quit_fd (unless negative) to become readable.  Returns 1 for
 * the event, 0 when the time is up, -1 when quit_fd spoke. */
int sup_wait_fd(int fd, short events, int quit_fd, int64_t deadline_ms);

/* Sends everything.  Returns 0 or -errno; -ETIMEDOUT, -ECANCELED (quit_fd). */
int sup_send_all(int fd, const void *data, size_t bytes, int quit_fd, int64_t deadline_ms);

/* One HTTP/1.0 GET over plain TCP to 127.0.0.1; returns the whole answer with its head, NUL added, or
 * NULL.  The caller frees it. */
char *sup_http_get(uint16_t port, const char *path, int timeout_ms);

#endif
