"""Which role has an open dim? Its name shows it, or its position in its input."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from onnx import ModelProto, TensorProto, TypeProto

from feasibility.graph.declared_inputs import required_inputs
from feasibility.graph.inputs.implied_dims import Consumers, Implied, implied_dims
from feasibility.graph.inputs.role_of_dim_name import Role, is_placeholder, role_of
from feasibility.graph.value_types import MAX_RANK, Kind, Shape, ValueType, value_type

# Words in the name of an input that say what it is.
_CACHE: Final = re.compile(r"past|cache|key_values|(^|[._/])(k|v|key|value)s?([._/]|\d|$)", re.I)
_STATE: Final = re.compile(
    r"(^|[._/])(init(ial)?_)?((state|hidden|rnn|lstm|gru)(_?[hcn]?(in|0|n)?)|[hc](0|n|x|_?in)?)\d*$",
    re.I,
)
_SOUND: Final = re.compile(r"audio|wav|speech|sound|signal|pcm|samples|mixture|noisy", re.I)
_SPECTRUM: Final = re.compile(r"mel|spec|fbank|mfcc|input_features|audio_signal|feats", re.I)
_TEXT: Final = re.compile(r"ids?$|ids|token|mask|word|text|phone|segment|position|length", re.I)
SAMPLE_RATE: Final = 16_000
RATE_NAME: Final = re.compile(r"^sr$|sample_?rate|sampling_?rate", re.I)


@dataclass(frozen=True, slots=True)
class OpenInput:
    """One input that a caller gives, with what is known of its shape.

    Args:
        elem_type: Its element type, or that of the tensors inside.
        shape: Declared shape, one guessed from its consumers where the rank is open.
        keys: For each axis the key of its dim, None where the size is declared.
        has_rank: False where even the rank was guessed.
    """

    name: str
    elem_type: int
    kind: Kind
    type: TypeProto
    shape: Shape
    keys: tuple[str | None, ...]
    implied: Implied
    has_rank: bool = True


def open_inputs(model: ModelProto) -> tuple[OpenInput, ...]:
    """The inputs that a caller gives, initializers left out, each name once."""
    consumers = Consumers(model)
    found: dict[str, OpenInput] = {}
    for item in required_inputs(model.graph):
        if item.name in found:
            continue
        known = value_type(item.type)
        implied = implied_dims(consumers, item.name, known.shape)
        shape, has_rank = known.shape, known.shape is not None
        if shape is None:
            shape = (None,) * min(implied.rank if implied.rank is not None else 1, MAX_RANK)
        keys = _keys(item.name, item.type, shape)
        found[item.name] = OpenInput(
            item.name, known.elem_type, known.kind, item.type, shape, keys, implied, has_rank
        )
    return tuple(found.values())


def _keys(name: str, proto: TypeProto, shape: Shape) -> tuple[str | None, ...]:
    """Keys of the open dims: their symbolic names, else `input.axis`."""
    tensor = _tensor(proto)
    dims = tensor.shape.dim if tensor is not None and tensor.HasField("shape") else ()
    symbols = [dim.dim_param for dim in dims] + [""] * len(shape)
    return tuple(
        None if size is not None else f"{name}.{axis}" if is_placeholder(symbol) else symbol
        for axis, (size, symbol) in enumerate(zip(shape, symbols, strict=False))
    )


def _tensor(proto: TypeProto) -> TypeProto.Tensor | TypeProto.SparseTensor | None:
    for _ in range(8):
        kind = proto.WhichOneof("value")
        if kind == "tensor_type":
            return proto.tensor_type
        if kind == "sparse_tensor_type":
            return proto.sparse_tensor_type
        if kind not in ("sequence_type", "optional_type"):
            return None
        proto = getattr(proto, kind).elem_type
    return None


def known_values(inputs: tuple[OpenInput, ...]) -> dict[str, int]:
    """Values of inputs that are a parameter rather than data, which graphs branch on."""
    return {
        given.name: SAMPLE_RATE
        for given in inputs
        if RATE_NAME.search(given.name) and ValueType(given.elem_type).is_integer
    }


def dim_role(given: OpenInput, axis: int, inputs: tuple[OpenInput, ...]) -> Role:
    """Role of one open dim."""
    key = given.keys[axis]
    named = role_of(key) if key is not None and _is_named(given, axis) else "generic"
    places = _places(given, inputs)
    placed = places[axis] if axis < len(places) else "generic"
    if (
        placed == "sequence"
        and named in ("generic", "sequence")
        and _covers_past(given, axis, inputs)
    ):
        return "total"
    if named in ("generic", "features"):
        return placed if placed != "generic" else named
    if named == "samples" and axis == 0 and placed == "batch":
        return "batch"
    # `sequence` of a waveform is its samples, `length` of a spectrogram its frames.
    if named == "sequence" and not _is_index(given) and placed in ("samples", "frames", "past"):
        return placed
    if named == "frames" and placed == "samples":
        return "samples"
    if named == "frames" and _is_index(given):
        return "sequence"
    if named == "batch" and axis > 0 and placed in ("height", "width"):
        return placed
    return named


def _covers_past(given: OpenInput, axis: int, inputs: tuple[OpenInput, ...]) -> bool:
    """Whether it is the mask of a decoder with a cache, which spans past and new tokens."""
    if "mask" not in given.name.lower() or not any(_CACHE.search(item.name) for item in inputs):
        return False
    return all(given.keys[axis] not in item.keys for item in inputs if item is not given)


def _is_index(given: OpenInput) -> bool:
    return ValueType(given.elem_type).is_integer or given.elem_type in (
        TensorProto.STRING,
        TensorProto.BOOL,
    )


def _is_named(given: OpenInput, axis: int) -> bool:
    return given.keys[axis] not in (None, f"{given.name}.{axis}")


def _places(given: OpenInput, inputs: tuple[OpenInput, ...]) -> tuple[Role, ...]:
    """Role of each axis by what the input is."""
    use, name, shape, rank = given.implied.use, given.name, given.shape, len(given.shape)
    if rank == 0 or (not given.has_rank and given.implied.rank is None):
        return ()
    if _is_index(given) and rank <= 3 and use not in ("image", "image_last", "signal"):
        if rank == 1:
            return ("sequence",) if _TEXT.search(name) and use == "indices" else ("batch",)
        return ("batch", "sequence", "sequence")
    if rank == 5 and _CACHE.search(name):
        return ("generic", "batch", "items", "past", "features")
    if rank == 4 and use == "unknown" and _CACHE.search(name):
        return ("batch", "items", "past", "features")
    if rank == 3 and _STATE.search(name):
        return ("generic", "batch", "features")
    if rank == 5:
        return ("batch", "channels", "depth", "height", "width")
    if rank == 4:
        is_last = use == "image_last"
        if use not in ("image", "image_last"):
            is_last = shape[3] in (1, 3, 4) and shape[1] not in (1, 3, 4)
        sides: tuple[Role, ...] = ("height", "width")
        return ("batch", *sides, "channels") if is_last else ("batch", "channels", *sides)
    return _row_places(given, rank, inputs)


def _row_places(given: OpenInput, rank: int, inputs: tuple[OpenInput, ...]) -> tuple[Role, ...]:
    """Roles in waveforms, spectrograms, sequences of vectors and tables."""
    use, name = given.implied.use, given.name
    is_sound = bool(_SOUND.search(name)) or any(RATE_NAME.search(item.name) for item in inputs)
    if rank == 1:
        return ("samples",) if is_sound or use == "signal" else ("generic",)
    if rank == 2:
        if is_sound or use == "signal":
            return ("batch", "samples")
        return ("batch", "generic" if _is_named(given, 1) else "features")
    if _SPECTRUM.search(name):
        channels_first = given.shape[1] is not None or 1 in given.implied.sizes
        return ("batch", "mel", "frames") if channels_first else ("batch", "frames", "mel")
    if use == "signal":
        is_wave = is_sound or given.implied.sizes.get(1, given.shape[1]) in (1, 2)
        return ("batch", "channels", "samples" if is_wave else "frames")
    if use == "recurrent":
        return ("sequence", "batch", "features")
    if use in ("image", "image_last"):
        return ("channels", "height", "width")
    return ("batch", "sequence", "features")
