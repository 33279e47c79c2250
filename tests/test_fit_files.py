"""Changed copies of a model: each is made once from the one before, if the disk has room."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from feasibility.errors import ChangeError, HostError
from feasibility.facts.read_model import read_model
from feasibility.fit import files as files_module
from feasibility.fit.files import Files
from feasibility.records.changes import ChangeCode
from tests.tiny_models import mlp

Made = list[tuple[str, str, str, tuple[str, ...]]]
WEIGHTS_BYTES = 10_000


@pytest.fixture
def made() -> Made:
    """What was written: folders of source and target, the change, the nodes in float."""
    return []


@pytest.fixture
def files(tmp_path: Path, made: Made) -> Files:
    """Copies whose files have 5000 bytes, with 10 000 bytes of weights beside them."""
    original = mlp(tmp_path / "model.onnx", width=16)
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    def rewrite(source: Path, target: Path, change: ChangeCode, nodes: tuple[str, ...]) -> None:
        made.append((source.parent.name, target.parent.name, change, nodes))
        target.write_bytes(bytes(5_000))
        target.with_suffix(".data").write_bytes(bytes(WEIGHTS_BYTES))

    reading = read_model(original)
    return Files(
        original=reading,
        folder=scratch,
        rewrite=rewrite,
        read=lambda _: reading,
        is_portable=False,
    )


def free(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(files_module.shutil, "disk_usage", lambda _: SimpleNamespace(free=size))


def folders(files: Files) -> list[str]:
    return sorted(each.name for each in files.folder.iterdir())


def test_a_copy_needs_room_for_two_and_a_half(
    files: Files, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a byte less, nothing is written."""
    needed = round(files.original.path.stat().st_size * 2.5)
    free(monkeypatch, needed - 1)
    with pytest.raises(HostError) as caught:
        files.variant(("external-data",))
    size = f"{needed / 1024:.3g} KiB"
    assert caught.value.message == (
        f"Cannot write changed copies of the model: they need {size} in {files.folder.parent}, "
        f"and {size} are free"
    )
    assert caught.value.hint == "free space on this disk, or set TMPDIR to a folder on another one"
    assert (made, folders(files)) == ([], [])
    free(monkeypatch, needed)
    assert files.variant(("external-data",)).path.exists()


def test_room_for_a_further_change_is_that_of_the_files_before_it(
    files: Files, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """External data count too."""
    files.variant(("int8-weights",))
    needed = round((5_000 + WEIGHTS_BYTES) * 2.5)
    free(monkeypatch, needed - 1)
    with pytest.raises(HostError, match="Cannot write changed copies of the model"):
        files.variant(("int8-weights", "external-data"))
    free(monkeypatch, needed)
    files.variant(("int8-weights", "external-data"))
    assert made == [
        (files.original.path.parent.name, "int8-weights", "int8-weights", ()),
        ("int8-weights", "int8-weights+external-data", "external-data", ()),
    ]


def test_files_are_made_once_and_only_for_changes_of_files(files: Files, made: Made) -> None:
    """The optimizer moves weights into another file itself."""
    settings: tuple[ChangeCode, ...] = ("steady-allocator", "arena-off")
    assert files.variant(settings).path == files.original.path
    first = files.variant(("optimised-offline", "external-data"))
    assert files.variant(("optimised-offline", "external-data", *settings)) is first
    assert [change for _, _, change, _ in made] == ["optimised-offline"]


def test_a_change_that_fails_leaves_no_folder(files: Files) -> None:
    def fails(_: Path, target: Path, *__: object) -> None:
        target.write_bytes(b"half")
        raise ChangeError("Cannot apply fp16", "it has no weight")

    files.rewrite = fails
    for _ in range(2):
        with pytest.raises(ChangeError, match="it has no weight"):
            files.variant(("fp16",))
        assert folders(files) == []


def test_other_nodes_in_float_make_files_with_other_arithmetic_anew(
    files: Files, made: Made
) -> None:
    files.variant(("int8-weights",))
    files.variant(("external-data",))
    files.leave_in_float(("node",))
    assert folders(files) == ["external-data"]
    files.variant(("int8-weights",))
    files.leave_in_float(("node",))
    files.variant(("int8-weights",))
    assert [nodes for _, _, change, nodes in made if change == "int8-weights"] == [(), ("node",)]


def test_files_that_are_not_wanted_any_more_are_removed(files: Files) -> None:
    """Those with other arithmetic alone stay, because further changes start with them."""
    for changes in (("external-data",), ("int8-weights",), ("int8-weights", "external-data")):
        files.variant(changes)
    files.keep(("external-data", "steady-allocator"))
    assert folders(files) == ["external-data", "int8-weights"]
    files.keep()
    assert folders(files) == ["int8-weights"]
