/* SPDX-License-Identifier: Apache-2.0
 *
 * Weights that the file has in half precision: made float32 once for all instances of a process.
 *
 * Part of one translation unit, see runtime.c.
 */
static struct {
    pthread_mutex_t mutex;
    int users;
    char *copy;
} shared = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* The number that 16 bits stand for, exactly, whatever the processor does with numbers below the normal ones. */
static float of_half(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, rest = half & 0x7fff;
    float small = (float)rest * 0x1p-24f;
    uint32_t bits = (rest << 13) + (112u << 23), below;
    memcpy(&below, &small, sizeof(below));
    bits = sign | (rest < 0x400 ? below : bits);
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static void widen(float *to, const uint16_t *from, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] = of_half(from[i]);
}

static char *widened(void)
{
    char *block = allocate_pages(WEIGHT_BYTES);
    if (!block)
        return NULL;
    for (int i = 0; i < COUNT(stored); i++) {
        const char *from = PRIVATE(weights) + stored[i].source;
        char *to = block + stored[i].offset;
        if (stored[i].halved)
            widen((float *)(void *)to, (const uint16_t *)(const void *)from, stored[i].size / sizeof(float));
        else
            memcpy(to, from, stored[i].size);
    }
    return block;
}

/* NULL when there is not enough memory; then nothing is held. */
static const char *hold_weights(void)
{
    pthread_mutex_lock(&shared.mutex);
    if (shared.users == 0)
        shared.copy = widened();
    if (shared.copy)
        shared.users++;
    const char *held = shared.copy;
    pthread_mutex_unlock(&shared.mutex);
    return held;
}

static void release_weights(void)
{
    pthread_mutex_lock(&shared.mutex);
    if (--shared.users == 0) {
        free(shared.copy);
        shared.copy = NULL;
    }
    pthread_mutex_unlock(&shared.mutex);
}
