"""The report of `fit`: found, found for a device, nothing found, with details."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import pytest
from msgspec.structs import replace
from rich.cells import cell_len
from rich.console import Console

from feasibility.records.changes import ChangeCode
from feasibility.records.drift import Drift, OutputDrift
from feasibility.records.fit import Fit, FitCandidate, FitFigures, FitTargets, Offer
from feasibility.records.proof import Outcome
from feasibility.records.shared_fields import Assumption, Notice
from feasibility.render.reports.change_texts import CHANGE_TEXTS, main_changes
from feasibility.render.reports.fit import fit_report, headline, search_text
from feasibility.render.reports.sections import Section
from feasibility.render.terminal.layout import print_report
from feasibility.units import MIB, MILLISECOND_NS
from tests import deploy_samples, samples
from tests.deploy_samples import inputs_of, profile
from tests.snapshot import assert_matches_snapshot

STEADY: ChangeCode = "steady-allocator"


def figures(
    memory: int, floor: int, time_ms: float | None, ratio: float | None, files: int = 84
) -> FitFigures:
    """Measured figures, sizes in MiB."""
    return FitFigures(
        load_peak_bytes=memory * MIB,
        inference_peak_bytes=(memory - 4) * MIB,
        floor_bytes=floor * MIB,
        file_bytes=files * MIB,
        median_ns=None if time_ms is None else round(time_ms * MILLISECOND_NS),
        latency_ratio=ratio,
    )


def candidate(*changes: ChangeCode, measured: FitFigures | None, **fields: Any) -> FitCandidate:
    known: dict[str, Any] = {"status": "misses", **fields}
    return FitCandidate(changes=changes, measured=measured, **known)


AS_IT_IS = candidate(measured=figures(140, 132, 12.5, 1.0), missed={"memory": 2.8}, is_beaten=False)
MODELLED = FitCandidate(
    changes=("external-data", STEADY, "prepacking-off"),
    status="modelled",
    modelled=figures(58, 6, None, None),
)
EXTERNAL = candidate(
    "external-data",
    STEADY,
    measured=figures(58, 45, 11.2, None),
    missed={"memory": 1.16},
    is_beaten=True,
)
FAILED = FitCandidate(
    changes=("int8-static", STEADY), status="failed", message="Cannot change the model: \x1b[2J no"
)
INT8 = candidate(
    "int8-dynamic",
    STEADY,
    "arena-off",
    measured=figures(30, 16, 5.0, 0.4, 22),
    status="meets",
    is_beaten=False,
    drift=Drift(
        sample_count=4,
        is_identical=False,
        relative_ratio=0.0217,
        outputs=(
            OutputDrift(
                name="y",
                max_difference=0.1,
                mean_difference=0.01,
                relative_ratio=0.0217,
                cosine=0.99981,
                top1_ratio=0.97,
            ),
        ),
    ),
)


def answer(**fields: object) -> Fit:
    """An answer of `fit` for a target of 50 MiB."""
    base = deploy_samples.fit(profile(inputs_of(("x",))), original="models/minilm.onnx")
    known = {
        "requirements": FitTargets(memory_bytes=50 * MIB),
        "baseline": AS_IT_IS,
        "candidates": (MODELLED, EXTERNAL, FAILED, INT8),
        "chosen": INT8,
        "proof_outcome": "survived",
        "warnings": (Notice(code="seeded-samples", message="random inputs", hint="set --samples"),),
    }
    return replace(base, **(known | fields))


def found() -> Fit:
    return answer()


def found_for_device() -> Fit:
    there = {"device_memory_bytes": 69 * MIB, "device_latency_ns": 231 * MILLISECOND_NS}
    changed = {"device_memory_bytes": 49 * MIB, "device_latency_ns": 51 * MILLISECOND_NS}
    chosen = replace(INT8, **changed)
    return answer(
        requirements=FitTargets(
            latency_ns=60 * MILLISECOND_NS, device="rpi_zero2w", device_limit_bytes=250 * MIB
        ),
        baseline=replace(AS_IT_IS, missed={"latency": 3.9}, **there),
        candidates=(MODELLED, chosen),
        chosen=chosen,
        proof_outcome=None,
        loads_on=("x86_64", "aarch64"),
    )


def not_found() -> Fit:
    nearest = replace(INT8, status="misses", missed={"memory": 3.0, "drift": 2.17})
    return answer(
        requirements=FitTargets(memory_bytes=10 * MIB, drift_ratio=0.01),
        candidates=(MODELLED, EXTERNAL, nearest),
        chosen=None,
        nearest=nearest,
        proof_outcome=None,
        offers=(Offer(dims={"sequence": 32}, changes=("external-data",), memory_bytes=9 * MIB),),
    )


def printed(fit: Fit, *, details: bool = False, width: int = 80) -> str:
    console = Console(
        file=StringIO(), width=width, color_system=None, legacy_windows=False, _environ={}
    )
    print_report(console, fit_report(fit, details=details))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("name", "fit", "details"),
    [
        ("fit", found(), False),
        ("fit-details", found(), True),
        ("fit-device", found_for_device(), False),
        ("fit-not-found", not_found(), False),
    ],
)
def test_the_report_looks_as_it_did(name: str, fit: Fit, *, details: bool) -> None:
    text = printed(fit, details=details)
    assert max(map(len, text.splitlines())) <= 80
    assert_matches_snapshot(f"{name}.txt", text)


@pytest.mark.parametrize("width", [40, 60, 200])
def test_other_widths_are_kept(width: int) -> None:
    assert max(map(len, printed(found(), details=True, width=width).splitlines())) <= width


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"chosen": AS_IT_IS}, "FITS as it is"),
        ({"chosen": None, "nearest": INT8}, "DOES NOT FIT with any change that was tried"),
        (
            {"chosen": None, "is_complete": False},
            "UNDECIDED: the search ended early and found no change so far",
        ),
        (
            {},
            "FITS WITH CHANGES: dynamic int8, arena off "
            "(time 0.4x, outputs differ by up to 2.17 %)",
        ),
    ],
)
def test_the_first_line_is_the_answer(fields: dict[str, object], text: str) -> None:
    assert headline(answer(**fields)) == text


def test_a_model_that_fits_shows_its_figures_beside_the_targets() -> None:
    text = printed(answer(chosen=replace(AS_IT_IS, missed={}), candidates=()))
    assert "memory             140 MiB  at most 50 MiB\n" in text
    assert "changed" not in text


def test_a_slower_smaller_change_is_named() -> None:
    """The chosen one is not the smallest that meets the targets, so the report says why."""
    slow = replace(EXTERNAL, status="meets", missed={}, measured=figures(40, 30, 90.0, 7.2))
    lines = printed(answer(candidates=(slow, INT8))).splitlines()
    assert "why       external meets the targets too, but is slower (time 7.2x)" in lines


def test_a_proof_that_was_not_possible_is_said() -> None:
    lines = printed(answer(proof_outcome=None)).splitlines()
    assert "proof     none: no run under an enforced limit was possible" in lines


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        ("survived", "it runs without a slowdown"),
        (
            "thrashed",
            "it runs, but thrashes: each run reads evicted pages again, so it takes longer than "
            "the time above",
        ),
        ("killed", "it is killed: the kernel also counts page tables and pages of libraries"),
    ],
)
def test_the_proof_says_what_happened_under_the_limit(outcome: Outcome, text: str) -> None:
    lines = printed(answer(proof_outcome=outcome), width=200).splitlines()
    limit = "proof     with 50 MiB above the baseline, enforced by the kernel, "
    assert f"{limit}{text}" in lines


def test_a_smaller_workload_that_needs_no_change_is_offered_as_it_is() -> None:
    offer = Offer(dims={"batch": 4}, memory_bytes=9 * MIB)
    lines = printed(replace(not_found(), offers=(offer,))).splitlines()
    assert "smaller   with --dim batch=4: 9 MiB of memory (as it is; modelled)" in lines


@pytest.mark.parametrize(
    ("role", "words"),
    [
        ("samples", "; 32 samples instead of 64 per run: cut longer input into pieces and join"),
        ("frames", "; 32 frames instead of 64 per run: cut longer input into pieces and join"),
        ("sequence", "; sequences of 32 instead of 64: cut longer ones"),
        ("batch", "; batches of 32 instead of 64: run more of them"),
        ("width", "; images with a width of 32 instead of 64"),
        ("generic", "modelled)"),
    ],
)
def test_a_smaller_workload_says_what_the_caller_does(role: str, words: str) -> None:
    fit = not_found()
    offer = replace(fit.offers[0], dims={"n": 32}, role=role)
    workload = replace(fit.workload, dims={"n": 64})
    text = printed(replace(fit, offers=(offer,), workload=workload), width=400)
    row = next(line for line in text.splitlines() if line.startswith("smaller"))
    assert "with --dim n=32: 9 MiB of memory (external data; modelled)" in row
    assert words in row
    assert row.endswith(")") == (role == "generic")


def test_more_threads_are_offered() -> None:
    offer = Offer(threads=2, changes=("external-data", STEADY), latency_ns=28 * MILLISECOND_NS)
    fit = replace(not_found(), offers=(offer,))
    assert "more threads  with --threads 2: 28 ms (external data; measured)" in printed(fit)
    there = replace(fit, requirements=FitTargets(latency_ns=MILLISECOND_NS, device="rpi_5"))
    assert "28 ms (external data; projected for the device)" in " ".join(printed(there).split())


def test_the_search_names_what_it_runs() -> None:
    assert search_text(("external-data", STEADY), INT8, 12.4) == (
        "external data; best so far 30 MiB; 12 s left"
    )


def test_main_changes_leave_out_what_others_include() -> None:
    codes: tuple[ChangeCode, ...] = (
        "prepacked-offline",
        "optimised-offline",
        "external-data",
        STEADY,
        "arena-off",
    )
    assert main_changes(codes) == ("prepacked-offline", "arena-off")
    assert main_changes((STEADY,)) == (STEADY,)


def test_titles_and_short_names_are_unique() -> None:
    for field in ("title", "short"):
        assert len({getattr(text, field) for text in CHANGE_TEXTS.values()}) == len(CHANGE_TEXTS)


def named(fit: Fit, name: Callable[[str], str]) -> Fit:
    """The answer with a name at every place where one can be."""
    shown = fit.chosen or fit.nearest
    assert shown is not None
    assert shown.drift is not None
    shown = replace(
        shown,
        float_nodes=(name("float node"), name("other node")),
        drift=replace(shown.drift, first_node=name("first node"), first_node_ratio=0.5),
    )
    assumed = Assumption(
        subject=name("dim"), value=name("size"), reason="r", option=f"--dim {name('option')}=N"
    )
    return replace(
        fit,
        model=replace(fit.model, name=name("model")),
        host=replace(fit.host, cpu=name("cpu"), arch=name("arch")),
        workload=replace(
            fit.workload,
            runtime=name("runtime"),
            provider=name("provider"),
            recipe=name("recipe"),
            assumptions=(assumed,),
        ),
        requirements=replace(fit.requirements, device=name("device")),
        candidates=(replace(FAILED, message=name("message")), shown),
        chosen=shown if fit.chosen else None,
        nearest=None if fit.chosen else shown,
        loads_on=(name("isa"), name("other isa")),
        folder=name("folder"),
        files=(name("file"), name("other file")),
        offers=(Offer(dims={name("offered dim"): 32}, memory_bytes=9 * MIB),),
        warnings=(Notice(code="c", message=name("warning"), hint=name("hint")),),
    )


FITS = (found(), not_found())


@pytest.mark.parametrize("fit", FITS, ids=["found", "not-found"])
def test_every_name_is_shown(fit: Fit) -> None:
    """So that hostile ones in the same places are looked at below."""
    places: list[str] = []

    def name(place: str) -> str:
        places.append(f"<{place}>")
        return places[-1]

    text = " ".join(printed(named(fit, name), details=True, width=200).split())
    assert [place for place in places if place not in text] == []


@pytest.mark.parametrize("hostile", [*samples.HOSTILE_NAMES, *deploy_samples.HOSTILE_NAMES])
@pytest.mark.parametrize("fit", FITS, ids=["found", "not-found"])
def test_hostile_names_stay_text_on_their_lines(fit: Fit, hostile: str) -> None:
    """In the rows already, and no name is long enough to hide the rest."""
    report = fit_report(named(fit, lambda _: hostile), details=True)
    texts = [text for section in report if section is not None for text in texts_of(section)]
    assert [text for text in texts if not text.isprintable()] == []
    assert max(map(len, texts)) < 1000
    text = printed(named(fit, lambda _: hostile), details=True)
    assert all(line.isprintable() for line in text.splitlines())
    assert max(map(cell_len, text.splitlines())) <= 80


def texts_of(section: Section) -> Iterator[str]:
    yield section.title
    yield from section.remarks
    for row in section.rows:
        yield from (row.label, row.text)
    for cells in () if section.grid is None else section.grid.rows:
        yield from (cell for cell in cells if isinstance(cell, str))


def test_markup_in_a_name_stays_text() -> None:
    text = printed(named(found(), lambda _: "[red]x[/red] :skull:"), details=True)
    assert text.count("[red]x[/red] :skull:") > 10
