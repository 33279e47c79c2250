"""How much memory does loading need at each stage, and how much stays?

The stages of ONNX Runtime's CPU provider, and what each needs beside the weights:

* parse: two more copies of each weight for each body around it, and one more of the values of
  Constant nodes;
* store: a second copy of one inline weight while it becomes a tensor;
* infer shapes again after the graph was changed: a second copy of the weights given to a Loop;
* fold constants: all results, until those that no node reads are dropped, and a second copy of one
  result while it becomes a weight;
* fold batch normalisations into convolutions: the new weights beside the old ones;
* convert convolutions to blocks (x86-64): the new weights beside the old ones, and three more
  copies of the current one;
* prepack matrices: the packed matrices beside those that they replace, node by node.

A node keeps the graphs of its bodies as they were read. So weights in bodies are held once more for
each body around them, and they stay beside their packed copies.
Weights in external files are mapped. Their pages count once they are read; pages of converted
weights are released. Changes of how a model is stored and loaded skip stages: in a file that the
optimizer wrote, weights are folded and converted already; without prepacking, kernels read the
weights where they are.
Source: measured stage by stage; docs/memory-model.md.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from onnx import TensorProto

from feasibility.graph.attributes import int_of
from feasibility.ort_memory.weight_reads import Read, Weight, WeightReads
from feasibility.units import KIB, MIB, rounded_up

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from feasibility.graph.typed_graph import TypedNode
    from feasibility.ort_memory.channel_blocks import Blocks

# Pages of the runtime's library that loading reads, and objects of the runtime.
BASE_BYTES: Final = round(9.2 * MIB)
# The same for an optimised model, for which the optimizer does not run.
_OPTIMISED_BASE_BYTES: Final = round(8.7 * MIB)
# The same while the file is parsed.
_PARSING_BYTES: Final = MIB
NODE_BYTES: Final = 5 * KIB
# A body of If, Loop or Scan has tables of its own: kernels, plans and names.
BODY_BYTES: Final = 150 * KIB
# Copies of a convolution's weights beside the old and new ones during conversion to blocks.
_RELAYING_COPIES: Final = 3
_FOLDING_COPIES: Final = 2
# Small converted weights leave holes in the heap, which the C library retains.
_HEAP_BYTES: Final = 128 * KIB
_HEAP_COPIES: Final = 2
# Columns of a packed matrix are padded to a multiple of this.
_PACKED_COLUMNS: Final = 16
# Mapped pages that become resident for one row that is looked up: the fault-around of Linux. More
# where the page cache holds the file in larger pieces.
_LOOKUP_BYTES: Final = 64 * KIB
_FLOAT_BYTES: Final = 4
_LOOKUPS: Final = frozenset({"Gather", "GatherElements", "GatherND"})


class Loading(NamedTuple):
    """Memory above the baseline.

    Attributes:
        weight_bytes: Its weights, in the layout that the kernels read.
        own_bytes: Its code and objects of the runtime.
        mapped_bytes: Pages of external files that the runs read.
    """

    peak_bytes: int
    resident_bytes: int
    weight_bytes: int
    own_bytes: int
    mapped_bytes: int


def loading(
    reads: WeightReads,
    external: frozenset[str],
    blocks: Blocks | None,
    changes: Collection[str] = (),
    step_count: int = 0,
    halves: frozenset[str] = frozenset(),
) -> Loading:
    """Memory while a graph is loaded, and after it.

    `reads` are the weights of the graph, `external` those in external files, and `halves` those
    that are stored in half precision. `blocks` is None on instruction sets without blocks. An
    optimised graph has `step_count` nodes.
    """
    if "external-data" in changes:
        external = external.union(reads.movable)
    weights = _Weights(reads, external, blocks, changes, halves)
    trees = reads.trees
    weight_bytes = weights.final_bytes + trees.resident_bytes
    if "optimised-offline" in changes:
        # The optimizer wrote the weights into an external file.
        own = _OPTIMISED_BASE_BYTES + NODE_BYTES * step_count
        resident = own + weight_bytes
        stages = [resident]
    else:
        own = BASE_BYTES + NODE_BYTES * reads.node_count + BODY_BYTES * reads.body_count
        resident = own + weight_bytes + weights.retained_bytes
        stages = [
            _PARSING_BYTES + weights.parsed_bytes,
            own + weights.inline_bytes + weights.largest_inline_bytes,
            own + weights.inline_bytes + reads.folded_bytes + reads.largest_folded_bytes,
            own + weights.held_bytes + weights.given_to_loops_bytes,
            own + weights.held_bytes + weights.renormalised_peak_bytes,
            own + weights.held_bytes + weights.separated_bytes + weights.relaid_peak_bytes,
        ]
    stages.append(own + weights.inline_bytes + trees.loading_bytes)
    return Loading(
        peak_bytes=max(*stages, resident + weights.packing_bytes),
        resident_bytes=resident,
        weight_bytes=weight_bytes,
        own_bytes=resident - weight_bytes,
        mapped_bytes=weights.mapped_bytes,
    )


class _Copy(NamedTuple):
    """What a node reads instead of a weight; it is made while loading.

    Attributes:
        packed_for: The operator whose kernel makes it; empty if the optimizer makes it, which may
            run before. Kernels of one operator share their copies.
    """

    size_bytes: int
    packed_for: str = ""


class _Weights:
    """Bytes of the weights of a graph at each stage."""

    def __init__(
        self,
        weights: WeightReads,
        external: frozenset[str],
        blocks: Blocks | None,
        changes: Collection[str],
        halves: frozenset[str],
    ) -> None:
        # Halves are copied, so they are not mapped.
        self._external = external - halves
        self._blocks = blocks
        self._changes = changes
        inline = {
            weight: weights.sizes[weight] // (2 if weight.name in halves else 1)
            for weight in weights.stored
            if weight.name not in external
        }
        # A node keeps the graphs of its bodies as they were read, with their weights.
        in_nodes_bytes = sum(size * weight.depth for weight, size in inline.items())
        constants = Counter[int]()
        for weight in weights.constants.intersection(inline):
            constants[weight.scope] += inline[weight]
        # The parser copies each body, and values of Constant nodes one graph after the other.
        self.parsed_bytes = sum(
            size * (1 + 2 * weight.depth) for weight, size in inline.items()
        ) + max(constants.values(), default=0)
        self.inline_bytes = sum(inline.values()) + in_nodes_bytes
        self.largest_inline_bytes = max(inline.values(), default=0)
        self.held_bytes = in_nodes_bytes + sum(
            weights.sizes[weight] for weight in weights.reads if weight.name not in self._external
        )
        given_to_loops = {
            weight
            for weight, read in weights.in_order
            if read.node.op_type == "Loop" and weight.name not in self._external
        }
        self.given_to_loops_bytes = sum(weights.sizes[weight] for weight in given_to_loops)
        self.final_bytes = in_nodes_bytes
        self.mapped_bytes = self.separated_bytes = 0
        self.packing_bytes = self._packing_peak(weights)
        for weight, reads in weights.reads.items():
            self._settle(weight, weights.sizes[weight], reads)
        self.relaid_peak_bytes = self.retained_bytes = 0
        if blocks is not None:
            relaid = [node for node, usage in weights.nodes if blocks.convolves(node, usage)]
            self.relaid_peak_bytes = _peak(map(blocks.weight_bytes, relaid), _RELAYING_COPIES)
            # What the heap retains of small converted weights.
            small = (size for node in relaid if (size := _weight_size(node)) < _HEAP_BYTES)
            self.retained_bytes = _HEAP_COPIES * sum(small)
        self.renormalised_peak_bytes = _peak(weights.renormalised_bytes, _FOLDING_COPIES)

    def _settle(self, weight: Weight, size: int, reads: list[Read]) -> None:
        """Count a weight after loading: itself, copies in other layouts, or both."""
        is_external = self._is_external(weight)
        # Every convolution with a folded normalisation gets its own weights.
        own = [read for read in reads if read.is_own]
        shared = [read for read in reads if not read.is_own]
        copies = {self._copy(read) for read in shared}
        made = [copy for copy in copies if copy is not None]
        packed = [copy.size_bytes for copy in made if copy.packed_for]
        converted = [copy.size_bytes for copy in made if not copy.packed_for]
        converted += [(self._copy(read) or _Copy(size)).size_bytes for read in own]
        is_read = not reads or None in copies
        # The weights of bodies stay beside their packed copies.
        stays = bool(packed) and weight.is_in_body
        read_bytes = max((_read_bytes(read, size) for read in reads), default=0)
        read_bytes = read_bytes if is_read or stays else 0
        if "prepacked-offline" in self._changes:
            self.mapped_bytes += sum(packed)
        else:
            self.final_bytes += sum(packed)
        if "optimised-offline" in self._changes:
            # Stored in the layout that the kernels read, and mapped.
            self.mapped_bytes += sum(converted) + read_bytes
            return
        if own:
            self.separated_bytes += size * (len(own) - (not shared and not is_external))
        self.final_bytes += sum(converted)
        self.packing_bytes = max(self.packing_bytes, *converted, 0)
        if is_external:
            self.mapped_bytes += read_bytes
        elif is_read or stays:
            self.final_bytes += size

    def _packing_peak(self, weights: WeightReads) -> int:
        """Memory beyond what stays while kernels pack weights, one node after the other.

        The runtime frees a weight after its last reader has packed it: the weights of bodies never,
        and a weight that a body reads from around it after all nodes. If a kernel finds that an
        equal operator has packed the weight before, it frees its own copy.
        Source: SessionState::PrepackConstantInitializedTensors, compared with measurements.
        """
        left = Counter(weight for weight, _ in weights.in_order)
        packed: set[tuple[Weight, _Copy]] = set()
        # Pages of a mapped weight are resident from its first reader to its last one.
        mapped: dict[Weight, int] = {}
        now = most = freed_late = 0
        for weight, read in weights.in_order:
            copy = self._copy(read)
            if copy is None or not copy.packed_for:
                continue
            size = weights.sizes[weight]
            if self._is_external(weight) and weight not in mapped:
                mapped[weight] = size
                now += size
            most = max(most, now + copy.size_bytes)
            # With packed weights in the file, a kernel frees its own copy.
            if (weight, copy) not in packed and "prepacked-offline" not in self._changes:
                packed.add((weight, copy))
                now += copy.size_bytes
            left[weight] -= 1
            if left[weight] or weight.is_in_body:
                continue
            if read.is_in_body:
                freed_late += 0 if weight in mapped else size
            else:
                now -= size
                mapped.pop(weight, None)
        return most - (now - freed_late - sum(mapped.values()))

    def _is_external(self, weight: Weight) -> bool:
        return "optimised-offline" in self._changes or weight.name in self._external

    def _copy(self, read: Read) -> _Copy | None:
        """The copy that a node reads instead of a weight; None if it reads the weight."""
        node, value = read.node, read.node.type_of(read.position)
        if node.domain and node.op_type != "FusedMatMul":
            return None
        match node.op_type:
            case "Conv" if read.position == 1:
                if self._blocks is not None and self._blocks.convolves(node, read.usage):
                    return _Copy(self._blocks.weight_bytes(node))
                return None
            case _ if "prepacking-off" in self._changes:
                return None
            case "MatMul" | "Gemm" | "FusedMatMul" if read.position == 1:
                is_float = value.elem_type == TensorProto.FLOAT
                is_packed = is_float and read.usage.has_constant(node, 1)
                if is_packed and value.shape is not None and len(value.shape) == 2:
                    return _Copy(_packed_bytes(node, value.shape), node.op_type)
            case "ConvTranspose" if read.position == 1:
                return _Copy(value.size_bytes or 0, node.op_type)
            case "LSTM" | "GRU" if read.position in (1, 2):
                return _Copy(value.size_bytes or 0, node.op_type)
        return None


def _weight_size(node: TypedNode) -> int:
    return node.type_of(1).size_bytes or 0


def _peak(sizes: Iterable[int], copies: int) -> int:
    """Highest sum of the weights converted so far and the copies of the current one."""
    done = peak = 0
    for size in sizes:
        done += size
        peak = max(peak, done + copies * size)
    return peak


def _packed_bytes(node: TypedNode, shape: tuple[int | None, ...]) -> int:
    """Size of a packed matrix, its columns padded."""
    rows, columns = (dim or 0 for dim in shape)
    if int_of(node.attributes, "transB", 0):
        rows, columns = columns, rows
    return rounded_up(columns, _PACKED_COLUMNS) * rows * _FLOAT_BYTES


def _read_bytes(read: Read, size: int) -> int:
    """Bytes of a mapped weight that a node reads."""
    if read.node.op_type not in _LOOKUPS or read.position:
        return size
    return min(size, (read.node.type_of(1).element_count or 0) * _LOOKUP_BYTES)
