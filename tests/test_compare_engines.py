"""Comparisons of engines: real ones through the command, those that fail, and the report."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from onnx import TensorProto, helper, numpy_helper

from feasibility.commands.app import run
from feasibility.compare import compare_engines, runs_in_turns
from feasibility.compare.compare_profiles import compare_profiles
from feasibility.errors import FeasibilityError, ModelError, UsageError
from feasibility.json_documents import decode
from feasibility.measure.converted_model import ConvertedModel
from feasibility.measure.engine_outputs import EngineOutputs
from feasibility.measure.measure_options import MeasureOptions
from feasibility.measure.passes import Passes
from feasibility.records.comparison import ComparedOutputs, Comparison
from feasibility.records.drift import Drift
from feasibility.records.profile import Conversion, Profile
from feasibility.records.shared_fields import Notice
from feasibility.records.workload import EngineName
from feasibility.render.reports.compare import compare_report
from feasibility.units import MILLISECOND_NS
from tests import samples, tiny_models
from tests.cli import Result, cli
from tests.comparison_samples import changed, in_turns, reference, subject
from tests.snapshot import assert_matches_snapshot
from tests.test_render_terminal import drawn, printed

__all__ = ["cli"]

Cli = Callable[..., Result]

QUICK = MeasureOptions(run_count=3, warmup_count=1)
ROUNDS = 2
TIMES = (66.1, 66.9, 66.2, 66.4, 66.3, 66.5, 66.2, 66.8)


def masked_sum(path: Path) -> Path:
    """Embeddings summed over the positions that a mask marks."""
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["found"], "gather"),
        helper.make_node("Cast", ["attention_mask"], ["number"], "cast", to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["number", "last"], ["wide"], "unsqueeze"),
        helper.make_node("Mul", ["found", "wide"], ["kept"], "mul"),
        helper.make_node("ReduceSum", ["kept", "positions"], ["sum"], "reduce", keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "masked",
        [
            tiny_models.value(name, TensorProto.INT64, ["batch", "sequence"])
            for name in ("input_ids", "attention_mask")
        ],
        [tiny_models.value("sum", TensorProto.FLOAT, ["batch", 8])],
        [
            numpy_helper.from_array(rng.standard_normal((100, 8), dtype=np.float32), "table"),
            numpy_helper.from_array(np.array([-1]), "last"),
            numpy_helper.from_array(np.array([1]), "positions"),
        ],
    )
    return tiny_models.save(path, graph)


def inverse(path: Path) -> Path:
    """An operator of ONNX Runtime that OpenVINO does not have."""
    graph = helper.make_graph(
        [helper.make_node("Inverse", ["x"], ["y"], "inverse", domain="com.microsoft")],
        "inverse",
        [tiny_models.value("x", TensorProto.FLOAT, [4, 4])],
        [tiny_models.value("y", TensorProto.FLOAT, [4, 4])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Comparison]:
    """The report and the document of two engines; two rounds instead of eight."""
    folder = tmp_path_factory.mktemp("engines")
    model, saved, report = masked_sum(folder / "m.onnx"), folder / "saved.json", io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(report):
        patch.setattr(runs_in_turns, "is_settled", lambda first, _: len(first) >= ROUNDS)
        options = ("--runs", "3", "--realtime", "0.96s", "-q", "-o", str(saved))
        code = run(["compare", str(model), "--engines", "onnxruntime,openvino", *options])
    assert code == 0
    return report.getvalue(), decode(saved.read_bytes(), Comparison, "saved.json")


def test_engines_are_subjects_with_their_precision(answers: tuple[str, Comparison]) -> None:
    first, second, *_ = answers[1].subjects
    assert (first.workload.engine, first.workload.precision) == ("onnxruntime", None)
    assert (second.workload.engine, second.workload.precision) == ("openvino", "float32")
    assert first.path == second.path


def test_the_own_precision_is_a_subject_only_if_it_is_another_one(
    answers: tuple[str, Comparison],
) -> None:
    """Processors that compute faster with fewer bits have a third subject, others a note."""
    further = answers[1].subjects[2:]
    notes = [each for each in answers[1].warnings if each.code == "same-precision"]
    assert len(further) + len(notes) == 1
    assert {each.workload.engine for each in further} <= {"openvino-default"}
    assert {each.workload.precision for each in further} <= {"bfloat16", "float16"}
    assert {each.message.partition(" is left out")[0] for each in notes} <= {"openvino-default"}


def test_other_engines_are_no_other_condition(answers: tuple[str, Comparison]) -> None:
    """Figures are compared, although runtime and version are others."""
    assert answers[1].conditions == ()
    outcomes = {each.name: each.differences[0] for each in answers[1].figures}
    assert outcomes["load_peak"] is not None
    assert outcomes["load_peak"].outcome == "higher"
    assert answers[1].round_count == ROUNDS
    assert answers[1].replacements == ()
    assert answers[1].parts == ()


def test_outputs_of_engines_are_checked_with_five_inputs(answers: tuple[str, Comparison]) -> None:
    """The mask among them, so they cannot be equal by chance."""
    found = answers[1].outputs[0]
    assert (found.subject, found.drift.sample_count) == ("B", 5)
    assert found.drift.relative_ratio < 1e-4


def test_the_report_has_engines_and_real_time_factors(answers: tuple[str, Comparison]) -> None:
    report, comparison = answers
    versions = [each.workload.runtime for each in comparison.subjects[:2]]
    assert report.startswith(f"m.onnx: {versions[0]} and {versions[1]}\n")
    assert f"{versions[0]} (reference)" in report
    assert f"{versions[1]} in float32" in report
    assert "real-time factor: median divided by 960 ms of signal" in report
    assert comparison.signal_ns == 960 * MILLISECOND_NS


def test_a_model_that_no_other_engine_runs_is_the_error(cli: Cli, tmp_path: Path) -> None:
    """Of the first engine, in its words without positions in its source; nothing is printed."""
    words = ("--engines", "onnxruntime,openvino", "--runs", "1", "-q")
    found = cli("compare", inverse(tmp_path / "m.onnx"), *words)
    assert (found.code, found.out) == (2, "")
    assert found.err == (
        "error: OpenVINO refuses to load 'm.onnx': it needs operators that OpenVINO does not have: "
        "com.microsoft.Inverse\n"
        "hint: measure it with --engine onnxruntime, or export it without these operators\n"
    )


def profile_of(engine: EngineName) -> Profile:
    return replace(
        reference(),
        workload=replace(reference().workload, engine=engine, runtime=engine, inputs=(), dims={}),
    )


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Engines that answer at once; those with an error raise it when their outputs are checked."""

    def install(**errors: FeasibilityError) -> None:
        def checked(_: Any, other: Passes) -> Drift:
            error = errors.get(other.options.engine.replace("-", "_"))
            if error is not None:
                raise error
            return Drift(sample_count=5, is_identical=True, relative_ratio=0.0)

        monkeypatch.setattr(EngineOutputs, "checked", checked)
        monkeypatch.setattr(
            compare_engines, "measure_reading", lambda _, options, *__: profile_of(options.engine)
        )
        monkeypatch.setattr(compare_engines, "_known_precision", lambda *_: None)
        monkeypatch.setattr(compare_engines, "measure_in_turns", lambda *_: 8)

    return install


