"""The folder to deploy: it works after being moved, and nothing else in it is touched."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from msgspec.structs import replace
from onnx import TensorProto, helper

from feasibility.deploy import place_files
from feasibility.deploy import write_deployment as writing
from feasibility.deploy.loading_code import LANGUAGES, loading_code
from feasibility.deploy.write_deployment import (
    refuse_existing,
    session_options,
    write_deployment,
)
from feasibility.errors import DocumentError
from feasibility.json_documents import encode, read_document
from feasibility.records.profile import Profile
from feasibility.records.session_options import SessionOptions
from feasibility.records.workload import STEADY_ENVIRONMENT, Fill, InputSpec, RuntimeSettings
from tests.deploy_samples import (
    HOSTILE_NAMES,
    fit,
    inputs_of,
    model_with_inputs,
    profile,
)
from tests.tiny_models import save, value

SETTINGS = (
    RuntimeSettings(),
    RuntimeSettings(
        optimization_level="disabled",
        prepacking=False,
        arena=False,
        memory_pattern=False,
        environment=STEADY_ENVIRONMENT,
    ),
)
# Runs as a user's program: it imports the loading code from the folder in its argument.
_PROGRAM = """
import json, sys
sys.path.insert(0, sys.argv[1])
import load_model
options = load_model.session_options()
session = load_model.load_model()
inputs = load_model.example_inputs()
print(json.dumps({
    "level": options.graph_optimization_level.name,
    "arena": options.enable_cpu_mem_arena,
    "pattern": options.enable_mem_pattern,
    "threads": options.intra_op_num_threads,
    "config": {key: options.get_session_config_entry(key) for key in sys.argv[2:]},
    "trim": load_model.TRIM_THRESHOLD_BYTES,
    "names": list(inputs),
    "shapes": [list(value.shape) for value in session.run(None, inputs)],
}))
"""


def deploy(
    folder: Path,
    scratch: Path,
    *,
    name: str = "model.onnx",
    names: tuple[str, ...] = ("x",),
    settings: RuntimeSettings = SETTINGS[0],
    force: bool = False,
    with_data: bool = True,
) -> tuple[str, ...]:
    scratch.mkdir(exist_ok=True)
    data_name = f"{name}.data" if with_data else ""
    model = model_with_inputs(scratch / name, names, data_name=data_name)
    measured = profile(inputs_of(names), threads=2)
    result = fit(measured, settings=settings)
    return write_deployment(folder, model, result, measured, force=force)


def run_program(folder: Path, *arguments: str, program: str = _PROGRAM) -> str:
    child = subprocess.run(
        [sys.executable, "-c", program, str(folder), *arguments],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
        env={},
        cwd="/",
    )
    assert child.returncode == 0, child.stderr
    return child.stdout


@pytest.mark.parametrize("settings", SETTINGS, ids=["default", "all-off"])
def test_the_python_file_sets_the_options_of_the_document(
    tmp_path: Path, settings: RuntimeSettings
) -> None:
    """The folder is moved and then used by a program that knows only its files."""
    deploy(tmp_path / "out", tmp_path / "scratch", settings=settings)
    shutil.rmtree(tmp_path / "scratch")
    moved = (tmp_path / "out").rename(tmp_path / "else where")
    options = read_document(moved / "session_options.json", SessionOptions)
    found = json.loads(run_program(moved, *options.config_entries))
    trim = options.settings.environment.get("MALLOC_TRIM_THRESHOLD_", "0")
    assert options.settings == settings
    assert found == {
        "level": {"all": "ORT_ENABLE_ALL", "disabled": "ORT_DISABLE_ALL"}[
            settings.optimization_level
        ],
        "arena": settings.arena,
        "pattern": settings.memory_pattern,
        "threads": options.threads,
        "config": {} if settings.prepacking else {"session.disable_prepacking": "1"},
        "trim": int(trim),
        "names": ["x"],
        "shapes": [[256, 4]],
    }


def test_the_python_file_runs_by_itself(tmp_path: Path) -> None:
    """`python load_model.py` prints the outputs."""
    deploy(tmp_path / "out", tmp_path / "scratch", settings=SETTINGS[1])
    child = subprocess.run(
        [sys.executable, str(tmp_path / "out" / "load_model.py")],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
        env={},
        cwd="/",
    )
    assert (child.stdout, child.stderr) == ("'x out' float32 (256, 4)\n", "")


def test_the_python_file_fixes_the_trim_threshold(tmp_path: Path) -> None:
    """After it, glibc gives a freed block of 8 MiB back, which it had kept before."""
    deploy(tmp_path / "out", tmp_path / "scratch", settings=SETTINGS[1])
    program = """
