"""What is offered if no change is enough: more threads, or a smaller workload."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from onnx import TensorProto, helper

from feasibility.catalogue.load_catalogue import chosen_devices
from feasibility.errors import MeasurementError
from feasibility.facts.read_model import read_model
from feasibility.fit import offers
from feasibility.fit.candidates import Destination
from feasibility.fit.offers import more_threads, smaller_workloads
from feasibility.fit.targets import missed, on_device
from feasibility.fit.workshop import Measured, figures_of
from feasibility.measure.measure_options import MeasureOptions
from feasibility.measure.profiled_model import profiled_model
from feasibility.records.changes import ChangeCode
from feasibility.records.device import Device
from feasibility.records.drift import Drift
from feasibility.records.fit import FitCandidate, FitTargets, Offer
from feasibility.records.profile import Profile
from feasibility.units import MIB, MILLISECOND_NS
from tests.projection_samples import xlmr
from tests.tiny_models import save, value

ChangeSet = tuple[ChangeCode, ...]
DRIFT = Drift(sample_count=4, is_identical=False, relative_ratio=0.03)


def machine(core_count: int | None) -> Profile:
    found = xlmr()
    return replace(found, host=replace(found.host, core_count=core_count))


@dataclasses.dataclass
class Runs:
    """Runs of one candidate of a bench."""

    variant: Any
    changes: ChangeSet
    bench: Bench
    options: MeasureOptions

    def profile(self) -> Profile:
        if self.bench.crashes:
            raise MeasurementError("Cannot run 'm'", "the runtime crashed")
        return self.bench.baseline.profile


@dataclasses.dataclass
class Bench:
    """A workshop in which two threads take 0.6, four 0.4 of the time of one."""

    targets: FitTargets
    core_count: int | None = 4
    device: Device | None = None
    options: MeasureOptions = dataclasses.field(default_factory=MeasureOptions)
    measured_by_changes: dict[ChangeSet, Measured] = dataclasses.field(default_factory=dict)
    measured: list[tuple[ChangeSet, int]] = dataclasses.field(default_factory=list)
    variants: list[Any] = dataclasses.field(default_factory=list)
    crashes: bool = False
    is_late: bool = False
    original: Runs = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.original = Runs(0, (), self, self.options)

    @property
    def baseline(self) -> Measured:
        profile = machine(self.core_count)
        return Measured(profile=profile, figures=figures_of(profile, 1.0, None))

    def has_time(self) -> bool:
        return not self.is_late

    def runs_of(self, candidate: FitCandidate) -> Any:
        if not candidate.changes:
            return self.original
        variant = (candidate.changes, candidate.float_nodes)
        return dataclasses.replace(self.original, variant=variant, changes=candidate.changes)

    def target_ratio(self) -> None:
        return None

    def there(self, found: Measured, threads: int | None = None) -> Any:
        assert self.device is not None
        baseline, ratio = self.baseline.profile, found.figures.latency_ratio
        return on_device(found.profile, baseline, ratio, self.device, threads)

    def candidate(self, *changes: ChangeCode, ratio: float = 1.0, **fields: Any) -> FitCandidate:
        figures = figures_of(self.baseline.profile, ratio, self.baseline.figures)
        found = Measured(profile=self.baseline.profile, figures=figures)
        there = None if self.device is None else self.there(found)
        misses = missed(figures, self.targets, None, there)
        return FitCandidate(
            changes=changes,
            status="misses" if misses else "meets",
            measured=figures,
            missed=misses,
            **fields,
        )


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A bench whose runs are given by the number of threads."""

    def make(targets: FitTargets, **fields: Any) -> Bench:
        made = Bench(targets, **fields)

        def ratio(threaded: Runs, original: Any, *_: Any) -> float:
            made.measured.append((threaded.changes, threaded.options.threads))
            made.variants.append(threaded.variant)
            assert original is made.original
            base = 0.5 if "int8-dynamic" in threaded.changes else 1.0
            return base * {2: 0.6, 3: 0.5, 4: 0.4}[threaded.options.threads]

        monkeypatch.setattr(offers, "latency_ratio", ratio)
        return made

    return make


def offered(bench: Any, *candidates: FitCandidate) -> tuple[Offer, ...]:
    return more_threads(candidates, bench)


def test_the_fewest_threads_that_are_enough_are_offered(bench: Any) -> None:
    found = bench(FitTargets(latency_ns=30 * MILLISECOND_NS))
    (offer,) = offered(found, found.candidate())
    assert found.measured == [((), 2), ((), 4)]
    assert (offer.threads, offer.changes, offer.dims) == (4, (), {})
    assert offer.latency_ns == round(60_800_000 * 0.4)


