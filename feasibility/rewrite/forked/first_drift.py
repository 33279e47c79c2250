"""At which node do the values of a changed model leave those of the original?

Values between nodes become outputs, a few at a time, so that those of a large model are never
held together.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from feasibility.errors import ChangeError
from feasibility.output_drift import comparable_pairs, relative_ratio
from feasibility.rewrite.forked.every_node import name_of
from feasibility.rewrite.forked.feeds import feeds_of
from feasibility.rewrite.forked.graph_file import finish_file, read_graph
from feasibility.units import MIB

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from onnx import NodeProto

    from feasibility.records.workload import InputPlan

    Array = np.ndarray[Any, np.dtype[Any]]

# Quantizing after an operator does the same; without them, their output has values before them.
_ABSORBED: Final = frozenset({"Relu", "Clip"})
_FIRST_BATCH: Final = 8
# What the values of one batch may take, as far as the batch before allows to guess.
_BATCH_BYTES: Final = 64 * MIB


def first_drift(
    original: Path,
    changed: Path,
    folder: Path,
    plan: InputPlan,
    seed: int,
    threshold_ratio: float,
) -> tuple[str, float] | None:
    """The first node of the original whose values differ by more than the threshold.

    Its name and the ratio. Values count that have the same name in both models.

    Args:
        original: The original.
        changed: The changed model.
        folder: An empty folder for copies.
        plan: Inputs.
        seed: Seed of generated inputs.
        threshold_ratio: Largest difference of an element, relative to the largest element.

    Raises:
        FeasibilityError: A model cannot be read, or its copy cannot be written.
    """
    before, after = _Exposed(original, folder / "a"), _Exposed(changed, folder / "b")
    names = [
        name
        for name, node in before.makers.items()
        if name in after.makers
        and (node.op_type not in _ABSORBED or after.makers[name].op_type == node.op_type)
    ]
    feeds = feeds_of(plan, seed)
    start, count = 0, _FIRST_BATCH
    while start < len(names):
        batch = names[start : start + count]
        first, second = (each.values(batch, feeds) for each in (before, after))
        for name, one, other in zip(batch, first, second, strict=True):
            ratio = _ratio(one, other)
            if ratio > threshold_ratio:
                node = before.makers[name]
                return name_of(node), ratio
        size_bytes = sum(value.nbytes for value in first if hasattr(value, "nbytes"))
        start += count
        count = max(1, min(2 * count, count * _BATCH_BYTES // max(size_bytes, 1)))
    return None


class _Exposed:
    """A copy of a model with other outputs.

    Attributes:
        makers: Nodes of the main graph by the names of their outputs, in their order.
    """

    def __init__(self, source: Path, folder: Path) -> None:
        folder.mkdir()
        self._path = folder / "model.onnx"
        finish_file(source, self._path)
        self._model = read_graph(self._path)
        self.makers: dict[str, NodeProto] = {
            name: node for node in self._model.graph.node for name in node.output if name
        }

    def values(self, names: Sequence[str], feeds: Mapping[str, Any]) -> list[Any]:
        """What the model computes for these names."""
        import onnxruntime

        del self._model.graph.output[:]
        for name in names:
            self._model.graph.output.add(name=name)
        self._path.write_bytes(self._model.SerializeToString())
        options = onnxruntime.SessionOptions()
        # Optimisation would rename and remove values; prepacking would copy all weights.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.add_session_config_entry("session.disable_prepacking", "1")
        session = onnxruntime.InferenceSession(
            self._path, options, providers=["CPUExecutionProvider"]
        )
        outputs: list[Any] = session.run(list(names), feeds)
        return outputs


def _ratio(first: Any, second: Any) -> float:
    """Largest difference over the largest element; 0 for values that are no floats."""
    import numpy as np

    if not all(isinstance(each, np.ndarray) and each.dtype.kind == "f" for each in (first, second)):
        return 0.0
    largest = float(np.finfo(np.float64).max)
    try:
        pair = comparable_pairs({"": first}, {"": second})[""]
    except ChangeError:
        return largest
    return min(relative_ratio([pair]), largest)