import ctypes, os, sys
sys.path.insert(0, sys.argv[1])
import load_model
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
def resident_pages():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1])
def kept_pages():
    before = resident_pages()
    block = libc.malloc(8 << 20)
    ctypes.memset(block, 1, 8 << 20)
    libc.free(block)
    return resident_pages() - before
kept_pages()
kept = kept_pages()
load_model.fix_trim_threshold()
print(kept, kept_pages())
"""
    kept, kept_after = map(int, run_program(tmp_path / "out", program=program).split())
    if kept < 1000:
        pytest.skip("this C library gives freed memory back without a setting")
    assert kept_after < 1000


def test_hostile_names_stay_names(tmp_path: Path) -> None:
    """The file name, the data's name, inputs and outputs are strings in every file."""
    name = "a \"'$(rm) * ünï 🙂\\\n`b`.onnx"
    deploy(tmp_path / "out", tmp_path / "scratch", name=name, names=HOSTILE_NAMES)
    found = json.loads(run_program(tmp_path / "out"))
    assert found["names"] == list(HOSTILE_NAMES)
    for language in LANGUAGES:
        text = (tmp_path / "out" / language).read_text(encoding="utf-8")
        assert text.isascii(), language
        assert all(line.isprintable() for line in text.split("\n")), language
    options = read_document(tmp_path / "out" / "session_options.json", SessionOptions)
    assert options.model == name
    assert options.data_files == (f"{name}.data",)
    assert tuple(tensor.name for tensor in options.inputs) == HOSTILE_NAMES
    card = (tmp_path / "out" / "MODELCARD.md").read_text(encoding="utf-8")
    assert all(line.isprintable() for line in card.split("\n"))


def test_examples_have_the_types_of_the_inputs(tmp_path: Path) -> None:
    """Each input gets its own element type, and scalars and empty inputs their shape."""
    codes = {name: getattr(TensorProto, name.upper()) for name in ("int8", "int16", "int32")}
    codes |= {name: getattr(TensorProto, name.upper()) for name in ("uint8", "uint64", "bool")}
    codes |= {"float16": TensorProto.FLOAT16, "float64": TensorProto.DOUBLE}
    codes |= {"int64": TensorProto.INT64, "string": TensorProto.STRING}
    shapes: dict[str, list[int | str]] = {"int8": [], "int16": [2, 0]}
    graph = helper.make_graph(
        [helper.make_node("Identity", [name], [f"{name} out"]) for name in codes],
        "types",
        [value(name, code, shapes.get(name, [2, 3])) for name, code in codes.items()],
        [value(f"{name} out", code, shapes.get(name, [2, 3])) for name, code in codes.items()],
    )
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    inputs = tuple(
        InputSpec(
            name=name,
            dtype=name,
            shape=tuple(map(int, shapes.get(name, [2, 3]))),
            fill=Fill(kind="constant", low=1.0),
        )
        for name in codes
    )
    measured = profile(inputs)
    model = save(scratch / "m.onnx", graph)
    write_deployment(tmp_path / "out", model, fit(measured), measured, force=False)
    assert json.loads(run_program(tmp_path / "out"))["shapes"] == [
        list(spec.shape) for spec in inputs
    ]


