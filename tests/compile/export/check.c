/* SPDX-License-Identifier: Apache-2.0
 *
 * Does an exported library keep what its header promises?
 *
 *     check GOLDEN THREADS
 *
 * GOLDEN holds for each example the inputs, then the outputs that are wanted, as the library has them. Prints
 * what was checked; exits with 1 and the reason when something is wrong.
 */
#define _DEFAULT_SOURCE /* fork and others, under -std=c11 */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mnc.h"

#ifndef TOLERANCE
#define TOLERANCE 1e-4f /* of the largest output of an example */
#endif
#define CALLERS 4
#define INPUT_BYTES (MNC_INPUT_SIZE * sizeof(mnc_input))
#define ROW_BYTES (INPUT_BYTES + MNC_OUTPUT_SIZE * sizeof(mnc_output))

static char *rows;
static int examples;

static void require(int holds, const char *what)
{
    if (holds)
        return;
    printf("failed: %s (%s)\n", what, mnc_last_error());
    exit(1);
}

static const char *input(int example) { return rows + (size_t)example * ROW_BYTES; }

static void read_golden(const char *path)
{
    FILE *file = fopen(path, "rb");
    require(file != NULL, "golden file");
    fseek(file, 0, SEEK_END);
    examples = (int)((size_t)ftell(file) / ROW_BYTES);
    rewind(file);
    rows = malloc((size_t)examples * ROW_BYTES);
    require(rows && fread(rows, ROW_BYTES, (size_t)examples, file) == (size_t)examples, "golden");
    fclose(file);
}

static int same(const mnc_output *out, const char *row)
{
    float largest = 0, worst = 0;
    mnc_output wanted[MNC_OUTPUT_SIZE];
    memcpy(wanted, row + INPUT_BYTES, sizeof(wanted));
    for (int i = 0; i < MNC_OUTPUT_SIZE; i++) {
        float found = (float)out[i], right = (float)wanted[i];
        if (isnan(found) != isnan(right))
            return 0;
        if (isnan(found))
            continue;
        largest = fmaxf(largest, fabsf(right));
        worst = fmaxf(worst, fabsf(found - right));
    }
    return isnan((float)wanted[0]) || (largest > 0 && worst <= TOLERANCE * largest);
}

/* Every example, the input aligned and then, as the output always, one number off any alignment. */
static int run_all(mnc_instance *instance)
{
    mnc_input *in = NULL;
    mnc_output *out = malloc((MNC_OUTPUT_SIZE + 1) * sizeof(mnc_output));
    int good = out && posix_memalign((void **)&in, 64, INPUT_BYTES + sizeof(mnc_input)) == 0;
    for (int i = 0; good && i < 2 * examples; i++) {
        mnc_input *place = in + i % 2;
        memcpy(place, input(i / 2), INPUT_BYTES);
        good = mnc_run(instance, place, out + 1) == 0 && same(out + 1, input(i / 2)) &&
               !memcmp(place, input(i / 2), INPUT_BYTES);
    }
    free(in);
    free(out);
    return good;
}

static void *call(void *instance)
{
    for (int turn = 0; turn < 3; turn++)
        if (!run_all(instance))
            return "wrong";
    return NULL;
}

/* Runs each instance from threads of its own, all at once. */
static void run_from_threads(mnc_instance **instances, int count, const char *what)
{
    pthread_t threads[CALLERS];
    for (int i = 0; i < CALLERS; i++)
        require(pthread_create(&threads[i], NULL, call, instances[i % count]) == 0, "thread");
    for (int i = 0; i < CALLERS; i++) {
        void *result;
        pthread_join(threads[i], &result);
        require(result == NULL, what);
    }
    printf("%s\n", what);
}

static void check_description(void)
{
    size_t in = 0, out = 0;
    int rank;
    for (int i = 0; i < mnc_input_count(); i++) {
        size_t size = 1;
        const int64_t *shape = mnc_input_shape(i, &rank);
        for (int axis = 0; axis < rank; axis++)
            size *= (size_t)shape[axis];
        require(size == mnc_input_size(i) && mnc_input_name(i)[0], "input");
        in += size;
    }
    for (int i = 0; i < mnc_output_count(); i++)
        out += mnc_output_size(i);
    require(in == MNC_INPUT_SIZE && out == MNC_OUTPUT_SIZE, "sizes");
    require(!mnc_input_name(-1) && !mnc_output_name(99) && !mnc_input_size(99), "no such input");
    require(!mnc_output_shape(99, &rank) && rank == 0 && mnc_output_shape(0, NULL), "shapes");
    require(!strcmp(mnc_version(), MNC_VERSION) && !strcmp(mnc_model(), MNC_MODEL), "version, model");
    require(mnc_input_type(0)[0] && mnc_input_scale(0) > 0 && !mnc_output_type(99), "types");
    require(mnc_output_scale(0) > 0 && !mnc_output_zero_point(99), "scales");
    require(mnc_label(0) && !mnc_label(-1) && !mnc_label(1 << 30), "labels");
    printf("label 0: %s\n", mnc_label(0));
}

