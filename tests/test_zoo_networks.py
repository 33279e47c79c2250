"""The networks of the zoo: figures of the published models, and what their parts compute."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from feasibility.facts.read_model import read_model
from feasibility.records.model_reading import ModelReading
from feasibility.units import format_bytes, format_count
from feasibility.zoo import architectures as zoo
from feasibility.zoo import espnet, onnx_file
from feasibility.zoo.network import Network, Value, Weight
from feasibility.zoo.onnx_file import write_network
from tests.run_plans import make

NAMES = tuple(entry.name for entry in zoo.entries())
LARGE_BYTES = 400_000_000
HOLE_BYTES = 4096
QUICK = tuple(entry.name for entry in zoo.entries() if entry.file_bytes < LARGE_BYTES)

# Figures that the publishers of a model state, and where. "2 x macs" counts a multiply-add as two.
PUBLISHED: tuple[tuple[str, str, float, str], ...] = (
    ("yamnet", "macs", 69.2e6, "tensorflow/models, research/audioset/yamnet/README.md"),
    ("yamnet", "parameters", 3_751_369, "Keras' summary of the same model"),
    ("yamnet-waveform", "bytes", 16_093_538, "camstack/camstack-models, camstack-yamnet.onnx"),
    ("resnet18-fastai", "bytes", 47_090_548, "cats_v_dogs.onnx of the axon benchmark"),
    ("resnet18-fastai", "macs", 1.814e9, "torchvision, ResNet18_Weights"),
    ("resnet18-fastai-37", "bytes", 47_162_250, "cat_dog_breeds.onnx of the axon benchmark"),
    ("minilm-l6", "parameters", 22_713_216, "sentence-transformers/all-MiniLM-L6-v2"),
    ("minilm-l6-sentence", "parameters", 22_713_216, "sentence-transformers/all-MiniLM-L6-v2"),
    ("resnet101", "bytes", 178_914_043, "resnet101-v1-7.onnx of the ONNX model zoo"),
    ("resnet101", "macs", 7.6e9, "He et al. 2015, table 1"),
    ("mobilenet-v2", "parameters", 3_504_872, "torchvision, MobileNet_V2_Weights"),
    ("mobilenet-v2", "macs", 300e6, "Sandler et al. 2018, table 4"),
    ("bert-base", "parameters", 109_482_240, "google-bert/bert-base-uncased"),
    ("bert-base-ja-sentence", "bytes", 442e6, "sonoisa/sentence-bert-base-ja-mean-tokens"),
    ("xlmr-base", "parameters", 278e6, "FacebookAI/xlm-roberta-base"),
    ("xlmr-base-sentence", "parameters", 278e6, "paraphrase-multilingual-mpnet-base-v2"),
    ("wespeaker-resnet34", "parameters", 6.63e6, "Wespeaker/wespeaker-voxceleb-resnet34-LM"),
    ("wespeaker-resnet34-198", "parameters", 6.63e6, "the same"),
    ("wespeaker-resnet34-198", "macs", 4.55e9, "the same, which has 200 frames"),
    ("wespeaker-resnet34", "bytes", 26.5e6, "Wespeaker/wespeaker-voxceleb-resnet34"),
    ("efficientnet-lite0", "parameters", 4_652_008, "keras-hub, efficientnet_lite0_ra_imagenet"),
    ("yolov8n", "parameters", 3_151_904, "ultralytics/ultralytics, issue 8784 (fused)"),
    ("yolov8n", "2 x macs", 8.7e9, "ultralytics/ultralytics, issue 8784 (fused)"),
    ("yolov8n", "bytes", 12.8e6, "Kalray/yolov8, yolov8n.onnx"),
    ("whisper-tiny-encoder", "bytes", 32_904_992, "onnx-community/whisper-tiny"),
    ("whisper-tiny-decoder", "bytes", 113_638_998, "onnx-community/whisper-tiny"),
)


@pytest.fixture(scope="module")
def reading_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], ModelReading]:
    """What `inspect` reads of an architecture, from a file whose large weights are holes.

    So a model of a gigabyte costs no time.
    """
    folder = tmp_path_factory.mktemp("holes")
    draw = onnx_file.draw

    def drawn(weight: Weight, generator: np.random.PCG64) -> Iterator[np.ndarray]:
        if weight.element_count * 4 < HOLE_BYTES:
            yield from draw(weight, generator)
        else:
            yield np.zeros(weight.element_count, dtype="<f4")

    @cache
    def read(name: str) -> ModelReading:
        path = folder / f"{name}.onnx"
        with pytest.MonkeyPatch.context() as patch, path.open("wb") as file:
            patch.setattr(onnx_file, "draw", drawn)
            write_network(zoo.find(name).network(), Holes(file))  # type: ignore[arg-type]
        return read_model(path, with_plans=True, hash_file=False)

    return read


class Holes:
    """A file in which large weights are skipped."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, data: bytes | memoryview) -> int:
        if isinstance(data, memoryview) and data.nbytes >= HOLE_BYTES:
            self._file.seek(data.nbytes, os.SEEK_CUR)
            return data.nbytes
        return self._file.write(data)


