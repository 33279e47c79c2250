"""The Python API: the commands as functions that return records and print nothing."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from google.protobuf.message import EncodeError

import feasibility
from feasibility import api
from feasibility.commands.option_groups import with_groups_expanded
from feasibility.errors import DeviceError, DocumentError, ModelError, UsageError
from feasibility.json_documents import encode
from feasibility.records.profile import Profile
from feasibility.render.notebook import report_html
from feasibility.render.reports.sections import Bar, Column, Grid, Row, Section
from tests import samples, tiny_models

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "python.md"
HOSTILE = '<img src=x onerror="alert(1)">'


@pytest.fixture
def mlp(tmp_path: Path) -> Path:
    return tiny_models.mlp(tmp_path / "mlp.onnx", width=64, batch="batch")


def test_the_import_loads_no_library() -> None:
    """So it costs less than `import typer`, which loads hundreds of modules."""
    code = "import sys; before = set(sys.modules); import feasibility; dir(feasibility)\n"
    code += "print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name for name in done.stdout.split() if "." not in name}
    assert loaded <= {"feasibility", "__future__", "importlib", "typing", "collections", "re"} | {
        name for name in loaded if name in sys.stdlib_module_names
    }
    assert "feasibility.api" not in done.stdout
    code = "import feasibility; print(type(feasibility.fit).__name__, feasibility.fit.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "CalledPackage feasibility.fit\n"


def test_every_public_name_exists_and_is_documented() -> None:
    page = PAGE.read_text("utf-8")
    for name in feasibility.__all__:
        assert getattr(feasibility, name) is not None
        assert f"`feasibility.{name}" in page
    with pytest.raises(AttributeError, match="no attribute 'other'"):
        _ = feasibility.other


@pytest.mark.parametrize("name", ["inspect", "measure", "check", "fit", "compare"])
def test_a_function_has_the_options_of_its_command(name: str) -> None:
    """All options, except those for the destination of the report and for the exit code."""
    module = __import__(f"feasibility.commands.{name}", fromlist=[name])
    command = inspect.signature(with_groups_expanded(getattr(module, name)))
    # `fit` writes files into a folder; other commands write their document into a file.
    report = {"json", "html", "quiet", "details", "require", "import"}
    report |= set() if name == "fit" else {"output", "force"}
    options = {
        each.name.rstrip("_"): each.default
        for each in command.parameters.values()
        if each.kind is inspect.Parameter.KEYWORD_ONLY
    }
    signature = inspect.signature(getattr(feasibility, name))
    keywords = {
        each.name: each.default
        for each in signature.parameters.values()
        if each.kind is inspect.Parameter.KEYWORD_ONLY
    }
    assert keywords == {each: options[each] for each in options if each not in report}
    for each in keywords:
        assert f"\n    {each}: " in (getattr(api, name).__doc__ or "")


def test_a_package_of_the_same_name_can_be_called(mlp: Path) -> None:
    """`feasibility.measure` is a package whose modules the tool imports."""
    import feasibility.measure.static_profile

    assert feasibility.measure.static_profile.static_profile
    assert inspect.signature(feasibility.measure) == inspect.signature(api.measure)
    with pytest.raises(UsageError, match="only one model or profile is given"):
        feasibility.compare(mlp)


def test_a_model_in_memory_is_a_model(mlp: Path) -> None:
    proto = onnx.ModelProto.FromString(mlp.read_bytes())
    proto.graph.name = "a/b c"
    facts = feasibility.inspect(proto, dim={"batch": 3})
    assert (facts.name, facts.path, facts.dims) == ("a_b_c.onnx", "a_b_c.onnx", {"batch": 3})
    saved = feasibility.inspect(str(mlp), dim=["batch=3"])
    assert saved.flops == facts.flops
    answer = feasibility.check([proto, proto], static=True, device="rpi_5")
    assert [model.profile.model.path for model in answer.models] == ["a_b_c.onnx"] * 2


def test_numbers_keep_all_digits(mlp: Path) -> None:
    assert feasibility.inspect(mlp, dim={"batch": 1234567}).dims == {"batch": 1234567}
    assert feasibility.inspect(mlp, dim={"batch": np.int64(4)}).dims == {"batch": 4}
    with pytest.raises(UsageError):
        feasibility.inspect(mlp, dim={"batch": None})
    with pytest.raises(UsageError):
        feasibility.check(mlp, latency=False)


def test_a_model_that_protobuf_cannot_write_is_an_error(
    mlp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> bytes:
        raise EncodeError("Failed to serialize proto")

    proto = onnx.ModelProto.FromString(mlp.read_bytes())
    holder = SimpleNamespace(graph=proto.graph, SerializeToString=lambda: refuse(None))
    monkeypatch.setattr(api, "_is_in_memory", lambda _: True)
    with pytest.raises(ModelError, match="more than 2 GiB"):
        feasibility.inspect(holder)


def test_nothing_is_printed(mlp: Path, capfd: pytest.CaptureFixture[str]) -> None:
    feasibility.inspect(mlp)
    feasibility.check([mlp, mlp.parent / "none.onnx"], static=True)
    with pytest.raises(ModelError):
        feasibility.check(mlp.parent / "none.onnx", static=True)
    assert capfd.readouterr() == ("", "")


def test_one_failure_is_raised_and_of_several_it_is_recorded(mlp: Path) -> None:
    missing = mlp.parent / "none.onnx"
    with pytest.raises(ModelError, match="there is no such file"):
        feasibility.check(missing, static=True)
    answer = feasibility.check((missing, mlp), static=True)
    assert [each.path for each in answer.errors] == [str(missing)]
    assert len(answer.models) == 1


def test_profiles_are_checked_and_compared(tmp_path: Path) -> None:
    saved = tmp_path / "profile.json"
    saved.write_bytes(encode(samples.profile()))
    profile = feasibility.load_profile(saved)
    assert profile == samples.profile()
    answers = [feasibility.check(each, device="rpi_5") for each in (profile, saved)]
    assert answers[0] == answers[1]
    comparison = feasibility.compare(profile, saved)
    assert [each.label for each in comparison.subjects] == ["A", "B"]
    with pytest.raises(UsageError, match=r"Cannot prove 'resnet101\.onnx'"):
        feasibility.check(profile, prove=True)
    with pytest.raises(DocumentError):
        feasibility.load_profile(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("options", "error", "why"),
    [
        ({"dims": {}}, TypeError, "did you mean 'dim'"),
        ({"output": "x.json"}, TypeError, "not an option"),
        ({"threads": 0}, UsageError, "at least 1"),
        ({"timeout": 1e9}, UsageError, "at most 604800"),
        ({"threads": "2"}, UsageError, "a whole number"),
        ({"threads": True}, UsageError, "a whole number"),
        ({"static": 1}, UsageError, "True or False"),
        ({"role": "king"}, UsageError, "one of foreground, background, extension"),
        ({"device": [None]}, UsageError, "texts, or a mapping"),
        ({"latency": []}, UsageError, "a text"),
        ({"measured": 5}, UsageError, "a path"),
        ({"dim": {"batch": "x"}}, UsageError, "whole number"),
        ({"device": "none_such"}, DeviceError, "none_such"),
    ],
)
def test_a_bad_option_is_an_error(
    mlp: Path, options: dict[str, Any], error: type[Exception], why: str
) -> None:
    with pytest.raises(error, match=re.escape(why)):
        feasibility.check(mlp, **{"static": True, **options})


def test_a_model_is_a_path_or_a_model() -> None:
    with pytest.raises(TypeError, match=r"a path or an onnx\.ModelProto, not bytes"):
        feasibility.inspect(b"model.onnx")  # type: ignore[arg-type]


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert attributes == []
        self.found.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def _seen(html: str) -> _Tags:
    tags = _Tags()
    tags.feed(html)
    return tags


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (samples.facts, "operators"),
        (samples.profile, "memory"),
        (samples.assessment, "Samsung Galaxy S24"),
        (samples.model_assessment, "Samsung Galaxy S24"),
    ],
)
def test_a_notebook_shows_the_report(record: Callable[[], Any], said: str) -> None:
    html = record()._repr_html_()
    assert said in _seen(html).text
    assert _seen(html).found <= {"div", "h4", "table", "thead", "tbody", "tr", "th", "td", "p",
                                 "small"}  # fmt: skip


def test_hostile_names_are_text() -> None:
    section = Section(
        HOSTILE,
        (Row(HOSTILE, HOSTILE),),
        Grid((Column(HOSTILE), Column("share")), ((HOSTILE, Bar(0.5)), (HOSTILE, Bar(None)))),
        (HOSTILE,),
    )
    seen = _seen(report_html((section, None)))
    assert "img" not in seen.found
    assert seen.text.count(HOSTILE) == 7
    assert "50 %" in seen.text


def test_rows_have_the_names_of_the_document() -> None:
    profile = samples.profile()
    (row,) = profile.to_rows()
    assert row["memory_load_peak_bytes"] == profile.memory.load_peak_bytes  # type: ignore[union-attr]
    assert row["model_name"] == profile.model.name
    assert "operators" not in row
    assert [each["node"] for each in profile.to_rows("operators")] == [
        each.node for each in profile.operators
    ]
    rows = samples.assessment_of_many().to_rows()
    models = samples.assessment_of_many().models
    assert len(rows) == sum(len(model.devices) for model in models)
    assert rows[0]["latency_low_ns"] == models[0].devices[0].latency.low_ns
    for part in ("none", "workload", "tool_version"):
        with pytest.raises(ValueError, match=f"no list of records '{part}'"):
            profile.to_rows(part)


def test_records_are_read_back_with_their_methods() -> None:
    """The methods add no field to the documents."""
    again = msgspec.json.decode(encode(samples.profile()), type=Profile)
    assert again == samples.profile()
    assert "to_rows" not in msgspec.json.decode(encode(samples.profile()))


def _run_examples(blocks: list[str], folder: Path) -> None:
    tiny_models.mlp(folder / "model.onnx", batch="batch")
    script = folder / "page.py"
    script.write_text("\n".join(blocks))
    done = subprocess.run(
        [sys.executable, script], cwd=folder, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def _examples(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page, re.DOTALL)


def test_the_examples_of_the_page_run(tmp_path: Path) -> None:
    static, heading, _ = PAGE.read_text("utf-8").partition("## Measure")
    assert heading
    assert len(_examples(static)) == 5
    _run_examples(_examples(static), tmp_path)


@pytest.mark.slow
def test_all_examples_of_the_page_run(tmp_path: Path) -> None:
    _run_examples(_examples(PAGE.read_text("utf-8")), tmp_path)
