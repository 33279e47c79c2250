"""The runtimes that a model may be projected with, and what is said of them."""

from __future__ import annotations

import difflib
import re
from typing import Final

from feasibility.errors import UsageError
from feasibility.predict.latency.latency import DEFAULT_RUNTIME, RUNTIME_NAMES
from feasibility.text import safe_text

_ALIASES: Final = {"ort": "onnxruntime", "trt": "tensorrt", "tensorflowlite": "tflite"}
_SEPARATORS: Final = re.compile(r"[\s_.-]+")


def parse_runtime(text: str) -> str:
    """Key of the runtime that `ncnn`, `ONNX Runtime` or `LiteRT` names.

    Raises:
        UsageError: The projection knows no runtime of this name.
    """
    keys = {_plain(name): key for key, shown in RUNTIME_NAMES.items() for name in (key, shown)}
    keys |= _ALIASES
    wanted = _plain(text)
    if wanted in keys:
        return keys[wanted]
    near = difflib.get_close_matches(wanted, keys, n=1)
    raise UsageError(
        f"There is no projection for the runtime {safe_text(text, 40)!r}",
        f"the runtimes known are {', '.join(RUNTIME_NAMES)}",
        f"did you mean {keys[near[0]]}?" if near else f"the default is {DEFAULT_RUNTIME}",
    )


def unchecked_operators(runtime: str) -> str:
    """What an assessment for another runtime leaves open; empty for ONNX Runtime."""
    if runtime == DEFAULT_RUNTIME:
        return ""
    return f"whether {RUNTIME_NAMES.get(runtime, runtime)} has all its operators was not checked"


def _plain(name: str) -> str:
    return _SEPARATORS.sub("", name).casefold()
