"""The reference architectures: their files, what they compute, and how they are kept."""

from __future__ import annotations

import errno
import hashlib
import math
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from feasibility.errors import HostError, UsageError
from feasibility.units import format_bytes
from feasibility.zoo import architectures as zoo
from feasibility.zoo.architectures import ZooEntry
from feasibility.zoo.network import Network, Value, Weight
from feasibility.zoo.onnx_file import CHUNK_ELEMENT_COUNT, draw, write_network

DEMO = tuple(entry for entry in zoo.entries() if entry.in_demo)
LARGE_BYTES = 400_000_000
QUICK = tuple(entry for entry in zoo.entries() if entry.file_bytes < LARGE_BYTES)
LARGE = tuple(entry for entry in zoo.entries() if entry.file_bytes >= LARGE_BYTES)
DIMS = {"N": 2, "batch": 2, "sequence": 7}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("zoo")


def entry_named(name: str) -> ZooEntry:
    return next(entry for entry in zoo.entries() if entry.name == name)


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def run(path: Path, **feeds: np.ndarray) -> np.ndarray:
    """The first output, with seeded inputs for those that are not given."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    generator = np.random.default_rng(1)
    for each in session.get_inputs():
        shape = [DIMS.get(dim, dim) for dim in each.shape]
        if each.name in feeds:
            continue
        if each.type == "tensor(int64)":
            feeds[each.name] = generator.integers(0, 2, shape)
        else:
            feeds[each.name] = generator.standard_normal(shape, dtype=np.float32)
    (output,) = session.run(None, feeds)
    return output


def test_the_demo_shows_four_architectures():
    """The issue names them; the order is that of the demo's report."""
    names = [entry.name for entry in DEMO]
    assert names == ["yamnet", "resnet18-fastai", "minilm-l6", "resnet101"]


@pytest.mark.parametrize(
    ("name", "published_bytes"),
    [
        ("resnet18-fastai", 47_090_548),
        ("resnet18-fastai-37", 47_162_250),
        ("resnet101", 178_914_043),
    ],
)
def test_files_have_the_size_of_the_published_ones(name: str, published_bytes: int):
    """Within one percent."""
    assert entry_named(name).file_bytes == pytest.approx(published_bytes, rel=0.01)


@pytest.mark.parametrize("entry", QUICK, ids=lambda entry: entry.name)
def test_build_writes_the_recorded_bytes(entry: ZooEntry, folder: Path):
    """Size and digest are recorded, so every platform must give the same file."""
    path = zoo.build(entry.name, folder=folder)
    assert path == folder / f"{entry.name}.onnx"
    assert (path.stat().st_size, digest(path)) == (entry.file_bytes, entry.sha256)


@pytest.mark.slow
@pytest.mark.parametrize("entry", LARGE, ids=lambda entry: entry.name)
def test_large_files_have_the_recorded_bytes_and_run(entry: ZooEntry, tmp_path: Path):
    path = zoo.build(entry.name, folder=tmp_path)
    assert (path.stat().st_size, digest(path)) == (entry.file_bytes, entry.sha256)
    assert np.isfinite(run(path)).all()


@pytest.mark.parametrize("entry", QUICK, ids=lambda entry: entry.name)
def test_models_are_valid_and_compute_tame_numbers(entry: ZooEntry, folder: Path):
    """Values that vanish become denormals, which are slow; values that explode become NaN."""
    path = zoo.build(entry.name, folder=folder)
    onnx.checker.check_model(path, full_check=True)
    output = run(path)
    assert np.isfinite(output).all()
    assert 1e-3 < np.abs(output).mean() < 1e3
    assert output.std() > 1e-3


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("yamnet", (2, 521)),
        ("resnet18-fastai", (1, 2)),
        ("resnet18-fastai-37", (1, 37)),
        ("minilm-l6", (2, 7, 384)),
        ("resnet101", (2, 1000)),
        ("mobilenet-v2", (2, 1000)),
    ],
)
def test_outputs_have_the_shape_of_the_published_model(
    name: str, shape: tuple[int, ...], folder: Path
):
    assert run(zoo.build(name, folder=folder)).shape == shape


@pytest.mark.parametrize(
    ("name", "parameter_count"),
    [
        # Keras counts 3 751 369; of the offsets, means and variances of its 10 944
        # normalised channels one bias is left after folding.
        ("yamnet", 3_751_369 - 2 * 10_944),
        # sentence-transformers/all-MiniLM-L6-v2 has 22 713 216, of which its pooler,
        # which the exported encoder lacks, 384 * 384 + 384.
        ("minilm-l6", 22_713_216 - 147_840),
        # PyTorch's 44 549 160, running statistics, and the biases of the 1x1 convolutions.
        ("resnet101", 44_549_160 + 2 * 52_672 + 40_640),
    ],
)
def test_parameters_are_those_of_the_published_model(name: str, parameter_count: int):
    """Counted without the scalars that spell out an activation or a normalisation."""
    network = entry_named(name).network()
    counted = sum(weight.element_count for weight in network.weights if weight.shape)
    assert counted == parameter_count


def test_encoder_leaves_masked_tokens_out(folder: Path):
    """What stands behind the mask must not reach the tokens before it."""
    path = zoo.build("minilm-l6", folder=folder)
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


def test_a_file_is_what_onnx_would_save(folder: Path):
    """The streaming writer takes no liberties with the format."""
    path = zoo.build("yamnet", folder=folder)
    content = path.read_bytes()
    assert onnx.load_from_string(content).SerializeToString() == content


def test_every_name_in_a_graph_is_its_own(folder: Path):
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
    x = g.node("ReduceMean", x, name="z", axes=(2,), keepdims=0)
    network = g.build(Value(x, "float32", ("n", 2)))
    path = tmp_path / "tiny.onnx"
    with path.open("wb") as file:
        write_network(network, file)
    model = onnx.load_from_string(path.read_bytes())
    onnx.checker.check_model(model, full_check=True)
    assert (model.ir_version, model.opset_import[0].version) == (8, 17)
    assert [node.op_type for node in model.graph.node] == ["MatMul", "Reshape", "ReduceMean"]
    values = onnx.numpy_helper.to_array(model.graph.initializer[1])
    row = np.ones((1, 4), dtype=np.float32)
    expected = (row @ values).reshape(-1, 2, 3).mean(axis=2)
    np.testing.assert_allclose(run(path, x=row), expected, rtol=1e-5)


def test_the_page_lists_every_architecture_with_its_size():
    page = (Path(__file__).parent.parent / "docs" / "zoo.md").read_text(encoding="utf-8")
    for entry in zoo.entries():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{entry.name}` ")]
        assert row.endswith(f" {format_bytes(entry.file_bytes)} |")
