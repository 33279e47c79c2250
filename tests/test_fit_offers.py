"""Smaller workloads that would meet the targets: the largest one per dim, with the changes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from onnx import TensorProto, helper

from feasibility.errors import ModelError
from feasibility.facts.read_model import read_model
from feasibility.fit import offers
from feasibility.fit.candidates import Destination
from feasibility.fit.offers import smaller_workloads
from feasibility.measure.profiled_model import profiled_model
from feasibility.predict.projected_memory import GRAPH_HIGH_RATIO
from feasibility.records.changes import ChangeCode
from feasibility.records.device import Allocator, Device
from feasibility.records.fit import FitTargets, Offer
from feasibility.units import MIB
from tests.projection_samples import board, default_range, profile_of, steady
from tests.tiny_models import mlp, save, value

RUNTIME = 24 * MIB
GLIBC = Destination("x86_64", has_glibc=True, is_here=True)
NO_GLIBC = Destination("aarch64", has_glibc=False, is_here=False)
BATCH = 2**17


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A quarter of a KiB per input and activation; a batch of 2^17 needs 174 MiB."""
    return mlp(tmp_path_factory.mktemp("offers") / "model.onnx", batch="batch")


def offered(
    model: Path,
    targets: FitTargets,
    destination: Destination = GLIBC,
    device: Device | None = None,
    dims: Mapping[str, int] | None = None,
) -> tuple[Offer, ...]:
    """Offers for a model that was measured with these dims."""
    sizes = {"batch": BATCH} if dims is None else dict(dims)
    reading = read_model(model, dims=sizes, all_changes=True)
    baseline = profile_of(
        profiled_model(reading.facts),
        steady(900, 800, 900),
        default=default_range((900, 999), (900, 999)),
    )
    baseline = replace(baseline, workload=replace(baseline.workload, dims=sizes))
    return smaller_workloads(reading, baseline, targets, destination, device)


def memory(**sizes: int) -> FitTargets:
    """Targets in MiB."""
    return FitTargets(**{f"{name}_bytes": size * MIB for name, size in sizes.items()})


@pytest.mark.parametrize(
    ("destination", "target_mib", "batch", "changes", "memory_mib"),
    [
        (GLIBC, 93, 2**16, ("steady-allocator",), 92),
        (GLIBC, 91, 2**16, ("steady-allocator", "pattern-off"), 59),
        (GLIBC, 52, 2**15, ("steady-allocator",), 51),
        (GLIBC, 31, 2**14, ("steady-allocator",), 31),
        (NO_GLIBC, 93, 2**16, (), 92),
        (NO_GLIBC, 91, 2**16, ("pattern-off",), 59),
    ],
)
def test_the_largest_size_that_meets_the_target_is_offered(
    model: Path,
    destination: Destination,
    target_mib: int,
    batch: int,
    changes: tuple[ChangeCode, ...],
    memory_mib: int,
) -> None:
    """With the changes that ask least."""
    (found,) = offered(model, memory(memory=target_mib), destination)
    assert (found.dims, found.changes) == ({"batch": batch}, changes)
    assert round(found.memory_bytes / MIB) == memory_mib


def test_memory_that_must_stay_is_a_target_too(model: Path) -> None:
    """Seven MiB of the library can be evicted, so the floor of 92 MiB is 85."""
    (found,) = offered(model, memory(floor=86))
    assert (found.dims, found.changes) == ({"batch": 2**16}, ("steady-allocator",))
    (found,) = offered(model, memory(floor=86, memory=52))
    assert found.dims == {"batch": 2**15}


def test_nothing_is_offered_where_no_size_meets_the_targets(model: Path) -> None:
    assert offered(model, memory(memory=9)) == ()
    assert offered(model, memory(memory=100), dims={"batch": 1}) == ()