ENGINES: tuple[EngineName, ...] = ("onnxruntime", "openvino", "openvino-default")


def test_an_engine_that_fails_is_noted_and_the_others_go_on(
    tmp_path: Path, fake: Callable[..., None]
) -> None:
    """Labels follow the engines that are left."""
    fake(openvino=ModelError("OpenVINO refuses to load 'm.onnx'", "it is odd", "do not"))
    found = compare_engines.compare_engines(tiny_models.mlp(tmp_path / "m.onnx"), ENGINES, QUICK)
    assert [(each.label, each.workload.engine) for each in found.subjects] == [
        ("A", "onnxruntime"),
        ("B", "openvino-default"),
    ]
    assert [each.subject for each in found.outputs] == ["B"]
    assert found.warnings[0] == Notice(
        code="engine-failed",
        message="openvino: OpenVINO refuses to load 'm.onnx': it is odd",
        hint="do not",
    )


def test_an_engine_that_crashes_in_the_rounds_is_noted(
    tmp_path: Path, fake: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no figures and no outputs then. If no other engine is left, its error is raised."""
    fake()

    def crash(models: Any, _: Any, on_failure: Any) -> int:
        on_failure(models[1], ModelError("OpenVINO crashed", "in round 3", "do not"))
        return 8

    monkeypatch.setattr(compare_engines, "measure_in_turns", crash)
    model = tiny_models.mlp(tmp_path / "m.onnx")
    found = compare_engines.compare_engines(model, ENGINES, QUICK)
    engines = [each.workload.engine for each in found.subjects]
    assert engines == ["onnxruntime", "openvino-default"]
    assert [each.subject for each in found.outputs] == ["B"]
    assert found.warnings[0].message == "openvino: OpenVINO crashed: in round 3"
    with pytest.raises(ModelError, match="in round 3"):
        compare_engines.compare_engines(model, ENGINES[:2], QUICK)


@pytest.mark.parametrize("reference", ["onnxruntime", "openvino"])
def test_a_conversion_is_compared_with_the_outputs_that_are_known(
    tmp_path: Path,
    fake: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    reference: EngineName,
) -> None:
    """Only with outputs of ONNX Runtime, because conversions are always checked against it."""
    fake()
    known: list[EngineOutputs | None] = []

    @contextlib.contextmanager
    def converted(reading: Any, _: Any, outputs: EngineOutputs | None) -> Any:
        known.append(outputs)
        drift = Drift(sample_count=5, is_identical=True, relative_ratio=0.0)
        conversion = Conversion(duration_ns=1, peak_bytes=1, file_bytes=1, drift=drift)
        yield ConvertedModel(reading, reading, conversion)

    monkeypatch.setattr(compare_engines, "converted_model", converted)
    model = tiny_models.mlp(tmp_path / "m.onnx")
    found = compare_engines.compare_engines(model, (reference, "mnn", "mnn-external"), QUICK)
    assert len(found.subjects) == 3
    first, second = known
    assert first is second
    assert (first is not None) == (reference == "onnxruntime")


def test_the_first_of_several_errors_is_raised(tmp_path: Path, fake: Callable[..., None]) -> None:
    """A comparison of one engine with nothing would say nothing."""
    fake(
        openvino=ModelError("first", "a", "b"),
        openvino_default=ModelError("second", "a", "b"),
    )
    with pytest.raises(ModelError, match="first: a"):
        compare_engines.compare_engines(tiny_models.mlp(tmp_path / "m.onnx"), ENGINES, QUICK)


def test_one_engine_left_is_an_error_with_the_reason(
    tmp_path: Path, fake: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the own precision of the reference is float32."""
    fake()
    monkeypatch.setattr(
        compare_engines,
        "_known_precision",
        lambda _reading, _options, models: "float32" if models else None,
    )
    with pytest.raises(UsageError) as caught:
        compare_engines.compare_engines(tiny_models.mlp(tmp_path / "m.onnx"), ENGINES[1:], QUICK)
    assert caught.value.message == (
        "Cannot compare engines: openvino-default is left out: on this processor, OpenVINO "
        "computes in float32 by default"
    )
    assert "--engines onnxruntime,openvino" in caught.value.hint


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--engines", "onnxruntime,openvino"], "Cannot compare engines: no model is given"),
        (
            ["a.onnx", "b.onnx", "--engines", "onnxruntime,openvino"],
            "Cannot compare engines: 2 models are given",
        ),
        (["a.onnx", "--engines", "onnxruntime,opnvino"], "Unknown engine 'opnvino'"),
        (["a.onnx", "--engines", "onnxruntime"], "Cannot compare engines: only onnxruntime"),
        (["a.onnx", "--engines", "openvino", "--realtime", "soon"], "Cannot read"),
    ],
)
def test_what_cannot_be_compared_is_said_before_the_model_is_read(
    cli: Cli, words: list[str], message: str
) -> None:
    found = cli("compare", *words, "-q")
    assert (found.code, found.out) == (2, "")
    assert message in found.err


