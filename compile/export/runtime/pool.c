/* SPDX-License-Identifier: Apache-2.0
 *
 * The threads of one instance. A launch runs tasks on all of them, the caller's thread included; a task
 * that walks through many kernels shares each of them out with the other threads, and meets them after it.
 * What is waited for comes within microseconds, so a thread that waits spins first, and sleeps when nothing
 * comes for SPIN_NS: between two runs the threads cost nothing.
 *
 * Part of one translation unit, see runtime.c.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>

#define SPIN_TURNS 1000 /* before a thread that waits lets others on; few of them where processors are short */
#define SPIN_TURNS_CROWDED 20
#define SPIN_NS 1000000
#define NAP_NS 50000
#define LINE 64
#define ROUNDS 8 /* of a meeting: enough for 256 threads */

typedef int task_function(int task, void *environment, void *data);

/* Kernels read how many tasks there are from this (TVMParallelGroupEnv). */
struct group { void *barrier; int32_t tasks; };

/* One thread's place: what its kernels allocate is a stack in `scratch`. */
struct worker {
    struct pool *pool;
    pthread_t thread;
    int index;
    bool busy;    /* inside a task: a launch from there must not wait for the others, */
    bool sharing; /* unless each of them makes the same launch, and does its part of it */
    char *scratch;
    size_t used;
    unsigned meeting;                         /* how many there were */
    _Alignas(LINE) atomic_uint heard[ROUNDS]; /* the meeting in which this thread came so far */
};

struct pool {
    struct worker *workers; /* [0] is whoever calls */
    int threads, spin_turns;
    task_function *function;
    void *data;
    struct group group;
    pthread_mutex_t mutex;
    pthread_cond_t launched, finished;
    bool stop;
    atomic_int caller_cpu; /* where the last launch came from */
    _Alignas(LINE) atomic_uint launch; /* counts launches */
    atomic_int asleep;                 /* workers that wait for `launched` */
    _Alignas(LINE) atomic_int pending; /* workers that have not finished this launch */
    atomic_int waiting;                /* the caller waits for `finished` */
    atomic_int failure;
};

static _Thread_local struct worker *current_worker;

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
    __asm__ volatile("yield" ::: "memory");
#endif
}

static long long now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/* Systems like to wake a thread beside the one that wakes it. Two threads that yield to each other would
 * then stay on one processor with another idle: leave it, without narrowing where this thread may run. */
static void leave(int cpu)
{
    cpu_set_t allowed, others;
    if (cpu < 0 || cpu >= CPU_SETSIZE || sched_getcpu() != cpu)
        return;
    if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
        return;
    others = allowed;
    CPU_CLR(cpu, &others);
    if (CPU_COUNT(&others) > 0 && sched_setaffinity(0, sizeof(others), &others) == 0)
        sched_setaffinity(0, sizeof(allowed), &allowed);
}

/* Spins until `ready(pool, seen)` or SPIN_NS are over; says which. After the first moment it lets others
 * on: on a busy machine the thread that is waited for may want this very processor. A worker then also
 * makes sure that it is not on the caller's. */
static bool spin(struct pool *pool, bool (*ready)(struct pool *, unsigned), unsigned seen,
                 bool worker_waits)
{
    for (int turn = 0; turn < pool->spin_turns; turn++) {
        if (ready(pool, seen))
            return true;
        relax();
    }
    if (worker_waits)
        leave(atomic_load(&pool->caller_cpu));
    for (long long end = now_ns() + SPIN_NS; now_ns() < end;) {
        if (ready(pool, seen))
            return true;
        sched_yield();
    }
    return ready(pool, seen);
}

static bool has_launched(struct pool *pool, unsigned seen)
{
    return atomic_load(&pool->launch) != seen;
}

static bool has_finished(struct pool *pool, unsigned seen)
{
    (void)seen;
    return atomic_load(&pool->pending) == 0;
}

/* This thread's tasks. They are dealt out by index: the same thread meets the same rows in every run. */
static int run_part(struct worker *worker, task_function *function, void *data, struct group *group)
{
    int failure = 0;
    for (int task = worker->index; task < group->tasks; task += worker->pool->threads) {
        int status = function(task, group, data);
        if (status != 0)
            failure = status;
    }
    return failure;
}

static void run_tasks(struct worker *worker)
{
    struct pool *pool = worker->pool;
    worker->busy = true;
    int status = run_part(worker, pool->function, pool->data, &pool->group);
    if (status != 0)
        atomic_store(&pool->failure, status);
    worker->busy = false;
}

static bool was_heard(struct worker *other, int round, unsigned meeting)
{
    return (int)(atomic_load_explicit(&other->heard[round], memory_order_acquire) - meeting) >= 0;
}

/* As `spin`, but to the end: the other is at work on the same network. */
static void listen(struct worker *worker, struct worker *other, int round)
{
    struct pool *pool = worker->pool;
    unsigned meeting = worker->meeting;
    for (int turn = 0; turn < pool->spin_turns; turn++) {
        if (was_heard(other, round, meeting))
            return;
        relax();
    }
    if (worker->index != 0)
        leave(atomic_load(&pool->caller_cpu));
    for (long long end = now_ns() + SPIN_NS; !was_heard(other, round, meeting);) {
        if (now_ns() < end)
            sched_yield();
        else
            nanosleep(&(struct timespec){0, NAP_NS}, NULL);
    }
}

