/* SPDX-License-Identifier: Apache-2.0
 *
 * Classify with a library made by `mnc export`, and time it. Needs neither Python nor TVM.
 *
 *     mnc export build/host/mobilenet_v1_1.0_224 --out exported
 *     cc -O2 -Iexported classify.c -Lexported -lmnc -lm -lpthread -o classify
 *     LD_LIBRARY_PATH=exported ./classify input.f32 2 50
 *
 * input.f32 holds MNC_INPUT_SIZE floats, ready for the network: mnc.h says how pixels become them. A library made
 * with `--inputs uint8` or `int8` reads bytes instead, one with `--outputs int8` gives them.
 * The second word is the number of threads, the third how many runs to time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "mnc.h"

#define TOP 5

static mnc_input input[MNC_INPUT_SIZE];
static mnc_output output[MNC_OUTPUT_SIZE];
static float logits[MNC_OUTPUT_SIZE];

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec * 1e-9;
}

static int by_time(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int read_input(const char *path)
{
    FILE *file = fopen(path, "rb");
    size_t count = file ? fread(input, sizeof(input[0]), MNC_INPUT_SIZE, file) : 0;
    if (file)
        fclose(file);
    return count == MNC_INPUT_SIZE;
}

static void print_best(void)
{
    int classes = (int)mnc_output_size(0); /* further outputs, if any, follow the first */
    for (int i = 0; i < classes; i++)
        logits[i] = ((float)output[i] - (float)mnc_output_zero_point(0)) * mnc_output_scale(0);
    for (int rank = 0; rank < TOP && rank < classes; rank++) {
        int best = 0;
        for (int i = 1; i < classes; i++)
            if (logits[i] > logits[best])
                best = i;
        const char *name = mnc_label(best);
        printf("%4d %10.4f  %s\n", best, logits[best], name ? name : "");
        logits[best] = -1e30f;
    }
}

static int print_times(mnc_instance *network, int runs)
{
    double *times = malloc((size_t)runs * sizeof(double));
    if (!times)
        return 1;
    for (int i = -3; i < runs; i++) { /* three to warm up */
        double start = seconds();
        if (mnc_run(network, input, output) != 0)
            return free(times), 1;
        if (i >= 0)
            times[i] = seconds() - start;
    }
    qsort(times, (size_t)runs, sizeof(double), by_time);
    printf("%d runs, %d threads: median %.3f ms, p90 %.3f, min %.3f\n", runs, mnc_threads(network),
           times[runs / 2] * 1e3, times[runs * 9 / 10] * 1e3, times[0] * 1e3);
    free(times);
    return 0;
}

int main(int count, char **words)
{
    int threads = count > 2 ? atoi(words[2]) : 0, runs = count > 3 ? atoi(words[3]) : 0;
    if (count < 2 || !read_input(words[1])) {
        fprintf(stderr, "usage: classify FILE-OF-%d-NUMBERS [THREADS [RUNS]]\n", MNC_INPUT_SIZE);
        return 2;
    }
    mnc_instance *network = mnc_create(threads);
    if (!network) {
        fprintf(stderr, "classify: %s\n", mnc_last_error());
        return 1;
    }
    int failed = mnc_run(network, input, output) != 0;
    if (!failed) {
        print_best();
        failed = runs > 0 && print_times(network, runs) != 0;
    }
    if (failed)
        fprintf(stderr, "classify: %s\n", mnc_last_error());
    mnc_destroy(network);
    return failed;
}
