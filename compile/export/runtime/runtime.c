/* SPDX-License-Identifier: Apache-2.0
 *
 * The runtime of a freestanding network: instances, their memory, the calls of the plan, and the few
 * functions of TVM's back end that kernels call. The generated file defines the tables and then
 * includes this one; all has internal linkage but the API of the header.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool.c"
#include "cpu.c"

#define ALIGNMENT 64
#define ERROR_BYTES 256
#define TENSOR_HANDLE 7 /* the type code of a DLTensor argument */
#define CPU_DEVICE 1

#define API __attribute__((visibility("default")))
#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define ROUND_UP(size) (((size) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT)

#include "pages.c"
#include WEIGHTS

struct PUBLIC(instance) {
    struct pool pool;
    pthread_mutex_t running; /* one run at a time */
    pid_t process;           /* a forked child has the memory but not the threads, */
    bool orphan;             /* and is then this */
    size_t memory;
    char *arena;
    struct dl_tensor tensors[TENSORS];
    union tvm_value arguments[ARGUMENTS];
    int32_t kinds[ARGUMENTS];
    struct worker workers[MAX_THREADS];
};

_Static_assert(sizeof(struct PUBLIC(instance)) <= FIXED_BYTES, "the header states too little memory");

static _Thread_local char error_text[ERROR_BYTES];

__attribute__((format(printf, 1, 2))) static void set_error(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    vsnprintf(error_text, sizeof(error_text), format, values);
    va_end(values);
}

/* What kernels call. They reach these through pointers, which TVM's runtime would fill in. */

static int parallel_launch(task_function *function, void *data, int tasks)
{
    return launch(current_worker, function, data, tasks);
}

static void *alloc_workspace(int device, int id, uint64_t size, int code, int bits)
{
    struct worker *worker = current_worker;
    (void)device, (void)id, (void)code, (void)bits;
    if (size > SCRATCH_BYTES - worker->used || ROUND_UP(size) > SCRATCH_BYTES - worker->used)
        return NULL; /* cannot be: the plan knows every kernel */
    void *start = worker->scratch + worker->used;
    worker->used += ROUND_UP((size_t)size);
    return start;
}

static int free_workspace(int device, int id, void *start)
{
    (void)device, (void)id;
    current_worker->used = (size_t)((char *)start - current_worker->scratch);
    return 0;
}

static void set_last_error(const char *text)
{
    set_error("%s", text);
}

int (*const PRIVATE(__TVMBackendParallelLaunch))(task_function *, void *, int) = parallel_launch;
void *(*const PRIVATE(__TVMBackendAllocWorkspace))(int, int, uint64_t, int, int) = alloc_workspace;
int (*const PRIVATE(__TVMBackendFreeWorkspace))(int, int, void *) = free_workspace;
void (*const PRIVATE(__TVMAPISetLastError))(const char *) = set_last_error;

static bool prepare(struct PUBLIC(instance) *self)
{
    const char *weights = hold_weights();
    if (!weights)
        return false;
    for (int i = 0; i < TENSORS; i++) {
        const struct tensor *tensor = &tensors[i];
        /* Kernels only read their weights; DLTensor has no word for that. */
        char *base = tensor->is_weight ? (char *)(uintptr_t)weights : self->arena;
        self->tensors[i] = (struct dl_tensor){
            .data = base + tensor->offset,
            .device = {CPU_DEVICE, 0},
            .ndim = tensor->ndim,
            .dtype = {tensor->code, tensor->bits, 1},
            .shape = tensor->shape,
        };
    }
    for (int i = 0; i < ARGUMENTS; i++) {
        self->arguments[i].pointer = &self->tensors[arguments[i]];
        self->kinds[i] = TENSOR_HANDLE;
    }
    return true;
}

