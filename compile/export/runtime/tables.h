/* SPDX-License-Identifier: Apache-2.0
 *
 * What a generated network is: tables of tensors and kernel calls. The structures that kernels see
 * have the binary form that TVM 0.19 compiles against (DLPack's DLTensor, TVMValue).
 *
 * PRIVATE(name) and PUBLIC(name) put the export's prefix before every name with linkage, so that
 * several networks can be linked into one program.
 */
#ifndef TABLES_H
#define TABLES_H

#include <stddef.h>
#include <stdint.h>

struct dl_tensor {
    void *data;
    struct { int32_t type, id; } device;
    int32_t ndim;
    struct { uint8_t code, bits; uint16_t lanes; } dtype;
    const int64_t *shape;
    const int64_t *strides;
    uint64_t byte_offset;
};

union tvm_value {
    int64_t integer;
    double real;
    void *pointer;
};

typedef int32_t kernel(void *args, int32_t *kinds, int32_t count, void *result, int32_t *result_kind,
                       void *resource);

/* Where a tensor is: `offset` bytes into the weights or into the instance's arena. */
struct tensor {
    size_t offset;
    const int64_t *shape;
    int32_t ndim;
    uint8_t is_weight, code, bits;
};

/* An array of weights: where it is in the file and in memory, how many bytes it has there, and whether the file has
 * it in half precision. */
struct stored {
    size_t source, offset, size;
    uint8_t halved;
};

/* How the threads of an instance do a kernel. SHARES: each calls it and does its part, for it is one
 * parallel loop and nothing else. ALONE: the caller does it. FORKS: the caller calls it, and it hands out
 * what can be shared. */
enum way { SHARES, ALONE, FORKS };

/* A kernel and the tensors it is called with: `count` entries of `arguments` from `first` on. */
struct call {
    kernel *run;
    int32_t first, count;
    enum way way;
};

/* An input or output: its tensor, which tells the shape, and its numbers: how many, of which type, and what they
 * stand for, (x - zero_point) * scale. */
struct port {
    const char *name;
    int32_t tensor;
    size_t size;
    const char *type;
    float scale;
    int32_t zero_point;
};

/* How an input's bytes become numbers of `tensor`, each of `size` bytes (1 or 4), by a table of 256 numbers for
 * each channel: images of so many channels of height x width become rows of so many numbers in blocks of so many
 * channels, with a border of `fill` whose upper left corner has `top` rows and `left` columns. */
struct intake {
    int32_t tensor;
    size_t size, images, channels, height, width;
    size_t block, rows, row, top, left;
    uint8_t fill;
    const void *table;
};

/* A tensor that is an input's memory, seen in its own shape or in another. */
struct view {
    int32_t tensor, input;
};

#endif