def engines_compared() -> Comparison:
    """Three engines with one model: OpenVINO needs more to run, and is faster in bfloat16."""

    def profile(engine: EngineName, runtime: str, precision: str | None, time_ms: float) -> Profile:
        one = reference()
        return replace(
            one,
            workload=replace(one.workload, engine=engine, runtime=runtime, precision=precision),
            latency=samples.latency(round(time_ms * MILLISECOND_NS)),
            anatomy=None,
            operators=(),
        )

    version = "OpenVINO 2026.4.1"
    float32 = profile("openvino", version, "float32", 64.0)
    bfloat16 = profile("openvino-default", version, "bfloat16", 12.5)
    sides = (
        in_turns(
            profile("onnxruntime", "ONNX Runtime 1.31.1", None, 66.0),
            TIMES,
            load_peak=366,
            floor=360,
        ),
        in_turns(float32, [0.97 * each for each in TIMES], load_peak=352, floor=398),
        in_turns(bfloat16, [0.19 * each for each in TIMES], load_peak=352, floor=398),
    )
    drifts = (
        Drift(sample_count=5, is_identical=False, relative_ratio=3e-6),
        Drift(sample_count=5, is_identical=False, relative_ratio=0.0062),
    )
    return compare_profiles(
        [subject("models/resnet101.onnx")] * 3,
        sides,
        outputs=[
            ComparedOutputs(subject=label, drift=drift)
            for label, drift in zip("BC", drifts, strict=True)
        ],
        round_count=len(TIMES),
        warnings=[Notice(code="engine-failed", message="mnn: it refuses the model", hint="wait")],
    )


def two_models() -> Comparison:
    sides = (
        in_turns(reference(), TIMES, load_peak=366),
        in_turns(changed(), [0.5 * each for each in TIMES], load_peak=187),
    )
    subjects = [subject("a.onnx"), subject("b.onnx")]
    return compare_profiles(subjects, sides, round_count=len(TIMES))


@pytest.mark.parametrize("details", [False, True], ids=["first-screen", "details"])
def test_the_comparison_of_engines_looks_as_it_did(details: bool) -> None:
    """Statistics of one run are on the first screen."""
    text = drawn(engines_compared(), printed(compare_report), details=details)
    assert max(map(len, text.splitlines())) <= 80
    assert_matches_snapshot(f"compare-engines{'-details' * details}.txt", text)


def test_real_time_factors_look_as_they_did() -> None:
    """Of models, too, if --realtime is given."""
    comparison = replace(two_models(), signal_ns=975 * MILLISECOND_NS)
    text = drawn(comparison, printed(compare_report))
    assert max(map(len, text.splitlines())) <= 80
    assert_matches_snapshot("compare-realtime.txt", text)
    assert "statistics of one run" not in drawn(two_models(), printed(compare_report))
