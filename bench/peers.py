# SPDX-License-Identifier: Apache-2.0
"""The runtimes that race: for each its environment, how its model file is made, and its setting.

Data only. A new runtime is an entry here, a module in workers/, a script in convert/ and a list of
pinned packages in requirements/.
"""

from dataclasses import dataclass

from mnc.support.errors import UserError

PROJECT = "project"  # the environment that `make setup` makes


@dataclass(frozen=True)
class Recipe:
    """A script of convert/ that makes `files` in the model's folder, after those it `needs`.

    `takes_model` scripts get the model's name; `tuned_by` names the records of a search, without which
    there is nothing to make. `fresh` ones are made again in every race.
    """

    name: str
    environment: str
    files: tuple[str, ...]
    needs: tuple[str, ...] = ("exchange",)
    takes_model: bool = False
    fresh: bool = False
    tuned_by: str | None = None
    script: str = ""


@dataclass(frozen=True)
class Peer:
    """A runtime under test. `setting` says how it is run, `packages` which installed packages an
    application would ship with it, `files` what of the model's folder.
    """

    key: str
    title: str
    setting: str
    environment: str
    worker: str
    recipe: str
    files: tuple[str, ...]
    packages: tuple[str, ...]
    variant: str = ""


RECIPES = (
    Recipe("exchange", PROJECT, ("model.pt", "model.pt2"), needs=(), takes_model=True),
    Recipe("mnc_artifact", PROJECT, ("artifact",), takes_model=True, fresh=True),
    Recipe("onnx_file", "convert", ("model.onnx",)),
    Recipe("ncnn_file", "convert", ("model.ncnn.param", "model.ncnn.bin")),
    Recipe("mnn_file", "mnn", ("model.mnn",), needs=("onnx_file",)),
    Recipe("litert_file", "litert_convert", ("model.tflite",)),
    Recipe("executorch_file", "executorch", ("model.pte",)),
    Recipe("stock_tvm", PROJECT, ("stock.so",)),
    Recipe("stock_tvm_tuned", PROJECT, ("stock-tuned.so",), tuned_by="autotvm", script="stock_tvm"),
    Recipe("relax_tvm", "tvm", ("relax.so",)),
    Recipe(
        "relax_tvm_tuned",
        "tvm",
        ("relax-tuned.so", "relax-tuned.params"),
        tuned_by="metaschedule",
        script="relax_tvm",
    ),
)