def test_no_size_below_a_sixty_fourth_is_offered(model: Path) -> None:
    """A batch of 2^10 needs 11 MiB, which fits; a batch of 2^11 is the smallest of 2^17."""
    target = memory(memory=11)
    assert offered(model, target) == ()
    assert [each.dims for each in offered(model, target, dims={"batch": 2**11})] == [
        {"batch": 2**10}
    ]


@pytest.mark.parametrize(
    "targets", [FitTargets(latency_ns=1), FitTargets(size_bytes=1), FitTargets(drift_ratio=0)]
)
def test_targets_that_are_not_modelled_give_no_offer(
    model: Path, monkeypatch: pytest.MonkeyPatch, targets: FitTargets
) -> None:
    monkeypatch.setattr(offers, "read_model", lambda *_, **__: pytest.fail("it was read"))
    assert offered(model, targets) == ()


def test_each_open_dim_is_offered_alone(tmp_path: Path) -> None:
    """The other one keeps its size."""
    shape: list[int | str] = ["batch", "rows", 64]
    nodes = [helper.make_node("Relu", [one], [two]) for one, two in ("xa", "ab", "by")]
    graph = helper.make_graph(
        nodes,
        "two",
        [value("x", TensorProto.FLOAT, shape)],
        [value("y", TensorProto.FLOAT, shape)],
    )
    path = save(tmp_path / "two.onnx", graph)
    found = offered(path, memory(memory=60), dims={"batch": 2**9, "rows": 2**8})
    assert [each.dims for each in found] == [{"batch": 2**8}, {"rows": 2**7}]
    assert found[0].memory_bytes == found[1].memory_bytes


def test_a_size_that_the_model_does_not_take_is_left_out(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(path: Path, **options: Any) -> Any:
        if options["dims"] == {"batch": 2**16}:
            raise ModelError("Cannot read the model", "a shape does not fit")
        return read_model(path, **options)

    monkeypatch.setattr(offers, "read_model", read)
    (found,) = offered(model, memory(memory=93))
    assert found.dims == {"batch": 2**15}


@pytest.mark.parametrize(
    ("allocator", "changes"), [("glibc", ("steady-allocator",)), ("scudo", ())]
)
def test_a_device_is_offered_a_size_that_its_limit_allows(
    tmp_path: Path, allocator: Allocator, changes: tuple[ChangeCode, ...]
) -> None:
    """The upper end of the projection counts: with a byte less, the model needs one more change."""
    path = mlp(tmp_path / "wide.onnx", width=512, batch="batch")
    destination = Destination("aarch64", allocator == "glibc", is_here=False)
    half = read_model(path, dims={"batch": 2**11}, all_changes=True)
    (as_it_is,) = (each for each in half.facts.modelled_memory if each.isa == "aarch64")
    limit = math.ceil(as_it_is.peak_bytes * GRAPH_HIGH_RATIO) + RUNTIME
    wanted = FitTargets(device="board", device_limit_bytes=limit)

    def offer(grant_bytes: int) -> Offer:
        device = board(allocator=allocator, grant_bytes=grant_bytes)
        (found,) = offered(path, wanted, destination, device, dims={"batch": 2**12})
        return found

    found = offer(limit)
    assert (found.dims, found.changes) == ({"batch": 2**11}, changes)
    assert found.memory_bytes == as_it_is.peak_bytes
    assert offer(limit - 1) == Offer(
        dims={"batch": 2**11},
        role="batch",
        changes=(*changes, "pattern-off"),
        memory_bytes=next(
            each.peak_bytes
            for each in half.facts.changed_memory
            if (each.isa, each.changes) == ("aarch64", ("pattern-off",))
        ),
    )


def test_a_device_and_a_target_of_memory_must_both_be_met(model: Path) -> None:
    device = board(grant_bytes=200 * MIB)
    destination = Destination("aarch64", has_glibc=True, is_here=False)
    (found,) = offered(model, FitTargets(device="board"), destination, device)
    assert found.dims == {"batch": 2**16}
    (found,) = offered(model, memory(memory=61), destination, device)
    assert found.dims == {"batch": 2**15}
