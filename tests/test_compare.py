"""Comparisons of profiles: conditions, figures, operators, parts of memory, and the report."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from feasibility.compare.compare_profiles import compare_profiles
from feasibility.compare.conditions import affected, condition_differences
from feasibility.compare.figures import Side
from feasibility.compare.operators import compared_operators, node_replacements
from feasibility.records.comparison import (
    ComparedOutcome,
    ComparedOutputs,
    Comparison,
    FigureDifference,
    FigureName,
)
from feasibility.records.drift import Drift, OutputDrift
from feasibility.records.profile import Latency, Profile
from feasibility.records.shared_fields import Notice
from feasibility.render.reports.compare import answer_text, compare_report
from feasibility.render.reports.compare_figures import difference_text
from feasibility.units import MIB
from tests import samples
from tests.comparison_samples import (
    ROUND_COUNT,
    changed,
    encoder,
    in_turns,
    node,
    reference,
    subject,
)
from tests.snapshot import assert_matches_snapshot
from tests.test_render_terminal import drawn, printed

WARNING = Notice(code="host-busy", message="A, B: the machine was busy", hint="wait")
TIMES = (66.1, 66.9, 66.2, 66.4, 66.3, 66.5, 66.2, 66.8)


def measured_now() -> Comparison:
    """Two models measured now: half the memory, the same time, other outputs."""
    sides = (
        in_turns(reference(), TIMES, load_peak=366, floor=360),
        in_turns(
            changed(inference_peak=198 * MIB),
            [1.002 * each for each in (*TIMES[1:], TIMES[0])],
            load_peak=187,
            floor=180,
        ),
    )
    drift = Drift(
        sample_count=4,
        is_identical=False,
        relative_ratio=0.0213,
        outputs=(
            OutputDrift(
                name="dense0",
                max_difference=0.2,
                mean_difference=0.01,
                relative_ratio=0.0213,
                cosine=0.99912,
                top1_ratio=1.0,
            ),
        ),
    )
    return compare_profiles(
        (subject("models/resnet101.onnx"), subject("out/resnet101.onnx")),
        sides,
        outputs=(ComparedOutputs(subject="B", drift=drift),),
        round_count=ROUND_COUNT,
        warnings=(WARNING,),
    )


def saved(*others: Profile) -> Comparison:
    """Saved profiles against the reference."""
    profiles = (reference(), *others)
    subjects = [subject(f"profile{number}.json", each) for number, each in enumerate(profiles)]
    return compare_profiles(subjects, [Side(each) for each in profiles])


def on_another_board() -> Profile:
    profile = changed(load_peak=100 * MIB)
    return replace(
        profile,
        host=replace(profile.host, arch="aarch64", cpu="Cortex-A76", core_count=4),
        workload=replace(profile.workload, threads=4),
        gpu=None,
    )


def imported() -> Profile:
    """Figures of another program, which has the median and the whole process only."""
    profile = reference()
    return replace(
        profile,
        source="optimum-benchmark",
        memory=None,
        default_allocator=None,
        anatomy=None,
        operators=(),
        process_peak_bytes=500 * MIB,
        latency=Latency(median_ns=70_000_000),
        model=samples.profile().model,
    )


@pytest.mark.parametrize("details", [False, True], ids=["first-screen", "details"])
def test_the_comparison_of_two_models_looks_as_it_did(details: bool) -> None:
    suffix = "-details" if details else ""
    text = drawn(measured_now(), printed(compare_report), details=details)
    assert max(map(len, text.splitlines())) <= 80
    assert_matches_snapshot(f"compare{suffix}.txt", text)


def test_the_comparison_of_four_profiles_looks_as_it_did() -> None:
    """Other machines are named first, and what cannot be compared is marked."""
    comparison = saved(changed(load_peak=187 * MIB), on_another_board(), imported())
    text = drawn(comparison, printed(compare_report))
    assert max(map(len, text.splitlines())) <= 80
    assert_matches_snapshot("compare-many.txt", text)


def test_three_profiles_fit_the_terminal() -> None:
    text = drawn(saved(changed(), imported()), printed(compare_report), details=True)
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("name", samples.HOSTILE_NAMES)
def test_hostile_names_stay_text(name: str) -> None:
    """Of models, nodes, operators and machines."""
    profile = changed()
    hostile = replace(
        profile,
        model=replace(profile.model, name=name),
        operators=(node(name, name), node("other", name)),
        host=replace(profile.host, cpu=name),
    )
    profiles = (reference(), hostile)
    comparison = compare_profiles(
        (subject("a.json", profiles[0]), subject(name.replace("\0", "") or "b", hostile)),
        [Side(each) for each in profiles],
    )
    text = drawn(comparison, printed(compare_report), details=True)
    assert max(map(len, text.splitlines())) <= 80
    assert all(line.isprintable() for line in text.splitlines())


def test_the_same_profile_twice_shows_no_difference() -> None:
    """Nothing is lower, higher or not comparable."""
    comparison = saved(reference())
    outcomes = {
        each.outcome for figure in comparison.figures for each in figure.differences if each
    }
    assert outcomes == {"equal", "no-difference", "undecided"}
    assert comparison.conditions == ()
    assert comparison.replacements == ()


Change = Callable[[Profile], Profile]


def with_workload(**fields: object) -> Change:
    return lambda profile: replace(profile, workload=replace(profile.workload, **fields))


def with_host(**fields: object) -> Change:
    return lambda profile: replace(profile, host=replace(profile.host, **fields))


def with_input(**fields: object) -> Change:
    def change(profile: Profile) -> Profile:
        spec = replace(profile.workload.inputs[0], **fields)
        return with_workload(inputs=(spec,))(profile)

    return change


FILL = replace(reference().workload.inputs[0].fill, kind="file", path="cat.npy")


@pytest.mark.parametrize(
    ("change", "code", "kinds"),
    [
        (with_input(shape=(1, 3, 64, 64)), "inputs", {"work", "memory", "time"}),
        (with_input(dtype="float16"), "inputs", {"work", "memory", "time"}),
        (with_input(fill=FILL), "values", {"memory", "time"}),
        (with_host(arch="aarch64"), "machine", {"memory", "time"}),
        (with_host(cpu="Other"), "processor", {"time"}),
        (with_host(core_count=8), "processor", {"time"}),
        (with_host(os="Linux 5.10"), "system", {"time"}),
        (with_host(libc="musl 1.2"), "allocator", {"memory"}),
        (with_workload(runtime="ONNX Runtime 1.20.0"), "runtime", {"memory", "time"}),
        (with_workload(provider="CUDAExecutionProvider"), "provider", {"memory", "time"}),
        (with_workload(threads=2), "threads", {"memory", "time"}),
        (lambda profile: replace(profile, method="emulated"), "method", {"memory", "time"}),
        (lambda profile: replace(profile, source="perf_test"), "instrument", {"memory", "time"}),
        (
            lambda profile: replace(profile, memory=replace(profile.memory, peak_source="sampled")),
            "peaks",
            {"memory"},
        ),
    ],
)
def test_every_condition_is_named_with_what_it_affects(
    change: Change, code: str, kinds: set[str]
) -> None:
    """And its figures are not judged."""
    other = change(reference())
    found = condition_differences(reference(), other, "B")
    assert [each.code for each in found] == [code]
    assert affected(found) == kinds
    figures = {each.name: each for each in saved(other).figures}
    names: tuple[tuple[FigureName, str], ...]
    names = (("flops", "work"), ("load_peak", "memory"), ("latency", "time"))
    for name, kind in names:
        difference = figures[name].differences[0]
        assert difference is not None
        assert (difference.outcome == "not-comparable") is (kind in kinds)
    first = compare_report(saved(other))[0]
    assert first is not None
    assert first.rows[0].label == "caution"


def test_input_names_and_settings_are_no_conditions() -> None:
    """Two exports of one model may differ in names, and settings are what is compared."""
    other = with_input(name="pixels")(changed())
    assert condition_differences(reference(), other, "B") == ()


def test_operators_are_sorted_by_their_difference() -> None:
    found = compared_operators([reference(), changed()])
    assert [each.op_type for each in found] == ["MatMul", "Attention", "Add", "Gather", "Gelu"]
    before, after = found[0].uses
    assert before is not None
    assert after is not None
    assert (before.node_count, before.time_ns, after.node_count) == (48, 48 * 3_000, 0)
    assert before.moved_bytes == 48 * MIB
    assert before.arena_bytes == MIB


def test_a_profile_without_nodes_has_no_uses() -> None:
    """Which is not the same as no node of a type."""
    for operator in compared_operators([reference(), imported()]):
        assert operator.uses[1] is None
    assert node_replacements([reference(), imported()]) == ()


def test_fused_nodes_are_named_with_what_they_replace() -> None:
    (found,) = node_replacements([reference(), changed()])
    assert found.before == {"MatMul": 48, "Add": 24}
    assert found.after == {"Attention": 12}
    assert found.place_count == 12


def test_nodes_that_only_vanish_or_appear_are_named() -> None:
    base = encoder(1, is_fused=True)
    cast = node("cast", "Cast")
    with_cast = replace(reference(), operators=(base[0], cast, *base[1:]))
    without = replace(reference(), operators=base)
    (vanished,) = node_replacements([with_cast, without])
    assert (vanished.before, vanished.after) == ({"Cast": 1}, {})
    (appeared,) = node_replacements([without, with_cast])
    assert (appeared.before, appeared.after) == ({}, {"Cast": 1})


def test_renamed_nodes_are_no_replacement() -> None:
    renamed = tuple(replace(each, node=f"new/{each.node}") for each in reference().operators)
    assert node_replacements([reference(), replace(reference(), operators=renamed)]) == ()


def test_graphs_of_thousands_of_nodes_are_not_aligned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their operator types are compared all the same."""
    monkeypatch.setattr("feasibility.compare.operators._ALIGNED_COUNT_MAX", 20)
    assert node_replacements([reference(), changed()]) == ()
    assert compared_operators([reference(), changed()])


