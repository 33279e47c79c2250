"""The fitted coefficients: how `coefficients.toml` is written and read."""

from __future__ import annotations

import functools
import math
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from feasibility.predict.latency.covariance import Covariance
from feasibility.predict.latency.cpu_formula import Coefficients, Work
from feasibility.predict.latency.gpu_formula import GpuCoefficients
from feasibility.predict.latency.operator_mix import mix_features, similarities

FILE: Final = Path(__file__).with_name("coefficients.toml")
_DIGITS: Final = 5
# The runtime that most published rows are of, over some years of its builds.
REFERENCE_RUNTIME: Final = "ncnn"
REFERENCE_YEAR: Final = 2023.0
_YEARS_KNOWN: Final = 2.5
# What kernels treat one mix of operators differently under, beside what they always do.
CIRCUMSTANCES: Final = ("always", "threads", "half", "x86", "build")


class Setting(NamedTuple):
    """How a model runs, apart from the device's speed.

    Attributes:
        runtime: Name of the runtime.
        is_threaded: True for several threads.
        is_half: True where arithmetic is done in fp16.
        is_x86: True for the x86-64 instruction set.
        year: Year of the runtime's build, with a fraction; None for one of today.
    """

    runtime: str
    is_threaded: bool
    is_half: bool
    is_x86: bool
    year: float | None

    @property
    def build_years(self) -> float:
        """Years of the build since `REFERENCE_YEAR`; 0 for a runtime with builds of one age.

        Builds older or newer than the fitted ones count as the oldest or the newest of them.
        """
        if self.runtime != REFERENCE_RUNTIME:
            return 0.0
        if self.year is None:
            return _YEARS_KNOWN
        return max(-_YEARS_KNOWN, min(_YEARS_KNOWN, self.year - REFERENCE_YEAR))

    @property
    def circumstances(self) -> tuple[float, ...]:
        """How much each of `CIRCUMSTANCES` applies; two years of builds as much as one of them."""
        flags = (True, self.is_threaded, self.is_half, self.is_x86)
        return (*(float(flag) for flag in flags), self.build_years / 2)


class Fit(NamedTuple):
    """What the CPU calibration finds.

    Attributes:
        coefficients: The formula's.
        time_ratio: Time of a runtime relative to the one that the coefficients describe.
        winograd_ratio: Efficiency of a runtime on `winograd` work relative to that one.
        row_counts: Rows that each runtime was fitted to.
        yearly_ratio: Time of a build of the reference runtime relative to one a year older.
        mixes: The mixes of operators that were seen, as points.
        mix_weights: Weight of each in the correction for a mix, under each of `CIRCUMSTANCES`.
    """

    coefficients: Coefficients
    time_ratio: Mapping[str, float]
    winograd_ratio: Mapping[str, float]
    row_counts: Mapping[str, int]
    yearly_ratio: float
    mixes: tuple[tuple[float, ...], ...]
    mix_weights: Mapping[str, tuple[float, ...]]

    def runtime(self, name: str) -> tuple[float, float]:
        """Time ratio and Winograd ratio; those of the typical runtime for one never fitted."""
        if name in self.time_ratio:
            return self.time_ratio[name], self.winograd_ratio[name]
        direct = min(self.winograd_ratio.values())
        ratios = self.winograd_ratio.values() if name in WINOGRAD_RUNTIMES else (direct,)
        return geometric_mean(self.time_ratio.values()), geometric_mean(ratios)

    def setting_ratio(self, work: Work, setting: Setting) -> float:
        """Correction of the time for the build's age and for a mix of operators.

        The mix is corrected by the mixes like it, under the circumstances of the setting.
        """
        likeness = similarities(mix_features(work), self.mixes)
        logarithm = sum(
            amount * sum(w * like for w, like in zip(self.mix_weights[name], likeness, strict=True))
            for name, amount in zip(CIRCUMSTANCES, setting.circumstances, strict=True)
            if amount
        )
        return math.exp(logarithm + math.log(self.yearly_ratio) * setting.build_years)

    def nearest_similarity(self, work: Work) -> float:
        """How like the most similar mix that was seen is; 1 for the same, 0 for none."""
        return max(similarities(mix_features(work), self.mixes))


class Int8(NamedTuple):
    """Time of int8 arithmetic relative to fp32 on cores of one kind.

    Attributes:
        ratio: For work without Winograd convolutions.
        winograd_ratio: What work that is all of them is multiplied by on top.
    """

    ratio: float
    winograd_ratio: float