/* Returns when every thread has come here: what each wrote before, all may read. With two threads each
 * writes one line and reads the other's. The dissemination barrier of Hensgen, Finkel and Manber,
 * "Two algorithms for barrier synchronization" (1988). */
static void meet(struct worker *worker)
{
    struct pool *pool = worker->pool;
    worker->meeting++;
    for (int round = 0, step = 1; step < pool->threads; round++, step *= 2) {
        int other = (worker->index + pool->threads - step) % pool->threads;
        atomic_store_explicit(&worker->heard[round], worker->meeting, memory_order_release);
        listen(worker, &pool->workers[other], round);
    }
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct pool *pool = worker->pool;
    current_worker = worker;
    for (unsigned seen = 0;; seen++) {
        if (!spin(pool, has_launched, seen, true)) {
            pthread_mutex_lock(&pool->mutex);
            atomic_fetch_add(&pool->asleep, 1);
            while (!has_launched(pool, seen))
                pthread_cond_wait(&pool->launched, &pool->mutex);
            atomic_fetch_sub(&pool->asleep, 1);
            pthread_mutex_unlock(&pool->mutex);
            leave(atomic_load(&pool->caller_cpu));
        }
        if (pool->stop)
            return NULL;
        run_tasks(worker);
        if (atomic_fetch_sub(&pool->pending, 1) == 1 && atomic_load(&pool->waiting)) {
            pthread_mutex_lock(&pool->mutex);
            pthread_cond_signal(&pool->finished);
            pthread_mutex_unlock(&pool->mutex);
        }
    }
}

/* Tells the workers that something is to be done. Each of them answers every launch. */
static void announce(struct pool *pool)
{
    atomic_store(&pool->pending, pool->threads - 1);
    atomic_store_explicit(&pool->caller_cpu, sched_getcpu(), memory_order_relaxed);
    atomic_fetch_add(&pool->launch, 1);
    if (atomic_load(&pool->asleep)) {
        pthread_mutex_lock(&pool->mutex);
        pthread_cond_broadcast(&pool->launched);
        pthread_mutex_unlock(&pool->mutex);
    }
}

static int run_alone(task_function *function, void *data, int tasks)
{
    struct group group = {NULL, tasks > 0 ? tasks : 1};
    for (int task = 0; task < group.tasks; task++) {
        int status = function(task, &group, data);
        if (status != 0)
            return status;
    }
    return 0;
}

/* Every thread makes this launch, each for its part. */
static int run_share(struct worker *worker, task_function *function, void *data, int tasks)
{
    struct group group = {NULL, tasks > 0 ? tasks : worker->pool->threads};
    worker->sharing = false;
    int status = run_part(worker, function, data, &group);
    worker->sharing = true;
    return status;
}

static int launch(struct worker *worker, task_function *function, void *data, int tasks)
{
    struct pool *pool = worker->pool;
    if (worker->sharing)
        return run_share(worker, function, data, tasks);
    if (pool->threads == 1 || worker->busy)
        return run_alone(function, data, tasks);
    pool->function = function;
    pool->data = data;
    pool->group.tasks = tasks > 0 ? tasks : pool->threads;
    atomic_store(&pool->failure, 0);
    announce(pool);
    run_tasks(worker);
    if (!spin(pool, has_finished, 0, false)) {
        pthread_mutex_lock(&pool->mutex);
        /* Not a store: qemu on x86 lets the load of `pending` behind one go first, and nobody would signal. */
        atomic_exchange(&pool->waiting, 1);
        while (!has_finished(pool, 0))
            pthread_cond_wait(&pool->finished, &pool->mutex);
        atomic_store(&pool->waiting, 0);
        pthread_mutex_unlock(&pool->mutex);
    }
    return atomic_load(&pool->failure);
}

static void stop_pool(struct pool *pool)
{
    pool->stop = true;
    announce(pool);
    for (int i = 1; i < pool->threads; i++)
        pthread_join(pool->workers[i].thread, NULL);
}

/* Processors that this thread may run on. */
static int processors(void)
{
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0)
        return CPU_COUNT(&allowed);
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : (int)count;
}

/* Starts threads 1, 2, ... for workers that are laid out. 0, or an errno with none left running. */
static int start_pool(struct pool *pool, int threads)
{
    sigset_t all, before;
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);
    if (error)
        return error;
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->launched, NULL);
    pthread_cond_init(&pool->finished, NULL);
    atomic_store(&pool->caller_cpu, -1);
    pool->spin_turns = threads <= processors() ? SPIN_TURNS : SPIN_TURNS_CROWDED;
    /* The app's signals are for the app's threads. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (pool->threads = 1; pool->threads < threads && !error; pool->threads += !error) {
        struct worker *worker = &pool->workers[pool->threads];
        error = pthread_create(&worker->thread, &attributes, work, worker);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (error)
        stop_pool(pool);
    return error;
}

static void free_pool(struct pool *pool)
{
    pthread_cond_destroy(&pool->finished);
    pthread_cond_destroy(&pool->launched);
    pthread_mutex_destroy(&pool->mutex);
}
