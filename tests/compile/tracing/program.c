/* SPDX-License-Identifier: Apache-2.0 */
/* A program whose cost on a Cortex-A72 follows from Arm's guide. Arguments: "marked", "threads" or none. */
#include <pthread.h>
#include <string.h>
#include <sys/prctl.h>

enum { SIZE = 4096, THREADS = 3, PIECES = 60 };
enum { MARK = 0x6d6e63, END = 0, WARM = 1, TIMED = 2 };

static float x[THREADS + 1][SIZE], y[SIZE];

/* Each multiply-add waits for the one before: 4 * SIZE cycles at least where the accumulator takes 4. */
__attribute__((noinline)) float chain(const float *a, const float *b)
{
    float sum = 0;
    for (int i = 0; i < SIZE; i++) __asm__ volatile("fmadd %s0, %s1, %s2, %s0" : "+w"(sum) : "w"(a[i]), "w"(b[i]));
    return sum;
}

/* 128 bytes a pass: with a prefetch, whose address only its neighbour tells, and structures of two and four. */
__attribute__((noinline)) void move(float *to, const float *from)
{
    for (int i = 0; i < SIZE; i += 16, to += 16)
        __asm__ volatile("prfm pldl1keep, [%0, #256]\n ld4 {v0.4s, v1.4s, v2.4s, v3.4s}, [%0], #64\n"
                         "st2 {v0.4s, v1.4s}, [%1]\n stp q2, q3, [%1, #32]"
                         : "+r"(from) : "r"(to) : "v0", "v1", "v2", "v3", "memory");
}

static pthread_barrier_t start; /* all are there at once: the emulator gives the CPU of one that is gone to another */

static int taken; /* of the pieces of work, which go to whoever comes first */

static void *work(void *a)
{
    pthread_barrier_wait(&start);
    while (__atomic_fetch_add(&taken, 1, __ATOMIC_RELAXED) < PIECES) memset(a, (int)chain(a, y), 1);
    return 0;
}

static void together(void)
{
    pthread_t all[THREADS];
    taken = 0;
    pthread_barrier_init(&start, 0, THREADS + 1);
    for (int k = 0; k < THREADS; k++) pthread_create(&all[k], 0, work, x[k + 1]);
    work(x[0]);
    for (int k = 0; k < THREADS; k++) pthread_join(all[k], 0);
}

static void marked(void (*region)(void))
{
    prctl(MARK, WARM), region(), prctl(MARK, END);
    prctl(MARK, TIMED), region(), prctl(MARK, END);
}

static void once(void) { chain(x[0], y); }

int main(int argc, char **argv)
{
    if (argc > 1) marked(strcmp(argv[1], "threads") ? once : together);
    for (int k = 0; k < 3; k++) chain(x[0], y), move(x[1], x[0]);
    return 0;
}
