"""Strings out of model files."""

from __future__ import annotations

import re
import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from feasibility.text import markdown_text, safe_text, shorten


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
    assert safe_text("/layer1/" + "w" * 500 + "/conv2", 20) == "/layer1/ww…www/conv2"


@given(st.text(max_size=400), st.integers(0, 200))
def test_nothing_unsafe_comes_through(text: str, limit: int) -> None:
    """One line of printable characters within the limit, whatever goes in."""
    shown = safe_text(text, limit)
    assert len(shown) <= limit
    assert all(unicodedata.category(character)[0] != "C" for character in shown)
    assert all(character not in "\r\n\u2028\u2029" for character in shown)


MARKUP = r"""aw1 .:)(-+=#*_~`|\/[]{}!<>&;@$^"'"""


@given(st.one_of(st.text(MARKUP, max_size=30), st.text(max_size=30)))
@example("    code")
@example("12) list")
@example("- - list")
@example("~~gone~~ <b> &amp; http://a.b www.evil.com :tada: @everyone #1 $x$")
def test_markdown_shows_any_text_as_it_is(text: str) -> None:
    """In a list, where a mark at the start counts too; addresses stay text."""
    shown = safe_text(text)
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(f"- {markdown_text(shown)}")
    kinds = [token.type for token in tokens if not token.type.endswith("_close")]
    assert kinds in (
        ["bullet_list_open", "list_item_open", "paragraph_open", "inline"],
        ["bullet_list_open", "list_item_open"],  # the text is empty
    )
    inline = [child for token in tokens for child in token.children or ()]
    assert {child.type for child in inline} <= {"text", "text_special"}
    assert "".join(child.content for child in inline).rstrip() == shown.rstrip()
    assert re.search(r"://|www\.|@|:\w+:|(?<!&)#|\$", markdown_text(shown), re.IGNORECASE) is None


@given(st.text(max_size=100), st.integers(0, 50))
def test_shortening_respects_the_limit(text: str, limit: int) -> None:
    """A text within the limit stays; a longer one fills it."""
    shown = shorten(text, limit)
    assert len(shown) == min(len(text), limit)
