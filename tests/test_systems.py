"""The documents that started this tool: their figures, our answers, the page, and the demo."""

from __future__ import annotations

import csv
import importlib
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from msgspec.structs import replace

from feasibility.catalogue.load_catalogue import find_device, load_catalogue
from feasibility.errors import HostError
from feasibility.json_documents import read_document
from feasibility.measure.measure_model import BRIEF_STEP_COUNT, measure_briefly
from feasibility.measure.measure_options import MeasureOptions
from feasibility.paths import devices_dir, profiles_dir
from feasibility.records.profile import Profile
from feasibility.records.shared_fields import Notice
from feasibility.records.systems import (
    AnsweredFigure,
    Projection,
    PublishedFigure,
    System,
    SystemsDocument,
)
from feasibility.systems.answers import answered, answered_figure
from feasibility.systems.documents import DOCUMENTS
from feasibility.units import MILLISECOND_NS, SECOND_NS
from feasibility.zoo import architectures as zoo
from tests import samples, tiny_models
from tests.cli import Result, cli

__all__ = ["cli"]

ROOT = Path(__file__).parent.parent
RECORDED = ROOT / "profiles" / "systems"
LARGEST_BYTES = 100_000
CATALOGUE = load_catalogue(devices_dir())
SYSTEMS = {system.id: system for document in DOCUMENTS for system in document.systems}
FIGURES = [(document, figure) for document in DOCUMENTS for figure in document.figures]


@pytest.fixture(scope="module")
def systems() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT)
        return importlib.import_module("benchmarks.systems")


@pytest.fixture(scope="module")
def answers(systems: ModuleType) -> Any:
    return sys.modules["benchmarks.systems_answers"].Answers(systems.read_recordings())


def test_the_table_names_networks_and_devices_that_exist() -> None:
    ids = [system.id for document in DOCUMENTS for system in document.systems]
    assert len(ids) == len(set(ids))
    for system in SYSTEMS.values():
        assert zoo.find(system.network).name == system.network
    for document, figure in FIGURES:
        assert figure.system in {system.id for system in document.systems}
        if figure.device:
            assert find_device(figure.device, CATALOGUE).id == figure.device