def session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def run_network(network: Network, folder: Path, **feeds: np.ndarray) -> list[np.ndarray]:
    path = folder / "network.onnx"
    with path.open("wb") as file:
        write_network(network, file)
    return session(path).run(None, feeds)


def parameters(network: Network) -> int:
    """Weights of a network without the tables of positions, which ESPnet computes."""
    return sum(weight.element_count for weight in network.weights if weight.name != "pe")


@pytest.mark.parametrize(("name", "figure", "published", "source"), PUBLISHED)
def test_figures_are_those_of_the_published_model(
    reading_of: Callable[[str], ModelReading],
    name: str,
    figure: str,
    published: float,
    source: str,
) -> None:
    """Within one percent; docstrings of the networks say what is left."""
    facts = reading_of(name).facts
    assert facts.macs is not None
    actual = {
        "parameters": facts.parameter_count,
        "macs": facts.macs,
        "2 x macs": 2 * facts.macs,
        "bytes": facts.file_bytes,
    }[figure]
    assert actual == pytest.approx(published, rel=0.01)


def test_every_architecture_has_a_published_figure() -> None:
    """ESPnet publishes sizes of whole models only, which have tests of their own."""
    with_figure = {name for name, *_ in PUBLISHED}
    assert {name for name in NAMES if name not in with_figure} == {
        "espnet-encoder",
        "espnet-decoder",
        "espnet-conformer",
    }


def test_espnet_stacks_have_the_size_of_the_published_model() -> None:
    """The file of transformer_e18 has 398 MB: encoder, decoder and a layer from 512 to 5000."""
    stacks = (
        espnet.transformer_encoder(espnet.TRANSFORMER),
        espnet.transformer_decoder(espnet.DECODER),
    )
    size_bytes = 4 * (sum(map(parameters, stacks)) + 513 * 5000)
    assert size_bytes == pytest.approx(398e6, rel=0.01)


def test_conformer_layers_have_the_size_of_a_published_model() -> None:
    """Librispeech_100h_conformer has 137 MB, half the inner width, and a kernel of 31."""
    encoder = espnet.conformer_encoder(replace(espnet.CONFORMER, inner=1024, kernel=31))
    decoder = espnet.transformer_decoder(
        replace(espnet.DECODER, width=256, head_count=4, vocabulary_size=5000)
    )
    size_bytes = 4 * (parameters(encoder) + parameters(decoder) + 257 * 5000)
    assert size_bytes == pytest.approx(137e6, rel=0.01)


def test_the_page_lists_every_architecture_with_its_figures(
    reading_of: Callable[[str], ModelReading],
) -> None:
    """Those that `inspect` shows without options."""
    page = (Path(__file__).parent.parent / "docs" / "zoo.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| `")]
    assert [row[0].strip("| `") for row in rows] == list(NAMES)
    for name, row in zip(NAMES, rows, strict=True):
        facts = reading_of(name).facts
        assert facts.macs is not None
        expected = (facts.parameter_count, facts.macs)
        assert row[2:4] == [format_count(figure) for figure in expected]
        assert row[4] == format_bytes(facts.file_bytes)


@pytest.mark.parametrize("name", QUICK)
def test_networks_run_with_the_inputs_that_the_tool_chooses(
    reading_of: Callable[[str], ModelReading], zoo_folder: Path, name: str
) -> None:
    """Outputs are finite, differ from each other, and change with the input.

    The shapes are those that the file declares.
    """
    path = zoo.build(name, folder=zoo_folder)
    onnx.checker.check_model(path, full_check=True)
    check_runs(path, reading_of(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*NAMES} - {*QUICK}))