/* The instance, the arena and each thread's scratch, in one block. NULL when there is not enough. */
static struct PUBLIC(instance) *allocate(int threads)
{
    size_t header = ROUND_UP(sizeof(struct PUBLIC(instance)));
    size_t size = header + ARENA_BYTES + (size_t)threads * SCRATCH_BYTES;
    void *block = allocate_pages(size);
    if (!block)
        return NULL;
    memset(block, 0, header);
    struct PUBLIC(instance) *self = block;
    self->memory = size + (size_t)(threads - 1) * STACK_BYTES;
    self->process = getpid();
    self->arena = (char *)block + header;
    self->pool.workers = self->workers;
    for (int i = 0; i < threads; i++) {
        self->workers[i].pool = &self->pool;
        self->workers[i].index = i;
        self->workers[i].scratch = self->arena + ARENA_BYTES + (size_t)i * SCRATCH_BYTES;
    }
    return self;
}

API struct PUBLIC(instance) *PUBLIC(create)(int threads)
{
    error_text[0] = '\0';
    const char *missing = missing_feature();
    if (missing) {
        set_error("this CPU lacks %s, which the library was compiled for", missing);
        return NULL;
    }
    if (threads == 0)
        threads = processors() < CORES ? processors() : CORES;
    if (threads < 0 || threads > MAX_THREADS) {
        set_error("%d threads asked for: 1 to %d, or 0 to choose, are possible", threads, MAX_THREADS);
        return NULL;
    }
    struct PUBLIC(instance) *self = allocate(threads);
    if (!self || !prepare(self)) {
        free(self);
        set_error("not enough memory");
        return NULL;
    }
    int error = start_pool(&self->pool, threads);
    if (error) {
        set_error("cannot start %d threads: error %d", threads, error);
        free_pool(&self->pool);
        release_weights();
        free(self);
        return NULL;
    }
    pthread_mutex_init(&self->running, NULL);
    return self;
}

#include INPUTS
#include OUTPUTS

static int run_call(struct PUBLIC(instance) *self, const struct call *call)
{
    union tvm_value result;
    int32_t kind = 0;
    return call->run(&self->arguments[call->first], &self->kinds[call->first], call->count, &result, &kind,
                     NULL);
}

/* Calls [first, last), none of which FORKS; `in` is to be fetched before them unless NULL. */
struct walk {
    struct PUBLIC(instance) *self;
    int first, last;
    const PUBLIC(input) *in;
};

/* What each thread does. A failure ends nothing, for the others would wait: it is reported at the end. */
static int walk_through(int task, void *environment, void *data)
{
    const struct walk *walk = data;
    struct worker *worker = current_worker;
    int failure = 0;
    (void)task, (void)environment;
    if (walk->in) {
        fetch_inputs(worker, walk->self, walk->in);
        meet(worker);
    }
    for (int i = walk->first; i < walk->last; i++) {
        bool shares = calls[i].way == SHARES;
        if (shares || worker->index == 0) {
            worker->sharing = shares;
            int status = run_call(walk->self, &calls[i]);
            worker->sharing = false;
            failure = status ? status : failure;
        }
        if (i + 1 < walk->last && (shares || calls[i + 1].way == SHARES))
            meet(worker);
    }
    return failure;
}

/* Stretches of calls that can be shared out are walked through by all threads at once. */
static int run_calls(struct PUBLIC(instance) *self, const PUBLIC(input) *in)
{
    struct walk walk = {self, 0, 0, place_inputs(self, in) ? in : NULL};
    int status = 0;
    while (walk.last < CALLS && status == 0) {
        walk.first = walk.last;
        while (walk.last < CALLS && calls[walk.last].way != FORKS)
            walk.last++;
        if (walk.last > walk.first || walk.in)
            status = launch(&self->workers[0], walk_through, &walk, 0);
        else
            status = run_call(self, &calls[walk.last++]);
        walk.in = NULL;
    }
    return status;
}

