"""Where the memory is: the arithmetic, the instruments, the report."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from feasibility.measure.instruments.memray_capture import PhaseAllocations, Replay
from feasibility.measure.instruments.ort_profile import ArenaStep, Trace
from feasibility.measure.measure_model import measure_model
from feasibility.measure.measure_options import MeasureOptions
from feasibility.measure.memory_anatomy import MemorySources, anatomy
from feasibility.measure.memory_figures import (
    ChildMemory,
    SurveyedMemory,
    Surveys,
    surveyed_memory,
)
from feasibility.measure.passes import Passes
from feasibility.records.anatomy import Anatomy, MemoryParts
from feasibility.records.profile import Profile
from feasibility.render.reports.anatomy import anatomy_sections
from feasibility.render.terminal.layout import print_report
from feasibility.render.terminal.text_lines import make_console
from feasibility.runners.child_process import ChildResult
from feasibility.runners.child_protocol import HeapReading, Survey
from feasibility.units import MIB
from tests import anatomy_samples, samples, tiny_models
from tests.snapshot import assert_matches_snapshot

SIZES = st.integers(0, 2**40)
HEAPS = st.none() | st.builds(
    HeapReading, in_use_bytes=SIZES, retained_bytes=SIZES, mapped_bytes=SIZES
)
SURVEYED = st.builds(
    SurveyedMemory,
    resident_bytes=SIZES,
    private_bytes=SIZES,
    model_file_bytes=SIZES,
    library_bytes=SIZES,
    heap=HEAPS,
)
CHILDREN = st.builds(
    ChildMemory,
    peak_source=st.just("vmhwm"),
    baseline_bytes=SIZES,
    load_peak_bytes=SIZES,
    resident_bytes=SIZES,
    resident_anonymous_bytes=SIZES,
    resident_file_bytes=SIZES,
    inference_peak_bytes=SIZES,
    inference_anonymous_bytes=SIZES,
    inference_file_bytes=SIZES,
    inference_pss_bytes=st.none(),
    inference_private_dirty_bytes=st.none(),
)
STEPS = st.builds(
    ArenaStep,
    node=st.just("n"),
    op_type=st.just("Add"),
    in_use_bytes=SIZES,
    grown_bytes=st.integers(-(2**40), 2**40),
    high_bytes=SIZES,
)
TRACES = st.builds(
    Trace,
    operators=st.just(()),
    arena_held_bytes=st.none() | SIZES,
    arena_in_use_peak_bytes=st.none() | SIZES,
    steps=st.lists(STEPS, max_size=3).map(tuple),
)
ALLOCATIONS = st.builds(
    PhaseAllocations,
    peak_bytes=SIZES,
    kept_bytes=SIZES,
    uses=st.just(()),
    mapped_bytes=SIZES,
    kept_tensor_bytes=SIZES,
)
SOURCES = st.builds(
    MemorySources,
    kernel=CHILDREN,
    steady=st.builds(Surveys, loaded=SURVEYED, done=SURVEYED),
    input_sizes=st.lists(SIZES, max_size=3).map(tuple),
    trace=st.none() | TRACES,
    load=st.none() | ALLOCATIONS,
    without_prepacking=st.none() | CHILDREN,
    without_arena=st.none()
    | st.tuples(CHILDREN, st.builds(Surveys, loaded=SURVEYED, done=SURVEYED)),
    defaults=st.lists(CHILDREN, max_size=3).map(tuple),
)


def parts_of(parts: MemoryParts) -> dict[str, int]:
    """Every part by name, the total left out."""
    figures = msgspec.structs.asdict(parts)
    del figures["total_bytes"]
    return figures


@given(SOURCES)
def test_parts_add_up_whatever_the_instruments_say(sources: MemorySources) -> None:
    """Contradicting instruments leave no negative part and lose not a byte."""
    found = anatomy(sources)
    assert found.inference_peak is not None
    totals = (sources.kernel.resident_bytes, sources.kernel.inference_peak_bytes)
    for parts, total in zip((found.loaded, found.inference_peak), totals, strict=True):
        assert parts.total_bytes == total
        assert sum(parts_of(parts).values()) == total
        assert min(parts_of(parts).values()) >= 0
    assert msgspec.json.decode(msgspec.json.encode(found), type=Anatomy) == found


def sources_of_a_network() -> MemorySources:
    """170 MiB of weights, 8 of them prepacked; the arena takes 14 MiB and uses 8."""
    kernel = ChildMemory(
        peak_source="vmhwm",
        baseline_bytes=45 * MIB,
        load_peak_bytes=367 * MIB,
        resident_bytes=184 * MIB,
        resident_anonymous_bytes=177 * MIB,
        resident_file_bytes=7 * MIB,
        inference_peak_bytes=202 * MIB,
        inference_anonymous_bytes=193 * MIB,
        inference_file_bytes=8 * MIB,
        inference_pss_bytes=None,
        inference_private_dirty_bytes=None,
    )
    loaded = SurveyedMemory(
        resident_bytes=184 * MIB,
        private_bytes=176 * MIB,
        model_file_bytes=0,
        library_bytes=7 * MIB,
        heap=HeapReading(in_use_bytes=174 * MIB, retained_bytes=2 * MIB, mapped_bytes=169 * MIB),
    )
    done = SurveyedMemory(
        resident_bytes=201 * MIB,
        private_bytes=192 * MIB,
        model_file_bytes=0,
        library_bytes=8 * MIB,
        heap=HeapReading(in_use_bytes=190 * MIB, retained_bytes=2 * MIB, mapped_bytes=184 * MIB),
    )
    off = replace(done, private_bytes=178 * MIB)
    step = ArenaStep("first", "Conv", 10 * MIB, 2 * MIB, 10 * MIB)
    return MemorySources(
        kernel=kernel,
        steady=Surveys(loaded, done),
        input_sizes=(MIB, 1000),
        trace=Trace((), arena_held_bytes=24 * MIB, arena_in_use_peak_bytes=16 * MIB, steps=(step,)),
        load=PhaseAllocations(358 * MIB, 173 * MIB, (), kept_tensor_bytes=170 * MIB),
        without_prepacking=kernel,
        without_arena=(kernel, Surveys(loaded, off)),
        defaults=(replace(kernel, resident_anonymous_bytes=417 * MIB), kernel),
    )


def test_a_network_by_hand() -> None:
    """Every part of a case that was worked out on paper."""
    found = anatomy(sources_of_a_network())
    assert parts_of(found.loaded) == parts_of(
        MemoryParts(
            total_bytes=0,
            weights_bytes=162 * MIB,
            prepacked_bytes=8 * MIB,
            objects_bytes=4 * MIB,
            retained_bytes=2 * MIB,
            library_bytes=7 * MIB,
            unattributed_bytes=1 * MIB,
        )
    )
    assert found.inference_peak is not None
    assert parts_of(found.inference_peak) == parts_of(
        MemoryParts(
            total_bytes=0,
            weights_bytes=162 * MIB,
            prepacked_bytes=8 * MIB,
            arena_in_use_bytes=8 * MIB,
            arena_idle_bytes=6 * MIB,
            inputs_bytes=1 * MIB,
            objects_bytes=5 * MIB,
            retained_bytes=2 * MIB,
            transient_bytes=1 * MIB,
            library_bytes=8 * MIB,
            unattributed_bytes=1 * MIB,
        )
    )
    assert (found.default_retained_low_bytes, found.default_retained_high_bytes) == (
        2 * MIB,
        242 * MIB,
    )
    assert [effect.setting for effect in found.settings] == ["prepacking-off", "arena-off"]


def test_instruments_stand_in_for_each_other() -> None:
    """Without memray large blocks are tensors; without a trace prepacking is a difference."""
    whole = sources_of_a_network()
    assert anatomy(replace(whole, load=None)).loaded.weights_bytes == 161 * MIB
    lean = replace(whole.kernel, resident_anonymous_bytes=137 * MIB)
    found = anatomy(replace(whole, trace=None, without_prepacking=lean)).loaded
    assert (found.prepacked_bytes, found.weights_bytes) == (40 * MIB, 130 * MIB)


def test_a_mute_c_library_leaves_more_unattributed() -> None:
    """What was freed and kept cannot be told apart there, and is not guessed."""
    whole = sources_of_a_network()
    mute = Surveys(replace(whole.steady.loaded, heap=None), replace(whole.steady.done, heap=None))
    found = anatomy(replace(whole, steady=mute)).loaded
    assert (found.retained_bytes, found.objects_bytes) == (0, 3 * MIB)
    assert found.unattributed_bytes == 4 * MIB


def test_untouched_tensors_take_no_memory() -> None:
    """Allocated is not resident: the kernel has no page for what was never written."""
    whole = sources_of_a_network()
    heap = HeapReading(in_use_bytes=214 * MIB, retained_bytes=2 * MIB, mapped_bytes=209 * MIB)
    steady = replace(whole.steady, loaded=replace(whole.steady.loaded, heap=heap))
    load = PhaseAllocations(358 * MIB, 213 * MIB, (), kept_tensor_bytes=210 * MIB)
    found = anatomy(replace(whole, steady=steady, load=load))
    assert found.untouched_bytes == 40 * MIB
    assert found.loaded.weights_bytes == 162 * MIB


def test_mappings_are_told_apart_by_what_is_behind_them() -> None:
    """Heap, the model's own files, and everything else that is a file."""
    base = Survey({"": 10, "[heap]": 5, "/lib/a.so": 100}, HeapReading(9, 1, 4))
    now = Survey(
        {"": 40, "[heap]": 7, "/lib/a.so": 130, "/m/x.data": 50, "[stack]": 9},
        HeapReading(30, 0, 20),
    )
    found = surveyed_memory(base, now, 140, {"/m/x.data", "/m/x"})
    assert found == SurveyedMemory(
        resident_bytes=140,
        private_bytes=32,
        model_file_bytes=50,
        library_bytes=30,
        heap=HeapReading(in_use_bytes=21, retained_bytes=0, mapped_bytes=16),
    )


