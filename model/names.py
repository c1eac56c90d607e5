# SPDX-License-Identifier: Apache-2.0
"""The names of the zoo's networks, known without importing torch (a shell completes them)."""

WIDTHS, RESOLUTIONS = (1.0, 0.75, 0.5, 0.25), (224, 192, 160, 128)
# The 28x28 networks and the datasets their committed checkpoints were trained on.
SMALL = {"mobilenet_v1_28": "fashion_mnist", "mobilenet_v1_28_mnist": "mnist"}


def names() -> tuple[str, ...]:
    """The models `mnc models` lists; any other width and resolution can be named as well."""
    grid = tuple(f"mobilenet_v1_{width}_{size}" for width in WIDTHS for size in RESOLUTIONS)
    return (*grid, *SMALL, "mobilenet_v2_1.0_224")
