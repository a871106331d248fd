/* SPDX-License-Identifier: MIT */
/* The program `thrum`: finds the command. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/common/output.h"
#include "tools/common/versions.h"
#include "tools/fetch/fetch.h"

static const char help[] =
    "Usage: thrum COMMAND [OPTION...] [ARGUMENT...]\n"
    "\n"
    "Commands:\n"
    "  fetch      fetches many URLs at once\n"
    "\n"
    "Options:\n"
    "  --help     shows this; 'thrum COMMAND --help' tells of a command\n"
    "  --version  shows the versions of thrum and of the libraries it uses\n";

static int usage(const char *fault, const char *what)
{
    char text[256];
    int n = snprintf(text, sizeof(text), "thrum: %s%.100s\nTry 'thrum --help'.\n", fault, what);
    if (n > 0)
        (void)thr_output_put(STDERR_FILENO, text, (size_t)n);
    return 2;
}

static int show(const char *text)
{
    return thr_output_put(STDOUT_FILENO, text, strlen(text)) ? 1 : 0;
}

/* A program started without a standard stream would take the first file that it opens for it. In its place
 * comes what cannot be written, so that writing to it is still the error it should be. */
static void fill_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) < 0)
            return;
    }
}

int main(int argc, char **argv)
{
    fill_standard_streams();
    char versions[256];
    if (argc < 2)
        return usage("no command is given", "");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return show(help);
    if (strcmp(argv[1], "--version") == 0)
        return show(thr_versions_text(versions, sizeof(versions)));
    if (strcmp(argv[1], "fetch") == 0)
        return thr_fetch_main(argc - 2, argv + 2);
    return usage(argv[1][0] == '-' ? "no such option: " : "no such command: ", argv[1]);
}
