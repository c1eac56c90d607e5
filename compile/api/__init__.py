# SPDX-License-Identifier: Apache-2.0
"""The Python API, one module a stage; docs/api.md shows it at work, and the command line calls nothing else.

`tune` fills a log, `build` makes an artifact with the log's best records, `load` opens one to run it; the
others look, compare, time and write. They take the names that the command line takes, give frozen values,
and raise UserError with what to do next. Importing them loads neither PyTorch nor TVM.
"""

from mnc.compile.api.building import BuildResult, build
from mnc.compile.api.comparing import bench, verify
from mnc.compile.api.devices import (
    JoinedWorkers,
    doctor,
    enroll,
    list_devices,
    simulate_workers,
    start_tracker,
    virtual_boards,
)
from mnc.compile.api.explaining import explain, explained_total
from mnc.compile.api.exporting import ExportResult, export
from mnc.compile.api.families import choose_family
from mnc.compile.api.listing import (
    MachineReport,
    TaskRow,
    artifact_folders,
    layers,
    machine,
    model_names,
    models,
    target_names,
    targets,
    tasks,
)
from mnc.compile.api.named import (
    LOGS,
    OUT,
    ModelSpec,
    as_model,
    as_target,
    open_artifact,
)
from mnc.compile.api.profiling import ProfileReport, draw_roofline, profile
from mnc.compile.api.quantizing import quantize
from mnc.compile.api.reporting import report
from mnc.compile.api.reranking import rerank
from mnc.compile.api.running import classify, load, read_images, runs_here
from mnc.compile.api.tracing import trace
from mnc.compile.api.tuning import tune
from mnc.compile.device.device import BenchReport
from mnc.compile.export.numbers import InputType, OutputType
from mnc.compile.records.trial import Trial
from mnc.compile.report.explain import Explanation
from mnc.compile.report.traced import TraceReport
from mnc.compile.rpc.address import HOST, PORT, Cores
from mnc.compile.runtime.agreement import Agreement
from mnc.compile.runtime.verify import Check, VerifyReport
from mnc.compile.toolchain.stored_weights import STORAGES, WeightStorage
from mnc.compile.tuning.options import TRIALS_PER_TASK, TUNERS
from mnc.compile.tuning.progress import Observer, TuningProgress, TuningSummary
from mnc.compile.tuning.rerank_summary import RerankSummary
from mnc.model.names import Precision
from mnc.support import progress
from mnc.support.latency import Latency

__all__ = [
    "HOST",
    "LOGS",
    "OUT",
    "PORT",
    "STORAGES",
    "TRIALS_PER_TASK",
    "TUNERS",
    "Agreement",
    "BenchReport",
    "BuildResult",
    "Check",
    "Cores",
    "Explanation",
    "ExportResult",
    "InputType",
    "JoinedWorkers",
    "Latency",
    "MachineReport",
    "ModelSpec",
    "Observer",
    "OutputType",
    "Precision",
    "ProfileReport",
    "RerankSummary",
    "TaskRow",
    "TraceReport",
    "Trial",
    "TuningProgress",
    "TuningSummary",
    "VerifyReport",
    "WeightStorage",
    "artifact_folders",
    "as_model",
    "as_target",
    "bench",
    "build",
    "choose_family",
    "classify",
    "doctor",
    "draw_roofline",
    "enroll",
    "explain",
    "explained_total",
    "export",
    "layers",
    "list_devices",
    "load",
    "machine",
    "model_names",
    "models",
    "open_artifact",
    "profile",
    "progress",
    "quantize",
    "read_images",
    "report",
    "rerank",
    "runs_here",
    "simulate_workers",
    "start_tracker",
    "target_names",
    "targets",
    "tasks",
    "trace",
    "tune",
    "verify",
    "virtual_boards",
]
