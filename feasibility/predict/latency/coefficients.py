"""Which coefficients does a latency projection use? Reads `coefficients.toml`.

`make calibrate` writes that file; nothing else changes it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from pathlib import Path
from statistics import geometric_mean
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from feasibility.predict.latency.cpu_formula import CpuCoefficients, Work
from feasibility.predict.latency.error_covariance import Covariance, operator_point, similarities
from feasibility.predict.latency.gpu_formula import GpuCoefficients
from feasibility.prepared_types import prepared

FILE: Final = Path(__file__).with_name("coefficients.toml")
# Most published rows are of this runtime, from several years of builds.
REFERENCE_RUNTIME: Final = "ncnn"
REFERENCE_YEAR: Final = 2023.0
_YEARS_KNOWN: Final = 2.5
# A model is corrected by similar models: always, and more under some circumstances, because
# kernels for several threads, for fp16 and of a later build favour other operators.
CIRCUMSTANCES: Final = ("always", "threads", "half", "build")


class Setting(NamedTuple):
    """How a model runs, apart from the speed of the device.

    Attributes:
        year: Year of the runtime's build, with a fraction; None for a build of today.
    """

    runtime: str
    is_threaded: bool
    is_half: bool
    year: float | None

    @property
    def build_years(self) -> float:
        """Years of the build since `REFERENCE_YEAR`; 0 for runtimes with builds of one age.

        A build older or newer than the published ones counts as the oldest or newest of them.
        """
        if self.runtime != REFERENCE_RUNTIME:
            return 0.0
        if self.year is None:
            return _YEARS_KNOWN
        return max(-_YEARS_KNOWN, min(_YEARS_KNOWN, self.year - REFERENCE_YEAR))

    @property
    def circumstances(self) -> tuple[float, ...]:
        """How much each of `CIRCUMSTANCES` applies; two years of builds count as 1."""
        return (1.0, float(self.is_threaded), float(self.is_half), self.build_years / 2)


class RuntimeRatios(Struct, frozen=True):
    """One runtime relative to the reference runtime.

    Attributes:
        time: Time of everything.
        winograd: Efficiency on `winograd` work.
        rows: Number of rows that the two were fitted to.
    """

    time: float
    winograd: float
    rows: int


class CpuFit(Struct, frozen=True):
    """Everything that CPU rows were fitted with.

    Attributes:
        formula: The formula's coefficients, for the reference runtime.
        runtimes: Other runtimes relative to it, and itself.
        yearly_ratio: Time of a build of the reference runtime relative to one a year older.
        points: The models of the fit, as points of `operator_point`.
        weights: Weight of each of them in the correction, under each of `CIRCUMSTANCES`.
    """

    formula: CpuCoefficients
    runtimes: Mapping[str, RuntimeRatios]
    yearly_ratio: float
    points: tuple[tuple[float, ...], ...]
    weights: Mapping[str, tuple[float, ...]]

    def runtime(self, name: str) -> tuple[float, float]:
        """Time and Winograd ratio; those of a typical runtime for one without rows."""
        if name in self.runtimes:
            return self.runtimes[name].time, self.runtimes[name].winograd
        winograd = [one.winograd for one in self.runtimes.values()]
        typical = winograd if name in WINOGRAD_RUNTIMES else (min(winograd),)
        return geometric_mean(one.time for one in self.runtimes.values()), geometric_mean(typical)

    def setting_ratio(self, work: Work, setting: Setting) -> float:
        """Correction of the time for the build's age and by models with similar operators."""
        likeness = similarities(operator_point(work), self.points)
        logarithm = sum(
            amount * sum(w * like for w, like in zip(self.weights[name], likeness, strict=True))
            for name, amount in zip(CIRCUMSTANCES, setting.circumstances, strict=True)
            if amount
        )
        return math.exp(logarithm + math.log(self.yearly_ratio) * setting.build_years)

    def nearest_similarity(self, work: Work) -> float:
        """Similarity of the most similar model of the fit; 1 for the same mix of operators."""
        return max(similarities(operator_point(work), self.points))


class Int8(Struct, frozen=True):
    """Time of int8 arithmetic relative to fp32 on cores of one kind.

    Attributes:
        ratio: For work without Winograd convolutions.
        winograd_ratio: Further factor for work that is all Winograd convolutions.
    """

    ratio: float
    winograd_ratio: float

    def of(self, work: Work) -> float:
        """Time of this work in int8 relative to fp32."""
        share = work.operations.get("winograd", 0.0) / work.total
        ratio: float = self.ratio * self.winograd_ratio**share
        return ratio


class Coefficients(Struct, frozen=True):
    """Everything that is fitted.

    Attributes:
        row_count: Rows that the CPU formula was fitted to.
        int8: Time of int8 relative to fp32, by the integer unit of the core.
        spreads: Half width of the 80 % interval as a factor, by kind of case. With anchors this
            factor is raised to the power of the standard deviation that remains.
    """

    written_on: str
    row_count: int
    cpu: CpuFit
    int8: Mapping[str, Int8]
    gpu: GpuCoefficients
    covariance: Covariance
    spreads: Mapping[str, float]


# Runtimes with Winograd kernels. The others run such convolutions as ordinary ones.
WINOGRAD_RUNTIMES: Final = frozenset(
    {"ncnn", "paddle-lite", "tnn", "bolt", "mnn", "opencv", "paddle"}
)


@functools.cache
def shipped_coefficients() -> Coefficients:
    """The coefficients of this version."""
    return msgspec.toml.decode(FILE.read_text(encoding="utf-8"), type=prepared(Coefficients))
