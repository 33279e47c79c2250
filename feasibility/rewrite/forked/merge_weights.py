"""How are weights merged that a model holds twice? Users of the second one get the first one.

Equal weights become one. A weight of matrix products can also be another weight with rows and
columns exchanged: language models use their embedding as their last layer, and exporters store it
transposed, or leave a Transpose node, whose result the runtime holds. Then ONNX Runtime's
`FusedMatMul`, which reads the other weight, replaces the product.
"""

from __future__ import annotations

import mmap
import os
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from onnx import AttributeProto

from feasibility.errors import UselessChangeError
from feasibility.graph.attributes import attributes_of, ints_of
from feasibility.model_file.external_data import LEAST_EXTERNAL_BYTES, resolve_external
from feasibility.model_file.open_model import open_model, open_regular
from feasibility.model_file.skeleton import Skeleton, skeleton_of
from feasibility.rewrite.change_request import ChangeRequest
from feasibility.rewrite.forked.graph_edits import (
    RUNTIME_DOMAIN,
    import_runtime_operators,
    keep_only,
    names_read_in_bodies,
)
from feasibility.rewrite.forked.graph_file import copy_open, finish_file, read_graph
from feasibility.rewrite.forked.plan_weights import is_movable

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import GraphProto, ModelProto, NodeProto

    from feasibility.model_file.open_model import ModelFile

# Since then, the caller can replace a weight that is also an input.
_REPLACEABLE_IR_VERSION: Final = 4
# Elements along each axis that are compared first.
_SAMPLE_COUNT: Final = 8
_BLOCK_BYTES: Final = 4 * 1024 * 1024
_FOLDER: Final = "merged"


@dataclass(slots=True)
class Merges:
    """Names that are not needed, each with the weight that replaces it.

    Attributes:
        equal: Weights with the bytes of the other one.
        transposed: Weights with its rows and columns exchanged, or results of Transpose nodes.
    """

    equal: dict[str, str] = field(default_factory=dict)
    transposed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Weight:
    """A weight whose bytes can be compared.

    Attributes:
        bits: Its elements as integers, mapped from the file.
        place: Number in the file; initializers are before all nodes.
    """

    dtype: str
    bits: NDArray[Any]
    place: int
    is_initializer: bool

    @property
    def is_matrix(self) -> bool:
        """Whether `FusedMatMul` can read it."""
        return self.dtype == "float32" and self.bits.ndim == 2


def merge_weights(request: ChangeRequest) -> None:
    """Writes the model with each of its weights once, in a file beside it.

    Raises:
        ModelError: The model cannot be read.
        UselessChangeError: It has no weights to merge.
    """
    with open_model(request.source) as file:
        skeleton = skeleton_of(file)
        merges = _merges(skeleton.model, _weights(file, skeleton))
        if not (merges.equal or merges.transposed):
            raise UselessChangeError(request.what, "no weight of 1 KiB or more is held twice")
        work = request.target.parent / _FOLDER
        work.mkdir()
        path = work / "moved.onnx"
        copy_open(file, skeleton, path)
    model = read_graph(path)
    _apply(model, merges)
    path.write_bytes(model.SerializeToString())
    finish_file(path, request.target)


def _weights(file: ModelFile, skeleton: Skeleton) -> dict[str, _Weight]:
    """Weights of the main graph by name.

    The files are mapped, because weights can be larger than memory.
    """
    maps: dict[str | None, mmap.mmap] = {None: _mapped(file.descriptor)}
    for location, other in resolve_external(file.path, skeleton.tensors, skeleton.what).items():
        descriptor = open_regular(other.path, skeleton.what)
        maps[location] = _mapped(descriptor)
        os.close(descriptor)
    found = {}
    for place, tensor in enumerate(skeleton.initializers):
        if tensor.scope or tensor.is_sparse or tensor.size_bytes < LEAST_EXTERNAL_BYTES:
            continue
        width, rest = divmod(tensor.size_bytes, tensor.element_count)
        if rest or width not in {1, 2, 4, 8}:
            continue
        external = tensor.external
        if external is None and not is_movable(tensor):
            continue
        data = maps[None if external is None else external.location]
        start = tensor.extents[0][0] if external is None else external.offset
        bits = np.frombuffer(data, f"u{width}", tensor.element_count, start)
        is_initializer = tensor.role == "initializer"
        found[tensor.name] = _Weight(tensor.dtype, bits.reshape(tensor.dims), place, is_initializer)
    return found