@pytest.mark.parametrize(
    ("core_count", "threads", "measured"),
    [(2, 1, [2]), (3, 1, [2, 3]), (2, 2, []), (None, 1, [])],
)
def test_threads_are_not_more_than_cores(
    bench: Any, core_count: int | None, threads: int, measured: list[int]
) -> None:
    options = MeasureOptions(threads=threads)
    found = bench(FitTargets(latency_ratio=0.45), core_count=core_count, options=options)
    assert offered(found, found.candidate()) == ()
    assert [count for _, count in found.measured] == measured


def test_threads_help_nothing_but_the_time(bench: Any) -> None:
    found = bench(FitTargets(latency_ratio=0.7, memory_bytes=400 * MIB))
    assert offered(found, found.candidate()) == ()
    assert found.measured == []


def test_the_same_arithmetic_comes_first(bench: Any) -> None:
    found = bench(FitTargets(latency_ratio=0.45))
    quantized = found.candidate("int8-dynamic", ratio=0.5, drift=DRIFT)
    (offer,) = offered(found, found.candidate(), quantized)
    assert (offer.threads, offer.changes) == (4, ())
    found = bench(FitTargets(latency_ratio=0.35))
    (offer,) = offered(found, found.candidate(), quantized)
    assert (offer.threads, offer.changes) == (2, ("int8-dynamic",))


def test_nodes_stay_in_float_with_threads_too(bench: Any) -> None:
    """The drift is measured with exactly these files."""
    found = bench(FitTargets(latency_ratio=0.35, drift_ratio=0.1))
    late = found.candidate("int8-dynamic", ratio=0.5, drift=DRIFT, float_nodes=("mm0",))
    assert len(offered(found, late)) == 1
    assert found.variants == [(("int8-dynamic",), ("mm0",))]


def test_drift_counts_with_threads_too(bench: Any) -> None:
    found = bench(FitTargets(latency_ratio=0.45, drift_ratio=0.01), core_count=2)
    late = found.candidate("int8-dynamic", ratio=0.5, drift=DRIFT)
    assert offered(found, late) == ()
    assert found.measured


def test_a_crash_or_no_time_is_no_offer(bench: Any) -> None:
    targets = FitTargets(latency_ratio=0.7)
    late = bench(targets, is_late=True)
    assert (offered(late, late.candidate()), late.measured) == ((), [])
    broken = bench(targets, crashes=True)
    assert offered(broken, broken.candidate()) == ()


def test_on_a_device_the_time_is_projected_for_its_cores(bench: Any) -> None:
    """Nothing runs here, and the cores of this machine do not matter."""
    device = chosen_devices(["rpi_5"])[0]
    found = bench(FitTargets(latency_ns=1), core_count=1, device=device)
    one, four = (found.there(found.baseline, threads).latency_ns for threads in (1, 4))
    assert offered(found, found.candidate()) == ()
    found.targets = FitTargets(latency_ns=(one + four) // 2)
    (offer,) = offered(found, found.candidate())
    assert offer.threads in (2, 4)
    assert four <= offer.latency_ns < one
    assert (offer.memory_bytes, found.measured) == (None, [])
    found.original.options = MeasureOptions(threads=4)
    assert offered(found, found.candidate()) == ()


def test_a_smaller_workload_says_what_its_dim_counts(tmp_path: Path) -> None:
    """An input of 32 MiB and an output of 32 MiB, above about 10 MiB of the runtime."""
    sound = [value("audio", TensorProto.FLOAT, [1, "samples"])]
    louder = [value("louder", TensorProto.FLOAT, [1, "samples"])]
    node = helper.make_node("Exp", ["audio"], ["louder"])
    path = save(tmp_path / "m.onnx", helper.make_graph([node], "louder", sound, louder))
    dims = {"samples": 2**23}
    reading = read_model(path, dims=dims, all_changes=True)
    assert reading.dim_roles == {"samples": "samples"}
    found = xlmr()
    workload = replace(found.workload, dims=dims)
    baseline = replace(found, model=profiled_model(reading.facts), workload=workload)
    here = Destination("x86_64", has_glibc=True, is_here=True)
    (offer,) = smaller_workloads(reading, baseline, FitTargets(memory_bytes=50 * MIB), here, None)
    assert (offer.dims, offer.role, offer.threads) == ({"samples": 2**22}, "samples", None)
    assert offer.memory_bytes is not None
    assert offer.memory_bytes <= 50 * MIB
