"""`check --prove`: the model under what each device leaves it."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from msgspec.structs import replace
from rich.console import Console

from feasibility.commands import prove_on_devices
from feasibility.commands.check import unmet
from feasibility.commands.progress import Watch, watch_on_stderr
from feasibility.errors import HostError, UsageError
from feasibility.measure.measure_options import MeasureOptions
from feasibility.records.assessment import Assessment, ModelAssessment
from feasibility.records.proof import DeviceProof, LimitedRun
from feasibility.render.reports.check import check_report
from feasibility.render.reports.sections import Report
from feasibility.render.terminal.layout import print_report
from tests import samples

MIB = 1024**2


def survived(limit_bytes: int) -> DeviceProof:
    run = LimitedRun(
        limit_bytes=limit_bytes,
        outcome="survived",
        ended_by="itself",
        phase="end",
        latency_ratio=1.02,
        wall_ns=1,
    )
    return DeviceProof(arch="x86_64", limit_kind="cgroup-v2", run=run)


def killed(limit_bytes: int) -> DeviceProof:
    run = LimitedRun(
        limit_bytes=limit_bytes, outcome="killed", ended_by="oom-killer", phase="load", wall_ns=1
    )
    return DeviceProof(arch="x86_64", limit_kind="cgroup-v2", run=run)


@pytest.fixture
def model() -> ModelAssessment:
    return samples.assessment().models[0]


def with_limits(model: ModelAssessment, *left: int) -> ModelAssessment:
    """The first devices of the model, each leaving it so many bytes."""
    devices = tuple(
        replace(item, memory=replace(item.memory, budget_bytes=size + 5, runtime_bytes=5))
        for item, size in zip(model.devices, left, strict=False)
    )
    return replace(model, devices=devices)


def test_each_limit_is_run_once(model: ModelAssessment, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two devices that leave the same share one run; the runtime's part is taken off."""
    asked: list[int] = []

    def prove(path: Path, limit: int, options: MeasureOptions, watch: Watch) -> DeviceProof:
        asked.append(limit)
        return survived(limit) if limit > 100 * MIB else killed(limit)

    monkeypatch.setattr(prove_on_devices, "_prove", prove)
    limited = with_limits(model, 200 * MIB, 90 * MIB, 200 * MIB)
    found = prove_on_devices.with_proofs(Path("m.onnx"), limited, (), MeasureOptions(), Watch())
    assert asked == [90 * MIB, 200 * MIB]
    outcomes = [item.proof.run.outcome for item in found.devices if item.proof]
    assert outcomes == ["survived", "killed", "survived"]


def test_a_limit_that_cannot_be_enforced_keeps_the_assessment(
    model: ModelAssessment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error is said, and what was measured stays."""

    def prove(*_: object, **__: object) -> DeviceProof:
        raise HostError("Cannot limit memory", "there is no way", "run doctor")

    monkeypatch.setattr(prove_on_devices, "_prove", prove)
    limited = with_limits(model, 200 * MIB)
    watch = watch_on_stderr(quiet=True)
    found = prove_on_devices.with_proofs(Path("m.onnx"), limited, (), MeasureOptions(), watch)
    assert found == limited
    assert "Cannot limit memory: there is no way" in capsys.readouterr().err


def test_a_killed_model_meets_no_requirement(model: ModelAssessment) -> None:
    """`--require fits` fails where the limit killed the model, whatever was projected."""
    fitting = tuple(replace(item, verdict="fits") for item in model.devices)
    assessment = Assessment(tool_version="0", models=(replace(model, devices=fitting),))
    assert unmet(assessment, "fits") == ()
    ended = (replace(fitting[0], proof=killed(90 * MIB)), *fitting[1:])
    assessment = Assessment(tool_version="0", models=(replace(model, devices=ended),))
    (missed,) = unmet(assessment, "fits")
    assert missed.endswith(": killed by its limit")


@pytest.mark.parametrize(
    ("paths", "on", "why"),
    [([Path("p.json")], None, "saved profile cannot be run"), ([], "ssh:a", "enforced on this")],
)
def test_what_cannot_be_proven_is_refused(paths: list[Path], on: str | None, why: str) -> None:
    """Before anything is measured."""
    with pytest.raises(UsageError, match="Cannot prove") as caught:
        prove_on_devices.refuse_saved(paths, on)
    assert why in caught.value.why


def report_of(model: ModelAssessment) -> Report:
    return check_report(Assessment(tool_version="0", models=(model,)))


def test_the_report_shows_each_outcome(model: ModelAssessment) -> None:
    """Limit, outcome and time per device, and what enforced it."""
    devices = (
        replace(model.devices[0], proof=killed(90 * MIB)),
        replace(model.devices[1], proof=survived(200 * MIB)),
    )
    text = StringIO()
    console = Console(file=text, width=80, color_system=None, legacy_windows=False)
    print_report(console, report_of(replace(model, devices=devices)))
    assert "90 MiB  killed while loading" in text.getvalue()
    assert "200 MiB  survived" in text.getvalue()
    assert "1.02x" in text.getvalue()
    assert "enforced by the kernel (cgroup v2), without swap" in " ".join(text.getvalue().split())


def test_without_proofs_the_report_says_nothing_of_them(model: ModelAssessment) -> None:
    """The first screen stays as short as it was."""
    text = StringIO()
    print_report(Console(file=text, width=80, color_system=None), report_of(model))
    assert "memory limit  result" not in text.getvalue()