def replayed(*calls: tuple[str, int, int]) -> Replay:
    replay = Replay()
    replay.run(calls)
    return replay


def test_a_mapped_file_is_not_allocated() -> None:
    """Mappings are listed at the heap's peak and leave its figures alone."""
    replay = replayed(
        ("mmap", 0x1000, 500), ("malloc", 1, 30), ("aligned_alloc", 2, 50), ("free", 1, 0)
    )
    assert (replay.peak_bytes, replay.heap_bytes) == (80, 50)
    assert replay.peak_sizes == {"mmap": 500, "malloc": 30, "aligned_alloc": 50}
    assert replay.mappings == {0x1000: 500}


def test_the_peak_is_of_one_moment() -> None:
    """What was freed before the highest moment is not in it."""
    replay = replayed(
        ("malloc", 1, 70), ("free", 1, 0), ("calloc", 1, 60), ("malloc", 2, 40), ("free", 9, 0)
    )
    assert replay.peak_bytes == 100
    assert +replay.peak_sizes == {"calloc": 60, "malloc": 40}


@pytest.mark.parametrize(
    ("begin", "size", "left"),
    [
        (100, 100, {}),
        (100, 30, {130: 70}),
        (170, 80, {100: 70}),
        (120, 10, {100: 20, 130: 70}),
        (200, 50, {100: 100}),
        (0, 1000, {}),
    ],
)
def test_parts_of_a_mapping_can_go(begin: int, size: int, left: dict[int, int]) -> None:
    """A range that is unmapped may begin, end or lie inside a mapping."""
    assert replayed(("mmap", 100, 100), ("munmap", begin, size)).mappings == left


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["malloc", "aligned_alloc", "free", "mmap", "munmap"]),
            st.integers(0, 20),
            st.integers(1, 50),
        ),
        max_size=60,
    )
)
def test_replaying_agrees_with_counting(calls: list[tuple[str, int, int]]) -> None:
    """The heap's peak and end are those of a model that adds everything up anew each time."""
    alive: dict[int, int] = {}
    peak = 0
    for call, address, size in calls:
        if call == "free":
            alive.pop(address, None)
        elif call in ("malloc", "aligned_alloc"):
            alive[address] = size
        peak = max(peak, sum(alive.values()))
    replay = replayed(*calls)
    assert (replay.peak_bytes, replay.heap_bytes) == (peak, sum(alive.values()))
    assert sum(size for call, size in replay.peak_sizes.items() if call != "mmap") == peak