def test_inputs_that_cannot_be_made_are_named(tmp_path: Path) -> None:
    """A language without the type gets a comment with the name."""
    spec = InputSpec(name="y\n", dtype="uint16", shape=(2,))
    inside = replace(spec, name="s", kind="sequence", type_text="seq(tensor(float))")
    options = session_options(("m.onnx",), fit(profile(())), profile(()))
    kotlin = loading_code("LoadModel.kt", options, (spec, inside), "")
    assert '        // Add the input "y\\u000a" here; its type is "tensor of uint16".\n' in kotlin
    assert '// Add the input "s" here; its type is "seq(tensor(float))".\n' in kotlin
    assert "np.full([2], 0" in loading_code("load_model.py", options, (spec, inside), "")
    too_large = replace(spec, dtype="float16", fill=Fill(kind="constant", low=1e6))
    assert "{ 31743 }" in loading_code("LoadModel.kt", options, (too_large,), "")


def test_all_files_are_there_and_the_documents_read_back(tmp_path: Path) -> None:
    """The returned names are those in the folder, and in the document."""
    names = deploy(tmp_path / "out", tmp_path / "scratch")
    folder = tmp_path / "out"
    assert sorted(names) == sorted(path.name for path in folder.iterdir())
    assert set(names) == {
        "model.onnx",
        "model.onnx.data",
        "session_options.json",
        "load_model.py",
        "load_model.cpp",
        "LoadModel.kt",
        "LoadModel.swift",
        "load_model.mjs",
        "MODELCARD.md",
        "profile.json",
    }
    options = read_document(folder / "session_options.json", SessionOptions)
    assert options.files == names
    assert options.runtime_version == "1.31.1"
    assert options.isa == "x86_64"
    assert options.outputs[0].name == "x out"
    given = profile(inputs_of(("x",)), threads=2)
    written = read_document(folder / "profile.json", Profile)
    assert written == replace(given, model=replace(given.model, path="model.onnx"))


def test_nothing_but_the_folder_is_left(tmp_path: Path) -> None:
    """No staged folder stays beside it, and its permissions follow the umask."""
    deploy(tmp_path / "parent" / "out", tmp_path / "scratch")
    assert [path.name for path in (tmp_path / "parent").iterdir()] == ["out"]
    plain = tmp_path / "plain"
    plain.mkdir()
    assert (tmp_path / "parent" / "out").stat().st_mode == plain.stat().st_mode


def test_an_existing_folder_needs_force(tmp_path: Path) -> None:
    """Even an empty one; with force, other files in it stay."""
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(DocumentError, match="it exists") as caught:
        deploy(folder, tmp_path / "scratch")
    assert "--force" in caught.value.hint
    assert list(folder.iterdir()) == []
    (folder / "notes.txt").write_text("mine")
    deploy(folder, tmp_path / "scratch", force=True)
    assert (folder / "notes.txt").read_text() == "mine"
    assert json.loads(run_program(folder))["names"] == ["x"]


def test_force_replaces_what_an_earlier_run_wrote(tmp_path: Path) -> None:
    """Files of the old model go, other files stay."""
    folder = tmp_path / "out"
    deploy(folder, tmp_path / "scratch", name="old.onnx")
    (folder / "notes.txt").write_text("mine")
    names = deploy(folder, tmp_path / "scratch2", name="new.onnx", with_data=False, force=True)
    assert {path.name for path in folder.iterdir()} == {*names, "notes.txt"}
    assert "old.onnx" not in names


