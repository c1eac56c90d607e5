# SPDX-License-Identifier: Apache-2.0
"""A target that stands for the machine it is loaded on: its name, and what the machine cannot tell.

`x86.toml` is one, and ARM_HOST, which has no file: a person names neither bandwidth nor latency there.
"""

from typing import Literal

import msgspec

from mnc.support.errors import UserError
from mnc.targets.target import Description, Memory, Slug, Triple, Version

HOST = "host"  # the name of the machine this runs on, whatever it is; as `mcpu`, that of a HostFile


class OtherArchitectureError(UserError):
    """The target stands for the machine it is loaded on, and this one cannot be described by it."""


class HostFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A TOML with `mcpu = "host"`: the name of the target and what the machine cannot tell."""

    name: Slug
    description: Description
    triple: Triple
    mcpu: Literal["host"]
    glibc: Version | None = None
    memory: Memory


# An aarch64 machine that has no file of its own; memory figures are estimates.
ARM_HOST = HostFile(
    name=HOST,
    description="the 64-bit ARM CPU of this machine",
    triple="aarch64-linux-gnu",
    mcpu="host",
    glibc="2.28",
    memory=Memory(bandwidth_gb_s=8.0, core_bandwidth_gb_s=5.0, latency_ns=140.0),
)