/* A child of fork() has no workers: it goes on by itself. */
static void notice_fork(struct PUBLIC(instance) *self)
{
    if (self->process == getpid())
        return;
    self->process = getpid();
    self->orphan = true;
    self->pool.threads = 1;
}

API int PUBLIC(run)(struct PUBLIC(instance) *self, const PUBLIC(input) *in, PUBLIC(output) *out)
{
    if (!self || !in || !out) {
        set_error("run needs an instance, an input and an output, not NULL");
        return -1;
    }
    pthread_mutex_lock(&self->running);
    notice_fork(self);
    error_text[0] = '\0';
    struct worker *outer = current_worker;
    current_worker = &self->workers[0];
    self->workers[0].used = 0;
    int status = run_calls(self, in);
    if (status == 0)
        for (int i = 0; i < COUNT(outputs); out += outputs[i++].size)
            give(out, self->tensors[outputs[i].tensor].data, &outputs[i]);
    else if (!error_text[0])
        set_error("a kernel failed with status %d", status);
    current_worker = outer;
    pthread_mutex_unlock(&self->running);
    return status;
}

API void PUBLIC(destroy)(struct PUBLIC(instance) *self)
{
    if (!self)
        return;
    notice_fork(self);
    if (!self->orphan) { /* what the lost threads wait on cannot be taken down */
        stop_pool(&self->pool);
        free_pool(&self->pool);
    }
    pthread_mutex_destroy(&self->running);
    release_weights();
    free(self);
}

API int PUBLIC(threads)(const struct PUBLIC(instance) *self) { return self ? self->pool.threads : 0; }

API size_t PUBLIC(memory)(const struct PUBLIC(instance) *self) { return self ? self->memory : 0; }

API const char *PUBLIC(last_error)(void) { return error_text; }

API const char *PUBLIC(version)(void) { return VERSION_TEXT; }

API const char *PUBLIC(model)(void) { return MODEL_TEXT; }

static const struct port *port_at(const struct port *ports, int count, int index)
{
    return index >= 0 && index < count ? &ports[index] : NULL;
}

static const int64_t *shape_of(const struct port *port, int *rank)
{
    if (rank)
        *rank = port ? tensors[port->tensor].ndim : 0;
    return port ? tensors[port->tensor].shape : NULL;
}

#define PORT_API(kind, ports)                                                            \
    API int PUBLIC(kind##_count)(void) { return COUNT(ports); }                          \
    API const char *PUBLIC(kind##_name)(int index)                                       \
    {                                                                                    \
        const struct port *port = port_at(ports, COUNT(ports), index);                   \
        return port ? port->name : NULL;                                                 \
    }                                                                                    \
    API size_t PUBLIC(kind##_size)(int index)                                            \
    {                                                                                    \
        const struct port *port = port_at(ports, COUNT(ports), index);                   \
        return port ? port->size : 0;                                                    \
    }                                                                                    \
    API const char *PUBLIC(kind##_type)(int index)                                       \
    {                                                                                    \
        const struct port *port = port_at(ports, COUNT(ports), index);                   \
        return port ? port->type : NULL;                                                 \
    }                                                                                    \
    API float PUBLIC(kind##_scale)(int index)                                            \
    {                                                                                    \
        const struct port *port = port_at(ports, COUNT(ports), index);                   \
        return port ? port->scale : 0;                                                   \
    }                                                                                    \
    API int PUBLIC(kind##_zero_point)(int index)                                         \
    {                                                                                    \
        const struct port *port = port_at(ports, COUNT(ports), index);                   \
        return port ? port->zero_point : 0;                                              \
    }                                                                                    \
    API const int64_t *PUBLIC(kind##_shape)(int index, int *rank)                        \
    {                                                                                    \
        return shape_of(port_at(ports, COUNT(ports), index), rank);                      \
    }

PORT_API(input, inputs)
PORT_API(output, outputs)

API const char *PUBLIC(label)(int index)
{
    return index >= 0 && index < LABELS ? labels[index] : NULL;
}
