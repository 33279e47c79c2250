"""Which values does a graph accept for its inputs? The nodes that read them limit the values.

An index must be below the rows of its table, a sequence length is the length of
the sequence. Inputs are followed through nodes that keep their elements (Cast,
Reshape, Slice, Concat, adding a constant), into subgraphs and functions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from feasibility.graph.attributes import int_of
from feasibility.graph.typed_graph import TypedGraph, TypedNode
from feasibility.text import safe_text

# Bounds of a value at a node's input, both inclusive; None where the node sets none.
Bounds = tuple[int, int] | None

_KEEPS_ELEMENTS: Final = frozenset(
    {
        "Cast", "CastLike", "Reshape", "Squeeze", "Unsqueeze", "Identity", "Slice", "Transpose",
        "Expand", "Flatten", "Split", "Tile", "Gather", "GatherElements", "GatherND", "Pad",
        "Relu", "Abs", "Compress", "ReverseSequence", "DepthToSpace", "SpaceToDepth", "TopK",
        "ReduceMax", "ReduceMin", "GlobalMaxPool", "MaxPool", "Optional", "OptionalGetElement",
    }
)  # fmt: skip
_KEEPS_ALL: Final = frozenset({"Concat", "Max", "SequenceConstruct"})
# Origins that one value may have; a graph can mix without end.
_MAX_ORIGINS: Final = 8


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a graph accepts for the elements of one input.

    Args:
        of_dims: True if the bounds follow from sizes that were bound.
    """

    low: int
    high: int
    reason: str
    of_dims: bool = False

    def narrowed(self, other: Accepted) -> Accepted:
        """Values that satisfy both; the tighter one's where they have none in common."""
        low, high = max(self.low, other.low), min(self.high, other.high)
        tighter = other if other.high < self.high else self
        if low > high:
            return tighter
        return Accepted(low, high, tighter.reason, self.of_dims or other.of_dims)


# An input that a value comes from, with what was added to it on the way.
_Origin = tuple[str, int]
_Origins = frozenset[_Origin]


def accepted_values(graph: TypedGraph) -> dict[str, Accepted]:
    """What the graph accepts for its inputs; inputs that may hold anything are left out."""
    found: dict[str, Accepted] = {}
    _follow(graph, {name: frozenset({(name, 0)}) for name in graph.inputs}, found)
    return found


def _follow(
    graph: TypedGraph, origins: dict[str, _Origins], found: dict[str, Accepted]
) -> dict[str, _Origins]:
    """Follows values through one graph; returns the origins of all its values."""
    for node in graph.nodes:
        reached = [origins.get(name) for name in node.node.input]
        for position, sources in enumerate(reached):
            if sources:
                _note(node, position, sources, found)
        is_loop = node.op_type == "Loop" and not node.domain
        # The first two inputs of a Loop are not those of its body.
        feeds = ("", "", *node.node.input[2:]) if is_loop else node.node.input
        for body in node.bodies:
            # A body sees the values around it; its own names hide them.
            inner = dict(origins)
            for name, source in zip(body.inputs, feeds, strict=False):
                inner.pop(name, None)
                if source in origins:
                    inner[name] = origins[source]
            after = _follow(body, inner, found)
            for name, made in zip(node.node.output, body.outputs[is_loop:], strict=False):
                if name and made in after:
                    origins[name] = origins.get(name, frozenset()) | after[made]
        for name, sources in _passed_on(node, reached):
            if name and sources:
                origins[name] = frozenset(sorted(sources)[:_MAX_ORIGINS])
    return origins


def _note(node: TypedNode, position: int, origins: _Origins, found: dict[str, Accepted]) -> None:
    """Narrows the inputs that reach one position of a node to what it accepts there."""
    of_index = _index_bounds(node, position)
    of_dims = None if of_index else _size_bounds(node, position)
    bounds = of_index or of_dims or _parameter_bounds(node, position)
    if bounds is None:
        return
    what = f"{node.op_type} '{safe_text(node.name, 40)}' takes {bounds[0]} to {bounds[1]}"
    for name, added in origins:
        accepted = Accepted(bounds[0] - added, bounds[1] - added, what, of_dims is not None)
        found[name] = found[name].narrowed(accepted) if name in found else accepted


def _index_bounds(node: TypedNode, position: int) -> Bounds:
    """Rows of the table that an index looks up."""
    rule = _TABLES.get((node.op_type, position))
    if rule is None:
        return None
    rows = rule(node)
    return None if rows is None or rows < 1 else (0, rows - 1)


