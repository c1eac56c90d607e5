/* SPDX-License-Identifier: Apache-2.0
 *
 * Weights that lie in the file as kernels read them. Huge pages cannot lie over a library's file, so where there are
 * any the weights are copied, once for all instances of a process, and the file's own pages are given back.
 *
 * Part of one translation unit, see runtime.c.
 */
#ifdef __linux__
/* The pages of the file are read again should anybody need them. */
static void give_back(const char *start, size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), before = -(uintptr_t)start % page;
    if (size > before + page)
        madvise((char *)(uintptr_t)start + before, (size - before) / page * page, MADV_DONTNEED);
}

/* A read-only copy on huge pages, of `*reserved` bytes from `*block` on; NULL when it would bring nothing. */
static char *copy_to_huge_pages(const char *from, size_t size, void **block, size_t *reserved)
{
    size_t page = huge_page();
    if (!page || size < page)
        return NULL;
    *reserved = size + page;
    *block = mmap(NULL, *reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (*block == MAP_FAILED)
        return NULL;
    char *copy = (char *)*block + -(uintptr_t)*block % page;
    prefer_huge_pages(copy, size, page);
    /* A part at a time, and its pages given back, so that there are never two whole copies in memory. */
    for (size_t done = 0; done < size; done += page) {
        size_t part = size - done < page ? size - done : page;
        memcpy(copy + done, from + done, part);
        give_back(from + done, part);
    }
    mprotect(*block, *reserved, PROT_READ);
    give_back(from, size);
    return copy;
}

static void free_copy(void *block, size_t reserved) { munmap(block, reserved); }
#else
static void free_copy(void *block, size_t reserved) { (void)block, (void)reserved; }
static char *copy_to_huge_pages(const char *from, size_t size, void **block, size_t *reserved)
{
    (void)from, (void)size, (void)block, (void)reserved;
    return NULL;
}
#endif

/* The weights that all instances of the process share. */
static struct {
    pthread_mutex_t mutex;
    int users;
    char *copy;
    void *block;
    size_t reserved;
} shared = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static const char *hold_weights(void)
{
    pthread_mutex_lock(&shared.mutex);
    if (shared.users++ == 0)
        shared.copy = copy_to_huge_pages(PRIVATE(weights), WEIGHT_BYTES, &shared.block, &shared.reserved);
    const char *held = shared.copy ? shared.copy : PRIVATE(weights);
    pthread_mutex_unlock(&shared.mutex);
    return held;
}

static void release_weights(void)
{
    pthread_mutex_lock(&shared.mutex);
    if (--shared.users == 0 && shared.copy) {
        free_copy(shared.block, shared.reserved);
        shared.copy = NULL;
    }
    pthread_mutex_unlock(&shared.mutex);
}
