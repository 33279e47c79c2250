"""Does an engine compute what the reference does? If not, its figures are worth nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from feasibility.errors import ChangeError
from feasibility.measure.model_outputs import model_outputs
from feasibility.measure.passes import Passes
from feasibility.output_drift import drift_between, require_comparable
from feasibility.records.drift import Drift, OutputDrift
from feasibility.records.workload import Fill, InputPlan, InputSpec
from feasibility.text import safe_text
from feasibility.units import format_percent, format_similarity

if TYPE_CHECKING:
    from feasibility.output_drift import Outputs

# Different inputs that both get. A model with random weights hides errors that varied ones show.
_SAMPLE_COUNT: Final = 5
_LEAST_COSINE: Final = 0.9999
# The cosine does not show another scale, and zeros have none.
_MOST_RELATIVE_RATIO: Final = 0.1
_WHAT: Final = "Cannot use its figures"


@dataclass(slots=True)
class EngineOutputs:
    """Outputs of the reference for several inputs, and how far those of others are from them.

    Attributes:
        passes: Passes of the reference.
        names: Names of its outputs by position.
        folder: Where arrays are written.
    """

    passes: Passes
    plan: InputPlan
    names: list[str]
    folder: Path
    _known: list[Outputs] = field(default_factory=list)
    _plans: list[InputPlan] = field(default_factory=list)

    def checked(self, other: Passes) -> Drift:
        """The drift of an engine.

        Raises:
            FeasibilityError: The model does not run there, or its outputs are others.
        """
        if not self._known:
            self._plans = [*_varied(self.plan, self.folder)]
            known = self._outputs(self.passes)
            require_comparable(known)
            self._known = known
        drift = drift_between(self._known, self._outputs(other))
        for output in drift.outputs:
            _require_the_same(output)
        return drift

    def _outputs(self, passes: Passes) -> list[Outputs]:
        return [
            model_outputs(passes, plan, passes.options.seed + number).named(self.names)
            for number, plan in enumerate(self._plans)
        ]


def _require_the_same(output: OutputDrift) -> None:
    what = f"the output '{safe_text(output.name)}' differs too much"
    if output.cosine is not None and output.cosine < _LEAST_COSINE:
        raise ChangeError(
            _WHAT,
            f"{what}: cosine similarity {format_similarity(output.cosine)}, but at least "
            f"{_LEAST_COSINE} is needed",
        )
    if output.relative_ratio > _MOST_RELATIVE_RATIO:
        raise ChangeError(
            _WHAT,
            f"{what}: by more than {format_percent(_MOST_RELATIVE_RATIO)} of the largest value",
        )


def _varied(plan: InputPlan, folder: Path) -> Iterator[InputPlan]:
    """The inputs, and the same with masks that end earlier and earlier.

    A mask of ones hides an engine that ignores it.
    """
    masks = [position for position, spec in enumerate(plan.inputs) if _is_mask(spec)]
    count = _SAMPLE_COUNT if masks or plan.has_random_inputs else 1
    for number in range(count):
        inputs = list(plan.inputs)
        for position in masks:
            inputs[position] = _shortened(inputs[position], number, folder / f"{position}-{number}")
        yield replace(plan, inputs=tuple(inputs))


def _is_mask(spec: InputSpec) -> bool:
    """Whether an input marks which positions count, and was filled with ones."""
    is_of_ones = spec.fill.kind == "constant" and spec.fill.low == 1
    return is_of_ones and "mask" in spec.name.lower() and bool(spec.shape)


def _shortened(spec: InputSpec, number: int, file: Path) -> InputSpec:
    """The mask with zeros in the last positions: `number` times a sixth of them."""
    import numpy as np

    mask = np.ones(spec.shape, spec.dtype)
    length = spec.shape[-1]
    mask[..., length - length * number // (_SAMPLE_COUNT + 1) :] = 0
    path = file.with_suffix(".npy")
    np.save(path, mask)
    return replace(spec, fill=Fill(kind="file", path=str(path)))