def _along_axis(node: TypedNode) -> int | None:
    return node.dim(0, int_of(node.attributes, "axis", 0))


_TABLES: Final[dict[tuple[str, int], Callable[[TypedNode], int | None]]] = {
    ("Gather", 1): _along_axis,
    ("GatherElements", 1): _along_axis,
    ("GatherBlockQuantized", 1): lambda node: node.dim(0, 0),
    ("OneHot", 0): lambda node: node.number(1),
    ("TorchEmbedding", 1): lambda node: node.dim(0, 0),
    ("ArrayFeatureExtractor", 1): lambda node: node.dim(0, -1),
    ("EmbedLayerNormalization", 0): lambda node: node.dim(2, 0),
    ("EmbedLayerNormalization", 1): lambda node: node.dim(4, 0),
    ("EmbedLayerNormalization", 7): lambda node: node.dim(3, 0),
    ("RotaryEmbedding", 1): lambda node: node.dim(2, 0) if node.domain else None,
    ("RotaryEmbedding", 3): lambda node: None if node.domain else node.dim(1, 0),
}


def _size_bounds(node: TypedNode, position: int) -> Bounds:
    """Lengths and sizes that must be those of another input of the node."""
    size: int | None = None
    if node.op_type in ("LSTM", "GRU", "RNN") and position == 4:
        size = node.dim(0, 1 if int_of(node.attributes, "layout", 0) else 0)
    elif node.op_type == "ReverseSequence" and position == 1:
        size = node.dim(0, int_of(node.attributes, "time_axis", 0))
    elif node.op_type == "GroupQueryAttention" and position in (5, 6):
        past, current = node.dim(3, 2), node.dim(0, 1)
        size = None if past is None or current is None else past + current - (position == 5)
    elif node.op_type == "Reshape" and position == 1 and node.dim(1, 0) == 1:
        size = node.type_of(0).element_count
    return None if size is None or size >= 2**62 else (size, size)


def _parameter_bounds(node: TypedNode, position: int) -> Bounds:
    """Counts, sizes and divisors, kept small; most of them are shapes in the making."""
    if node.op_type in ("Div", "Mod") and position == 1:
        return (1, 9)
    value = _PARAMETERS.get((node.op_type, position))
    return None if value is None else (value, value)


_PARAMETERS: Final[dict[tuple[str, int], int]] = {
    ("Loop", 0): 4,
    ("Range", 0): 0,
    ("Range", 1): 4,
    ("Range", 2): 1,
    ("TopK", 1): 1,
    ("Tile", 1): 1,
    ("Expand", 1): 1,
    ("ConstantOfShape", 0): 4,
    ("Pad", 1): 0,
    ("Slice", 1): 0,
    ("Slice", 2): 2**31 - 1,
    ("Slice", 4): 1,
    ("OneHot", 1): 16,
    ("Resize", 2): 1,
    ("Upsample", 1): 1,
    ("Resize", 3): 64,
    ("CropAndResize", 3): 64,
    ("NonMaxSuppression", 2): 16,
    ("Trilu", 1): 0,
    ("CumSum", 1): 0,
}


def _passed_on(
    node: TypedNode, reached: list[_Origins | None]
) -> list[tuple[str, _Origins | None]]:
    """Outputs whose elements are elements of an input."""
    outputs, op_type = node.node.output, node.op_type
    if node.bodies or not outputs:
        return []
    if op_type in _KEEPS_ELEMENTS:
        return [(name, reached[0] if reached else None) for name in outputs]
    if op_type in _KEEPS_ALL or (op_type == "Where" and len(reached) == 3):
        parts = reached[1:] if op_type == "Where" else reached
        merged: _Origins = frozenset().union(*(part for part in parts if part))
        return [(outputs[0], merged)]
    if op_type == "Clip" and not node.is_given(2):
        return [(outputs[0], reached[0] if reached else None)]
    if op_type in ("Add", "Sub") and len(reached) == 2:
        if reached[0] and (added := node.number(1)) is not None:
            step = added if op_type == "Add" else -added
            return [(outputs[0], frozenset((name, by + step) for name, by in reached[0]))]
        if op_type == "Add" and reached[1] and (added := node.number(0)) is not None:
            return [(outputs[0], frozenset((name, by + added) for name, by in reached[1]))]
    return []
