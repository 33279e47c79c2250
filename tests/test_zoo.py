"""The files of the reference architectures: their bytes, and how they are kept."""

from __future__ import annotations

import errno
import hashlib
import math
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from feasibility.errors import HostError, UsageError
from feasibility.zoo import architectures as zoo
from feasibility.zoo.architectures import ZooEntry
from feasibility.zoo.network import Network, Value, Weight
from feasibility.zoo.onnx_file import CHUNK_ELEMENT_COUNT, draw, write_network
from tests.cli import Result, cli

__all__ = ["cli"]

DEMO = tuple(entry for entry in zoo.entries() if entry.in_demo)
LARGE_BYTES = 400_000_000
QUICK = tuple(entry for entry in zoo.entries() if entry.file_bytes < LARGE_BYTES)
LARGE = tuple(entry for entry in zoo.entries() if entry.file_bytes >= LARGE_BYTES)


def entry_named(name: str) -> ZooEntry:
    return next(entry for entry in zoo.entries() if entry.name == name)


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def run(path: Path, **feeds: np.ndarray) -> np.ndarray:
    """The only output."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (output,) = session.run(None, feeds)
    return output


def test_the_demo_shows_four_architectures():
    """The issue names them; the order is that of the demo's report."""
    names = [entry.name for entry in DEMO]
    assert names == ["yamnet", "resnet18-fastai", "minilm-l6", "resnet101"]


@pytest.mark.parametrize("entry", QUICK, ids=lambda entry: entry.name)
def test_build_writes_the_recorded_bytes(entry: ZooEntry, zoo_folder: Path):
    """Size and digest are recorded, so every platform must give the same file."""
    path = zoo.build(entry.name, folder=zoo_folder)
    assert path == zoo_folder / f"{entry.name}.onnx"
    assert (path.stat().st_size, digest(path)) == (entry.file_bytes, entry.sha256)


@pytest.mark.slow
@pytest.mark.parametrize("entry", LARGE, ids=lambda entry: entry.name)
def test_large_files_have_the_recorded_bytes(entry: ZooEntry, zoo_folder: Path):
    path = zoo.build(entry.name, folder=zoo_folder)
    assert (path.stat().st_size, digest(path)) == (entry.file_bytes, entry.sha256)
    path.unlink()


def test_encoder_leaves_masked_tokens_out(zoo_folder: Path):
    """What stands behind the mask must not reach the tokens before it."""
    path = zoo.build("minilm-l6", folder=zoo_folder)
    mask = np.array([[1, 1, 1, 0]])
    types = np.zeros((1, 4), dtype=np.int64)
    hidden = [
        run(
            path,
            input_ids=np.array([[5, 6, 7, last]]),
            attention_mask=mask,
            token_type_ids=types,
        )[:, :3]
        for last in (8, 9)
    ]
    np.testing.assert_allclose(*hidden, atol=1e-5)


def test_a_file_is_what_onnx_would_save(zoo_folder: Path):
    """The streaming writer takes no liberties with the format."""
    path = zoo.build("yamnet", folder=zoo_folder)
    content = path.read_bytes()
    assert onnx.load_from_string(content).SerializeToString() == content


def test_every_name_in_a_graph_is_its_own(zoo_folder: Path):
    for entry in zoo.entries():
        network = entry.network()
        named = (*network.inputs, *network.nodes, *network.weights, *network.constants)
        repeated = [name for name, count in Counter(x.name for x in named).items() if count > 1]
        assert repeated == []


def test_all_weights_are_used():
    for entry in zoo.entries():
        network = entry.network()
        read = {name for node in network.nodes for name in node.inputs}
        assert {each.name for each in (*network.weights, *network.constants)} - read == set()


def test_draw_stays_within_the_spread_and_fills_it():
    weight = Weight("w", (CHUNK_ELEMENT_COUNT + 3,), centre=2.0, spread=0.5)
    chunks = list(draw(weight, np.random.PCG64(0)))
    values = np.concatenate(chunks)
    assert [len(chunk) for chunk in chunks] == [CHUNK_ELEMENT_COUNT, 3]
    assert values.min() >= 1.5
    assert values.max() <= 2.5
    assert values.mean() == pytest.approx(2.0, abs=0.01)
    assert values.std() == pytest.approx(0.5 / math.sqrt(3), abs=0.01)