@pytest.mark.parametrize("name", ["MODELCARD.md", "model.onnx"])
def test_force_does_not_replace_files_of_others(tmp_path: Path, name: str) -> None:
    """A file of the same name that no run wrote is an error before any work, and stays."""
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / name).write_text("mine")
    why = f"'{re.escape(name)}' was not written by feasibility"
    with pytest.raises(DocumentError, match=why):
        refuse_existing(folder, "model.onnx", force=True)
    with pytest.raises(DocumentError, match=why):
        deploy(folder, tmp_path / "scratch", force=True)
    assert contents(folder) == {name: b"mine"}


def test_a_path_may_lead_through_a_folder_that_is_missing(tmp_path: Path) -> None:
    """Nothing is made on the way."""
    refuse_existing(tmp_path / "missing" / ".." / "out", "model.onnx", force=False)
    deploy(tmp_path / "missing" / ".." / "out", tmp_path / "scratch")
    assert {path.name for path in tmp_path.iterdir()} == {"out", "scratch"}
    with pytest.raises(DocumentError, match="it exists"):
        deploy(tmp_path / "missing" / ".." / "out", tmp_path / "scratch2")


@pytest.mark.parametrize("force", [False, True])
def test_a_file_is_no_folder(tmp_path: Path, *, force: bool) -> None:
    """It is refused before any work, also with force."""
    path = tmp_path / "out"
    path.write_text("mine")
    with pytest.raises(DocumentError, match="exists and is not a folder"):
        refuse_existing(path, "m.onnx", force=force)
    with pytest.raises(DocumentError, match="exists and is not a folder"):
        deploy(path, tmp_path / "scratch", force=force)
    assert path.read_text() == "mine"


def test_a_damaged_document_is_not_trusted(tmp_path: Path) -> None:
    """Which files may be replaced is then unknown."""
    folder = tmp_path / "out"
    deploy(folder, tmp_path / "scratch")
    (folder / "session_options.json").write_text("{}")
    with pytest.raises(DocumentError, match=r"session_options\.json lists .* cannot be read"):
        refuse_existing(folder, "m.onnx", force=True)


OUTSIDE = {
    "up": "../outside/victim",
    "absolute": "{outside}/victim",
    "detour": "sub/../../outside/victim",
    "link": "linked/victim",
    "empty": "",
    "nul": "a\0b",
    "long": "a" * 5000,
}


@pytest.mark.parametrize("name", OUTSIDE.values(), ids=OUTSIDE)
def test_an_old_document_cannot_name_files_outside(tmp_path: Path, name: str) -> None:
    """A document of a stranger could name the user's files, also through a link in the folder."""
    folder, outside = tmp_path / "out", tmp_path / "outside"
    deploy(folder, tmp_path / "scratch")
    outside.mkdir()
    (outside / "victim").write_text("mine")
    (folder / "sub").mkdir()
    (folder / "linked").symlink_to(outside)
    options = read_document(folder / "session_options.json", SessionOptions)
    hostile = replace(options, files=(*options.files, name.format(outside=outside)))
    (folder / "session_options.json").write_bytes(encode(hostile))
    deploy(folder, tmp_path / "scratch2", force=True)
    assert contents(outside) == {"victim": b"mine"}


def test_links_in_the_folder_are_not_followed(tmp_path: Path) -> None:
    """A link that took the place of an old file is replaced, not its target."""
    folder = tmp_path / "out"
    deploy(folder, tmp_path / "scratch")
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (folder / "MODELCARD.md").unlink()
    (folder / "MODELCARD.md").symlink_to(victim)
    deploy(folder, tmp_path / "scratch2", force=True)
    assert victim.read_text() == "mine"
    assert not (folder / "MODELCARD.md").is_symlink()


def test_data_in_a_linked_folder_is_refused(tmp_path: Path) -> None:
    """Data in a subfolder must not get out through a link of that name."""
    outside, folder, scratch = (tmp_path / name for name in ("outside", "out", "scratch"))
    for made in (outside, folder, scratch, scratch / "sub"):
        made.mkdir()
    (folder / "sub").symlink_to(outside)
    model = model_with_inputs(scratch / "m.onnx", ("x",), data_name="sub/weights")
    measured = profile(inputs_of(("x",)))
    with pytest.raises(DocumentError, match="a link in it leads outside the folder: 'sub/weights'"):
        write_deployment(folder, model, fit(measured), measured, force=True)
    assert list(outside.iterdir()) == []