class Fitted(NamedTuple):
    """Everything that is fitted.

    Attributes:
        written_on: Date, ISO 8601.
        row_count: Rows that the CPU formula was fitted to.
        cpu: The CPU formula.
        int8: Time of int8 relative to fp32, by the integer unit of the core.
        gpu: The GPU formula.
        covariance: What errors of projections onto one device have in common.
        spreads: Half width of the 80 % interval as a factor, by kind of case; after anchors,
            to the power of the standard deviation that remains.
    """

    written_on: str
    row_count: int
    cpu: Fit
    int8: Mapping[str, Int8]
    gpu: GpuCoefficients
    covariance: Covariance
    spreads: Mapping[str, float]


# Runtimes with Winograd kernels; the others do such convolutions as any other.
WINOGRAD_RUNTIMES: Final = frozenset(
    {"ncnn", "paddle-lite", "tnn", "bolt", "mnn", "opencv", "paddle"}
)


def geometric_mean(values: Iterable[float]) -> float:
    """Geometric mean of positive numbers."""
    logs = [math.log(value) for value in values]
    return math.exp(sum(logs) / len(logs))


@functools.cache
def fitted() -> Fitted:
    """The coefficients that are shipped."""
    return from_toml(FILE.read_text(encoding="utf-8"))


def from_toml(text: str) -> Fitted:
    """The coefficients that a text written by `to_toml` holds."""
    values: dict[str, Any] = tomllib.loads(text)
    cpu = values["cpu"]
    mixes = cpu.pop("mixes")
    runtimes = cpu.pop("runtimes")
    yearly_ratio = cpu.pop("yearly_ratio")
    return Fitted(
        written_on=values["written_on"],
        row_count=values["row_count"],
        cpu=Fit(
            coefficients=Coefficients(**cpu),
            time_ratio={name: entry["time"] for name, entry in runtimes.items()},
            winograd_ratio={name: entry["winograd"] for name, entry in runtimes.items()},
            row_counts={name: entry["rows"] for name, entry in runtimes.items()},
            yearly_ratio=yearly_ratio,
            mixes=tuple(tuple(mix["point"]) for mix in mixes),
            mix_weights={name: tuple(mix[name] for mix in mixes) for name in CIRCUMSTANCES},
        ),
        int8={name: Int8(**entry) for name, entry in values["int8"].items()},
        gpu=GpuCoefficients(**values["gpu"]),
        covariance=Covariance(**values["covariance"]),
        spreads=values["spreads"],
    )


def to_toml(found: Fitted, comment: str) -> str:
    """The text of `coefficients.toml`, with a comment on top."""
    cpu = found.cpu
    flat: dict[str, Any] = cpu.coefficients._asdict()
    lines = [*(f"# {line}".rstrip() for line in comment.splitlines()), ""]
    lines += [f'written_on = "{found.written_on}"', f"row_count = {found.row_count}", "", "[cpu]"]
    lines += [_pair(key, value) for key, value in flat.items() if not isinstance(value, Mapping)]
    lines += [_pair("yearly_ratio", cpu.yearly_ratio)]
    for key, value in flat.items():
        if isinstance(value, Mapping):
            lines += ["", f"[cpu.{key}]", *(_pair(name, number) for name, number in value.items())]
    for name, ratio in cpu.time_ratio.items():
        lines += ["", f"[cpu.runtimes.{name}]", _pair("time", ratio)]
        lines += [_pair("winograd", cpu.winograd_ratio[name]), f"rows = {cpu.row_counts[name]}"]
    for index, mix in enumerate(cpu.mixes):
        point = ", ".join(_number(value) for value in mix)
        lines += ["", "[[cpu.mixes]]", f"point = [{point}]"]
        lines += [_pair(name, cpu.mix_weights[name][index]) for name in CIRCUMSTANCES]
    for name, entry in found.int8.items():
        lines += ["", f"[int8.{name}]", *(_pair(key, v) for key, v in entry._asdict().items())]
    gpu: dict[str, Any] = found.gpu._asdict()
    lines += ["", "[gpu]"]
    lines += [_pair(key, value) for key, value in gpu.items() if not isinstance(value, Mapping)]
    for key, value in gpu.items():
        if isinstance(value, Mapping):
            lines += ["", f"[gpu.{key}]", *(_pair(name, number) for name, number in value.items())]
    lines += ["", "[covariance]"]
    lines += [_pair(key, value) for key, value in found.covariance._asdict().items()]
    lines += ["", "[spreads]", *(_pair(f'"{name}"', v) for name, v in found.spreads.items()), ""]
    return "\n".join(lines)


def _pair(key: str, value: float) -> str:
    shown = key if key.startswith('"') or "-" not in key else f'"{key}"'
    return f"{shown} = {_number(value)}"


def _number(value: float) -> str:
    text = f"{value:.{_DIGITS}g}"
    return text if any(mark in text for mark in ".en") else f"{text}.0"