def test_draw_of_no_spread_is_constant():
    weight = Weight("w", (2, 2), centre=6.0, spread=0.0)
    (values,) = draw(weight, np.random.PCG64(0))
    assert values.tolist() == [6.0] * 4


def test_building_holds_no_weights_in_memory(tmp_path: Path):
    """A model of 45 MiB costs a few chunks beside the libraries."""
    script = """
import sys
from pathlib import Path
import numpy, onnx
from feasibility.zoo import architectures as zoo

def peak_kib():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])

before = peak_kib()
zoo.build("resnet18-fastai", folder=Path(sys.argv[1]))
print(peak_kib() - before)
"""
    if not Path("/proc/self/status").exists():
        pytest.skip("peaks are read from /proc")
    result = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert int(result.stdout) < 16 * 1024


def test_listing_the_zoo_imports_nothing_heavy():
    script = (
        "import sys; from feasibility.zoo import architectures as zoo; zoo.entries(); "
        "print(sorted({'numpy', 'onnx', 'onnxruntime', 'rich'} & sys.modules.keys()))"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_build_puts_files_into_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = zoo.build("mobilenet-v2")
    assert path.name == "mobilenet-v2.onnx"
    assert path.is_relative_to(tmp_path / "feasibility" / "zoo")


def test_build_reuses_an_intact_file(tmp_path: Path):
    before = zoo.build("mobilenet-v2", folder=tmp_path).stat()
    after = zoo.build("mobilenet-v2", folder=tmp_path).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_build_replaces_a_damaged_file_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = zoo.build("mobilenet-v2")
    content = path.read_bytes()
    changed = bytes([content[-1] ^ 1])
    path.write_bytes(content[:-1] + (changed if damage == "changed" else b""))
    assert digest(zoo.build("mobilenet-v2")) == entry_named("mobilenet-v2").sha256


def test_build_leaves_another_file_of_the_same_name_alone(tmp_path: Path):
    """A folder that was named may hold the user's own model."""
    theirs = tmp_path / "mobilenet-v2.onnx"
    theirs.write_text("a model of their own")
    with pytest.raises(HostError, match="another file of that name is there already"):
        zoo.build("mobilenet-v2", folder=tmp_path)
    assert theirs.read_text() == "a model of their own"


def test_two_builders_at_once_both_succeed(tmp_path: Path):
    gate = threading.Barrier(2)
    paths = []

    def build() -> None:
        gate.wait()
        paths.append(zoo.build("mobilenet-v2", folder=tmp_path))

    threads = [threading.Thread(target=build) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert paths == [tmp_path / "mobilenet-v2.onnx"] * 2
    assert list(tmp_path.iterdir()) == paths[:1]
    assert digest(paths[0]) == entry_named("mobilenet-v2").sha256


def test_unknown_name_is_refused_with_a_suggestion(tmp_path: Path):
    with pytest.raises(UsageError) as caught:
        zoo.build("ResNet10\x1b1", folder=tmp_path)
    assert caught.value.what == r"Cannot build 'ResNet10\x1b1'"
    assert caught.value.hint == "did you mean `resnet101`?"


def test_unknown_name_without_a_likeness_points_to_the_list(tmp_path: Path):
    with pytest.raises(UsageError, match="the zoo has yamnet, ") as caught:
        zoo.build("?", folder=tmp_path)
    assert caught.value.hint == "run `feasibility zoo list`"


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path):
    (tmp_path / "taken").write_text("a file where the folder should be")
    with pytest.raises(HostError) as caught:
        zoo.build("mobilenet-v2", folder=tmp_path / "taken")
    assert caught.value.what == f"Cannot write '{tmp_path}/taken/mobilenet-v2.onnx'"
    assert "XDG_CACHE_HOME" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("whisper", "`whisper-tiny-encoder` or `whisper-tiny-decoder`"),
        ("cats_v_dogs", "`resnet18-fastai`"),
        ("wespeaker_resnet34", "`wespeaker-resnet34` or `wespeaker-resnet34-198`"),
        ("espnet", "`espnet-encoder` or `espnet-decoder` or `espnet-conformer`"),
    ],
)
def test_an_unknown_name_gets_near_names(text: str, near: str):
    """Of names and of the published files that they stand for; at most three."""
    with pytest.raises(UsageError) as caught:
        zoo.find(text)
    assert caught.value.hint == f"did you mean {near}?"


