"""The report of a proof, and what the command line makes of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feasibility.errors import EXIT_OK, EXIT_REQUIREMENT_NOT_MET
from feasibility.json_documents import encode
from feasibility.measure.prove import prove_model as prove_module
from feasibility.measure.prove.prove_model import ProveOptions
from feasibility.records.proof import Bisection, LimitedRun, Proof
from feasibility.records.shared_fields import Notice
from feasibility.render.reports.prove import latency_plot_section, prove_report
from feasibility.render.reports.sections import LatencyPlot
from feasibility.render.terminal.curves import latency_lines
from feasibility.units import MIB, MILLISECOND_NS
from tests import samples
from tests.cli import Result, cli
from tests.snapshot import assert_matches_snapshot
from tests.test_render_terminal import drawn, printed

__all__ = ["cli"]

Cli = Callable[..., Result]
BASELINE = 22 * MIB

UNLIMITED = LimitedRun(
    outcome="survived",
    ended_by="itself",
    phase="end",
    load_ns=66 * MILLISECOND_NS,
    first_run_ns=20 * MILLISECOND_NS,
    median_ns=16 * MILLISECOND_NS,
    samples_ns=(16 * MILLISECOND_NS,) * 25,
    reread_per_run_bytes=0,
    refault_bytes=0,
    wall_ns=800 * MILLISECOND_NS,
)


def run_at(limit_mib: int, median_ms: int | None, **changes: Any) -> LimitedRun:
    """A run that came through, or one that was killed while running where it has no median."""
    fields: dict[str, Any] = {
        "limit_bytes": limit_mib * MIB,
        "enforced_bytes": limit_mib * MIB + BASELINE,
        "outcome": "killed",
        "ended_by": "oom-killer",
        "phase": "run",
        "message": "SIGKILL",
        "load_ns": 70 * MILLISECOND_NS,
        "wall_ns": 10**9,
    }
    if median_ms is not None:
        fields |= {
            "outcome": "thrashed" if median_ms > 24 else "survived",
            "ended_by": "itself",
            "phase": "end",
            "message": "",
            "median_ns": median_ms * MILLISECOND_NS,
            "samples_ns": (median_ms * MILLISECOND_NS,) * 10,
            "latency_ratio": median_ms / 16,
            "load_ratio": 70 / 66,
            "reread_per_run_bytes": 0 if median_ms < 20 else 90 * MIB,
        }
    return LimitedRun(**(fields | changes))


def proof(**changes: Any) -> Proof:
    """A model with external data, searched from below its floor to its comfort point."""
    profile = samples.profile()
    fields: dict[str, Any] = {
        "tool_version": "0.1.0",
        "measured_at": "2026-07-01T12:00:00+00:00",
        "model": profile.model,
        "host": profile.host,
        "workload": profile.workload,
        "allocator": "steady",
        "limit_kind": "cgroup-v2",
        "baseline_bytes": BASELINE,
        "thrashing_ratio": 1.5,
        "unlimited": UNLIMITED,
        "needed_bytes": 49 * MIB,
    }
    return Proof(**(fields | changes))


def proof_of(run: LimitedRun, **changes: Any) -> Proof:
    return proof(memory_bytes=run.limit_bytes, verdict=run, runs=(run,), **changes)


def bisected() -> Proof:
    return proof(
        runs=(
            run_at(49, None),
            run_at(50, None),
            run_at(54, 1196),
            run_at(51, 1341),
            run_at(94, 16),
            run_at(82, 282),
            run_at(92, 150),
        ),
        bisection=Bisection(
            floor_bytes=51 * MIB,
            killed_bytes=50 * MIB,
            comfort_bytes=94 * MIB,
            slow_bytes=92 * MIB,
            floor_precision_ratio=0.02,
            comfort_precision_ratio=0.021,
            predicted_floor_bytes=49 * MIB,
            predicted_comfort_bytes=66 * MIB,
            comfort_ratio=1.1,
        ),
        warnings=(Notice(code="x", message="this is a notice", hint="do this"),),
    )


def test_a_search_looks_as_it_did() -> None:
    assert_matches_snapshot("prove-bisect.txt", drawn(bisected(), printed(prove_report)))


def test_a_search_in_ascii_looks_as_it_did() -> None:
    text = drawn(bisected(), printed(prove_report), encoding="ascii")
    assert text.isascii()
    assert_matches_snapshot("prove-bisect-ascii.txt", text)


OUTCOMES = {
    "killed": proof_of(run_at(40, None, phase="load"), device="rpi_zero_2w"),
    "survived": proof_of(run_at(400, 16)),
    "thrashed": proof_of(run_at(60, 900)),
    "disturbed": proof_of(run_at(400, 23, reread_per_run_bytes=0)),
    "timed out": proof_of(
        run_at(
            45,
            None,
            outcome="thrashed",
            ended_by="timeout",
            message="not finished within 60 s",
            refault_bytes=900 * MIB,
        )
    ),
    "refused": proof_of(
        run_at(40, None, ended_by="refusal", message="std::bad_alloc"), limit_kind="address-space"
    ),
    "crashed": proof_of(run_at(40, None, ended_by="crash", message="SIGSEGV")),
}


@pytest.mark.parametrize("name", OUTCOMES)
def test_an_outcome_looks_as_it_did(name: str) -> None:
    file = f"prove-{name.replace(' ', '-')}.txt"
    assert_matches_snapshot(file, drawn(OUTCOMES[name], printed(prove_report)))


@pytest.mark.parametrize("width", [40, 60, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    lines = drawn(bisected(), printed(prove_report), width=width).splitlines()
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize("name", samples.HOSTILE_NAMES)
def test_names_and_messages_are_harmless(name: str) -> None:
    measured = bisected()
    model = msgspec.structs.replace(measured.model, name=name)
    run = run_at(40, None, ended_by="refusal", message=name)
    hostile = msgspec.structs.replace(measured, model=model, verdict=run, runs=(run,))
    text = drawn(hostile, printed(prove_report))
    assert {character for character in text if not character.isprintable()} == {"\n"}


def test_a_document_comes_back() -> None:
    assert msgspec.json.decode(encode(bisected()), type=Proof) == bisected()


@given(
    limits=st.lists(st.integers(1, 10**10), min_size=2, max_size=12, unique=True),
    data=st.data(),
    width=st.integers(10, 200),
)
def test_every_run_has_its_place_in_the_plot(
    limits: list[int], data: st.DataObject, width: int
) -> None:
    """As many marks as there are places, larger limits further right, more time further up."""
    medians = [data.draw(st.none() | st.integers(1, 10**12)) for _ in limits]
    runs = tuple(
        msgspec.structs.replace(run_at(1, None), limit_bytes=limit, median_ns=median)
        for limit, median in zip(limits, medians, strict=True)
    )
    section = latency_plot_section(proof(runs=runs))
    assert section is not None
    assert isinstance(section.plot, LatencyPlot)
    lines = [marks for _, marks, _ in latency_lines(section.plot, width, "o")]
    assert all(len(line) == width for line in lines)
    marks = [mark for line in lines for mark in line if mark != " "]
    assert 1 <= len(marks) <= len(runs)
    assert ("x" in marks) == (None in medians)
    assert any(line[0] != " " for line in lines)
    assert any(line[-1] != " " for line in lines)


def test_a_plot_needs_two_limits() -> None:
    assert latency_plot_section(proof(runs=(run_at(5, 16), run_at(5, 16)))) is None


# The command line.


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[ProveOptions]:
    """Makes every proof the one that is put into this fixture's place; keeps what was wanted."""
    asked: list[ProveOptions] = []

    def answer(path: Path, options: Any, wanted: ProveOptions, progress: Any) -> Proof:
        asked.append(wanted)
        progress(0, 2, "without a limit")
        return OUTCOMES[path.stem.replace("-", " ")]

    monkeypatch.setattr(prove_module, "prove_model", answer)
    return asked