TORCH = "BN folded, exported program, inference mode"
PEERS = (
    Peer(
        "mnc",
        "mnc (TVM runtime)",
        "this project: the artifact of `mnc build` with the committed log, in its Session",
        PROJECT,
        "run_mnc",
        "mnc_artifact",
        ("artifact/library.so",),
        ("tvm", "llvm"),
        variant="artifact",
    ),
    Peer(
        "mnc-c",
        "mnc (freestanding)",
        "this project: the C library of `mnc export`, weights inside, called through ctypes",
        PROJECT,
        "run_mnc",
        "mnc_artifact",
        ("exported/libmnc.so",),
        (),
        variant="freestanding",
    ),
    Peer(
        "onnxruntime",
        "ONNX Runtime",
        "CPU provider, ORT_ENABLE_ALL, sequential execution, spinning threads; ONNX opset 18, BN and "
        "paddings folded",
        "onnxruntime",
        "run_onnxruntime",
        "onnx_file",
        ("model.onnx",),
        ("onnxruntime",),
    ),
    Peer(
        "openvino",
        "OpenVINO",
        "CPU plugin, hint LATENCY, one stream, inference precision f32 (it would take bfloat16 on "
        "AMX), inputs and outputs shared; the same ONNX file",
        "openvino",
        "run_openvino",
        "onnx_file",
        ("model.onnx",),
        ("openvino",),
    ),
    Peer(
        "litert",
        "LiteRT (XNNPACK)",
        "XNNPACK delegate as the interpreter applies it, float32, channels last; converted by "
        "litert-torch",
        "litert",
        "run_litert",
        "litert_file",
        ("model.tflite",),
        ("ai_edge_litert",),
    ),
    Peer(
        "executorch",
        "ExecuTorch (XNNPACK)",
        "lowered with XnnpackPartitioner, float32, thread pool set to the number of threads",
        "executorch",
        "run_executorch",
        "executorch_file",
        ("model.pte",),
        ("executorch",),
    ),
    Peer(
        "ncnn",
        "ncnn",
        "packed layouts, light mode, pooled memory, no bf16 or fp16; converted by pnnx, fp16 off",
        "ncnn",
        "run_ncnn",
        "ncnn_file",
        ("model.ncnn.param", "model.ncnn.bin"),
        ("ncnn",),
    ),
    Peer(
        "mnn",
        "MNN",
        "CPU back end, precision high (float32), power high, session interface; from the ONNX file",
        "mnn",
        "run_mnn",
        "mnn_file",
        ("model.mnn",),
        ("_mnncengine", "mnn.libs", "MNN"),
    ),
    Peer(
        "torch",
        "PyTorch eager",
        TORCH,
        PROJECT,
        "run_torch",
        "exchange",
        ("model.pt2",),
        ("torch",),
        variant="eager",
    ),
    Peer(
        "torch-channels-last",
        "PyTorch channels-last",
        f"{TORCH}, model and input channels last",
        PROJECT,
        "run_torch",
        "exchange",
        ("model.pt2",),
        ("torch",),
        variant="channels_last",
    ),
    Peer(
        "torch-script",
        "PyTorch TorchScript",
        "BN folded, torch.jit.freeze, torch.jit.optimize_for_inference, inference mode",
        PROJECT,
        "run_torch",
        "exchange",
        ("model.pt",),
        ("torch",),
        variant="script",
    ),
    Peer(
        "torch-inductor",
        "PyTorch Inductor",
        f"{TORCH}, channels last, torch.compile with freezing and the C++ wrapper",
        PROJECT,
        "run_torch",
        "exchange",
        ("model.pt2",),
        ("torch",),
        variant="inductor",
    ),
    Peer(
        "tvm-autotvm",
        "TVM 0.19 AutoTVM",
        "stock templates, XGBTuner, tuned on one thread with cache flush, graph executor",
        PROJECT,
        "run_tvm_stock",
        "stock_tvm_tuned",
        ("stock-tuned.so",),
        ("tvm", "llvm"),
        variant="stock-tuned.so",
    ),
    Peer(
        "tvm-untuned",
        "TVM 0.19 untuned",
        "stock templates' default schedules, opt_level 3, graph executor; NOT tuned",
        PROJECT,
        "run_tvm_stock",
        "stock_tvm",
        ("stock.so",),
        ("tvm", "llvm"),
        variant="stock.so",
    ),
    Peer(
        "tvm-metaschedule",
        "TVM 0.27 MetaSchedule",
        "Relax, static_shape_tuning pipeline with cpu_weight_prepack, all cores while tuning",
        "tvm",
        "run_tvm_relax",
        "relax_tvm_tuned",
        ("relax-tuned.so", "relax-tuned.params"),
        ("tvm",),
        variant="relax-tuned.so",
    ),
    Peer(
        "tvm-relax-untuned",
        "TVM 0.27 untuned",
        "Relax, default CPU pipeline, no search, so loops as they are written; NOT tuned",
        "tvm",
        "run_tvm_relax",
        "relax_tvm",
        ("relax.so",),
        ("tvm",),
        variant="relax.so",
    ),
)


def find(keys: str | None) -> tuple[Peer, ...]:
    """The peers that a comma-separated list names, in the table's order; all for None."""
    if keys is None:
        return PEERS
    wanted = {key.strip() for key in keys.split(",") if key.strip()}
    unknown = wanted - {peer.key for peer in PEERS}
    if unknown or not wanted:
        known = ", ".join(peer.key for peer in PEERS)
        raise UserError(f"unknown peer {', '.join(sorted(unknown)) or '(none)'}; one of {known}")
    return tuple(peer for peer in PEERS if peer.key in wanted)
