/* SPDX-License-Identifier: Apache-2.0
 *
 * Inputs that are floats, as the network takes them: read where they are, or copied to where they are aligned.
 */
/* Kernels take it for granted that their tensors are aligned. */
static bool is_aligned(const float *in)
{
    return (uintptr_t)in % ALIGNMENT == 0;
}

/* Lets kernels read the inputs where they are, if aligned, else where they will be copied to. Returns whether
 * any is to be copied. */
static bool place_inputs(struct PUBLIC(instance) *self, const PUBLIC(input) *in)
{
    bool copies = false;
    for (int i = 0; i < COUNT(inputs); in += inputs[i++].size) {
        /* Kernels only read it; DLTensor has no word for that. */
        void *place = is_aligned(in) ? (void *)(uintptr_t)in : self->arena + tensors[inputs[i].tensor].offset;
        for (int k = 0; k < COUNT(views); k++)
            if (views[k].input == i)
                self->tensors[views[k].tensor].data = place;
        copies |= !is_aligned(in);
    }
    return copies;
}

/* memcpy, line by line: a race detector that an app is built with sees calls of memcpy, but nothing of how the
 * threads of the library wait for each other. */
static void copy(char *to, const char *from, size_t size)
{
    for (; size >= LINE; size -= LINE, to += LINE, from += LINE) {
        __builtin_memcpy(to, from, LINE);
        __asm__ volatile("" ::: "memory"); /* or the compiler makes it a memcpy again */
    }
    for (; size > 0; size--, to++, from++) {
        *to = *from;
        __asm__ volatile("" ::: "memory");
    }
}

/* Copies this thread's part of the inputs that are not aligned. */
static void fetch_inputs(struct worker *worker, struct PUBLIC(instance) *self, const PUBLIC(input) *in)
{
    size_t threads = (size_t)self->pool.threads, index = (size_t)worker->index;
    for (int i = 0; i < COUNT(inputs); in += inputs[i++].size) {
        size_t size = inputs[i].size, part = ROUND_UP((size + threads - 1) / threads);
        size_t first = part * index < size ? part * index : size;
        size_t end = size - first < part ? size : first + part;
        if (!is_aligned(in))
            copy((char *)((float *)self->tensors[inputs[i].tensor].data + first),
                 (const char *)(in + first), (end - first) * sizeof(float));
    }
}
