/* SPDX-License-Identifier: MIT */
/* Whole files, read before a runtime is started. */
#include "tools/common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int read_all(struct thr_text *t, int fd)
{
    char buf[2048];
    for (;;) {
        ssize_t n = read(fd, buf, sizeof(buf));
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            return t->failed ? -ENOMEM : 0;
        if (n > 0)
            thr_text_add(t, buf, (size_t)n);
    }
}

int thr_file_read(struct thr_text *t, const char *path)
{
    if (strcmp(path, "-") == 0)
        return read_all(t, STDIN_FILENO);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int err = read_all(t, fd);
    close(fd);
    return err;
}