@pytest.mark.parametrize(
    ("name", "options", "code"),
    [
        ("survived", (), EXIT_OK),
        ("disturbed", ("--require-speed",), EXIT_OK),
        ("thrashed", (), EXIT_OK),
        ("thrashed", ("--require-speed",), EXIT_REQUIREMENT_NOT_MET),
        ("timed-out", ("--require-speed",), EXIT_REQUIREMENT_NOT_MET),
        ("killed", (), EXIT_REQUIREMENT_NOT_MET),
        ("refused", (), EXIT_REQUIREMENT_NOT_MET),
        ("crashed", (), EXIT_REQUIREMENT_NOT_MET),
    ],
)
def test_exit_codes(
    cli: Cli, answers: list[ProveOptions], name: str, options: tuple[str, ...], code: int
) -> None:
    result = cli("prove", f"{name}.onnx", "--memory", "40MiB", *options)
    assert result.code == code
    assert answers == [ProveOptions(memory_bytes=40 * MIB)]
    assert result.err == f"{name}.onnx: without a limit (1 of 2)\n"


def test_the_document_goes_to_stdout_and_into_a_file(
    cli: Cli, answers: list[ProveOptions], tmp_path: Path
) -> None:
    path = tmp_path / "proof.json"
    result = cli("prove", "killed.onnx", "--memory", "40MiB", "-q", "--json", "-o", path)
    assert (result.code, result.err) == (EXIT_REQUIREMENT_NOT_MET, "")
    assert result.out == path.read_text()
    assert msgspec.json.decode(result.out, type=Proof) == OUTCOMES["killed"]


def test_a_device_leaves_a_model_what_its_runtime_does_not_take(
    cli: Cli, answers: list[ProveOptions]
) -> None:
    assert cli("prove", "survived.onnx", "--device", "rpi_4b", "-q").code == EXIT_OK
    device = answers[0].device
    assert device is not None
    grant = device.grant()
    assert grant is not None
    left = grant.memory_bytes.value - device.limits.runtime_bytes.value
    assert answers[0].memory_bytes == left


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            (),
            "error: Cannot run `feasibility prove`: no limit is given\n"
            "hint: give --memory 200MiB, --device ID, or --bisect to find the lowest limit\n",
        ),
        (
            ("--memory", "1MiB", "--device", "rpi_4b"),
            "error: Cannot run `feasibility prove`: --memory and --device both set the limit\n"
            "hint: give one of them\n",
        ),
        (
            ("--memory", "0MB"),
            "error: Cannot use --memory 0MB: every model is over a limit of zero\n"
            "hint: give a larger limit, or leave the option out\n",
        ),
        (
            ("--device", "rtx_3070"),
            "error: Cannot use the memory limit of RTX 3070 server: its models run in GPU memory\n"
            "hint: give the limit itself: --memory SIZE\n",
        ),
    ],
)
def test_limits_that_cannot_be_meant(
    cli: Cli, answers: list[ProveOptions], options: tuple[str, ...], message: str
) -> None:
    assert cli("prove", "survived.onnx", *options) == Result(2, "", message)
    assert answers == []
