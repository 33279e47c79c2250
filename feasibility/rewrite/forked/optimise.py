"""How is a graph written as ONNX Runtime optimises it? By the runtime itself, weights beside it.

The result is for loading with optimisation off, by this version of the runtime or a newer one.
Open dims stay open.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from feasibility.errors import ChangeError
from feasibility.model_file.external_data import LEAST_EXTERNAL_BYTES, resolve_external
from feasibility.model_file.open_model import open_model
from feasibility.model_file.skeleton import Skeleton, skeleton_of
from feasibility.model_file.tensors import TensorInfo
from feasibility.rewrite.change_request import ChangeRequest
from feasibility.rewrite.data_path import data_path
from feasibility.rewrite.forked.every_node import every_node
from feasibility.rewrite.forked.graph_edits import keep_only
from feasibility.rewrite.forked.graph_file import read_graph

if TYPE_CHECKING:
    from onnx import ModelProto

# Convolutions in blocks of channels; other instruction sets do not have these operators.
_BLOCKED_DOMAIN: Final = "com.microsoft.nchwc"


class WrittenGraph(NamedTuple):
    """A graph in a file, and its weights in a file beside it."""

    model: ModelProto
    weights: tuple[TensorInfo, ...]


def optimise(request: ChangeRequest, *, packs: bool) -> None:
    """Writes the optimised graph.

    `packs` also writes weights in the layout that the kernels of this machine copy them into. The
    runtime packs each weight again while loading, and then uses the copy in the file.

    Raises:
        ModelError: The runtime refuses the model, or what was written cannot be read.
        ChangeError: The result needs operators of this instruction set.
    """
    if packs and not request.for_this_machine:
        raise ChangeError(
            request.what,
            "weights can only be prepacked for the instruction set of this machine",
            "prepack them on a machine with the instruction set of the device",
        )
    level = "ALL" if request.for_this_machine else "EXTENDED"
    with open_model(request.source) as file:
        source = skeleton_of(file)
    written = write_optimised(source, request.target, level, packs=packs)
    if not request.for_this_machine and _BLOCKED_DOMAIN in _domains(written.model):
        raise ChangeError(
            request.what,
            "the optimizer added operators that exist only on this instruction set",
            "optimise it on a machine with the instruction set of the device",
        )
    _cache_in_small_pieces(data_path(request.target))


def _cache_in_small_pieces(data: Path) -> None:
    """Copies a file inside the kernel, which then has small pieces of it in memory.

    What libraries write is cached in large pieces, of which a mapping shows more than it reads.
    """
    if data.exists():
        copy = data.with_name(f"{data.name}.copy")
        shutil.copyfile(data, copy)
        copy.replace(data)


def write_optimised(source: Skeleton, target: Path, level: str, *, packs: bool) -> WrittenGraph:
    """Writes the graph after the optimisations of one level of the runtime.

    Raises:
        ModelError: What was written cannot be read.
    """
    _write(source.path, target, level, packs=packs)
    with open_model(target) as file:
        written = skeleton_of(file)
    # The runtime may not notice a full disk.
    resolve_external(target, written.tensors, written.what)
    model = read_graph(target)
    _remove_unused(model, {each.name for each in source.model.graph.initializer})
    target.write_bytes(model.SerializeToString())
    return WrittenGraph(model, written.initializers)


def _write(source: Path, target: Path, level: str, *, packs: bool) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(
        onnxruntime.GraphOptimizationLevel, f"ORT_ENABLE_{level}"
    )
    options.intra_op_num_threads = 1
    options.optimized_model_filepath = str(target)
    settings = {
        "session.optimized_model_external_initializers_file_name": data_path(target).name,
        "session.optimized_model_external_initializers_min_size_in_bytes": LEAST_EXTERNAL_BYTES,
        # Not packing saves memory here.
        "session.disable_prepacking": int(not packs),
        "session.save_external_prepacked_constant_initializers": int(packs),
    }
    for key, value in settings.items():
        options.add_session_config_entry(key, str(value))
    onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def _remove_unused(model: ModelProto, weights: set[str]) -> None:
    """Removes what no node uses, which an older runtime or a caller would stumble over.

    The runtime lists all operator sets that it knows. Weights that were inputs, too, stay inputs
    after it has folded them, and a caller would have to give them.
    """
    domains = _domains(model)
    keep_only(model.opset_import, lambda each: not each.domain or each.domain in domains)
    folded = weights - {each.name for each in model.graph.initializer}
    keep_only(model.graph.input, lambda each: each.name not in folded)


def _domains(model: ModelProto) -> set[str]:
    return {node.domain for node in every_node(model)}
