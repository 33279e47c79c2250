"""Which steps does the runtime execute for a graph on one instruction set?

On x86-64 float convolutions and the values between them use a layout of channel blocks. Channels
are padded to whole blocks, and values that other kernels read exist in both layouts. Other
instruction sets use the plain layout only.
Source: the block layout transformer of ONNX Runtime
(onnxruntime/core/optimizer/nchwc_transformer.cc), compared with the graphs that it writes.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Final

from feasibility.graph.value_types import ValueType
from feasibility.ort_memory.blocked_operators import (
    ACTIVATIONS_IN_BLOCKS,
    KEPT_IN_BLOCKS,
    MERGED_IN_BLOCKS,
    enters_blocks,
    is_scaled_by_value,
    stays_in_blocks,
)
from feasibility.ort_memory.buffer_reuse import BLOCKED_PREFIX
from feasibility.ort_memory.convolution_chains import FUSED, ConvolutionChains
from feasibility.ort_memory.image_grids import grid_of
from feasibility.ort_memory.kernel_workspace import scratch_bytes, workspace
from feasibility.ort_memory.runtime_order import in_runtime_order
from feasibility.ort_memory.steps import Program, Stage, Step, Value

if TYPE_CHECKING:
    from feasibility.graph.typed_graph import TypedNode
    from feasibility.ort_memory.channel_blocks import Blocks
    from feasibility.ort_memory.image_grids import Grid
    from feasibility.ort_memory.merges import Merge
    from feasibility.ort_memory.optimised_graph import Optimised

_VIEWS: Final = frozenset({"Reshape", "Squeeze", "Unsqueeze", "Flatten"})
# Kernels that can write over their input.
_IN_PLACE: Final = FUSED | {
    *("Cast", "Celu", "Elu", "LogSoftmax", "ScatterElements", "Selu", "Shrink", "Softmax"),
    *("Softplus", "Softsign", "ThresholdedRelu", "Trilu"),
}
_SUMS: Final = frozenset({"Add", "Sum"})


def lower(
    optimised: Optimised, blocks: Blocks | None, halves: frozenset[str] = frozenset()
) -> Program:
    """Steps that the runtime executes for a graph.

    `blocks` is None on instruction sets without blocks. Inputs and outputs that are `halves` are
    cast.
    """
    lowering = _Lowering(optimised, blocks)
    lowering.run(halves)
    return lowering.program()


class _Lowering:
    """The steps so far, and the layout of each value."""

    def __init__(self, optimised: Optimised, blocks: Blocks | None) -> None:
        self._graph, self._shapes, self._usage, self._fusions, self._rank = optimised
        self._blocks = blocks
        self._chains = ConvolutionChains(self._usage, self._fusions)
        self._values: dict[str, Value] = {}
        self._steps: list[Step | None] = []
        self._cast_inputs: dict[str, str] = {}
        self._cast_outputs: dict[str, str] = {}
        self._at = 0
        # Name of the blocked value by name of the plain one, and the step of a convolution.
        self._blocked: dict[str, str] = {}
        self._convolution_at: dict[str, int] = {}
        self._grids: dict[str, Grid] = {}
        self._reordered_inputs: dict[str, str] = {}

    def program(self) -> Program:
        """The program, with outputs in the plain layout."""
        named = [self._plain(name) for name in self._graph.outputs]
        outputs = tuple(dict.fromkeys(self._cast_outputs.get(name, name) for name in named))
        return Program(
            self._values,
            in_runtime_order([step for step in self._steps if step is not None]),
            tuple(
                self._cast_inputs.get(name, name)
                for name in self._graph.inputs
                if name in self._values
            ),
            tuple(name for name in outputs if name in self._values),
            scratch_bytes=max(map(scratch_bytes, self._usage.nodes), default=0),
            packed_bytes=tuple(
                node.type_of(1).size_bytes or 0
                for node in self._usage.nodes
                if node.op_type == "ConvTranspose" and self._usage.has_constant(node, 1)
            ),
        )

    def run(self, halves: frozenset[str]) -> None:
        """Lower all nodes."""
        for name in self._graph.inputs:
            self._add(name, self._graph.types.get(name, ValueType()))
        self._cast(halves.intersection(self._graph.inputs))
        for index, node in enumerate(self._usage.nodes):
            self._at = index
            if index in self._chains.done or index in self._fusions.absorbed:
                continue
            if index in self._fusions.merged:
                self._lower_merged(node, self._fusions.merged[index])
            elif not self._lower_in_blocks(node):
                self._lower_plainly(node)
        self._cast(halves.intersection(self._graph.outputs), is_output=True)

    def _cast(self, names: frozenset[str], *, is_output: bool = False) -> None:
        """Add casts of half-precision inputs and outputs."""
        for name in sorted(names):
            plain = self._plain(name) if is_output else name
            if plain not in self._values:
                continue
            half, value = f"half:{name}", self._values[plain]
            self._values[half] = value._replace(size_bytes=value.size_bytes // 2)
            ends = (plain, half) if is_output else (half, plain)
            (self._cast_outputs if is_output else self._cast_inputs)[name] = half
            self._append(Step("Cast", ends[:1], ends[1:]), Stage.MERGED)

    def _lower_merged(self, node: TypedNode, merge: Merge) -> None:
        """One kernel for a chain of nodes, in the layout of its input."""
        sources = [self._fusions.resolve(name) for name in merge.reads]
        step = Step(merge.op_type, (), (), workspace=merge.workspace)
        blocked = self._blocked.get(sources[0])
        if self._blocks is not None and blocked is not None and merge.op_type in MERGED_IN_BLOCKS:
            self._make_blocked(node, step._replace(reads=(blocked,)), self._blocks)
            return
        reads = tuple(dict.fromkeys(self._plain(source) for source in sources))
        known = tuple(name for name in reads if name in self._values)
        self._make(node, str(node.node.output[0]), step._replace(reads=known))

    def _lower_in_blocks(self, node: TypedNode) -> bool:
        """Lower a node to the blocked layout; False if it does not use it."""
        blocks = self._blocks
        if blocks is None or node.domain:
            return False
        sources = [self._fusions.resolve(name) for name in node.node.input if name]
        if not sources:
            return False
        if node.op_type == "Conv":
            is_made = sources[0] in self._values or sources[0] in self._blocked
            if not is_made or not blocks.convolves(node, self._usage):
                return False
            self._convolve_in_blocks(node, sources[0], blocks)
            return True
        is_plain = sources[0] in self._values and sources[0] not in self._blocked
        if is_plain and enters_blocks(node, blocks):
            read = self._reorder_input(node, sources[0], blocks)
            self._make_blocked(node, Step(node.op_type, (read,), ()), blocks)
            return True
        reads = [self._blocked[name] for name in sources if name in self._blocked]
        all_blocked = len(reads) == len(sources)
        if sources[0] not in self._blocked or not stays_in_blocks(
            node, self._usage, blocks, all_blocked=all_blocked
        ):
            return False
        is_sum = node.op_type in _SUMS and self._are_alike(node, reads)
        if is_sum and self._add_in_convolution(node, reads, blocks):
            return True
        in_place = 0 if node.op_type in ACTIVATIONS_IN_BLOCKS else None
        self._make_blocked(node, Step(node.op_type, tuple(reads), (), in_place=in_place), blocks)
        return True

    def _are_alike(self, node: TypedNode, reads: list[str]) -> bool:
        """Whether the runtime knows that the images that a node reads have the same shape."""
        if len({value.shape for value in node.inputs}) != 1:
            return False
        are_known = all(self._values[name].is_known for name in reads)
        return are_known or len({self._grids.get(name) for name in reads}) == 1

    def _convolve_in_blocks(self, node: TypedNode, source: str, blocks: Blocks) -> None:
        output = self._chains.hard_swish_after(self._chains.end(node))
        if blocks.takes_plain_image(node):
            read = self._plain(source)
        else:
            read = self._blocked.get(source) or self._reorder_input(node, source, blocks)
        step = Step("Conv", (read,), ())
        name = self._make_blocked(node, step, blocks, output=output)
        self._convolution_at[name] = len(self._steps) - 1

    def _add_in_convolution(
        self, node: TypedNode, operands: list[str], blocks: Blocks | None
    ) -> bool:
        """Let the convolution that computes one operand add its result to the other operand."""
        if len(operands) != 2:
            return False
        for position, name in enumerate(operands):
            source = name.removeprefix(BLOCKED_PREFIX)
            index = self._convolution_at.get(name)
            step = self._steps[index] if index is not None else None
            is_needed = self._usage.count(source) != 1 or source in self._usage.outputs
            if step is None or index is None or is_needed or source in self._chains.activated:
                continue
            if len(step.reads) != 1:
                continue
            # It runs when the other operand exists.
            self._steps[index] = None
            del self._values[name]
            reads = (*step.reads, operands[1 - position])
            fused = Step("Conv", reads, (), in_place=1, workspace=step.workspace)
            output = self._chains.after_sum(str(node.node.output[0]))
            if blocks is not None:
                output = self._chains.hard_swish_after(output)
                self._make_blocked(node, fused, blocks, output=output)
            else:
                self._make(node, output, fused)
            return True
        return False

    def _lower_plainly(self, node: TypedNode) -> None:
        reads = [self._plain(name) for name in self._usage.variable_inputs(node)]
        outer = (self._fusions.resolve(name) for name in sorted(node.outer_reads()))
        reads.extend(
            self._plain(name) for name in outer if name in self._values or name in self._blocked
        )
        reads = [name for name in reads if name in self._values]
        is_default = not node.domain
        is_alike = len({value.shape for value in node.inputs}) == 1
        can_add = is_default and node.op_type == "Add" and is_alike
        # With blocks only convolutions that use them do this.
        if can_add and self._blocks is None and self._add_in_convolution(node, reads, None):
            return
        first_is_read = bool(reads) and not self._usage.has_constant(node, 0)
        step = Step(
            node.op_type,
            tuple(reads),
            (),
            is_view=is_default and node.op_type in _VIEWS and first_is_read,
            in_place=0 if is_default and node.op_type in _IN_PLACE and reads else None,
            workspace=() if is_scaled_by_value(node, self._usage) else workspace(node),
        )
        if is_default and node.op_type == "Conv":
            output = self._chains.end(node)
            self._convolution_at[output] = len(self._steps)
            self._make(node, output, step)
        elif not self._multiply_flat(node, step):
            self._make(node, None, step)

    def _multiply_flat(self, node: TypedNode, step: Step) -> bool:
        """Lower a product with a bias to a matrix and a view of it; False if there is no bias.

        The matrix can reuse the memory of other such matrices only.
        """
        shape = node.output().shape
        reader = self._usage.only_reader(node.node.output[0])
        if node.op_type != "MatMul" or reader is None or shape is None or len(shape) <= 2:
            return False
        output, biased = str(node.node.output[0]), str(reader.node.output[0])
        if reader.op_type != "Add" or self._fusions.renamed.get(biased) != output:
            return False
        flat = f"flat:{output}"
        rows = prod(dim or 0 for dim in shape[:-1])
        self._make(node, output, step)
        self._values[flat] = self._values[output]._replace(shape=(rows, shape[-1]))
        self._steps.pop()
        self._append(step._replace(writes=(flat,)), Stage.MERGED)
        self._append(Step("Reshape", (flat,), (output,), is_view=True), Stage.MERGED)
        return True

    def _make(self, node: TypedNode, output: str | None, step: Step) -> None:
        """Add a step that computes the outputs of a node, or another value instead."""
        if output is not None:
            self._add(output, node.output())
            writes: tuple[str, ...] = (output,)
        else:
            given = zip(node.node.output, node.outputs, strict=True)
            named = [(name, value) for name, value in given if name]
            for name, value in named:
                self._add(name, value)
            writes = tuple(name for name, _ in named)
        is_merged = output not in (None, node.node.output[0]) or self._at in self._fusions.merged
        self._append(step._replace(writes=writes), Stage.MERGED if is_merged else Stage.READ)

    def _append(self, step: Step, stage: Stage) -> None:
        # The optimizer creates nodes in the order in which the graph would run before.
        at = self._at if stage == Stage.READ else self._rank.get(self._at, self._at)
        self._steps.append(step._replace(age=(stage, at)))

    def _make_blocked(
        self, node: TypedNode, step: Step, blocks: Blocks, *, output: str | None = None
    ) -> str:
        """Add a step that computes a blocked value."""
        plain = output or node.node.output[0]
        name = BLOCKED_PREFIX + plain
        self._values[name] = self._in_blocks(plain, node.output(), blocks)
        self._grids[name] = grid_of(node, name, self._grids.get(step.reads[0]))
        is_same = node.op_type in KEPT_IN_BLOCKS
        self._append(step._replace(writes=(name,)), Stage.READ if is_same else Stage.BLOCKED)
        self._blocked[plain] = name
        return name

    def _reorder_input(self, node: TypedNode, source: str, blocks: Blocks) -> str:
        if source not in self._reordered_inputs:
            read = self._plain(source)
            name = f"{BLOCKED_PREFIX}input:{source}"
            self._values[name] = self._in_blocks(source, node.type_of(0), blocks)
            self._append(Step("ReorderInput", (read,), (name,)), Stage.BLOCKED)
            self._reordered_inputs[source] = name
        return self._reordered_inputs[source]

    def _in_blocks(self, name: str, image: ValueType, blocks: Blocks) -> Value:
        """An image in blocks, whose shape has the padded channels."""
        batch, channels, *area = self._shapes.named(name, image.shape) or (None, None)
        padded = blocks.padded(channels) if isinstance(channels, int) else channels
        size = blocks.size_bytes(image) or 0
        return Value(size, (batch, padded, *area), self._shapes.knows(name))

    def _plain(self, name: str) -> str:
        """The value in the plain layout, converted now if necessary."""
        name = self._fusions.resolve(name)
        if name in self._blocked and name not in self._values:
            self._add(name, self._graph.types[name])
            step = Step("ReorderOutput", (self._blocked[name],), (name,))
            self._append(step, Stage.UNBLOCKED)
        return name

    def _add(self, name: str, value: ValueType) -> None:
        size = value.size_bytes or 0
        shape = self._shapes.named(name, value.shape)
        self._values[name] = Value(size, shape, self._shapes.knows(name))
