"""Comparisons of models that are measured now: real children, folders, errors."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from onnx import TensorProto, helper

from feasibility.commands.app import run
from feasibility.compare import compare_models, noise, outputs, runs_in_turns
from feasibility.compare.compare_models import compare_subjects
from feasibility.compare.runs_in_turns import ModelInTurn
from feasibility.compare.shared_inputs import with_inputs
from feasibility.compare.subjects import (
    Subject,
    common_threads,
    folder_subject,
    model_subject,
    profile_subject,
    require_several,
)
from feasibility.errors import (
    DocumentError,
    FeasibilityError,
    InputError,
    ModelError,
    UsageError,
)
from feasibility.facts.read_model import read_model
from feasibility.json_documents import encode, read_document
from feasibility.measure.measure_options import MeasureOptions
from feasibility.measure.model_outputs import ModelOutputs
from feasibility.records.comparison import Comparison, FigureDifference, FigureName
from feasibility.records.session_options import SessionOptions
from feasibility.records.workload import STEADY_ENVIRONMENT, RuntimeSettings
from tests import samples, tiny_models
from tests.cli import Result, cli

__all__ = ["cli"]

QUICK = MeasureOptions(run_count=3, warmup_count=1)
SETTINGS = RuntimeSettings(prepacking=False, environment=STEADY_ENVIRONMENT)
ROUNDS = 2


def deployed(folder: Path, source: Path, **changes: Any) -> Path:
    """A folder as `fit` writes it, as far as it is read."""
    folder.mkdir()
    (folder / source.name).write_bytes(source.read_bytes())
    options = SessionOptions(
        tool_version="0", model=source.name, settings=SETTINGS, threads=1, runtime_version="",
        isa="x86_64",
    )  # fmt: skip
    options = msgspec.structs.replace(options, **changes)
    (folder / "session_options.json").write_bytes(encode(options))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of three layers and of two, and that of two deployed."""
    made = tmp_path_factory.mktemp("compare")
    tiny_models.mlp(made / "three.onnx", width=256, layers=3)
    deployed(made / "out", tiny_models.mlp(made / "two.onnx", width=256, layers=2))
    return made


@pytest.fixture(scope="module")
def comparison(folder: Path) -> Comparison:
    """A model, a folder and the profile of another model; two rounds instead of eight."""
    subjects = (
        model_subject(folder / "three.onnx"),
        folder_subject(folder / "out"),
        profile_subject(Path("saved.json"), samples.profile()),
    )
    steps: list[tuple[int, int, str]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs_in_turns, "is_settled", lambda first, _: len(first) >= ROUNDS)
        found = compare_subjects(
            subjects, QUICK, progress=lambda done, total, doing: steps.append((done, total, doing))
        )
    done = [each for each, _, _ in steps]
    assert done == sorted(done)
    assert steps[0][2] == "reading the models"
    assert steps[-1][2] == "outputs"
    assert all(step < total and doing for step, total, doing in steps)
    return found


def difference(comparison: Comparison, name: FigureName, position: int) -> FigureDifference:
    figure = next(each for each in comparison.figures if each.name == name)
    found = figure.differences[position - 1]
    assert found is not None
    return found


def test_a_folder_is_measured_with_its_settings(comparison: Comparison) -> None:
    settings = [each.workload.settings for each in comparison.subjects[:2]]
    assert settings == [RuntimeSettings(), SETTINGS]
    assert [each.kind for each in comparison.subjects] == ["model", "folder", "profile"]


def test_models_are_timed_in_turns(comparison: Comparison) -> None:
    """Of two rounds, nothing can be decided; a saved profile is compared by its samples."""
    assert comparison.round_count == ROUNDS
    assert difference(comparison, "latency", 1).evidence == "in-turns"
    assert difference(comparison, "load", 1).outcome == "undecided"
    assert difference(comparison, "latency", 2).evidence == "samples"


