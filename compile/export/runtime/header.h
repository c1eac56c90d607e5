/* SPDX-License-Identifier: Apache-2.0
 *
$summary
 *
 * Made by mnc $version$commit. Link with $link.
 * The library holds the weights and all it needs of a runtime; it wants libc, libm and pthread.
 *
 * Threads: an instance runs one input at a time. Calls of ${prefix}_run on one instance from several
 * threads are safe and wait for each other; different instances are independent and run at the same
 * time. All memory is taken in ${prefix}_create; running allocates nothing.
 */
#ifndef ${PREFIX}_H
#define ${PREFIX}_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ${PREFIX}_VERSION $version_text
#define ${PREFIX}_MODEL $model_text

/* What ${prefix}_run reads and writes, and how many. */
typedef $input_type ${prefix}_input;
typedef $output_type ${prefix}_output;
#define ${PREFIX}_INPUT_SIZE $input_size
#define ${PREFIX}_OUTPUT_SIZE $output_size

/* Bytes. An instance with n threads takes ${PREFIX}_PEAK_BYTES(n) at most, besides the weights, which all
 * instances share (mapped from the file, or copied once to huge pages where Linux offers them): the tensors
 * between layers (${PREFIX}_ARENA_BYTES, planned so that they share memory), and for every thread scratch, and
 * a stack for each but the caller's. */
#define ${PREFIX}_WEIGHT_BYTES $weight_bytes
#define ${PREFIX}_ARENA_BYTES $arena_bytes
#define ${PREFIX}_SCRATCH_BYTES $scratch_bytes
#define ${PREFIX}_STACK_BYTES $stack_bytes
#define ${PREFIX}_FIXED_BYTES $fixed_bytes
#define ${PREFIX}_PEAK_BYTES(threads) \
    (${PREFIX}_FIXED_BYTES + ${PREFIX}_ARENA_BYTES + \
     (size_t)(threads) * ${PREFIX}_SCRATCH_BYTES + ((size_t)(threads) - 1) * ${PREFIX}_STACK_BYTES)

/* Threads that an instance can have at most. */
#define ${PREFIX}_MAX_THREADS $max_threads

typedef struct ${prefix}_instance ${prefix}_instance;

/* An instance with that many threads, the caller's included, 1 to ${PREFIX}_MAX_THREADS ($max_threads); 0
 * chooses as many as the fast cores the library was compiled for, if there are so many here. They inherit the
 * caller's CPU affinity. NULL when it cannot be had: see ${prefix}_last_error. */
${prefix}_instance *${prefix}_create(int threads);

/* One inference.
$inputs
$outputs
 * They are what the network's last layer gives: of a classifier logits, no probabilities, unless the network
 * itself ends in a softmax.
$reading
 * Returns 0, or another number with the reason in ${prefix}_last_error. */
int ${prefix}_run(${prefix}_instance *instance, const ${prefix}_input *in, ${prefix}_output *out);

/* Frees an instance that no thread is running; NULL is allowed. As with free(), the instance is then gone:
 * destroying it a second time, or running it, is undefined and mostly aborts the process. */
void ${prefix}_destroy(${prefix}_instance *instance);

/* Threads, and bytes taken in memory, of an instance; 0 of NULL. */
int ${prefix}_threads(const ${prefix}_instance *instance);
size_t ${prefix}_memory(const ${prefix}_instance *instance);

/* Why the last ${prefix}_create or ${prefix}_run on this thread failed; "" when it did not. It is valid until
 * the next of them on this thread. */
const char *${prefix}_last_error(void);

/* ${PREFIX}_VERSION and ${PREFIX}_MODEL of the library that is loaded. */
const char *${prefix}_version(void);
const char *${prefix}_model(void);

/* Inputs and outputs by index: name, how many numbers, shape with its rank, type ("float32", "uint8", "int8"), and
 * what a number x stands for: (x - zero_point) * scale, scale 1 and zero point 0 where it is itself. NULL or 0
 * beyond the last. */
int ${prefix}_input_count(void);
const char *${prefix}_input_name(int index);
size_t ${prefix}_input_size(int index);
const int64_t *${prefix}_input_shape(int index, int *rank);
const char *${prefix}_input_type(int index);
float ${prefix}_input_scale(int index);
int ${prefix}_input_zero_point(int index);
int ${prefix}_output_count(void);
const char *${prefix}_output_name(int index);
size_t ${prefix}_output_size(int index);
const int64_t *${prefix}_output_shape(int index, int *rank);
const char *${prefix}_output_type(int index);
float ${prefix}_output_scale(int index);
int ${prefix}_output_zero_point(int index);

/* A class's name, or NULL when it has none. */
const char *${prefix}_label(int index);

#ifdef __cplusplus
}
#endif

#endif
