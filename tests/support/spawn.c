/* SPDX-License-Identifier: MIT */
/* support/spawn.c: fork and exec of a child that dies with its parent.
 *
 * Not posix_spawn(3), which cannot ask for PR_SET_PDEATHSIG.  Between fork and exec the child calls only
 * what is async-signal-safe: other threads may have held any lock at the fork.
 */
#include "support/spawn.h"

#include "support/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* -- Where programs are ------------------------------------------------------------------------- */

struct program {
    struct program *next;
    const char *path;
};

static pthread_mutex_t programs_lock = PTHREAD_MUTEX_INITIALIZER;
static struct program *programs; /* those found; guarded by programs_lock, kept until exit */

static char *find_program(const char *name)
{
    const char *path = getenv("PATH");
    char *dirs = sup_format("%s:/usr/local/sbin:/usr/sbin:/sbin", path ? path : "/usr/bin:/bin");
    char *found = NULL;
    char *rest = dirs;
    char *dir;
    while (!found && (dir = strsep(&rest, ":")) != NULL) {
        found = sup_format("%s/%s", dir, name);
        if (access(found, X_OK) != 0) {
            free(found);
            found = NULL;
        }
    }
    free(dirs);
    return found;
}

static bool is_program(const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');
    return slash && strcmp(slash + 1, name) == 0;
}

/* Caller holds programs_lock. */
static const char *remember_program(const char *path)
{
    struct program *p = malloc(sizeof(*p));
    if (!p)
        abort();
    *p = (struct program){.next = programs, .path = path};
    programs = p;
    return path;
}

const char *sup_program(const char *name)
{
    pthread_mutex_lock(&programs_lock);
    const struct program *p = programs;
    while (p && !is_program(p->path, name))
        p = p->next;
    const char *path = p ? p->path : NULL;
    if (!p) {
        char *found = find_program(name);
        path = found ? remember_program(found) : NULL;
    }
    pthread_mutex_unlock(&programs_lock);
    if (!path)
        sup_say("the program '%s' is not installed; tools/deps.sh installs what tests need", name);
    return path;
}

/* -- fork and exec ------------------------------------------------------------------------------ */

/* All that the child needs, made before the fork. */
struct plan {
    const struct sup_spawn *spawn;
    const char *path;
    char **argv;
    char **env;
    pid_t parent;
    int report; /* takes errno if exec fails; closes by itself if it does not */
};

/* A copy of two lists of strings behind each other; ends in NULL. */
static char **join_lists(const char *const *a, const char *const *b)
{
    size_t n = 0;
    for (const char *const *s = a; s && *s; s++)
        n++;
    for (const char *const *s = b; s && *s; s++)
        n++;
    char **list = calloc(n + 1, sizeof(*list));
    if (!list)
        abort();
    n = 0;
    for (const char *const *s = a; s && *s; s++)
        list[n++] = sup_format("%s", *s);
    for (const char *const *s = b; s && *s; s++)
        list[n++] = sup_format("%s", *s);
    return list;
}

static void free_list(char **list)
{
    for (char **s = list; s && *s; s++)
        free(*s);
    free(list);
}

/* The value of a name that stands twice is the first one in most programs, so what is added goes first,
 * and what it replaces is left out. */
static char **make_env(const char *const *added)
{
    size_t n = 0;
    for (char **s = environ; *s; s++)
        n++;
    const char **kept = calloc(n + 1, sizeof(*kept));
    if (!kept)
        abort();
    n = 0;
    for (char **s = environ; *s; s++) {
        bool replaced = false;
        for (const char *const *a = added; a && *a; a++) {
            size_t name = strcspn(*a, "=") + 1;
            replaced = replaced || strncmp(*a, *s, name) == 0;
        }
        if (!replaced)
            kept[n++] = *s;
    }
    char **env = join_lists(added, kept);
    free(kept);
    return env;
}

static void mark_descriptors(const struct sup_spawn *s)
{
#ifdef SYS_close_range
    bool marked = syscall(SYS_close_range, 3, ~0u, 4u /* CLOSE_RANGE_CLOEXEC */) == 0;
#else
    bool marked = false;
#endif
    if (!marked) { /* before Linux 5.11 */
        struct rlimit limit;
        int most = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < 65536
                       ? (int)limit.rlim_cur
                       : 65536;
        for (int fd = 3; fd < most; fd++)
            fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
    for (size_t i = 0; i < s->fds_n; i++)
        fcntl(s->fds[i], F_SETFD, 0);
}

static void reset_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    for (int sig = 1; sig < NSIG; sig++)
        signal(sig, SIG_DFL); /* what the test ignores must not be ignored in the program */
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void raise_limits(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void become(const struct plan *p)
{
    const struct sup_spawn *s = p->spawn;
    reset_signals();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != p->parent)
        _exit(127); /* the parent ended before the line above */
    bool ok = !s->dir || chdir(s->dir) == 0;
    for (int i = 0; i < 3 && ok; i++)
        ok = dup2(s->stdio[i], i) == i;
    mark_descriptors(s);
    if (s->raise_limits)
        raise_limits();
    if (ok)
        execve(p->path, p->argv, p->env);
    int err = errno;
    while (write(p->report, &err, sizeof(err)) < 0 && errno == EINTR)
        continue;
    _exit(127);
}

/* Reads what the child reports: nothing if exec went well. */
static int read_report(int fd)
{
    int err = 0;
    ssize_t n;
    do {
        n = read(fd, &err, sizeof(err));
    } while (n < 0 && errno == EINTR);
    return n == sizeof(err) ? err : 0;
}

static int start(struct sup_child *child, struct plan *p)
{
    int report[2];
    if (pipe2(report, O_CLOEXEC) != 0)
        return errno;
    p->report = report[1];
    child->pid = fork();
    int err = child->pid < 0 ? errno : 0;
    if (child->pid == 0)
        become(p);
    close(report[1]);
    if (!err)
        err = read_report(report[0]);
    close(report[0]);
    if (!err) {
        child->pidfd = (int)syscall(SYS_pidfd_open, child->pid, 0);
        err = child->pidfd < 0 ? errno : 0;
    }
    if (err && child->pid > 0) {
        kill(child->pid, SIGKILL);
        waitpid(child->pid, NULL, 0);
    }
    return err;
}

bool sup_spawn(struct sup_child *child, const struct sup_spawn *spawn)
{
    const char *name = spawn->argv[0];
    struct plan p = {.spawn = spawn, .path = name, .parent = getpid()};
    *child = (struct sup_child){.pid = -1, .pidfd = -1};
    if (!strchr(name, '/'))
        p.path = sup_program(name);
    if (!p.path)
        return false;
    p.argv = join_lists(spawn->argv, NULL);
    p.env = make_env(spawn->env);
    int err = start(child, &p);
    free_list(p.argv);
    free_list(p.env);
    if (err)
        sup_say("cannot start %s: %s", p.path, strerror(err));
    return err == 0;
}