def test_a_wrong_name_is_refused_before_anything_is_built(
    cli: Callable[..., Result], tmp_path: Path
):
    result = cli("zoo", "build", "mobilenet-v2", "mobilnet", "--folder", tmp_path)
    assert result.code == 2
    assert "Cannot build 'mobilnet'" in result.err
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "cache").write_text("a file where the folder should be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(HostError) as caught:
        zoo.build("mobilenet-v2")
    assert caught.value.why.startswith("the system says ")
    assert "XDG_CACHE_HOME" in caught.value.hint


def test_no_room_half_way_through_a_gigabyte_leaves_nothing(tmp_path: Path):
    """The kernel refuses to write more than 64 MiB, as a full disk does."""
    script = """
import resource, sys
from feasibility.commands.app import run

resource.setrlimit(resource.RLIMIT_FSIZE, (2**26, 2**26))
sys.exit(run(["zoo", "build", "xlmr-base-sentence", "--quiet", "--folder", sys.argv[1]]))
"""
    folder = tmp_path / "models"
    result = subprocess.run(
        [sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert "there is no room for its 1.03 GiB" in " ".join(result.stderr.split())
    assert list(folder.iterdir()) == []


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(network, file):
        file.write(b"part")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(zoo, "write_network", fail)
    with pytest.raises(HostError) as caught:
        zoo.build("mobilenet-v2", folder=tmp_path)
    assert caught.value.why == "there is no room for its 13.3 MiB (No space left on device)"
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_build_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupt(network, file):
        file.write(b"part")
        raise KeyboardInterrupt

    monkeypatch.setattr(zoo, "write_network", interrupt)
    with pytest.raises(KeyboardInterrupt):
        zoo.build("mobilenet-v2", folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_network_of_every_kind_of_part_survives_the_file(tmp_path: Path):
    """Attributes, symbolic dims, integer constants and weights read back as described."""
    g = Network("tiny", opset=17)
    x = g.input("x", "n", 4)
    x = g.matmul(x, "m", (4, 6))
    x = g.node("Reshape", x, g.integers("shape", -1, 2, 3), name="y")
    x = g.node("ReduceMean", x, name="means", axes=(2,), keepdims=0)
    first, second = g.split(x, "halves", (1, 1), axis=1)
    x = g.node("Sub", first, second, name="difference")
    x = g.node("Add", x, g.table("table", 2, values=(0.25, -0.5)), name="z")
    x = g.node("ScatterElements", x, "zeros", x, name="last", axis=1, reduction="add")
    g.integers("zeros", 0, 0, shape=(1, 2))
    network = g.build(Value(x, "float32", ("n", 2)))
    path = tmp_path / "tiny.onnx"
    with path.open("wb") as file:
        write_network(network, file)
    model = onnx.load_from_string(path.read_bytes())
    onnx.checker.check_model(model, full_check=True)
    assert (model.ir_version, model.opset_import[0].version) == (8, 17)
    assert [node.op_type for node in model.graph.node] == [
        *("MatMul", "Reshape", "ReduceMean", "Split", "Sub", "Add", "ScatterElements")
    ]
    weights = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    row = np.ones((1, 4), dtype=np.float32)
    first_mean, second_mean = (row @ weights["m.weight"]).reshape(2, 3).mean(axis=1)
    low, high = first_mean - second_mean + 0.25, first_mean - second_mean - 0.5
    expected = [[low + low + high, high]]
    np.testing.assert_allclose(run(path, x=row), expected, rtol=1e-5)
