# SPDX-License-Identifier: Apache-2.0
"""Which target a log's board is, and the TVM target string that makes the code its records measured.

Takes `BoardRecord`s; gives `MeasuredBoard`s. The device comes from targets/*.toml by its `model`;
architecture and features are the log's, for a board may have run a 32-bit system on 64-bit cores.
"""

import msgspec

from bench.core_model.records import BoardRecord
from mnc import targets
from mnc.support.errors import UserError
from mnc.targets import Target

# Boards by the names of their logs, where these are not a target's `model` or name.
# The Kirin 960 of the HiKey 960 has the same cores at the same clocks.
ALIASES = {
    **dict.fromkeys(("mate10", "mate10pro", "p20", "p20pro", "hikey970"), "kirin970"),
    **dict.fromkeys(("hikey960", "kirin960"), "kirin970"),
    **dict.fromkeys(("pixel2xl", "sdm835", "msm8998"), "snapdragon835"),
    "rasp3b": "bcm2837",
    "rasp4b": "bcm2711",
}
# Of 2018's spelling of 32 double registers, which LLVM no longer knows; NEON has them.
FORGOTTEN = ("-d16",)


class MeasuredBoard(msgspec.Struct, frozen=True):
    """A device as a log has it: `target` with the log's architecture, the code's TVM target string."""

    target: Target
    tvm_target: str
    threads: int


def board_of(record: BoardRecord) -> MeasuredBoard:
    """The board that measured `record`: all its fast cores, as TVM's runtime used them by default.

    The records give no -mcpu, so code was generated and scheduled for a generic core; so it is here.
    Raises UserError when no target file describes the board.
    """
    device = device_of(record.model)
    mattr = tuple(word for word in record.mattr if word not in FORGOTTEN)
    try:
        target = msgspec.structs.replace(
            device, triple=record.triple, mattr=mattr, glibc=None, mcpu=record.mcpu or "generic"
        )
    except ValueError as error:
        raise UserError(
            f"{record.source}: -mtriple={record.triple} cannot be replayed: {error}"
        ) from error
    words = ["llvm -keys=arm_cpu,cpu -device=arm_cpu", f"-mtriple={record.triple}"]
    words += [f"-mcpu={record.mcpu}"] if record.mcpu else []
    words += [f"-mattr={','.join(mattr)}"] if mattr else []
    words += ["-mfloat-abi=hard"] if record.triple.endswith("eabihf") else []
    words += [f"-model={record.model}"]
    return MeasuredBoard(target, " ".join(words), device.fast.count)


def device_of(model: str) -> Target:
    """The target of the board that logs call `model`; UserError names the ones there are."""
    wanted = ALIASES.get(model, model)
    known = []
    for name in targets.names():
        if name == "x86":  # the machine this runs on, whatever it is
            continue
        target = targets.load(name)
        if wanted in (target.model, target.name):
            return target
        known.append(target.model)
    raise UserError(
        f"no target file describes the log's board -model={model}; known boards: "
        f"{', '.join(sorted(known))}; add targets/<name>.toml with this model"
    )
