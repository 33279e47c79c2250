"""Which coefficients does a latency projection use? Reads `coefficients.toml`.

`make calibrate` writes that file; nothing else changes it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from feasibility.predict.latency.cpu_formula import WINOGRAD_RUNTIMES, CpuCoefficients, Work
from feasibility.predict.latency.error_covariance import Covariance, operator_point, similarities
from feasibility.predict.latency.gpu_formula import GpuCoefficients
from feasibility.prepared_types import prepared

FILE: Final = Path(__file__).with_name("coefficients.toml")
# The runtime whose rows have builds from several years.
YEARLY_RUNTIME: Final = "ncnn"
REFERENCE_YEAR: Final = 2023.0
_YEARS_KNOWN: Final = 2.5
# Models with similar operators correct each other. The correction is larger under some
# circumstances: kernels for several threads, for fp16 and of later builds favour other operators.
CIRCUMSTANCES: Final = ("always", "threads", "half", "build")


def build_years(runtime: str, year: float | None) -> float:
    """Years of the build since `REFERENCE_YEAR`; 0 for runtimes with builds of one age.

    A build older or newer than the published ones counts as the oldest or newest of them; `year`
    is None for a build of today.
    """
    if runtime != YEARLY_RUNTIME:
        return 0.0
    years = _YEARS_KNOWN if year is None else year - REFERENCE_YEAR
    return max(-_YEARS_KNOWN, min(_YEARS_KNOWN, years))


def circumstances(
    runtime: str, threads: float, *, is_half: bool, year: float | None
) -> tuple[float, ...]:
    """How much each of `CIRCUMSTANCES` applies; two years of builds count as 1.

    They apply only to runtimes with Winograd kernels, which have most of these rows. The kernels
    of other runtimes are too different.
    """
    if runtime not in WINOGRAD_RUNTIMES:
        return (0.0,) * len(CIRCUMSTANCES)
    return (1.0, float(threads > 1), float(is_half), build_years(runtime, year) / 2)


class CpuFit(Struct, frozen=True):
    """All coefficients fitted to CPU rows.

    Attributes:
        formula: The formula's coefficients, for a typical runtime.
        runtimes: Rates of a runtime relative to a typical one, by kind of work; `whole` is that
            of everything.
        runtime_chips: Number of chips with rows of each runtime.
        yearly_ratio: Time of a build of `YEARLY_RUNTIME` relative to one a year older.
        points: The models of the fit, as points of `operator_point`.
        weights: Weight of the first of them in the correction, under each of `CIRCUMSTANCES`. The
            others have rows of runtimes without correction only.
    """

    formula: CpuCoefficients
    runtimes: Mapping[str, Mapping[str, float]]
    runtime_chips: Mapping[str, int]
    yearly_ratio: float
    points: tuple[tuple[float, ...], ...]
    weights: Mapping[str, tuple[float, ...]]

    def model_ratio(self, work: Work, amounts: Sequence[float]) -> float:
        """Factor on the time from similar models; `amounts`: how much each circumstance applies."""
        if not any(amounts):
            return 1.0
        likeness = similarities(operator_point(work), self.points)
        return math.exp(
            sum(
                amount
                * sum(w * like for w, like in zip(self.weights[name], likeness, strict=False))
                for name, amount in zip(CIRCUMSTANCES, amounts, strict=True)
            )
        )

    def time_ratio(self, runtime: str, year: float | None) -> float:
        """Time of the runtime's build relative to a typical runtime; 1 for one without rows."""
        whole = self.runtimes.get(runtime, {}).get("whole", 1.0)
        ratio: float = self.yearly_ratio ** build_years(runtime, year) / whole
        return ratio

    def nearest_similarity(self, work: Work) -> float:
        """Similarity of the most similar model of the fit; 1 for the same mix of operators."""
        return max(similarities(operator_point(work), self.points))


class Coefficients(Struct, frozen=True):
    """Everything that is fitted.

    Attributes:
        row_count: Rows that the CPU formula was fitted to.
        int8: Factors on the time in floating point, by the names of `int8_effects`.
        spreads: Half width of the 80 % interval as a factor, by kind of case. With anchors this
            factor is raised to the power of the standard deviation that remains.
        widenings: Factor on the logarithm of the width, by kind of device and by runtime.
    """

    written_on: str
    row_count: int
    cpu: CpuFit
    int8: Mapping[str, float]
    gpu: GpuCoefficients
    covariance: Covariance
    spreads: Mapping[str, float]
    widenings: Mapping[str, float]


@functools.cache
def shipped_coefficients() -> Coefficients:
    """The coefficients of this version."""
    return msgspec.toml.decode(FILE.read_text(encoding="utf-8"), type=prepared(Coefficients))
