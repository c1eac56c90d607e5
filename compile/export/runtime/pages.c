/* SPDX-License-Identifier: Apache-2.0
 *
 * Weights and tensors on huge pages, where the system has them for who asks. A run touches every weight
 * once, thousands of small pages: more than a TLB holds, and in a virtual machine each miss walks two page
 * tables.
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
#else
static size_t huge_page(void) { return 0; }
static void prefer_huge_pages(char *start, size_t size, size_t page) { (void)start, (void)size, (void)page; }
#endif

/* `size` bytes, on huge pages where they fill one. NULL when there is not enough; free() gives them back. */
static void *allocate_pages(size_t size)
{
    void *block;
    size_t page = huge_page();
    bool huge = page && size >= page;
    if (posix_memalign(&block, huge ? page : ALIGNMENT, size) != 0)
        return NULL;
    if (huge)
        prefer_huge_pages(block, size, page);
    return block;
}