WIDTH, LAYERS = 1024, 4
WEIGHTS_BYTES = LAYERS * WIDTH * WIDTH * 4
QUICK = MeasureOptions(run_count=3, warmup_count=0, timeout_s=60)


@pytest.fixture(scope="module")
def inline(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    """16 MiB of weights inside the model file."""
    folder = tmp_path_factory.mktemp("inline")
    return measure_model(tiny_models.mlp(folder / "m.onnx", WIDTH, LAYERS), QUICK)


@pytest.fixture(scope="module")
def external(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    """16 MiB of weights in a file of their own."""
    folder = tmp_path_factory.mktemp("external")
    return measure_model(mapped_table(folder / "m.onnx"), QUICK)


def mapped_table(path: Path) -> Path:
    """A Gather from a table of 16 MiB outside the model."""
    table = np.ones((WIDTH * LAYERS, WIDTH), dtype=np.float32)
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Gather", ["table", "rows"], ["found"], "look"),
            onnx.helper.make_node("Add", ["found", "x"], ["y"], "add"),
        ],
        "table",
        [
            tiny_models.value("x", onnx.TensorProto.FLOAT, [1]),
            tiny_models.value("rows", onnx.TensorProto.INT64, [WIDTH]),
        ],
        [tiny_models.value("y", onnx.TensorProto.FLOAT, [WIDTH, WIDTH])],
        [onnx.numpy_helper.from_array(table, "table")],
    )
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8
    )
    onnx.save(model, path, save_as_external_data=True, location="m.data", size_threshold=0)
    return path