def test_memory_is_measured_several_times(comparison: Comparison) -> None:
    """One figure each of so small models would have a tolerance of more than a tenth."""
    found = difference(comparison, "resident", 1)
    before, after, _ = next(each.values for each in comparison.figures if each.name == "resident")
    assert before is not None
    assert after is not None
    single = noise.by_repeats([before], [after])
    assert found.evidence == "repeats"
    assert found.tolerance_ratio is not None
    assert single.tolerance_ratio is not None
    assert found.tolerance_ratio < 0.1 < single.tolerance_ratio
    assert difference(comparison, "file_size", 1).outcome == "lower"


def test_outputs_are_compared_for_the_same_inputs(comparison: Comparison) -> None:
    """A layer less changes them, so that more inputs are tried."""
    drifts = {each.subject: each.drift for each in comparison.outputs}
    assert drifts.keys() == {"B"}
    assert not drifts["B"].is_identical
    assert drifts["B"].sample_count == 4


def test_operators_of_all_models_are_there(comparison: Comparison) -> None:
    uses = {each.op_type: each.uses for each in comparison.operators}
    counts = [None if use is None else use.node_count for use in uses["MatMul"]]
    assert counts == [3, 2, 0]


def test_saved_conditions_are_compared(comparison: Comparison) -> None:
    assert {each.subject for each in comparison.conditions} == {"C"}
    assert difference(comparison, "load_peak", 2).outcome == "not-comparable"


