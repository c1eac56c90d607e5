/* SPDX-License-Identifier: Apache-2.0
 *
 * Does this CPU have what the kernels use? Asked before any of them runs: an app gets a message
 * instead of an illegal instruction. By CPUID on x86-64 (the compilers' own __builtin_cpu_supports
 * depends on a support library that zig fills in only partly), by what Linux tells elsewhere.
 *
 * Part of one translation unit, see runtime.c. FEATURES(F) is generated: F("avx2", leaf, subleaf,
 * register, bit) on x86-64, F("dotprod", AT_HWCAP, bit) on ARM.
 */
#if defined(__x86_64__)

#include <cpuid.h>

enum { EAX, EBX, ECX, EDX };

#define XMM_YMM 0x06u
#define XMM_YMM_ZMM 0xe6u

static bool has_bit(unsigned leaf, unsigned subleaf, int reg, int bit)
{
    unsigned values[4] = {0};
    if (!__get_cpuid_count(leaf, subleaf, &values[EAX], &values[EBX], &values[ECX], &values[EDX]))
        return false;
    return values[reg] >> bit & 1;
}

/* Vector registers exist for a program only if the operating system saves them. */
static unsigned saved_registers(void)
{
    unsigned low, high;
    if (!has_bit(1, 0, ECX, 27)) /* OSXSAVE */
        return 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static bool has_feature(const char *name, unsigned leaf, unsigned subleaf, int reg, int bit)
{
    unsigned needed = strncmp(name, "avx512", 6) == 0 ? XMM_YMM_ZMM
                      : strncmp(name, "avx", 3) == 0  ? XMM_YMM
                                                      : 0;
    return has_bit(leaf, subleaf, reg, bit) && (!needed || (saved_registers() & needed) == needed);
}

#else

#include <sys/auxv.h>

static bool has_feature(const char *name, unsigned long vector, int bit)
{
    (void)name;
    return getauxval(vector) >> bit & 1;
}

#endif

/* The first feature that is missing, or NULL. */
static const char *missing_feature(void)
{
#define CHECK(name, ...)                 \
    if (!has_feature(name, __VA_ARGS__)) \
        return name;
    FEATURES(CHECK)
#undef CHECK
    return NULL;
}