def anatomy_of(profile: Profile) -> tuple[MemoryParts, MemoryParts]:
    assert profile.anatomy is not None
    assert profile.anatomy.inference_peak is not None
    return profile.anatomy.loaded, profile.anatomy.inference_peak


def test_every_byte_of_a_real_model_is_told(inline: Profile) -> None:
    """The kernel's figures are met, and next to nothing is left over."""
    assert inline.memory is not None
    loaded, peak = anatomy_of(inline)
    assert loaded.total_bytes == inline.memory.resident_bytes
    assert peak.total_bytes == inline.memory.inference_peak_bytes
    for parts in (loaded, peak):
        assert sum(parts_of(parts).values()) == parts.total_bytes
        assert parts.unattributed_bytes <= 0.05 * parts.total_bytes


def test_weights_are_found_in_either_form(inline: Profile) -> None:
    """Plain and prepacked together they are what the file holds."""
    loaded, peak = anatomy_of(inline)
    for parts in (loaded, peak):
        weights = parts.weights_bytes + parts.prepacked_bytes
        assert weights == pytest.approx(WEIGHTS_BYTES, rel=0.02)
    assert loaded.model_file_bytes == 0


def test_mapped_weights_are_evictable_and_not_allocated(external: Profile) -> None:
    """A table outside the model is mapped: memory only as far as a run touches it."""
    loaded, peak = anatomy_of(external)
    assert external.memory is not None
    assert external.anatomy is not None
    assert loaded.weights_bytes + loaded.prepacked_bytes < MIB
    assert peak.model_file_bytes > 0
    assert external.anatomy.mapped_bytes is not None
    assert external.anatomy.mapped_bytes >= WEIGHTS_BYTES
    assert external.anatomy.requested_bytes is not None
    assert external.anatomy.requested_bytes < 4 * MIB
    assert external.memory.allocated_load_peak_bytes is not None
    assert external.memory.allocated_load_peak_bytes < 8 * MIB
    assert peak.unattributed_bytes <= 0.05 * peak.total_bytes


