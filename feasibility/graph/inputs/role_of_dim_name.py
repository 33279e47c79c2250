"""What does the name of a dim say? Its role, or an expression over other dims."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable
from operator import add, floordiv, mul, sub
from typing import Final, Literal, TypeAlias

Role: TypeAlias = Literal[
    "batch", "sequence", "total", "past", "height", "width", "depth", "channels", "samples",
    "frames", "mel", "items", "features", "generic",
]  # fmt: skip

# Names that converters write for an open dim. Two dims with the same one may differ in size.
_PLACEHOLDERS: Final = frozenset({"", "?", "*", "-1", "none", "null", "unk", "unknown", "dynamic"})

# The first match counts: `past_sequence_length` is a past and not a sequence.
_WORDS: Final[tuple[tuple[Role, str], ...]] = (
    ("total", "total full"),
    ("past", "past cache cached kv history prev previous mem"),
    ("batch", "batch batches batchsize bs bsz nbatch images"),
    ("mel", "mel mels nmels nmel fbank"),
    ("samples", "sample samples nsamples audio wav waveform signal"),
    ("frames", "frame frames nframes time timestep timesteps steps"),
    (
        "sequence",
        "seq sequence sequences seqlen seqlength token tokens ntokens length len text words src "
        "tgt source target l position positions prompt phonemes phoneme chars",
    ),
    ("height", "h height rows imgh imageheight"),
    ("width", "w width cols columns imgw imagewidth"),
    ("depth", "d depth slices volume"),
    ("channels", "c channel channels nchannels ch"),
    (
        "items",
        "box boxes roi rois point points anchor anchors detection detections object objects "
        "candidates proposals nodes edges labels queries masks crops patches",
    ),
    ("features", "feature features hidden dim embed embedding classes heads head"),
)
_LENGTHS: Final = frozenset({"seq", "sequence", "seqlen", "len", "length"})
_SINGLE: Final[dict[str, Role]] = {"n": "batch", "b": "batch", "t": "frames", "s": "sequence"}
_EXPRESSION: Final = re.compile(r"[A-Za-z0-9_.+*/() -]+")
_OPERATORS: Final[dict[type[ast.operator], Callable[[int, int], int]]] = {
    ast.Add: add,
    ast.Sub: sub,
    ast.Mult: mul,
    ast.Div: floordiv,
    ast.FloorDiv: floordiv,
}
_MAX_EXPRESSION: Final = 100


def is_placeholder(name: str) -> bool:
    """Whether a name only says that a dim is open."""
    return name.strip().lower() in _PLACEHOLDERS or name.lower().startswith("unk__")


def role_of(name: str) -> Role:
    """Role that the name of a dim stands for; `generic` if it is not known."""
    spaced = re.sub(r"([a-z])([A-Z])", r"\1_\2", name[:_MAX_EXPRESSION]).lower()
    words = [word for word in re.split(r"[^a-z]+", spaced) if word and word != "num"]
    if len(words) == 1 and words[0] in _SINGLE and spaced.strip("_") == words[0]:
        return _SINGLE[words[0]]
    for role, known in _WORDS:
        # `batch_max_seq_len` is a length and not a batch.
        is_length = role == "batch" and _LENGTHS.intersection(words)
        if not is_length and not set(known.split()).isdisjoint(words):
            return role
    joined = "".join(words)
    for role, known in _WORDS:
        if joined in known.split():
            return role
    return "generic"


def operands(name: str) -> tuple[str, ...]:
    """Names of the dims that a name such as `past_length + sequence_length` is made of.

    Empty for a plain name and for what is not an expression of + - * / and brackets.
    """
    tree = _parsed(name)
    if not isinstance(tree, ast.BinOp | ast.Call):
        return ()
    names: dict[str, None] = {}

    def note(operand: str) -> int:
        names[operand] = None
        return 7

    return tuple(names) if _value(tree, note) is not None else ()


def evaluate(expression: str, size_of: Callable[[str], int | None]) -> int | None:
    """Value of an expression over dims; None where it is malformed or a dim is not known."""
    tree = _parsed(expression)
    return None if tree is None else _value(tree, size_of)


def _parsed(text: str) -> ast.expr | None:
    if len(text) > _MAX_EXPRESSION or not _EXPRESSION.fullmatch(text):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text.strip(), mode="eval").body
        except SyntaxError:
            return None


def _value(node: ast.expr, size_of: Callable[[str], int | None]) -> int | None:
    match node:
        case ast.Constant(value=int(value)):
            return value
        case ast.Name() | ast.Attribute():
            return size_of(ast.unparse(node))
        case ast.Call(func=ast.Name(id="floor" | "ceil"), args=[inner]):
            return _value(inner, size_of)
        case ast.BinOp(left=left, op=operation, right=right):
            operator = _OPERATORS.get(type(operation))
            one, other = _value(left, size_of), _value(right, size_of)
            if operator is None or one is None or other is None:
                return None
            return None if other == 0 and operator is floordiv else operator(one, other)
    return None
