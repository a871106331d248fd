/* SPDX-License-Identifier: MIT */
/* A barrier: Conway's game of life, each band of rows computed by a task of its own. None may begin the next generation
 * before all have ended this one; the one that gets 1 from the barrier counts the generations. */
#include <stdio.h>
#include <thrum/thrum.h>

enum { SIZE = 32, BANDS = 4, GENERATIONS = 4 * SIZE };

static unsigned char cells[2][SIZE][SIZE]; /* one is read while the other is written */
static int generations_n;                  /* written by one task between two barriers */
static thrum_barrier barrier = THRUM_BARRIER_INIT(BANDS);

static int neighbours(int now, int row, int column)
{
    int n = 0;
    for (int i = -1; i <= 1; i++)
        for (int k = -1; k <= 1; k++)
            n += cells[now][(row + i + SIZE) % SIZE][(column + k + SIZE) % SIZE];
    return n - cells[now][row][column];
}

static int live(void *arg)
{
    const int *first_row = arg;
    for (int now = 0, g = 0; g < GENERATIONS; g++, now = !now) {
        for (int row = *first_row; row < *first_row + SIZE / BANDS; row++)
            for (int column = 0; column < SIZE; column++) {
                int n = neighbours(now, row, column);
                cells[!now][row][column] = n == 3 || (n == 2 && cells[now][row][column]);
            }
        int result = thrum_barrier_wait(&barrier);
        if (result < 0)
            return result;
        if (result == 1)
            generations_n++;
    }
    return 0;
}

static int app(void *arg)
{
    int first_rows[BANDS];
    thrum_scope scope;
    (void)arg;
    cells[0][0][1] = cells[0][1][2] = cells[0][2][0] = cells[0][2][1] = cells[0][2][2] = 1;

    thrum_scope_open(&scope, NULL);
    int err = 0;
    for (int i = 0; i < BANDS && !err; i++) {
        first_rows[i] = i * (SIZE / BANDS);
        err = thrum_scope_spawn(&scope, live, &first_rows[i]);
    }
    if (err)
        thrum_barrier_break(&barrier); /* the others need not wait for those that are not there */
    int first = thrum_scope_close(&scope);
    if (!err)
        err = first;
    /* A glider moves by one cell every four generations: now it has gone round the world. */
    const unsigned char(*end)[SIZE] = cells[GENERATIONS % 2];
    bool home = end[0][1] && end[1][2] && end[2][0] && end[2][1] && end[2][2];
    if (!err)
        printf("after %d generations the glider is %s\n", generations_n, home ? "home" : "lost");
    return err || !home;
}

int main(void)
{
    return thrum_run(app, NULL, NULL) ? 1 : 0;
}
