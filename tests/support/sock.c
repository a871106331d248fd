/* SPDX-License-Identifier: MIT */
/* support/sock.c: loopback sockets that are waited for with a deadline. */
#include "support/util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static socklen_t loopback(union address *a, bool ipv6, uint16_t port)
{
    memset(a, 0, sizeof(*a));
    if (ipv6) {
        a->v6.sin6_family = AF_INET6;
        a->v6.sin6_addr = in6addr_loopback;
        a->v6.sin6_port = htons(port);
        return sizeof(a->v6);
    }
    a->v4.sin_family = AF_INET;
    a->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    a->v4.sin_port = htons(port);
    return sizeof(a->v4);
}

/* A socket bound to the loopback address; *port: what is wanted (0: any), then what was bound. */
static int bound_socket(bool ipv6, int type, bool reuse, uint16_t *port)
{
    union address a;
    socklen_t bytes = loopback(&a, ipv6, *port);
    int fd = socket(ipv6 ? AF_INET6 : AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = reuse;
    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        bind(fd, &a.any, bytes) != 0 || getsockname(fd, &a.any, &bytes) != 0) {
        close(fd);
        return -1;
    }
    *port = ntohs(ipv6 ? a.v6.sin6_port : a.v4.sin_port);
    return fd;
}

uint16_t sup_port_free(void)
{
    /* Free for TCP is usually free for UDP too; not always, so try a few times. */
    for (int tries = 0; tries < 16; tries++) {
        uint16_t port = 0;
        int tcp = bound_socket(false, SOCK_STREAM, false, &port);
        int udp = tcp < 0 ? -1 : bound_socket(false, SOCK_DGRAM, false, &port);
        if (tcp >= 0)
            close(tcp);
        if (udp >= 0) {
            close(udp);
            return port;
        }
    }
    sup_say("no free port on 127.0.0.1");
    return 0;
}

bool sup_has_ipv6(void)
{
    uint16_t port = 0;
    int fd = bound_socket(true, SOCK_STREAM, false, &port);
    if (fd < 0)
        return false;
    close(fd);
    return true;
}

int sup_port_reserve(bool ipv6, uint16_t *port)
{
    *port = 0;
    int fd = bound_socket(ipv6, SOCK_STREAM, true, port);
    if (fd < 0)
        sup_say("cannot bind to %s: %s", ipv6 ? "::1" : "127.0.0.1", strerror(errno));
    return fd;
}

int sup_listen(bool ipv6, int backlog, uint16_t *port)
{
    *port = 0;
    int fd = bound_socket(ipv6, SOCK_STREAM, false, port);
    if (fd >= 0 && listen(fd, backlog) != 0) {
        close(fd);
        fd = -1;
    }
    if (fd < 0)
        sup_say("cannot listen on %s: %s", ipv6 ? "::1" : "127.0.0.1", strerror(errno));
    return fd;
}

int sup_bind_udp(uint16_t port)
{
    return bound_socket(false, SOCK_DGRAM, false, &port);
}

int sup_wait_fd(int fd, short events, int quit_fd, int64_t deadline_ms)
{
    for (;;) {
        struct pollfd fds[2] = {{.fd = fd, .events = events}, {.fd = quit_fd, .events = POLLIN}};
        int left = sup_left_ms(deadline_ms);
        int n = poll(fds, 2, left);
        if (n > 0 && fds[1].revents)
            return -1;
        if (n > 0 && fds[0].revents)
            return 1;
        if (left == 0)
            return 0;
    }
}

int sup_connect(uint16_t port, int timeout_ms)
{
    union address a;
    socklen_t bytes = loopback(&a, false, port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int err = connect(fd, &a.any, bytes) == 0 ? 0 : errno;
    if (err == EINPROGRESS) {
        socklen_t err_bytes = sizeof(err);
        if (sup_wait_fd(fd, POLLOUT, -1, sup_now_ms() + timeout_ms) != 1)
            err = ETIMEDOUT;
        else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &err_bytes) != 0)
            err = errno;
    }
    if (err) {
        close(fd);
        return -err;
    }
    return fd;
}

int sup_send_all(int fd, const void *data, size_t bytes, int quit_fd, int64_t deadline_ms)
{
    const char *at = data;
    while (bytes > 0) {
        ssize_t n = send(fd, at, bytes, MSG_NOSIGNAL);
        if (n >= 0) {
            at += n;
            bytes -= (size_t)n;
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return -errno;
        int ready = sup_wait_fd(fd, POLLOUT, quit_fd, deadline_ms);
        if (ready != 1)
            return ready == 0 ? -ETIMEDOUT : -ECANCELED;
    }
    return 0;
}

/* Reads until the peer's end of stream; NULL if that does not come in time. */
static char *read_to_end(int fd, int64_t deadline_ms)
{
    size_t n = 0;
    size_t room = 4096;
    char *data = malloc(room);
    while (data) {
        ssize_t got = recv(fd, data + n, room - n - 1, 0);
        if (got == 0) {
            data[n] = '\0';
            return data;
        }
        if (got < 0 && (errno != EAGAIN || sup_wait_fd(fd, POLLIN, -1, deadline_ms) != 1)) {
            free(data);
            return NULL;
        }
        n += got > 0 ? (size_t)got : 0;
        if (n + 1 < room)
            continue;
        room *= 2;
        char *more = realloc(data, room);
        if (!more)
            free(data);
        data = more;
    }
    return NULL;
}

char *sup_http_get(uint16_t port, const char *path, int timeout_ms)
{
    int64_t deadline = sup_now_ms() + timeout_ms;
    int fd = sup_connect(port, timeout_ms);
    if (fd < 0)
        return NULL;
    char *request = sup_format("GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n", path);
    char *answer = NULL;
    if (sup_send_all(fd, request, strlen(request), -1, deadline) == 0)
        answer = read_to_end(fd, deadline);
    free(request);
    close(fd);
    return answer;
}