def test_large_networks_run_with_the_inputs_that_the_tool_chooses(
    reading_of: Callable[[str], ModelReading], zoo_folder: Path, name: str
) -> None:
    """As for the others; onnx checks files of up to 2 GB."""
    path = zoo.build(name, folder=zoo_folder)
    onnx.checker.check_model(path, full_check=True)
    check_runs(path, reading_of(name))
    path.unlink()


def check_runs(path: Path, reading: ModelReading) -> None:
    plan = reading.plans[0]
    feeds = {
        spec.name: make(np, {"fill": fill, "shape": spec.shape, "dtype": spec.dtype, "kind": ""})
        for spec in plan.inputs
        for fill in [{"kind": spec.fill.kind, "low": spec.fill.low, "high": spec.fill.high}]
    }
    network = session(path)
    outputs = network.run(None, feeds)
    for output, declared in zip(outputs, network.get_outputs(), strict=True):
        sizes = [plan.dims.get(dim, dim) for dim in declared.shape]
        fixed = [size for size in zip(output.shape, sizes, strict=True) if isinstance(size[1], int)]
        assert all(actual == size for actual, size in fixed)
        assert np.isfinite(output).all()
    first = outputs[0]
    # Values that vanish become denormals, which are slow; values that explode become NaN.
    assert 1e-3 < np.abs(first).mean() < 1e3
    assert first.std() > 1e-3
    names = [name for name, array in feeds.items() if array.size > 1 and np.ptp(array) > 0]
    changed = network.run(None, {**feeds, names[0]: np.flip(feeds[names[0]])})[0]
    # A single number in ten digits would also differ by rounding.
    assert np.abs(changed - first).max() > 1e-4 * np.abs(first).max()


@pytest.mark.slow
def test_building_the_whole_zoo_takes_little_memory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A gigabyte of weights is never in memory. Time is printed only; disk is freed at once."""
    if not Path("/proc/self/status").exists():
        pytest.skip("peaks are read from /proc")
    script = """
import sys, time
from pathlib import Path
from feasibility.zoo import architectures as zoo

started = time.perf_counter()
for entry in zoo.entries():
    zoo.build(entry.name, folder=Path(sys.argv[1])).unlink()
