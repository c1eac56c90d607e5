# SPDX-License-Identifier: Apache-2.0
"""AArch64's own way to round an image, run by qemu, is rule 1 of docs/int8.md: ties, infinities and all."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
import tvm
from tvm import te

from mnc.compile.rpc import rootfs
from mnc.compile.templates import packed_image
from mnc.compile.toolchain.zig import zig
from mnc.model.quantization.operators import quantize
from mnc.targets import load

SHAPE, PAIRS, SCALE, FILL = (1, 3, 5, 32), 52, 0.25, 7
# What TVM's runtime is to a kernel of one thread; its arguments are floats and bytes.
HARNESS = """
#include <stdint.h>
#include <stdio.h>
struct type { uint8_t code, bits; uint16_t lanes; };
struct tensor {
    void *data;
    int32_t device, number, axes;
    struct type type;
    int64_t *shape, *strides, offset;
};
union value { int64_t number; void *tensor; };
struct group { void *barrier; int32_t tasks; };
extern void *__TVMBackendParallelLaunch;
int default_function(union value *, int *, int, union value *, int *, void *);
static float image[3 * 5 * 32];
static int8_t made[7 * 104];
static int launch(int (*work)(int, struct group *, void *), void *data, int tasks)
{
    struct group one = {0, 1};
    return work(0, &one, data);
}
int main(void)
{
    int64_t shapes[2][5] = {{1, 3, 5, 32}, {1, 1, 7, 52, 2}};
    struct tensor from = {image, 1, 0, 4, {2, 32, 1}, shapes[0]}, to = {made, 1, 0, 5, {0, 8, 1}, shapes[1]};
    union value arguments[2] = {{.tensor = &from}, {.tensor = &to}}, result;
    int codes[2] = {7, 7}, code;
    __TVMBackendParallelLaunch = launch;
    fread(image, 1, sizeof image, stdin);
    int wrong = default_function(arguments, codes, 2, &result, &code, 0);
    fwrite(made, 1, sizeof made, stdout);
    return wrong;
}
"""


@pytest.mark.parametrize("zero", [0, 113, 114, 255])
def test_every_byte_is_rounded_half_to_even_within_its_bounds(zero: int, tmp_path: Path) -> None:
    image = np.random.default_rng(1).uniform(-100, 100, SHAPE).astype(np.float32)
    image.flat[:200] = np.arange(-100, 100) / 8  # ties too
    image.flat[200:206] = [np.inf, -np.inf, 3e38, -3e38, 1e5, -1e5]
    made = run(zero, image, tmp_path)
    wanted = quantize(torch.from_numpy(image), SCALE, zero).numpy().astype(int) - 128
    borders = [(0, 0), (0, 0), (1, 1), (1, 1)]
    rows = np.pad(wanted, borders, constant_values=FILL).transpose(0, 2, 3, 1).reshape(7, -1)
    assert (made[:, : rows.shape[1]] == rows).all()
    assert (made[:, rows.shape[1] :] == FILL).all()


def run(zero: int, image: np.ndarray, folder: Path) -> np.ndarray:
    target = tvm.target.Target(load("rpi4").tvm_target())
    with target:
        data = te.placeholder(SHAPE, name="data")
        out = packed_image.compute(data, 1 / SCALE, zero, (1, 1, 1, 1), FILL, "int8", PAIRS)
        built = tvm.build(te.create_schedule(out.op), [data, out], target=target)
    built.save(str(folder / "kernel.o"))
    (folder / "main.c").write_text(HARNESS)
    compiler = [*zig("cc"), "-target", "aarch64-linux-musl", "-O1", "-w"]
    subprocess.run([*compiler, "main.c", "kernel.o", "-o", "main"], cwd=folder, check=True)
    command = [str(rootfs.root("aarch64").qemu), str(folder / "main")]
    said = subprocess.run(command, check=True, input=image.tobytes(), capture_output=True).stdout
    return np.frombuffer(said, np.int8).reshape(7, 2 * PAIRS)
