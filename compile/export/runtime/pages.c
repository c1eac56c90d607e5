/* SPDX-License-Identifier: Apache-2.0
 *
 * Weights and tensors on huge pages, where the system has them for who asks. A run touches every weight
 * once, thousands of small pages: more than a TLB holds, and in a virtual machine each miss walks two page
 * tables. Huge pages cannot lie over a library's file, so the weights are copied, once for all instances of
 * a process, and the file's own pages are given back.
 *
 * Part of one translation unit, see runtime.c.
 */
#define HUGE_PAGE ((size_t)2 << 20)

#ifdef __linux__
#include <fcntl.h>
#include <sys/mman.h>

/* Whether asking is worth anything: the kernel has them and is not told never to use them. */
static bool huge_pages_offered(void)
{
    char mode[64] = "";
    int file = open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    ssize_t got = read(file, mode, sizeof(mode) - 1);
    close(file);
    return got > 0 && !strstr(mode, "[never]");
}

/* Ask for huge pages in [start, start + size). What is not a whole one keeps small pages: no byte more is used. */
static void prefer_huge_pages(char *start, size_t size)
{
    size_t before = -(uintptr_t)start % HUGE_PAGE;
    if (size >= before + HUGE_PAGE)
        madvise(start + before, (size - before) / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
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
    if (size < HUGE_PAGE || !huge_pages_offered())
        return NULL;
    *reserved = size + HUGE_PAGE;
    *block = mmap(NULL, *reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (*block == MAP_FAILED)
        return NULL;
    char *copy = (char *)*block + -(uintptr_t)*block % HUGE_PAGE;
    prefer_huge_pages(copy, size);
    /* A part at a time, and its pages given back, so that there are never two whole copies in memory. */
    for (size_t done = 0; done < size; done += HUGE_PAGE) {
        size_t part = size - done < HUGE_PAGE ? size - done : HUGE_PAGE;
        memcpy(copy + done, from + done, part);
        give_back(from + done, part);
    }
    mprotect(*block, *reserved, PROT_READ);
    give_back(from, size);
    return copy;
}

static void free_copy(void *block, size_t reserved) { munmap(block, reserved); }
#else
static bool huge_pages_offered(void) { return false; }
static void prefer_huge_pages(char *start, size_t size) { (void)start, (void)size; }
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
