"""Strings out of model files."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from feasibility.text import safe_text, shorten


def test_escapes_and_controls_become_visible() -> None:
    """A terminal escape is shown, not obeyed."""
    assert safe_text("a\x1b[31mb\nc\x00") == "a\\x1b[31mb\\x0ac\\x00"


def test_direction_overrides_become_visible() -> None:
    """A right-to-left override cannot rewrite the line it stands in."""
    assert safe_text("abc\u202egpj.exe") == "abc\\u202egpj.exe"


def test_ordinary_names_stay() -> None:
    """Names of any script stay as they are."""
    assert safe_text("example ż 大 김.onnx") == "example ż 大 김.onnx"


def test_long_names_keep_both_ends() -> None:
    """The end of a node's name tells it from its neighbours."""
    assert safe_text("/layer1/" + "x" * 500 + "/conv2", 20) == "/layer1/xx…xxx/conv2"


@given(st.text(max_size=400), st.integers(0, 200))
def test_nothing_unsafe_comes_through(text: str, limit: int) -> None:
    """One line of printable characters within the limit, whatever goes in."""
    shown = safe_text(text, limit)
    assert len(shown) <= limit
    assert all(unicodedata.category(character)[0] != "C" for character in shown)
    assert all(character not in "\r\n\u2028\u2029" for character in shown)


@given(st.text(max_size=100), st.integers(0, 50))
def test_shortening_respects_the_limit(text: str, limit: int) -> None:
    """A text within the limit stays; a longer one fills it."""
    shown = shorten(text, limit)
    assert len(shown) == min(len(text), limit)