def test_both_settings_were_tried(inline: Profile) -> None:
    """Without prepacking and without the arena the model still needs its weights."""
    assert inline.anatomy is not None
    found = {effect.setting: effect for effect in inline.anatomy.settings}
    assert set(found) == {"prepacking-off", "arena-off"}
    assert all(effect.resident_bytes > WEIGHTS_BYTES for effect in found.values())


def test_the_c_library_tells_its_account(inline: Profile) -> None:
    """In use is what memray counts and a little more for headers."""
    found = inline.anatomy
    assert found is not None
    assert found.allocated_bytes is not None
    assert found.requested_bytes is not None
    assert found.requested_bytes <= found.allocated_bytes < found.requested_bytes + 2 * MIB


def test_a_pass_that_fails_leaves_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the recorded and the arena-off child there is no timeline, and a notice for each."""
    late = ChildResult("timeout", (), None, None, "", 1, 1.0)
    monkeypatch.setattr(Passes, "timeline", lambda *_args, **_options: [late, late])
    found = measure_model(tiny_models.mlp(tmp_path / "m.onnx", 256, 4), QUICK)
    assert found.timeline is None
    assert found.anatomy is not None
    assert [effect.setting for effect in found.anatomy.settings] == ["prepacking-off"]
    assert sum(parts_of(anatomy_of(found)[1]).values()) == anatomy_of(found)[1].total_bytes
    failed = [notice.message for notice in found.warnings if notice.code == "pass-failed"]
    assert [message.split(" pass ")[0] for message in failed] == ["the timeline", "the arena-off"]


def drawn(profile: Profile, *, width: int = 80, encoding: str = "utf-8") -> str:
    buffer = io.BytesIO()
    stream = io.TextIOWrapper(buffer, encoding=encoding, errors="backslashreplace", newline="\n")
    console = make_console(stream)
    console.width = width
    print_report(console, anatomy_sections(profile))
    stream.flush()
    return buffer.getvalue().decode(encoding)


@pytest.mark.parametrize(("encoding", "suffix"), [("utf-8", ""), ("ascii", "-ascii")])
def test_the_anatomy_looks_as_it_did(encoding: str, suffix: str) -> None:
    text = drawn(anatomy_samples.profile(), encoding=encoding)
    assert encoding == "utf-8" or text.isascii()
    assert_matches_snapshot(f"anatomy{suffix}.txt", text)


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    lines = drawn(anatomy_samples.profile(), width=width).splitlines()
    assert [line for line in lines if cell_len(line) > width] == []
    assert [line for line in lines if line != line.rstrip()] == []


@pytest.mark.parametrize("name", samples.HOSTILE_NAMES)
def test_hostile_names_are_harmless(name: str) -> None:
    """Node names come out of models and reach the terminal escaped."""
    text = drawn(_renamed(anatomy_samples.profile(), name))
    assert [
        character for character in text if not character.isprintable() and character != "\n"
    ] == []


def _renamed(profile: Profile, name: str) -> Profile:
    def rename(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: name if key in {"node", "producer", "op_type"} else rename(each)
                for key, each in value.items()
            }
        return [rename(each) for each in value] if isinstance(value, list | tuple) else value

    renamed = rename(msgspec.to_builtins(profile))
    return msgspec.convert(renamed, Profile)


def test_what_was_not_measured_is_left_out() -> None:
    assert drawn(samples.profile()) == ""
