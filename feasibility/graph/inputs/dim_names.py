"""What the name of a dim says about it: its role, or an expression over other dims."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

Role: TypeAlias = Literal[
    "batch",
    "sequence",
    "total",
    "past",
    "height",
    "width",
    "depth",
    "channels",
    "samples",
    "frames",
    "mel",
    "items",
    "features",
    "generic",
]

# Names that converters write for "open"; two dims that carry one have nothing in common.
_PLACEHOLDERS: Final = frozenset({"", "?", "*", "-1", "none", "null", "unk", "unknown", "dynamic"})

# First match wins, so that `past_sequence_length` is a past and not a sequence.
_WORDS: Final[tuple[tuple[Role, frozenset[str]], ...]] = (
    ("total", frozenset({"total", "full"})),
    ("past", frozenset({"past", "cache", "cached", "kv", "history", "prev", "previous", "mem"})),
    ("batch", frozenset({"batch", "batches", "batchsize", "bs", "bsz", "nbatch", "images"})),
    ("mel", frozenset({"mel", "mels", "nmels", "nmel", "fbank"})),
    ("samples", frozenset({"sample", "samples", "nsamples", "audio", "wav", "waveform", "signal"})),
    ("frames", frozenset({"frame", "frames", "nframes", "time", "timestep", "timesteps", "steps"})),
    (
        "sequence",
        frozenset(
            {
                "seq", "sequence", "sequences", "seqlen", "seqlength", "token", "tokens", "ntokens",
                "length", "len", "text", "words", "src", "tgt", "source", "target", "l", "position",
                "positions", "prompt", "phonemes", "phoneme", "chars",
            }
        ),
    ),
    ("height", frozenset({"h", "height", "rows", "imgh", "imageheight"})),
    ("width", frozenset({"w", "width", "cols", "columns", "imgw", "imagewidth"})),
    ("depth", frozenset({"d", "depth", "slices", "volume"})),
    ("channels", frozenset({"c", "channel", "channels", "nchannels", "ch"})),
    (
        "items",
        frozenset(
            {
                "box", "boxes", "roi", "rois", "point", "points", "anchor", "anchors", "detection",
                "detections", "object", "objects", "candidates", "proposals", "nodes", "edges",
                "labels", "queries", "masks", "crops", "patches",
            }
        ),
    ),
    (
        "features",
        frozenset(
            {
                "feature", "features", "hidden", "dim", "embed", "embedding", "classes", "heads",
                "head",
            }
        ),
    ),
)  # fmt: skip
_LENGTHS: Final = frozenset({"seq", "sequence", "seqlen", "len", "length"})
_SINGLE: Final[dict[str, Role]] = {"n": "batch", "b": "batch", "t": "frames", "s": "sequence"}
_TOKEN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*|\d+|//|[-+*/()]")
_MAX_EXPRESSION: Final = 100


def is_placeholder(name: str) -> bool:
    """True for a name that only says that a dim is open."""
    return name.strip().lower() in _PLACEHOLDERS or name.lower().startswith("unk__")


def role_of(name: str) -> Role:
    """Role that a dim's name tells; `generic` where it tells nothing."""
    spaced = re.sub(r"([a-z])([A-Z])", r"\1_\2", name[:_MAX_EXPRESSION]).lower()
    words = [word for word in re.split(r"[^a-z]+", spaced) if word and word != "num"]
    if len(words) == 1 and words[0] in _SINGLE and spaced.strip("_") == words[0]:
        return _SINGLE[words[0]]
    for role, known in _WORDS:
        # The longest sequence of a batch is no batch.
        if not known.isdisjoint(words) and not (role == "batch" and _LENGTHS.intersection(words)):
            return role
    joined = "".join(words)
    for role, known in _WORDS:
        if joined in known:
            return role
    return "generic"


def operands(name: str) -> tuple[str, ...]:
    """Names of the dims that a name such as `past_length + sequence_length` is made of.

    Empty for a plain name and for what is no expression of + - * / and brackets.
    """
    tokens = _tokens(name)
    if len(tokens) < 2 or tokens[0] in ("+", "*", "/", "//", ")"):
        return ()
    names = tuple(
        dict.fromkeys(
            token for token in tokens if token[0].isalpha() and token not in ("floor", "ceil")
        )
    )
    return names if names and evaluate(name, lambda _: 7) is not None else ()


def evaluate(expression: str, size_of: Callable[[str], int | None]) -> int | None:
    """Value of an expression over dims; None where it is malformed or a dim is not known."""
    tokens = _tokens(expression)
    if not tokens:
        return None
    value, rest = _sum(tokens, size_of)
    return value if not rest else None


def _tokens(text: str) -> list[str]:
    """The tokens of an expression; none at all where anything else stands in it."""
    if len(text) > _MAX_EXPRESSION:
        return []
    tokens = _TOKEN.findall(text)
    return tokens if "".join(tokens) == re.sub(r"\s+", "", text) and tokens else []


_Parsed: TypeAlias = tuple[int | None, list[str]]


def _sum(tokens: list[str], size_of: Callable[[str], int | None]) -> _Parsed:
    value, tokens = _product(tokens, size_of)
    while tokens and tokens[0] in "+-":
        operator, (other, tokens) = tokens[0], _product(tokens[1:], size_of)
        if value is not None and other is not None:
            value = value + other if operator == "+" else value - other
        else:
            value = None
    return value, tokens


def _product(tokens: list[str], size_of: Callable[[str], int | None]) -> _Parsed:
    value, tokens = _factor(tokens, size_of)
    while tokens and tokens[0] in ("*", "/", "//"):
        operator, (other, tokens) = tokens[0], _factor(tokens[1:], size_of)
        if value is None or other is None or (operator != "*" and other == 0):
            value = None
        else:
            value = value * other if operator == "*" else value // other
    return value, tokens


def _factor(tokens: list[str], size_of: Callable[[str], int | None]) -> _Parsed:
    if not tokens:
        return None, tokens
    first, rest = tokens[0], tokens[1:]
    if first in ("floor", "ceil") and rest[:1] == ["("]:
        return _factor(rest, size_of)
    if first == "(":
        value, rest = _sum(rest, size_of)
        return (value, rest[1:]) if rest[:1] == [")"] else (None, ["("])
    if first.isdigit():
        return int(first), rest
    if first[0].isalpha() or first[0] == "_":
        return size_of(first), rest
    return None, tokens