@pytest.mark.usefixtures("nothing_is_measured")
def test_models_beside_a_saved_reference_are_not_timed_in_turns(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the reference, turns would show nothing."""
    monkeypatch.setattr(compare_models, "measure_reading", lambda *_: samples.profile())
    found = compare_subjects(
        (
            profile_subject(Path("saved.json"), samples.profile()),
            model_subject(folder / "two.onnx"),
        ),
        QUICK,
    )
    assert found.round_count == 0
    assert found.outputs == ()


@pytest.mark.usefixtures("nothing_is_measured")
def test_no_round_starts_when_the_time_is_over(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs_in_turns, "_LONGEST_S", 0.0)
    reading = read_model(folder / "two.onnx", with_plans=True)
    models = [ModelInTurn(reading, QUICK, samples.profile()) for _ in range(2)]
    assert runs_in_turns.measure_in_turns(models, lambda _: None) == 0


@dataclasses.dataclass
class FakeModel:
    """A model whose processes all take the same time."""

    name: str
    processes: list[str]
    series: dict[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)

    def take_times(self) -> None:
        self.processes.append(self.name)
        self.series["latency"] = (*self.series.get("latency", ()), 100)

    def take_memory(self) -> None:
        self.processes.append(self.name.lower())


def test_each_round_begins_with_the_next_model() -> None:
    """Memory is measured in the first five rounds; equal times are settled after eight."""
    processes: list[str] = []
    models: Any = [FakeModel(name, processes) for name in "AB"]
    count = runs_in_turns.measure_in_turns(models, lambda number: processes.append(f" {number}"))
    assert count == 8
    assert "".join(processes).split() == (
        ["0AaBb", "1BbAa", "2AaBb", "3BbAa", "4AaBb", "5BA", "6AB", "7BA"]
    )


def test_a_model_that_fails_in_a_round_is_left_out_of_the_next() -> None:
    """The others continue. Without `on_failure`, or if the reference fails, the error is raised."""
    error = ModelError("Cannot run 'b'", "it crashed", "do not")

    class Crashing(FakeModel):
        def take_times(self) -> None:
            super().take_times()
            if len(self.series["latency"]) >= 3:
                raise error

    def models(*broken: str) -> Any:
        return [(Crashing if name in broken else FakeModel)(name, []) for name in "ABC"]

    failed: list[Any] = []
    running = models("B")
    count = runs_in_turns.measure_in_turns(
        running, lambda _: None, lambda *failure: failed.append(failure)
    )
    assert failed == [(running[1], error)]
    assert (count, len(running[2].series["latency"])) == (8, 8)
    for broken, on_failure in (("A", lambda *_: None), ("B", None)):
        with pytest.raises(ModelError, match="it crashed"):
            runs_in_turns.measure_in_turns(models(broken), lambda _: None, on_failure)


def test_inputs_keep_their_values_and_take_the_other_names(tmp_path: Path) -> None:
    """Two exports of one model may name their input in another way."""
    reference = read_model(tiny_models.mlp(tmp_path / "a.onnx"), with_plans=True)
    graph = helper.make_graph(
        [helper.make_node("Relu", ["pixels"], ["y"])],
        "relu",
        [tiny_models.value("pixels", TensorProto.FLOAT, [1, 64])],
        [tiny_models.value("y", TensorProto.FLOAT, [1, 64])],
    )
    other = read_model(tiny_models.save(tmp_path / "b.onnx", graph), with_plans=True)
    fill = msgspec.structs.replace(reference.plans[0].inputs[0].fill, high=7.0)
    inputs = [msgspec.structs.replace(reference.plans[0].inputs[0], fill=fill)]
    (plan,) = with_inputs(other, inputs, "a.onnx").plans
    assert [(each.name, each.fill.high) for each in plan.inputs] == [("pixels", 7.0)]


def found_outputs(array: Any) -> ModelOutputs:
    result: Any = SimpleNamespace()
    return ModelOutputs({"0": array}, result)


def test_equal_outputs_need_one_input(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outputs that are equal bit by bit, for the first inputs."""
    import numpy as np

    reading = read_model(folder / "two.onnx", with_plans=True)
    models = {number: ModelInTurn(reading, QUICK, samples.profile()) for number in range(3)}
    monkeypatch.setattr(outputs, "model_outputs", lambda *_: found_outputs(np.ones((1, 2))))
    found, notices = outputs.compared_outputs(models)
    assert [(each.subject, each.drift.is_identical) for each in found] == [("B", True), ("C", True)]
    assert {each.drift.sample_count for each in found} == {1}
    assert notices == []


def test_other_outputs_are_a_warning(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model with an output less is compared in everything else."""
    import numpy as np

    reading = read_model(folder / "two.onnx", with_plans=True)
    models = {number: ModelInTurn(reading, QUICK, samples.profile()) for number in range(2)}
    arrays = iter((np.zeros((1, 2)), np.zeros((1, 3))))
    monkeypatch.setattr(outputs, "model_outputs", lambda *_: found_outputs(next(arrays)))
    found, notices = outputs.compared_outputs(models)
    assert found == []
    assert [each.code for each in notices] == ["other-outputs"]
    assert notices[0].message.startswith("B: Cannot compare the outputs")


@pytest.mark.usefixtures("nothing_is_measured")
def test_models_with_other_inputs_are_refused_before_measuring(tmp_path: Path) -> None:
    subjects = [
        model_subject(tiny_models.mlp(tmp_path / f"{width}.onnx", width=width))
        for width in (32, 64)
    ]
    with pytest.raises(InputError) as caught:
        compare_subjects(subjects, QUICK)
    assert caught.value.message == (
        "Cannot compare 32.onnx with 64.onnx: their inputs differ: x float32 1x32, but "
        "x float32 1x64"
    )
    assert caught.value.hint == (
        "set sizes with --dim, or compare profiles that `feasibility measure -o FILE` wrote"
    )


@pytest.mark.parametrize(
    ("count", "why"),
    [
        (0, "no model or profile is given"),
        (1, "only one model or profile is given"),
        (7, "7 models or profiles are given; the highest number is 6"),
    ],
)
def test_two_to_four_are_compared(count: int, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        require_several([None] * count)
    assert caught.value.message == f"Cannot compare: {why}"


def test_threads_are_those_of_the_folders() -> None:
    """Or those that the user asks for."""
    path = Path("x")
    one, four = (Subject(path=path, kind="folder", threads=count) for count in (1, 4))
    model = model_subject(path)
    assert common_threads([model, four], None) == 4
    assert common_threads([model], None) == 1
    assert common_threads([one, four], 2) == 2
    with pytest.raises(UsageError) as caught:
        common_threads([one, four], None)
    assert caught.value.message == (
        "Cannot compare the folders: their session_options.json have different numbers of "
        "threads: 1, 4"
    )
    assert caught.value.hint == "set one number for all folders, for example --threads 1"


def test_a_folder_without_options_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"it has no session_options\.json"):
        folder_subject(tmp_path)


@pytest.mark.parametrize("name", ["../evil.onnx", "/etc/passwd", "sub/model.onnx", "..", ""])
def test_a_folder_names_a_model_inside(tmp_path: Path, name: str) -> None:
    made = deployed(tmp_path / "out", tiny_models.mlp(tmp_path / "m.onnx"), model=name)
    with pytest.raises(DocumentError, match="names a model outside"):
        folder_subject(made)


def test_a_folder_sets_no_variable_but_the_trim_threshold(tmp_path: Path) -> None:
    """It may be from elsewhere, and variables can make a process load any library."""
    settings = RuntimeSettings(environment={"LD_PRELOAD": "/tmp/evil.so"})
    made = deployed(tmp_path / "out", tiny_models.mlp(tmp_path / "m.onnx"), settings=settings)
    with pytest.raises(DocumentError, match="sets the variable LD_PRELOAD"):
        folder_subject(made)


@pytest.mark.usefixtures("nothing_is_measured")
@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ("feasibility/facts/1", "it is 'feasibility/facts/1', not feasibility/profile/1"),
        (
            "feasibility/profile/2",
            "it was written by a newer feasibility (feasibility/profile/2; this one reads "
            "feasibility/profile/1)",
        ),
        (
            "feasibility/profile/0",
            "it is feasibility/profile/0, an old version that cannot be read",
        ),
    ],
    ids=["another", "newer", "old"],
)
def test_another_document_is_refused_before_a_model_is_measured(
    cli: Callable[..., Result], folder: Path, schema: str, why: str
) -> None:
    file = folder / "other.json"
    file.write_text(json.dumps({"schema": schema}))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        found = cli("compare", "two.onnx", "other.json")
    assert (found.code, found.out) == (2, "")
    assert found.err.splitlines()[0] == f"error: Cannot read other.json: {why}"


def test_saved_profiles_are_compared_by_the_command(
    cli: Callable[..., Result], tmp_path: Path
) -> None:
    """As a report, as JSON, and into a file."""
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    for path in paths:
        path.write_bytes(encode(samples.profile()))
    written = tmp_path / "comparison.json"
    found = cli("compare", *paths, "-o", written)
    assert found.code == 0
    assert found.out.startswith("b.json against a.json\n")
    document = json.loads(cli("compare", *paths, "--json").out)
    assert document["schema"] == "feasibility/comparison/1"
    assert read_document(written, Comparison).subjects[1].label == "B"


def test_one_subject_is_an_error_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", "only.onnx"]) == 2
    assert "only one model or profile is given" in capsys.readouterr().err


def test_a_missing_model_is_named(cli: Callable[..., Result], tmp_path: Path) -> None:
    saved = tmp_path / "profile.json"
    saved.write_bytes(encode(samples.profile()))
    found = cli("compare", saved, tmp_path / "none.onnx", "-q")
    assert (found.code, found.out) == (2, "")
    assert found.err == (
        f"error: Cannot read model '{tmp_path}/none.onnx': there is no such file\n"
        "hint: check the path\n"
    )


def test_a_model_that_ends_in_a_round_is_an_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = read_model(folder / "two.onnx", with_plans=True)
    profile = samples.profile()
    model = ModelInTurn(reading, QUICK, profile)
    # The inputs of the profile are those of another model, so the child refuses them.
    with pytest.raises(FeasibilityError, match=r"two\.onnx"):
        model.take_times()
