"""Folders that are gone afterwards, also after `kill -9`."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from feasibility.temporary_folders import remove_abandoned, scratch_folder


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_the_folder_is_gone_after_the_block(parent: Path) -> None:
    """Also with files in it, and after an error."""

    def fail_inside() -> None:
        with scratch_folder() as folder:
            assert folder.parent == parent
            (folder / "capture.bin").write_bytes(b"x")
            raise ValueError("in between")

    with pytest.raises(ValueError, match="in between"):
        fail_inside()
    assert list(parent.iterdir()) == []


def test_a_killed_owner_is_cleaned_up_after(parent: Path) -> None:
    """The next folder removes what a killed process left, and nothing that is in use."""
    script = (
        "import os, signal\n"
        "from feasibility.temporary_folders import scratch_folder\n"
        "with scratch_folder() as folder:\n"
        "    (folder / 'capture.bin').write_bytes(b'x')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "TMPDIR": str(parent)}
    subprocess.run([sys.executable, "-c", script], env=environment, check=False)
    assert len(list(parent.iterdir())) == 1
    with scratch_folder() as mine, scratch_folder() as other:
        assert sorted(parent.iterdir()) == sorted([mine, other])


def test_what_is_not_ours_stays(parent: Path) -> None:
    """Links, files, folders that are just being made, and other names are left alone."""
    target = parent / "elsewhere"
    target.mkdir()
    (parent / "feasibility-link").symlink_to(target)
    (parent / "feasibility-file").write_bytes(b"")
    (parent / "feasibility-new").mkdir()
    before = sorted(parent.iterdir())
    remove_abandoned(parent)
    assert sorted(parent.iterdir()) == before


def test_a_folder_left_half_made_goes_after_an_hour(parent: Path) -> None:
    """A process that was killed before it took the lock leaves an empty folder."""
    left = parent / "feasibility-left"
    left.mkdir()
    os.utime(left, (0, 0))
    remove_abandoned(parent)
    assert not left.exists()
