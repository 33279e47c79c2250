"""Damaged files end in facts or in one of our errors, never in any other exception."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feasibility.errors import FeasibilityError
from feasibility.facts.read_model import inspect_model
from tests.graph_samples import ort_file, seed_model
from tests.tiny_models import mlp
from tests.wire_bytes import message, number


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.onnx"


def fuzzed(path: Path, content: bytes) -> None:
    """Either facts or one of our errors; anything else fails the test."""
    path.write_bytes(content)
    try:
        facts = inspect_model(path)
    except FeasibilityError:
        return
    assert facts.file_bytes == len(content)


SEED = seed_model()
FUZZ = settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.slow
@FUZZ
@given(
    changes=st.lists(
        st.tuples(st.integers(0, len(SEED) - 1), st.integers(0, 255)), min_size=1, max_size=8
    )
)
def test_changed_bytes_end_in_facts_or_an_error(path: Path, changes: list[tuple[int, int]]) -> None:
    content = bytearray(SEED)
    for position, byte in changes:
        content[position] = byte
    fuzzed(path, bytes(content))


@pytest.mark.slow
@FUZZ
@given(
    start=st.integers(0, len(SEED)),
    length=st.integers(0, 40),
    inserted=st.binary(max_size=40),
)
def test_cut_and_inserted_bytes_end_in_facts_or_an_error(
    path: Path, start: int, length: int, inserted: bytes
) -> None:
    fuzzed(path, SEED[:start] + inserted + SEED[start + length :])


@pytest.mark.slow
@FUZZ
@given(content=st.binary(max_size=200))
def test_arbitrary_bytes_end_in_facts_or_an_error(path: Path, content: bytes) -> None:
    fuzzed(path, number(1, 8) + content)
    fuzzed(path, number(1, 8) + message(7, content))


@settings(FUZZ, max_examples=100)
@given(
    position=st.integers(8, 20_000),
    byte=st.integers(0, 255),
)
def test_changed_bytes_of_an_ort_file_end_in_facts_or_an_error(
    path: Path, ort_content: bytes, position: int, byte: int
) -> None:
    content = bytearray(ort_content)
    content[position % len(content)] = byte
    content[4:8] = b"ORTM"
    fuzzed(path, bytes(content))


@pytest.fixture(scope="session")
def ort_content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return ort_file(tmp_path_factory.mktemp("ort") / "model.ort", ["batch"]).read_bytes()


def test_nothing_is_left_open(path: Path) -> None:
    mlp(path)
    inspect_model(path)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for content in (path.read_bytes(), SEED[:-5], b"", b"{}"):
        fuzzed(path, content)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def read_in_child(start: int, stop: int, folder: Path) -> str:
    """What a child process printed last, and how it ended, if it could not read its models."""
    command = [sys.executable, "-m", "tests.hostile_models", str(start), str(stop)]
    try:
        done = subprocess.run(
            [*command, str(folder / "model.onnx")],
            cwd=Path(__file__).parents[1],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    except subprocess.TimeoutExpired as error:
        return f"seed {(error.stdout or b'?').split()[-1].decode()} hangs"
    if done.returncode:
        return f"seed {done.stdout.split()[-1]} ended with {done.returncode}: {done.stderr[-2000:]}"
    return ""


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("start", range(0, 10_000, 1000))
def test_no_model_makes_reading_hang_or_crash(tmp_path: Path, start: int) -> None:
    """Every operator of every version, with attributes and bytes that no exporter writes."""
    assert read_in_child(start, start + 1000, tmp_path) == ""
