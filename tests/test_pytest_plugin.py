"""The pytest plugin in test runs of its own."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import pytest

from feasibility.pytest_plugin import MAX_FAILURE_LINES
from tests.tiny_models import mlp

pytest_plugins = ["pytester"]

# In an installed checkout the entry point brings the plugin; twice is once too often.
IS_INSTALLED = any(
    point.value == "feasibility.pytest_plugin"
    for point in importlib.metadata.entry_points(group="pytest11")
)
PLUGIN = () if IS_INSTALLED else ("-p", "feasibility.pytest_plugin")


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    """Runs tests of this text beside a small model, with a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(pytester.path / "cache"))
    mlp(pytester.path / "a.onnx", width=64, layers=2)

    def call(text: str, *args: str) -> pytest.RunResult:
        pytester.makepyfile(f"import pytest\n\n{text}")
        return pytester.runpytest_inprocess(*PLUGIN, "-q", "--strict-markers", *args)

    return call


def test_a_budget_that_is_kept_lets_the_test_run(run) -> None:
    result = run(
        """
@pytest.mark.model_budget(model="a.onnx", file_size="1MiB", peak="100MiB", operators=["*"])
def test_model():
    raise ValueError("the body ran")
"""
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*ValueError: the body ran*", "*= model budgets =*", "kept * a.onnx: file size is *"]
    )


def test_a_broken_budget_fails_in_a_few_lines(run) -> None:
    """With what the model is made of, and without the body of the test."""
    result = run(
        """
@pytest.mark.model_budget("a.onnx", file_size="1KiB", parameters=10)
def test_model():
    raise ValueError("the body ran")
"""
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*file size is * more than 1KiB*", "*initializer w0: 16 KiB*"])
    text = result.stdout.str()
    assert "the body ran" not in text
    failure = text.split("test_model ___")[1].split("= model budgets =")[0]
    assert failure.count("\n") <= MAX_FAILURE_LINES + 3


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ('"a.onnx", peek="1MiB"', "line 3, peek: unknown key; did you mean 'peak'"),
        ('"a.onnx", peak="lots"', "cannot read the limit*lots"),
        ('peak="1MiB"', "it needs one model"),
        ('"none.onnx", peak="1MiB"', "there is no such file"),
    ],
)
def test_a_wrong_marker_fails_its_test_with_one_message(run, marker: str, message: str) -> None:
    result = run(f"@pytest.mark.model_budget({marker})\ndef test_model(): pass\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*{message}*"])
    assert "Traceback" not in result.stdout.str()


def test_what_is_inconclusive_fails_only_if_strict(run) -> None:
    marker = '@pytest.mark.model_budget("a.onnx", file_size="+1%"{})\ndef test_model(): pass\n'
    run(marker.format("")).assert_outcomes(passed=1)
    run(marker.format(", strict=True")).assert_outcomes(failed=1)


def test_the_fixture_measures_once(run) -> None:
    """Two tests share a profile, and read its figures as attributes."""
    run(
        """
profiles = []

@pytest.mark.parametrize("number", [1, 2])
def test_model(feasibility, number):
    profiles.append(feasibility("a.onnx", run_count=3))
    assert profiles[0] is profiles[-1]
    assert profiles[0].memory.load_peak_bytes < 100 * 2**20
    assert len(profiles[0].latency.samples_ns) == 3
"""
    ).assert_outcomes(passed=2)


def test_it_is_off_until_it_is_used(run) -> None:
    """No section, no import of what takes time."""
    result = run("def test_model(): pass\n")
    result.assert_outcomes(passed=1)
    assert "model budgets" not in result.stdout.str()
    script = "import json, sys, feasibility.pytest_plugin; print(json.dumps(sorted(sys.modules)))"
    modules = set(json.loads(subprocess.check_output([sys.executable, "-c", script])))
    assert modules.isdisjoint({"numpy", "onnx", "onnxruntime", "memray", "rich", "msgspec"})


def test_the_summary_survives_a_worker(tmp_path: Path) -> None:
    """What a worker of xdist sends is text, which any serialiser takes."""
    import feasibility.pytest_plugin as plugin
    from tests.budget_samples import broken_model, report

    lines = plugin._report_lines(report(broken_model()))
    assert json.loads(json.dumps(lines)) == lines
    assert lines[0].startswith("BROKEN       models/a.onnx: file size is 30 MiB")
