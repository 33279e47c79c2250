"""Which reference architectures are there, and where are their files?"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

from feasibility.errors import HostError, UsageError
from feasibility.paths import cache_dir
from feasibility.text import safe_text
from feasibility.units import format_bytes
from feasibility.write_atomically import whole_file
from feasibility.zoo import espnet
from feasibility.zoo.image_classifiers import (
    efficientnet_lite0,
    mobilenet_v2,
    resnet18_fastai,
    resnet101,
)
from feasibility.zoo.network import Network
from feasibility.zoo.object_detectors import yolov8n
from feasibility.zoo.onnx_file import write_network
from feasibility.zoo.sentence_encoders import (
    BERT_BASE,
    BERT_BASE_JA,
    MINILM_L6,
    XLMR_BASE,
    encoder,
    sentence_encoder,
)
from feasibility.zoo.sound_events import yamnet, yamnet_waveform
from feasibility.zoo.speaker_embeddings import wespeaker_resnet34
from feasibility.zoo.whisper import whisper_tiny_decoder, whisper_tiny_encoder

_NEAR_NAMES: Final = 3
_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True, slots=True)
class ZooEntry:
    """One reference architecture.

    Args:
        name: What `build` takes, and the name of the file without its suffix.
        sha256: Digest of its file; the same on every platform.
        in_demo: True if the demo shows it; the others are for tests and benchmarks.
    """

    name: str
    network: Callable[[], Network]
    title: str
    description: str
    source: str
    file_bytes: int
    sha256: str
    in_demo: bool = False


_ENTRIES: Final = (
    ZooEntry(
        name="yamnet",
        network=yamnet,
        title="YAMNet",
        description="sound events, 521 classes from a patch of 96 x 64 log-mel bands",
        source="tfhub.dev/google/yamnet/1, converted by tf2onnx at opset 14",
        file_bytes=14_928_235,
        sha256="ac4aafc3d1f5b75e58a4382ef7ab877ecc9d6dc69115d8f7e94b07e309c73afb",
        in_demo=True,
    ),
    ZooEntry(
        name="resnet18-fastai",
        network=partial(resnet18_fastai, 2),
        title="ResNet-18, fastai head",
        description="image classifier, 2 classes at 224 x 224",
        source="cats_v_dogs.onnx, exported from fastai by PyTorch",
        file_bytes=46_819_918,
        sha256="425673da18d9ffb4f1dab2c6432eddb3cbc959358f1fde6db06b97589c793f62",
        in_demo=True,
    ),
    ZooEntry(
        name="minilm-l6",
        network=partial(encoder, MINILM_L6),
        title="MiniLM-L6",
        description="sentence encoder, 6 layers of 384, any batch and length up to 512",
        source="sentence-transformers/all-MiniLM-L6-v2, exported by PyTorch",
        file_bytes=90_319_307,
        sha256="23fd5ad2733d49090e34b061a611cf9cc972c7cb0c111a2e2c39dda13c9fe597",
        in_demo=True,
    ),
    ZooEntry(
        name="resnet101",
        network=resnet101,
        title="ResNet-101 v1",
        description="image classifier, 1000 classes at 224 x 224",
        source="resnet101-v1-7.onnx of the ONNX model zoo, converted from MXNet",
        file_bytes=178_870_062,
        sha256="b1e846d3074c829e0d7956326c3a2ea0afa9d5de2608463814f125afa1d9023c",
        in_demo=True,
    ),
    ZooEntry(
        name="resnet18-fastai-37",
        network=partial(resnet18_fastai, 37),
        title="ResNet-18, fastai head, 37 classes",
        description="image classifier, 37 classes at 224 x 224",
        source="cat_dog_breeds.onnx, exported from fastai by PyTorch",
        file_bytes=46_891_600,
        sha256="c983e72729c8c60e146f16fec1bf4f4dafec073b1af5fc89e1f7337f9fa149d9",
    ),
    ZooEntry(
        name="mobilenet-v2",
        network=mobilenet_v2,
        title="MobileNet v2",
        description="image classifier, 1000 classes at 224 x 224",
        source="torchvision's mobilenet_v2, exported by PyTorch",
        file_bytes=13_974_360,
        sha256="347d67713cbc04af7ad6dffa71ca3a461081514111530ae3da00bdc70931e255",
    ),
    ZooEntry(
        name="bert-base",
        network=partial(encoder, BERT_BASE),
        title="BERT base",
        description="text encoder, 12 layers of 768, any batch and length up to 512",
        source="google-bert/bert-base-uncased, exported by PyTorch",
        file_bytes=435_678_888,
        sha256="c50243784a7ec9c58785884c07975ace6b0e1c87c3b32c6d78c3474bb5113f19",
    ),
    ZooEntry(
        name="xlmr-base",
        network=partial(encoder, XLMR_BASE),
        title="XLM-R base",
        description="multilingual sentence encoder, 12 layers of 768, vocabulary of 250002",
        source="FacebookAI/xlm-roberta-base, exported by PyTorch",
        file_bytes=1_109_923_804,
        sha256="31ff691a4602471ff3f68736df1d2444cc1b76121fc3ace9b8dc801b9374eb31",
    ),
    ZooEntry(
        name="yamnet-waveform",
        network=yamnet_waveform,
        title="YAMNet from a waveform",
        description="sound events, 521 classes from any length of sound at 16 kHz",
        source="tfhub.dev/google/yamnet/1, converted by tf2onnx at opset 14",
        file_bytes=16_052_010,
        sha256="8bf3ec4c13e55160aa0549f386abda5b78ff611389d425736e4b577ee65fca74",
    ),
    ZooEntry(
        name="minilm-l6-sentence",
        network=partial(sentence_encoder, MINILM_L6),
        title="MiniLM-L6 with mean pooling",
        description="one vector of 384 per sentence, any batch and length up to 512",
        source="sentence-transformers/all-MiniLM-L6-v2, exported by PyTorch",
        file_bytes=90_320_058,
        sha256="f3b6a08ff5308864c29d79ac4f679b100df6a4e1a2371162b4685b1393d4e06a",
    ),
    ZooEntry(
        name="bert-base-ja-sentence",
        network=partial(sentence_encoder, BERT_BASE_JA),
        title="Japanese BERT base with mean pooling",
        description="one vector of 768 per sentence, any batch and length up to 512",
        source="sonoisa/sentence-bert-base-ja-mean-tokens, exported by PyTorch",
        file_bytes=440_220_058,
        sha256="7c81f10b282b8cd3a72e4968e6e3700d89bafe28cff18e031329e1ffc00da4e6",
    ),
    ZooEntry(
        name="xlmr-base-sentence",
        network=partial(sentence_encoder, XLMR_BASE),
        title="XLM-R base with mean pooling",
        description="one vector of 768 per sentence, any batch and length up to 512",
        source="sentence-transformers/paraphrase-multilingual-mpnet-base-v2, exported by PyTorch",
        file_bytes=1_109_924_555,
        sha256="bd174688c6ea83b3ea2b04981b52ef5debd205f1ecaeedf789371a227e526e31",
    ),
    ZooEntry(
        name="espnet-encoder",
        network=partial(espnet.transformer_encoder, espnet.TRANSFORMER),
        title="ESPnet Transformer encoder",
        description="18 layers of 512 over log-mel bands of sound, 80 per frame",
        source="librispeech_asr_train_asr_transformer_e18, exported by espnet_onnx",
        file_bytes=266_964_572,
        sha256="84729e18d85b2267db00a838cb29f17c553b9270b066a7d3700612321f68990d",
    ),
    ZooEntry(
        name="espnet-decoder",
        network=partial(espnet.transformer_decoder, espnet.DECODER),
        title="ESPnet Transformer decoder",
        description="6 layers of 512, one step with a cache, vocabulary of 5000",
        source="librispeech_asr_train_asr_transformer_e18, exported by espnet_onnx",
        file_bytes=122_514_706,
        sha256="5d56c0b07308ac66512bb4e162728a49e2150923c6575ee46acaf2bd8e9fc4fd",
    ),
    ZooEntry(
        name="espnet-conformer",
        network=partial(espnet.conformer_encoder, espnet.CONFORMER),
        title="ESPnet Conformer encoder",
        description="12 layers of 256 with relative positions, 80 log-mel bands per frame",
        source="egs2/aishell/asr1/conf/tuning/train_asr_conformer.yaml, exported by espnet_onnx",
        file_bytes=135_079_512,
        sha256="f829c3f0c4dfd65d015d6929e435449c8f2ea39043ddd1240fdc1935b07dcaed",
    ),
    ZooEntry(
        name="wespeaker-resnet34",
        network=partial(wespeaker_resnet34, None),
        title="WeSpeaker ResNet-34",
        description="speaker embedding of 256 from any number of frames of 80 log-mel bands",
        source="Wespeaker/wespeaker-voxceleb-resnet34-LM, exported by PyTorch",
        file_bytes=26_535_550,
        sha256="b7c335ebb4b478c170182fc50b8cd7b3984de62d86e0a0be2071708de7b3c6ac",
    ),
    ZooEntry(
        name="wespeaker-resnet34-198",
        network=partial(wespeaker_resnet34, 198),
        title="WeSpeaker ResNet-34, 198 frames",
        description="speaker embedding of 256 from 2 s of sound, static shape",
        source="Wespeaker/wespeaker-voxceleb-resnet34-LM, exported with --num_frames 198",
        file_bytes=26_535_552,
        sha256="b6849cf4e05dd8e4621974369de504b2e012464595cf2d3ccb90a4439bc509af",
    ),
    ZooEntry(
        name="efficientnet-lite0",
        network=efficientnet_lite0,
        title="EfficientNet-lite0",
        description="image classifier, 1000 classes at 224 x 224",
        source="timm's efficientnet_lite0, exported by PyTorch",
        file_bytes=18_545_747,
        sha256="567b2add653c942cc18c3dd39d37f80b23ddeb879ab6f1f85263984cc83b0285",
    ),
    ZooEntry(
        name="yolov8n",
        network=yolov8n,
        title="YOLOv8n",
        description="object detector, 80 classes at 640 x 640",
        source="ultralytics' yolov8n, exported by PyTorch",
        file_bytes=12_741_117,
        sha256="3a6957e40c0959cccef43feb34bfb4f3b2665bb7d09e6d0b06565c62c3810b23",
    ),
    ZooEntry(
        name="whisper-tiny-encoder",
        network=whisper_tiny_encoder,
        title="Whisper tiny, encoder",
        description="speech recognition, 30 s of sound as 80 log-mel bands",
        source="onnx-community/whisper-tiny, encoder_model.onnx",
        file_bytes=32_862_553,
        sha256="40ab17f30b21c65fc659d0ad6d4fc4ff17d52c5e94f0070b026bce440432d692",
    ),
    ZooEntry(
        name="whisper-tiny-decoder",
        network=whisper_tiny_decoder,
        title="Whisper tiny, decoder",
        description="one step of text with a cache, vocabulary of 51865",
        source="onnx-community/whisper-tiny, decoder_with_past_model.onnx",
        file_bytes=113_530_117,
        sha256="92dd5c1278beb21004c645be36bace5d8b5b4822d92aca2f85c85ef48b472f1e",
    ),
)


def entries() -> tuple[ZooEntry, ...]:
    """All reference architectures, those of the demo first."""
    return _ENTRIES


def find(name: str) -> ZooEntry:
    """The architecture of that name.

    Raises:
        UsageError: There is none; the hint has near names.
    """
    by_name = {entry.name: entry for entry in _ENTRIES}
    if name in by_name:
        return by_name[name]
    near = [f"`{known}`" for known in _near_names(name.lower(), by_name)]
    raise UsageError(
        f"Cannot build '{safe_text(name)}'",
        f"the zoo has {', '.join(by_name)}",
        f"did you mean {' or '.join(near)}?" if near else "run `feasibility zoo list`",
    )


def _near_names(typed: str, by_name: Mapping[str, ZooEntry]) -> list[str]:
    """At most three names: of entries that contain the text, else similar ones."""
    containing = [
        entry.name for entry in by_name.values() if typed in f"{entry.name} {entry.source}".lower()
    ]
    if typed and containing:
        return containing[:_NEAR_NAMES]
    return get_close_matches(typed, by_name, n=_NEAR_NAMES)


def build(name: str, *, folder: Path | None = None) -> Path:
    """Path of the architecture's ONNX file, which is written if it does not exist.

    It is `NAME.onnx` in a folder, by default in the user's cache, where a damaged file is
    replaced. No file is replaced in another folder.
    """
    entry = find(name)
    path = (folder or cache_dir() / "zoo" / entry.sha256[:8]) / f"{entry.name}.onnx"
    # Checked first: another process may have written the whole file meanwhile.
    is_taken = folder is not None and path.exists()
    if _is_intact(path, entry.file_bytes, entry.sha256):
        return path
    if is_taken:
        raise HostError(
            f"Cannot write '{safe_text(str(path))}'",
            "another file of that name is there already",
            "remove it or name another folder",
        )
    _write_whole(path, entry.file_bytes, partial(write_network, entry.network()))
    return path


def _is_intact(path: Path, file_bytes: int, sha256: str) -> bool:
    """True if the file exists with that size and digest, and can be read."""
    try:
        if path.stat().st_size != file_bytes:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        return False


def _write_whole(path: Path, file_bytes: int, write: Callable[[BinaryIO], None]) -> None:
    """Makes the file appear at once with all that `write` puts into it.

    Builders that run at the same time each write a file of their own; the last to
    finish replaces the others' work with the same bytes.

    `file_bytes` is the expected size, for the message if there is no room.

    Raises:
        HostError: The folder or the file cannot be written. Nothing is left behind.
    """
    try:
        with whole_file(path) as file:
            write(file)
    except OSError as error:
        why = f"the system says {error.strerror or error}"
        if error.errno in _NO_SPACE:
            why = f"there is no room for its {format_bytes(file_bytes)} ({error.strerror})"
        hint = "name a folder that can be written, or set XDG_CACHE_HOME to one"
        raise HostError(f"Cannot write '{safe_text(str(path))}'", why, hint) from error
