# SPDX-License-Identifier: Apache-2.0
"""What the measuring processes are told and what they answer: one JSON line each way.

Plain frozen structs, so that nothing is ever unpickled and a worker can be driven by hand.
"""

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from mnc.compile.records.trial import Failure, Trial, task_key
from mnc.compile.rpc.address import Cores
from mnc.compile.toolchain.graph import Role
from mnc.support import error_text
from mnc.targets import Target

if TYPE_CHECKING:
    from mnc.compile.frontend.tasks import TunableTask


class TaskSpec(msgspec.Struct, frozen=True):
    """A `mnc.compile.frontend.tasks.TunableTask` as data: enough to make the AutoTVM task again elsewhere.

    `templates` are modules to import besides `mnc.compile.templates`.
    """

    key: str
    name: str
    args: Any
    target: str
    templates: tuple[str, ...] = ()


def spec_of(task: "TunableTask", *, templates: tuple[str, ...] = ()) -> TaskSpec:
    """The task as data for another process."""
    return TaskSpec(
        key=task_key(task.task.name, task.task.args),
        name=task.task.name,
        args=task.task.args,
        target=str(task.task.target),
        templates=templates,
    )


class Argument(msgspec.Struct, frozen=True):
    """One buffer of a compiled kernel, in calling order, and what it is to the task."""

    shape: tuple[int, ...]
    dtype: str
    role: Role

    @property
    def is_output(self) -> bool:
        """Whether the kernel writes it."""
        return self.role == "output"


class CompileJob(msgspec.Struct, frozen=True, tag=True):
    """Compile one configuration (AutoTVM's JSON form of it) into the shared library `library`."""

    task: TaskSpec
    config: dict[str, Any]
    library: str


class NetworkJob(msgspec.Struct, frozen=True, tag=True):
    """Compile a network in our own family: `program` is a file with its Relay module in TVM's JSON, no pair
    fused, `trials` the records of its kernels, `keys` those of its tasks. Its object and graph are written
    beside the shared library `library`.
    """

    program: str
    target: Target
    trials: tuple[Trial, ...]
    keys: tuple[str, ...]
    library: str


class ReferenceJob(msgspec.Struct, frozen=True, tag=True):
    """Work out seeded inputs and the right output of a task, stored at `path` (.npz) by their roles."""

    task: TaskSpec
    path: str


class RunJob(msgspec.Struct, frozen=True, tag=True):
    """Check and time one compiled kernel.

    `reference` is a ReferenceJob's file; None fills the inputs with noise and checks nothing.
    `best` is the least cost known of the task in seconds: a candidate far from it is dropped early.
    `evict_bytes` are streamed through the caches before each repeat; `budget` is seconds of timing.
    """

    library: str
    arguments: tuple[Argument, ...]
    reference: str | None
    best: float | None
    evict_bytes: int
    budget: float


class ConnectJob(msgspec.Struct, frozen=True, tag=True):
    """Get a free device of `key` from the tracker at `host`:`port`, waiting `wait_seconds` for one.

    The device ends the session after `session_seconds`. `threads` run each kernel, on cores of the
    class `cores` ("big", "little" or "all").
    """

    host: str
    port: int
    key: str
    wait_seconds: float
    session_seconds: float
    threads: int
    cores: Cores


class StepJob(msgspec.Struct, frozen=True, tag=True):
    """One step of a RunJob on the connected device.

    "load" sends library and inputs, "call" runs the kernel once, "check" fetches its output and
    compares, "time" times it. Apart, so that a slow network does not count as a slow kernel.
    """

    step: Literal["load", "call", "check", "time"]
    run: RunJob


class SimulateJob(msgspec.Struct, frozen=True, tag=True):
    """Compile one configuration and work out what it costs on `device`'s fast cores, by its core model.

    `threads` run the kernel. No file is named: the job may be done on another machine.
    """

    task: TaskSpec
    config: dict[str, Any]
    device: Target
    threads: int


Job = CompileJob | NetworkJob | ReferenceJob | RunJob | ConnectJob | StepJob | SimulateJob


class Compiled(msgspec.Struct, frozen=True, tag=True):
    """A library is ready. `arguments` are its kernel's buffers."""

    arguments: tuple[Argument, ...]


class Stored(msgspec.Struct, frozen=True, tag=True):
    """A reference, or a network, is stored."""


class Timed(msgspec.Struct, frozen=True, tag=True):
    """Seconds of each kept repeat; the kernel's output was right (or nothing was asked of it)."""

    costs: tuple[float, ...]


class Priced(msgspec.Struct, frozen=True, tag=True):
    """What a core model says that a call of the kernel costs, and the seconds that the job took."""

    cost: float
    seconds: float


class Connected(msgspec.Struct, frozen=True, tag=True):
    """A device is ours. `host` and `port` are its server's; `round_trip` is seconds of a call to it.

    `identity` changes when its server is started anew, `last_exit` and `crashes` tell of sessions
    that ended badly, `emulated` names what emulates it; all empty where the device cannot say.
    """

    host: str
    port: int
    round_trip: float
    identity: str = ""
    emulated: str = ""
    last_exit: int = 0
    crashes: int = 0


class Done(msgspec.Struct, frozen=True, tag=True):
    """A step that gives no figure is done."""


class Failed(msgspec.Struct, frozen=True, tag=True):
    """Why there is no cost: "compile", "wrong", "run", and one line that says more.

    "setup" is no fault of the configuration: the task itself could not be made.
    """

    error: str
    message: str


class Died(msgspec.Struct, frozen=True, tag=True):
    """The process ended by itself; `cause` names the signal or exit status. Made by the pool."""

    cause: str


class TimedOut(msgspec.Struct, frozen=True, tag=True):
    """No answer within `seconds`; the process was killed. Made by the pool."""

    seconds: float


Reply = Compiled | Stored | Timed | Priced | Connected | Done | Failed
Outcome = Reply | Died | TimedOut


def explain(outcome: Outcome, stage: str) -> tuple[Failure, str]:
    """Kind and one line for an outcome without a cost. `stage` is what was at work."""
    if isinstance(outcome, TimedOut):
        return "timeout", f"the {stage} took over {outcome.seconds:g} s"
    if isinstance(outcome, Died):
        kind: Failure = "crash" if stage == "kernel" else "compile"
        return kind, f"the {stage} died: {outcome.cause}"
    if isinstance(outcome, Failed):
        if outcome.error == "setup":
            raise RuntimeError(f"the task cannot be made in a compiling process: {outcome.message}")
        kinds: dict[str, Failure] = {"compile": "compile", "wrong": "wrong"}
        return kinds.get(outcome.error, "run"), outcome.message
    return "run", f"unexpected answer {type(outcome).__name__}"


def failed(kind: str, error: BaseException) -> Failed:
    """The answer for an exception."""
    return Failed(error=kind, message=error_text.of_exception(error))