static void check_refusals(mnc_instance *instance)
{
    mnc_input in[MNC_INPUT_SIZE] = {0};
    mnc_output out[MNC_OUTPUT_SIZE];
    require(!mnc_create(-1) && mnc_last_error()[0], "negative threads");
    require(!mnc_create(MNC_MAX_THREADS + 1), "too many threads");
    require(mnc_run(NULL, in, out) != 0 && mnc_last_error()[0], "no instance");
    require(mnc_run(instance, NULL, out) != 0 && mnc_run(instance, in, NULL) != 0, "no buffers");
    require(mnc_run(instance, in, out) == 0 && !mnc_last_error()[0], "a success clears the error");
    require(!mnc_create(-1) && mnc_last_error()[0], "negative threads again");
    mnc_instance *another = mnc_create(1);
    require(another && !mnc_last_error()[0], "so does a creation");
    mnc_destroy(another);
    require(mnc_threads(NULL) == 0 && mnc_memory(NULL) == 0, "nothing of no instance");
    mnc_destroy(NULL);
    printf("refusals\n");
}

static void check_fork(mnc_instance *instance)
{
    fflush(stdout);
    pid_t child = fork();
    require(child >= 0, "fork");
    if (child == 0) {
        int good = run_all(instance);
        mnc_destroy(instance);
        _exit(!good);
    }
    int status;
    require(waitpid(child, &status, 0) == child && status == 0, "run in a child process");
    printf("fork\n");
}

/* With little address space left, more threads cannot be had; that is said, and nothing leaks. */
static void check_shortage(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    require(file && fscanf(file, "%ld", &pages) == 1, "statm");
    fclose(file);
    struct rlimit old, tight;
    getrlimit(RLIMIT_AS, &old);
    tight = old;
    tight.rlim_cur = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + (rlim_t)12 * 1024 * 1024;
    setrlimit(RLIMIT_AS, &tight);
    for (int i = 0; i < 3; i++)
        require(!mnc_create(MNC_MAX_THREADS) && mnc_last_error()[0], "refusal for want of memory");
    printf("shortage: %s\n", mnc_last_error());
    setrlimit(RLIMIT_AS, &old);
    mnc_instance *many = mnc_create(MNC_MAX_THREADS);
    require(many && run_all(many), "many threads");
    mnc_destroy(many);
}

static pthread_t interrupted;

static void interrupt(int number)
{
    (void)number;
    interrupted = pthread_self();
}

/* A signal to the process reaches a thread of the program, blocked or not, and none of the library's. */
static void check_signals(void)
{
    struct sigaction action = {.sa_handler = interrupt};
    sigset_t usual, blocked;
    sigaction(SIGUSR1, &action, NULL);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    mnc_instance *instance = mnc_create(3);
    pthread_sigmask(SIG_BLOCK, &blocked, &usual);
    kill(getpid(), SIGUSR1);
    usleep(20000);
    require(!interrupted, "no thread of the library takes a signal");
    pthread_sigmask(SIG_SETMASK, &usual, NULL);
    require(pthread_equal(interrupted, pthread_self()), "the signal reaches this thread");
    mnc_destroy(instance);
    printf("signals\n");
}

int main(int count, char **words)
{
    require(count >= 3, "usage: check GOLDEN THREADS");
    int threads = atoi(words[2]);
    read_golden(words[1]);
    check_description();
    mnc_instance *one = mnc_create(threads), *two = mnc_create(1);
    require(one && two, "create");
    require(mnc_threads(one) == threads && mnc_threads(two) == 1, "threads");
    require(mnc_memory(one) <= MNC_PEAK_BYTES(threads), "memory within the stated peak");
    check_refusals(two);
    require(run_all(one) && run_all(two), "outputs");
    printf("%d examples\n", examples);
    run_from_threads(&one, 1, "one instance from several threads");
    run_from_threads((mnc_instance *[]){one, two}, 2, "two instances at once");
    if (getenv("CHECK_SYSTEM")) { /* what emulators and sanitizers do in their own ways */
        check_fork(one);
        check_shortage();
        check_signals();
    }
    usleep(5000); /* longer than the workers spin: they sleep, and wake again */
    require(run_all(one), "outputs after a pause");
    mnc_destroy(one);
    require(run_all(two), "outputs after the other's end");
    mnc_destroy(two);
    for (int i = 0; i < 20; i++) {
        mnc_instance *brief = mnc_create(threads);
        require(brief != NULL, "create again");
        mnc_destroy(brief);
    }
    free(rows);
    printf("done\n");
    return 0;
}