def test_figures_are_those_of_the_published_table() -> None:
    """profiles/published.csv has figures of the same documents, entered independently."""
    with (profiles_dir() / "published.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "seed"]
    assert len(rows) == 20
    stated = sorted(
        round(figure.value / MILLISECOND_NS, 2) for _, figure in FIGURES if figure.quantity == "run"
    )
    for row in rows:
        assert any(each == pytest.approx(float(row["latency_ms"]), abs=0.06) for each in stated), (
            row["row_id"]
        )
    assert {row["peak_memory_mib"] for row in rows} - {""} == {"2845"}
    assert 2845 * 1024**2 in {figure.value for _, figure in FIGURES}


@pytest.mark.parametrize(
    ("low", "high", "is_inside"), [(90, 110, True), (101, 300, False), (10, 99, False)]
)
def test_a_published_figure_is_inside_or_outside(low: int, high: int, is_inside: bool) -> None:
    figure = AnsweredFigure(
        published=PublishedFigure(
            system="a", words="100 ns", condition="", quantity="run", value=100
        ),
        here=None,
        projected=Projection(low, 50, high),
    )
    assert figure.is_inside is is_inside
    assert figure.error_ratio == 0.5
    assert replace(figure, projected=None).is_inside is None


def test_figures_here_are_those_of_their_quantity() -> None:
    """Time to load is not time to run, and memory to load is not the highest memory."""
    profile = samples.profile()
    memory, latency = profile.memory, profile.latency
    assert memory is not None
    assert latency is not None
    profile = replace(profile, memory=replace(memory, load_peak_bytes=7, inference_peak_bytes=9))
    values: Mapping[Any, int | None] = {
        "run": latency.median_ns,
        "load": latency.load_ns,
        "memory": 9,
        "load-memory": 7,
        "file-size": profile.model.file_bytes + profile.model.external_bytes,
    }
    for quantity, value in values.items():
        figure = PublishedFigure(system="a", words="", condition="", quantity=quantity, value=1)
        assert answered_figure(figure, profile, CATALOGUE).here == value
        assert answered_figure(figure, profile, CATALOGUE).projected is None


def test_threads_and_runtime_of_a_document_are_projected() -> None:
    """One thread is slower than eight, and MNN has coefficients of its own."""
    profile = samples.profile()
    figure = PublishedFigure(
        system="a", words="", condition="", quantity="run", value=1, device="ryzen_3800x", threads=1
    )
    likely = []
    for each in (figure, replace(figure, threads=8), replace(figure, runtime="mnn")):
        projected = answered_figure(each, profile, CATALOGUE).projected
        assert projected is not None
        likely.append(projected.likely)
    assert likely[0] > likely[1]
    assert likely[0] != likely[2]


def test_sound_has_the_target_of_its_length() -> None:
    """Other systems have the default of the device, 100 ms on a phone."""
    systems = (
        System(id="sound", title="", network="", signal_ns=2 * SECOND_NS),
        System(id="image", title="", network=""),
        System(id="other", title="", network="", change="int8-dynamic"),
        System(id="missing", title="", network=""),
    )
    document = SystemsDocument(id="", title="", source="", hardware="", systems=systems)
    profiles = dict.fromkeys(("sound", "image", "other"), samples.profile())
    found = answered(document, profiles, CATALOGUE, ["galaxy_s24"]).systems
    assert [each.system.id for each in found] == ["sound", "image", "other"]
    targets = [[one.latency.budget_ns for one in each.verdicts] for each in found]
    assert targets == [[2 * SECOND_NS], [100 * MILLISECOND_NS], []]


def test_the_page_is_that_of_the_recorded_files(systems: ModuleType) -> None:
    page = systems.systems_page(systems.read_recordings())
    stored = (ROOT / "docs" / "systems.md").read_text(encoding="utf-8")
    assert stored == page, "run: python -m benchmarks.systems --render"


def test_every_miss_is_explained(answers: Any) -> None:
    """A published figure outside the interval has a reason on the page."""
    missed = [
        figure.published.words
        for system in answers.systems.values()
        for figure in system.figures
        if figure.is_inside is False and not figure.published.miss
    ]
    assert missed == []


def test_the_page_answers_every_document(systems: ModuleType, answers: Any) -> None:
    """Each title, each system, each figure and each claim; no empty cell and no placeholder."""
    page = systems.systems_page(systems.read_recordings())
    for document in DOCUMENTS:
        assert f"\n## {document.title}\n" in page
        assert document.source in page
    for system in SYSTEMS.values():
        assert system.title in page
    for _, figure in FIGURES:
        assert figure.words in page
    claims = sys.modules["benchmarks.systems_claims"].CLAIMS
    assert claims.keys() == {document.id for document in DOCUMENTS}
    assert "None" not in page
    assert "not measured |" not in page.replace("| not measured |\n", "")
    assert "Known difference: none" not in page


def test_recorded_files_are_small_and_say_nothing_of_the_machines_folders(
    systems: ModuleType,
) -> None:
    files = {path.name.removesuffix(".json"): path for path in RECORDED.iterdir()}
    assert files.keys() == systems.recorders().keys()
    for path in files.values():
        text = path.read_text(encoding="utf-8")
        assert len(text) < LARGEST_BYTES, path.name
        assert re.findall(r'"/[^"]*"', text) == [], path.name


def test_recorded_profiles_are_of_the_networks_and_sizes_of_the_table() -> None:
    for system in SYSTEMS.values():
        profile = read_document(RECORDED / f"{system.id}.json", Profile)
        assert profile.model.name == f"{system.network}.onnx"
        assert profile.workload.dims.items() >= system.dims.items()
        assert profile.workload.threads == 1
        if system.change is None:
            assert profile.model.sha256 == zoo.find(system.network).sha256
        else:
            assert (
                profile.workload.settings
                == read_document(RECORDED / f"{system.network}.json", Profile).workload.settings
            )


def test_a_brief_measurement_has_latency_and_steady_memory(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    profile = measure_briefly(
        tiny_models.mlp(tmp_path / "mlp.onnx", width=512),
        MeasureOptions(),
        lambda done, total, _: steps.append((done, total)),
    )
    assert profile.latency is not None
    assert profile.latency.median_ns > 0
    assert profile.memory is not None
    assert profile.memory.allocator == "steady"
    assert profile.memory.peak_bytes > 2 * 512 * 512 * 4
    assert profile.operators == ()
    assert steps == [(number, BRIEF_STEP_COUNT) for number in range(BRIEF_STEP_COUNT + 1)]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """`demo --full` with recorded profiles instead of measurements."""
    asked: list[str] = []

    def measure(path: Path, options: MeasureOptions, progress: Any) -> Profile:
        asked.append(path.name)
        progress(1, 3, "latency")
        wanted = dict(options.dims)
        system = next(
            each
            for each in SYSTEMS.values()
            if each.network == path.name and each.dims == wanted and each.change is None
        )
        return read_document(RECORDED / f"{system.id}.json", Profile)

    monkeypatch.setattr("feasibility.zoo.architectures.build", Path)
    monkeypatch.setattr("feasibility.measure.measure_model.measure_briefly", measure)
    return asked


def test_the_full_demo_has_one_table_per_document(
    cli: Callable[..., Result], measured: list[str]
) -> None:
    """One row per system, without the changed forms; a document without figures is named."""
    found = cli("demo", "--full")
    assert found.code == 0, found.err
    shown = [system for system in SYSTEMS.values() if system.change is None]
    assert len(measured) == len(shown)
    assert f"{len(shown)} of {len(shown)}: " in found.err
    text = " ".join(found.out.split())
    for document in DOCUMENTS:
        assert document.title in text
    for words in ("8.84 ms", "45.02 ms", "275.4 ms", "8.97 GB"):
        assert words in text
    assert max(map(len, found.out.splitlines())) <= 80


def test_the_full_demo_says_once_that_the_machine_was_busy(
    cli: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Times are then too long."""
    notice = Notice(code="host-busy", message="the machine was busy (load 9)", hint="wait")
    profile = replace(samples.profile(), warnings=(notice,))
    monkeypatch.setattr("feasibility.zoo.architectures.build", Path)
    monkeypatch.setattr("feasibility.measure.measure_model.measure_briefly", lambda *_: profile)
    assert cli("demo", "--full", "-q").out.count("the machine was busy (load 9); wait") == 1


def test_the_full_demo_goes_on_after_a_failure(
    cli: Callable[..., Result], measured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(name: str) -> Path:
        if name == "resnet101":
            raise HostError("Cannot write 'resnet101.onnx'", "the disk is full", "free space")
        return Path(name)

    monkeypatch.setattr("feasibility.zoo.architectures.build", build)
    found = cli("demo", "--full", "-q")
    assert found.code == 2
    assert "the disk is full" in found.err
    assert "cats_v_dogs" in found.out
    assert "ResNet-101" not in found.out


def test_the_full_demo_can_be_interrupted(
    cli: Callable[..., Result], measured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C ends it at once, without a report."""

    def interrupted(*_: Any) -> Profile:
        measured.append("one")
        raise KeyboardInterrupt

    monkeypatch.setattr("feasibility.measure.measure_model.measure_briefly", interrupted)
    found = cli("demo", "--full", "-q")
    assert found.code == 130
    assert measured == ["one"]
    assert found.out == ""