def _mapped(descriptor: int) -> mmap.mmap:
    return mmap.mmap(descriptor, 0, prot=mmap.PROT_READ)


def _merges(model: ModelProto, weights: dict[str, _Weight]) -> Merges:
    """Which weights can go. Those that bodies of nodes use, and outputs, stay."""
    graph, found = model.graph, Merges()
    fixed = {each.name for each in graph.output}
    fixed.update(name for node in graph.node for name in names_read_in_bodies(node))
    if model.ir_version >= _REPLACEABLE_IR_VERSION:
        for each in graph.input:
            weights.pop(each.name, None)
    kept: defaultdict[object, list[str]] = defaultdict(list)
    for name, weight in weights.items():
        same = kept[_sample(weight.dtype, weight.bits)]
        first = next((each for each in same if _is_equal(weights[each].bits, weight.bits)), None)
        if first is None or name in fixed:
            same.append(name)
        else:
            found.equal[name] = first
    uses, products = _uses(graph)
    free = products - fixed - set(found.equal.values()) - found.equal.keys()
    for name, weight in weights.items():
        if name not in free or not weight.is_matrix:
            continue
        turned = weight.bits.T
        for other in kept[_sample(weight.dtype, turned)]:
            # A node before the user of a weight must make the other one.
            is_made = weights[other].is_initializer or weights[other].place < weight.place
            is_other = other != name and other not in found.transposed
            if is_made and is_other and _is_equal(weights[other].bits, turned):
                found.transposed[name] = other
                break
    for node in graph.node:
        turned_name = _transposed(node)
        if turned_name not in weights or not weights[turned_name].is_matrix:
            continue
        is_held_twice = uses[turned_name] > 1 or turned_name in fixed
        if is_held_twice and turned_name not in found.transposed and node.output[0] in free:
            found.transposed[node.output[0]] = turned_name
    return found


def _transposed(node: NodeProto) -> str:
    """The matrix whose rows and columns a node exchanges; empty for other nodes."""
    if node.op_type != "Transpose" or node.domain:
        return ""
    order = ints_of(attributes_of(node), "perm") or (1, 0)
    return node.input[0] if order == (1, 0) else ""


def _uses(graph: GraphProto) -> tuple[Counter[str], set[str]]:
    """How often names are used, and those that only matrix products use, on the right."""
    everywhere = Counter(name for node in graph.node for name in node.input)
    right = Counter(
        node.input[1] for node in graph.node if node.op_type == "MatMul" and not node.domain
    )
    return everywhere, {name for name, count in right.items() if count == everywhere[name]}


def _apply(model: ModelProto, merges: Merges) -> None:
    """Replace weights in a graph, and remove what is not used then."""
    graph = model.graph
    gone = merges.equal.keys() | merges.transposed.keys()
    keep_only(graph.node, lambda node: not gone.intersection(node.output))
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name in merges.transposed:
                node.op_type, node.domain = "FusedMatMul", RUNTIME_DOMAIN
                node.attribute.add(name="transB", type=AttributeProto.INT, i=1)
            other = merges.transposed.get(name, name)
            node.input[place] = merges.equal.get(other, other)
    for entries in (graph.initializer, graph.input, graph.value_info):
        keep_only(entries, lambda each: each.name not in gone)
    if merges.transposed:
        import_runtime_operators(model)


def _sample(dtype: str, bits: NDArray[Any]) -> object:
    """Form and a few elements of a weight, which equal weights have in common."""
    axes = [
        np.linspace(0, size - 1, min(size, _SAMPLE_COUNT), dtype=np.int64) for size in bits.shape
    ]
    return dtype, bits.shape, bits[np.ix_(*axes)].tobytes()


def _is_equal(first: NDArray[Any], second: NDArray[Any]) -> bool:
    """Whether all elements are equal. A block at a time, because one weight can fill the memory."""
    rows = max(1, _BLOCK_BYTES // first[:1].nbytes)
    return all(
        np.array_equal(first[start : start + rows], second[start : start + rows])
        for start in range(0, len(first), rows)
    )
