/* SPDX-License-Identifier: Apache-2.0
 *
 * Does this CPU have what the kernels use? Asked before any of them runs: an app gets a message
 * instead of an illegal instruction.
 *
 * Part of one translation unit, see runtime.c. FEATURES(F) is generated: F("avx2"), F("fma") ... on
 * x86-64, F("dotprod", AT_HWCAP, bit) ... on ARM.
 */
#if defined(__x86_64__)

static const char *missing_feature(void)
{
    __builtin_cpu_init();
#define LACKS(name)                    \
    if (!__builtin_cpu_supports(name)) \
        return name;
    FEATURES(LACKS)
#undef LACKS
    return NULL;
}

#else

#include <sys/auxv.h>

static const char *missing_feature(void)
{
#define LACKS(name, vector, bit)                \
    if (!(getauxval(vector) & (1UL << (bit)))) \
        return name;
    FEATURES(LACKS)
#undef LACKS
    return NULL;
}

#endif