def test_parts_of_memory_need_two_anatomies() -> None:
    assert {each.part for each in saved(changed()).parts} >= {"total", "weights", "prepacked"}
    assert saved(imported()).parts == ()


def found(outcome: ComparedOutcome, ratio: float | None = None, **ends: float) -> FigureDifference:
    return FigureDifference(outcome=outcome, evidence="exact", value_ratio=ratio, **ends)


def test_the_answer_names_what_is_lower_higher_and_the_same() -> None:
    """With its change: a percentage, and a factor from twice on."""
    text = answer_text(
        [
            ("load_peak", found("lower", 0.5)),
            ("inference_peak", found("higher", 1.00003)),
            ("floor", found("lower", 0.85)),
            ("process_peak", found("not-comparable", 2.0)),
            ("latency", found("higher", 5.7)),
            ("first_run", found("undecided", 5.7)),
            ("load", found("no-difference", 1.1)),
            ("file_size", found("equal", 1.0)),
        ]
    )
    assert text == (
        "lower: load peak (-50 %) and floor (-15 %); higher: inference peak (<0.1 %) and median "
        "time (5.7x); the same: file size; no difference seen: loading time; undecided: first "
        "run; not comparable: whole process"
    )
    assert answer_text([]) == "no figure in common"


@pytest.mark.parametrize(
    ("difference", "text"),
    [
        (None, ""),
        (found("lower", 0.5), "lower"),
        (found("higher", 1.0004), "higher by less than 0.1 %"),
        (found("lower", 0.8, low_ratio=0.75, high_ratio=0.85), "lower (-25 to -15 %)"),
        (found("lower", 0.042, low_ratio=0.0416, high_ratio=0.0424), "lower (-96 %)"),
        (found("higher", 5.7, low_ratio=5.5, high_ratio=6.2), "higher (5.5 to 6.2x)"),
        (found("no-difference", 1.0, low_ratio=0.98, high_ratio=1.03), "none seen (-2 to +3 %)"),
        (found("not-comparable", 2.0, low_ratio=1.5, high_ratio=3.0), "not comparable"),
    ],
)
def test_a_difference_has_its_interval(difference: FigureDifference | None, text: str) -> None:
    assert difference_text(difference) == text


def test_subjects_have_kinds_and_labels() -> None:
    assert [each.kind for each in measured_now().subjects] == ["model", "model"]
    assert [each.kind for each in saved(changed()).subjects] == ["profile", "profile"]
    assert [each.label for each in saved(changed(), imported()).subjects] == ["A", "B", "C"]