def test_data_in_a_subfolder_is_deployed(tmp_path: Path) -> None:
    """As the model names it."""
    scratch = tmp_path / "scratch"
    (scratch / "sub").mkdir(parents=True)
    model = model_with_inputs(scratch / "m.onnx", ("x",), data_name="sub/weights")
    measured = profile(inputs_of(("x",)))
    names = write_deployment(tmp_path / "out", model, fit(measured), measured, force=False)
    assert names[:2] == ("m.onnx", "sub/weights")
    assert json.loads(run_program(tmp_path / "out"))["shapes"] == [[256, 4]]


def test_data_on_a_detour_is_refused(tmp_path: Path) -> None:
    """The model is valid, but the folder would need the same detour."""
    scratch = tmp_path / "scratch"
    (scratch / "sub").mkdir(parents=True)
    model = model_with_inputs(scratch / "m.onnx", ("x",), data_name="sub/../weights")
    measured = profile(inputs_of(("x",)))
    with pytest.raises(DocumentError, match=r"contains '\.\.': 'sub/\.\./weights'") as caught:
        write_deployment(tmp_path / "out", model, fit(measured), measured, force=False)
    assert caught.value.hint == "save the model again with its data beside it"


def test_a_name_of_our_own_is_taken(tmp_path: Path) -> None:
    """A model may not put its weights where its own description belongs."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    model = model_with_inputs(scratch / "m.onnx", ("x",), data_name="profile.json")
    measured = profile(inputs_of(("x",)))
    with pytest.raises(DocumentError, match=r"the name 'profile\.json', which feasibility uses"):
        write_deployment(tmp_path / "out", model, fit(measured), measured, force=False)
    assert not (tmp_path / "out").exists()


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    """JSON and the languages could not name the file."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    model = model_with_inputs(scratch / "m.onnx", ("x",)).rename(
        scratch / os.fsdecode(b"\xff.onnx")
    )
    measured = profile(inputs_of(("x",)))
    with pytest.raises(DocumentError, match="not valid UTF-8"):
        write_deployment(tmp_path / "out", model, fit(measured), measured, force=False)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("exists", [False, True])
def test_a_full_disk_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, exists: bool
) -> None:
    """Half of the weights are written when the disk is full; the folder is as it was."""
    folder = tmp_path / "out"
    if exists:
        deploy(folder, tmp_path / "scratch0", name="old.onnx")
    before = contents(tmp_path / "out")

    def no_link(source: Path, target: Path) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    def half_copy(source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
        if source.suffix == ".data":
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writing.os, "link", no_link)
    monkeypatch.setattr(writing.shutil, "copyfile", half_copy)
    with pytest.raises(DocumentError, match="the disk is full; nothing was written") as caught:
        deploy(folder, tmp_path / "scratch", force=exists)
    assert "another folder with -o" in caught.value.hint
    assert contents(tmp_path / "out") == before
    assert {path.name for path in tmp_path.iterdir()} <= {"out", "scratch", "scratch0"}


# Ten old files go, ten new ones come.
MOVE_COUNT = 20


@pytest.mark.parametrize("failing", range(1, MOVE_COUNT + 1))
def test_a_failed_move_is_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    """Files that were moved go back, and the old ones too, whichever move fails."""
    folder = tmp_path / "out"
    deploy(folder, tmp_path / "scratch0", name="old.onnx")
    before = contents(folder)
    count_moves(monkeypatch, failing)
    with pytest.raises(KeyboardInterrupt):
        deploy(folder, tmp_path / "scratch", force=True)
    assert contents(folder) == before