status = Path("/proc/self/status").read_text()
print(int(status.split("VmHWM:")[1].split()[0]), time.perf_counter() - started)
"""
    result = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    peak_kib, seconds = map(float, result.stdout.split())
    with capsys.disabled():
        sys.stdout.write(f"\nthe zoo: {seconds:.1f} s, at most {peak_kib / 1024:.0f} MiB\n")
    assert peak_kib < 128 * 1024


def log_mel(waveform: np.ndarray) -> np.ndarray:
    """The log-mel bands of YAMNet, computed with numpy's Fourier transform."""
    after_first = max(len(waveform) - 15_600, 0)
    whole = 15_600 + -(-after_first // 7_680) * 7_680
    padded = np.pad(waveform.astype(np.float64), (0, whole - len(waveform)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, 400)[::160]
    window = np.hanning(401)[:400]
    magnitude = np.abs(np.fft.rfft(frames * window, 512))
    mel_of = lambda hz: 1127 * np.log(1 + np.asarray(hz) / 700)  # noqa: E731 - a formula
    edges = np.linspace(mel_of(125), mel_of(7500), 66)
    bins = mel_of(np.fft.rfftfreq(512, 1 / 16_000))[1:]
    bands = [np.interp(bins, edges[n : n + 3], [0, 1, 0]) for n in range(64)]
    return np.log(magnitude[:, 1:] @ np.array(bands).T + 0.001)


@pytest.mark.parametrize(
    ("sample_count", "frame_count", "patch_count"),
    [(1_000, 96, 1), (15_600, 96, 1), (15_601, 144, 2), (23_280, 144, 2), (50_000, 336, 6)],
)
def test_the_front_end_computes_log_mel_bands(
    zoo_folder: Path, sample_count: int, frame_count: int, patch_count: int
) -> None:
    """Against numpy, for a tone in noise; patches cover 0.96 s and begin every 0.48 s."""
    seconds = np.arange(sample_count) / 16_000
    noise = np.random.default_rng(0).standard_normal(sample_count)
    waveform = (0.5 * np.sin(2 * np.pi * 440 * seconds) + 0.01 * noise).astype(np.float32)
    network = session(zoo.build("yamnet-waveform", folder=zoo_folder))
    scores, embedding, bands = network.run(None, {"waveform": waveform})
    assert scores.shape == (patch_count, 521)
    assert embedding.shape == (patch_count, 1024)
    assert bands.shape == (frame_count, 64)
    np.testing.assert_allclose(bands, log_mel(waveform), atol=1e-3)


def test_the_front_end_hands_its_bands_to_the_body(zoo_folder: Path) -> None:
    """Both files have the same weights, so the body alone gives the same scores."""
    waveform = np.random.default_rng(0).uniform(-1, 1, 40_000).astype(np.float32)
    network = session(zoo.build("yamnet-waveform", folder=zoo_folder))
    scores, _, bands = network.run(None, {"waveform": waveform})
    patches = np.lib.stride_tricks.sliding_window_view(bands, 96, axis=0)[::48]
    body = session(zoo.build("yamnet", folder=zoo_folder))
    (expected,) = body.run(None, {"log_mel_patches": patches.transpose(0, 2, 1)})
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_a_sentence_is_the_mean_of_its_tokens(zoo_folder: Path) -> None:
    """Of those that the mask keeps; the encoder without pooling has the same weights."""
    feeds = {
        "input_ids": np.array([[5, 6, 7, 8], [9, 10, 0, 0]]),
        "attention_mask": np.array([[1, 1, 1, 1], [1, 1, 0, 0]]),
        "token_type_ids": np.zeros((2, 4), dtype=np.int64),
    }
    (tokens,) = session(zoo.build("minilm-l6", folder=zoo_folder)).run(None, feeds)
    (sentences,) = session(zoo.build("minilm-l6-sentence", folder=zoo_folder)).run(None, feeds)
    expected = np.stack([tokens[0].mean(axis=0), tokens[1, :2].mean(axis=0)])
    np.testing.assert_allclose(sentences, expected, atol=1e-5)


def test_a_sentence_without_tokens_is_zero(zoo_folder: Path) -> None:
    """And not NaN."""
    feeds = {
        "input_ids": np.array([[1, 2]]),
        "attention_mask": np.array([[0, 0]]),
        "token_type_ids": np.array([[0, 0]]),
    }
    (sentence,) = session(zoo.build("minilm-l6-sentence", folder=zoo_folder)).run(None, feeds)
    assert sentence.tolist() == np.zeros((1, 384)).tolist()


def random_feeds(network: onnxruntime.InferenceSession, **dims: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(2)

    def fed() -> Iterator[tuple[str, np.ndarray]]:
        for each in network.get_inputs():
            shape = [dims.get(dim, dim) for dim in each.shape]
            is_token = each.type == "tensor(int64)"
            values = (
                generator.integers(0, 99, shape)
                if is_token
                else generator.standard_normal(shape, dtype=np.float32)
            )
            yield each.name, values

    return dict(fed())


def test_whisper_extends_its_cache_and_reads_it(zoo_folder: Path) -> None:
    network = session(zoo.build("whisper-tiny-decoder", folder=zoo_folder))
    feeds = random_feeds(network, batch_size=1, past_decoder_sequence_length=3)
    names = [output.name for output in network.get_outputs()]
    outputs = dict(zip(names, network.run(None, feeds), strict=True))
    past = "past_key_values.2.decoder.value"
    present = outputs["present.2.decoder.value"]
    assert present.shape == (1, 6, 4, 64)
    np.testing.assert_array_equal(present[:, :, :3], feeds[past])
    for name in (past, "past_key_values.0.encoder.key"):
        (logits, *_) = network.run(None, {**feeds, name: np.flip(feeds[name])})
        assert np.abs(logits - outputs["logits"]).max() > 1e-3


def test_the_decoder_of_espnet_extends_its_cache_and_reads_it(zoo_folder: Path) -> None:
    network = session(zoo.build("espnet-decoder", folder=zoo_folder))
    feeds = random_feeds(network, batch=1, cached_length=3, frames=5)
    scores, *caches = network.run(None, feeds)
    np.testing.assert_allclose(np.exp(scores).sum(), 1.0, rtol=1e-4)
    for layer, cache_after in enumerate(caches):
        assert cache_after.shape == (1, 4, 512)
        np.testing.assert_array_equal(cache_after[:, :3], feeds[f"cache_{layer}"])
    for name in ("cache_0", "memory"):
        (changed, *_) = network.run(None, {**feeds, name: np.flip(feeds[name])})
        assert np.abs(changed - scores).max() > 1e-3


@pytest.mark.parametrize("name", ["espnet-encoder", "espnet-conformer"])
def test_encoders_of_espnet_leave_padding_out_of_attention(tmp_path: Path, name: str) -> None:
    """Frames far behind the end of an utterance do not reach its first frames.

    Convolutions of a Conformer carry frames a few positions on; so the utterance is short, the
    padding long, and only one layer of attention could bridge it.
    """
    stack = espnet.TRANSFORMER if name == "espnet-encoder" else espnet.CONFORMER
    described = espnet.transformer_encoder if name == "espnet-encoder" else espnet.conformer_encoder
    network = described(replace(stack, layer_count=1))
    feats = np.random.default_rng(3).standard_normal((1, 400, 80), dtype=np.float32)
    louder = feats.copy()
    louder[:, 300:] *= 5
    found = [
        run_network(network, tmp_path, feats=each, feats_length=np.array([100]))
        for each in (feats, louder)
    ]
    (plain, length), (other, _) = found
    subsampled = int(length[0])
    assert subsampled == {"espnet-encoder": 17, "espnet-conformer": 25}[name]
    np.testing.assert_allclose(plain[:, :subsampled], other[:, :subsampled], atol=1e-4)
    heard = run_network(network, tmp_path, feats=louder, feats_length=np.array([400]))[0]
    assert np.abs(heard[:, :subsampled] - plain[:, :subsampled]).max() > 1e-2


def test_relative_scores_are_moved_to_their_positions(tmp_path: Path) -> None:
    """Score of position j for query i is that of their distance."""
    g = Network("shift", opset=14)
    x = g.input("x", 1, "frames", 4)
    scores = g.input("scores", 1, 2, "frames", "distances")
    shift = espnet.RelativeShift(g, x, espnet.Stack(4, 2, 8, 1))
    moved = shift.by_position(scores, "moved")
    g.build(
        Value(moved, "float32", (1, 2, "frames", "frames")),
        Value(shift.positions, "float32", (1, "distances", 4)),
    )
    length = 5
    given = np.random.default_rng(4).random((1, 2, length, 2 * length - 1), dtype=np.float32)
    frames = np.zeros((1, length, 4), dtype=np.float32)
    found, positions = run_network(g, tmp_path, x=frames, scores=given)
    assert positions.shape == (1, 2 * length - 1, 4)
    for i in range(length):
        for j in range(length):
            # The first of the distances is the longest ahead of a query.
            np.testing.assert_array_equal(found[..., i, j], given[..., i, length - 1 - i + j])


def test_boxes_of_the_detector_lie_in_the_picture(zoo_folder: Path) -> None:
    """Centres of boxes are at most 15 cells from a cell's; the scores are probabilities."""
    picture = np.random.default_rng(5).random((1, 3, 640, 640), dtype=np.float32)
    (found,) = session(zoo.build("yolov8n", folder=zoo_folder)).run(None, {"images": picture})
    assert found.shape == (1, 84, 8400)
    centres, scores = found[0, :2], found[0, 4:]
    assert ((scores >= 0) & (scores <= 1)).all()
    cells = [(8, 80)] * 6400 + [(16, 40)] * 1600 + [(32, 20)] * 400
    starts = [0] * 6400 + [6400] * 1600 + [8000] * 400
    for number in (0, 79, 6399, 6400, 7999, 8000, 8399):
        stride, side = cells[number]
        row, column = divmod(number - starts[number], side)
        expected = (np.array([column, row]) + 0.5) * stride
        assert np.abs(centres[:, number] - expected).max() <= 7.5 * stride


def test_speaker_embeddings_of_both_files_agree(zoo_folder: Path) -> None:
    """They have the same weights; only the shapes are static or not."""
    feats = np.random.default_rng(6).standard_normal((1, 198, 80), dtype=np.float32)
    found = [
        session(zoo.build(name, folder=zoo_folder)).run(None, {"feats": feats})[0]
        for name in ("wespeaker-resnet34", "wespeaker-resnet34-198")
    ]
    np.testing.assert_allclose(*found, rtol=1e-3)
