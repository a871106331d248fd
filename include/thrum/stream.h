/* SPDX-License-Identifier: MIT */
/* A stream of bytes in both directions: what TCP, TLS and other connections have in common, and buffers on top.
 *
 * One task may read while another writes; two tasks that read (or write) the same stream at once are refused with
 * -EBUSY. Waits are bounded by the enclosing deadlines (thrum_timeout_begin(), scopes) and end with -ETIMEDOUT or
 * -ECANCELED; bytes that were moved before are not lost: the count says so, and the reason comes with the next call. */
#ifndef THRUM_STREAM_H
#define THRUM_STREAM_H

#include <sys/uio.h>
#include <thrum/common.h>

THRUM_BEGIN_DECLS

typedef struct thrum_stream thrum_stream;

/* What a kind of stream provides; the functions below call it. */
typedef struct thrum_stream_ops {
    ssize_t (*read)(thrum_stream *s, void *buf, size_t len);
    ssize_t (*writev)(thrum_stream *s, const struct iovec *iov,
                      int iov_n);     /* as much as goes at once, > 0 */
    int (*shutdown)(thrum_stream *s); /* end of our sending direction */
    void (*close)(thrum_stream *s);

    /* NULL, or what lets a call that reads or writes several times be closed under: between pin, which returns 0 or
     * THRUM_ECLOSED, and unpin a close in another task waits, and read and writev fail with THRUM_ECLOSED. */
    int (*pin)(thrum_stream *s);
    void (*unpin)(thrum_stream *s);
} thrum_stream_ops;

/* The head of every stream object. */
struct thrum_stream {
    const thrum_stream_ops *ops;
};

/* Reads at least one byte and at most len.
 *
 * Returns: the count; 0 at the end of the stream (or when len is 0); -ETIMEDOUT, -ECANCELED, -EBUSY,
 *          THRUM_ECLOSED (closed meanwhile), -ECONNRESET and what else the system or the layer below reports.
 * Context: task. Suspends while there is nothing to read. */
THRUM_API THRUM_MUST_CHECK ssize_t thrum_stream_read(thrum_stream *s, void *buf, size_t len);

/* Reads exactly len bytes.
 *
 * Returns: 0; -ENODATA if the stream ended before; the errors of thrum_stream_read(). *got (unless NULL) has the
 *          count read, also on failure.
 * Context: task. Suspends. */
THRUM_API THRUM_MUST_CHECK int thrum_stream_read_exactly(thrum_stream *s, void *buf, size_t len,
                                                         size_t *got);

/* Writes everything.
 *
 * Returns: 0, or an error (-EPIPE, -ECONNRESET, ...). *put (unless NULL) has the count accepted, also on failure.
 * Context: task. Suspends while the peer does not take more. */
THRUM_API THRUM_MUST_CHECK int thrum_stream_write(thrum_stream *s, const void *buf, size_t len,
                                                  size_t *put);

/* The same for several pieces (at most 16).
 * Context: task. Suspends. */
THRUM_API THRUM_MUST_CHECK int thrum_stream_writev(thrum_stream *s, const struct iovec *iov,
                                                   int iov_n, size_t *put);

/* Ends the sending direction; the peer reads the end of the stream. Reading goes on.
 *
 * Returns: 0 or a negative code. Context: task. May suspend (TLS sends its goodbye). */
THRUM_API int thrum_stream_shutdown(thrum_stream *s);

/* Closes the stream and frees it. Tasks that wait on it wake with THRUM_ECLOSED, and the close waits for them to
 * leave. NULL is allowed.
 *
 * Owns:    takes s. Context: task. May suspend briefly; cannot fail and cannot be interrupted. */
THRUM_API void thrum_stream_close(thrum_stream *s);

/* ---- Buffered reading ------------------------------------------------------------------------------------------- */

/* A reader with a buffer of its caller's. */
typedef struct thrum_reader {
    thrum_stream *stream;
    char *buf;
    size_t buf_bytes;
    size_t start, end; /* buf[start .. end) is read and not yet consumed */
} thrum_reader;

/* Owns: stream and buf are borrowed while the reader is used. Context: any thread. */
THRUM_API void thrum_reader_init(thrum_reader *r, thrum_stream *stream, void *buf,
                                 size_t buf_bytes);

/* Reads once more from the stream behind what is buffered (moving it to the front if need be).
 *
 * Returns: the count; 0 at the end of the stream; -ENOBUFS if the buffer is full; a stream error.
 * Context: task. Suspends. */
THRUM_API THRUM_MUST_CHECK ssize_t thrum_reader_fill(thrum_reader *r);

/* Reads some bytes: buffered ones first, large reads straight from the stream. As thrum_stream_read().
 * Context: task. Suspends. */
THRUM_API THRUM_MUST_CHECK ssize_t thrum_reader_read(thrum_reader *r, void *buf, size_t len);

/* Finds the next `delim`, and gives the bytes up to and including it as *line, valid until the next call.
 *
 * Returns: the length; 0 at the end of the stream with nothing buffered; -ENOBUFS if the buffer holds no delimiter;
 *          -ENODATA if the stream ended within a line; a stream error.
 * Context: task. Suspends. */
THRUM_API THRUM_MUST_CHECK ssize_t thrum_reader_until(thrum_reader *r, char delim, char **line);

/* ---- Buffered writing ------------------------------------------------------------------------------------------- */

/* A writer with a buffer of its caller's; what is too large for it goes out directly, in order. */
typedef struct thrum_writer {
    thrum_stream *stream;
    char *buf;
    size_t buf_bytes;
    size_t used;
} thrum_writer;

/* Owns: stream and buf are borrowed while the writer is used. Context: any thread. */
THRUM_API void thrum_writer_init(thrum_writer *w, thrum_stream *stream, void *buf,
                                 size_t buf_bytes);

/* Returns: 0 or a stream error, after which what the peer has got is unknown. Context: task. May suspend. */
THRUM_API THRUM_MUST_CHECK int thrum_writer_write(thrum_writer *w, const void *buf, size_t len);
THRUM_API THRUM_MUST_CHECK int thrum_writer_flush(thrum_writer *w);

THRUM_END_DECLS

#endif
