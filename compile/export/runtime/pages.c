/* SPDX-License-Identifier: Apache-2.0
 *
 * Weights and tensors on huge pages, where the system has them for who asks. A run touches every weight
 * once, thousands of small pages: more than a TLB holds, and in a virtual machine each miss walks two page
 * tables. Huge pages cannot lie over a library's file, so the weights are copied, once for all instances of
 * a process, and the file's own pages are given back.
 *
 * Part of one translation unit, see runtime.c.
 */
#ifdef __linux__
#include <fcntl.h>
#include <sys/mman.h>

/* What the kernel says of huge pages in one of its files; "" where it has none. */
static void huge_page_setting(const char *path, char said[64])
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = file < 0 ? 0 : read(file, said, 63);
    said[got > 0 ? got : 0] = 0;
    if (file >= 0)
        close(file);
}

/* The size of a huge page: 2 MiB, or 32 where a page has 16 KiB. 0 where asking is worth nothing: the kernel has
 * none, or is told never to use them. */
static size_t huge_page(void)
{
    char said[64];
    huge_page_setting("/sys/kernel/mm/transparent_hugepage/enabled", said);
    if (!said[0] || strstr(said, "[never]"))
        return 0;
    huge_page_setting("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", said);
    size_t size = strtoul(said, NULL, 10);
    return size && !(size & (size - 1)) ? size : (size_t)2 << 20;
}

/* Ask for huge pages in [start, start + size). What is not a whole one keeps small pages: no byte more is used. */
static void prefer_huge_pages(char *start, size_t size, size_t page)
{
    size_t before = -(uintptr_t)start % page;
    if (size >= before + page)
        madvise(start + before, (size - before) / page * page, MADV_HUGEPAGE);
}

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
static size_t huge_page(void) { return 0; }
static void prefer_huge_pages(char *start, size_t size, size_t page) { (void)start, (void)size, (void)page; }
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