def test_no_move_is_left_out_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deploy(tmp_path / "out", tmp_path / "scratch0", name="old.onnx")
    moves = count_moves(monkeypatch, MOVE_COUNT + 1)
    deploy(tmp_path / "out", tmp_path / "scratch", force=True)
    assert len(moves) == MOVE_COUNT


def count_moves(monkeypatch: pytest.MonkeyPatch, failing: int) -> list[Path]:
    """The files that are moved from now on; the move with this number fails."""
    moves: list[Path] = []
    move = place_files._move

    def counted(source: Path, target: Path, moved: list[tuple[Path, Path]]) -> None:
        moves.append(source)
        if len(moves) == failing:
            raise KeyboardInterrupt
        move(source, target, moved)

    monkeypatch.setattr(place_files, "_move", counted)
    return moves


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """Before any work is done, too."""
    (tmp_path / "file").write_text("")
    why = r"Cannot write the folder '.*file/out'.*a part of the path is a file"
    with pytest.raises(DocumentError, match=why):
        refuse_existing(tmp_path / "file" / "out", "m.onnx", force=False)
    with pytest.raises(DocumentError, match=why):
        deploy(tmp_path / "file" / "out", tmp_path / "scratch")


def test_the_systems_reason_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For example on a disk that is read-only."""

    def no_folder(path: Path, mode: int = 0o777, *, parents: bool = False) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", no_folder)
    with pytest.raises(DocumentError, match="read-only file system"):
        refuse_existing(tmp_path / "out", "m.onnx", force=False)


def test_a_look_beforehand_leaves_nothing(tmp_path: Path) -> None:
    """Folders that it made on the way are removed again."""
    refuse_existing(tmp_path / "a" / "b" / "out", "m.onnx", force=False)
    assert list(tmp_path.iterdir()) == []


def test_the_model_is_linked_and_never_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On one file system, gigabytes of weights are not copied."""
    monkeypatch.setattr(writing.shutil, "copyfile", None)
    deploy(tmp_path / "out", tmp_path / "scratch")
    assert (tmp_path / "out" / "model.onnx.data").samefile(tmp_path / "scratch" / "model.onnx.data")


def test_the_original_is_copied(tmp_path: Path) -> None:
    """Where only settings change, the user's own file must not become part of the folder."""
    model = model_with_inputs(tmp_path / "mine.onnx", ("x",), data_name="mine.data")
    measured = profile(inputs_of(("x",)))
    result = fit(measured, changes=("steady-allocator",), original=str(model))
    write_deployment(tmp_path / "out", model, result, measured, force=False)
    for name in ("mine.onnx", "mine.data"):
        assert not (tmp_path / "out" / name).samefile(tmp_path / name)
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / name).read_bytes()


def test_links_in_the_scratch_folder_are_copied(tmp_path: Path) -> None:
    """A link to the user's weights would break when the folder is moved."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    model = model_with_inputs(scratch / "m.onnx", ("x",), data_name="m.data")
    (scratch / "m.data").rename(scratch / "blob")
    (scratch / "m.data").symlink_to("blob")
    measured = profile(inputs_of(("x",)))
    write_deployment(tmp_path / "out", model, fit(measured), measured, force=False)
    assert not (tmp_path / "out" / "m.data").is_symlink()
    assert not (tmp_path / "out" / "m.data").samefile(scratch / "blob")


def test_outputs_are_those_of_the_model(tmp_path: Path) -> None:
    """The deployed model computes what the changed one does."""
    deploy(tmp_path / "out", tmp_path / "scratch")
    feeds = {"x": np.full((1, 4), 0.5, dtype=np.float32)}
    first, second = (
        ort.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"]).run(
            None, feeds
        )[0]
        for folder in (tmp_path / "out", tmp_path / "scratch")
    )
    assert np.array_equal(first, second)


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a folder, by their path in it; empty if it does not exist."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
