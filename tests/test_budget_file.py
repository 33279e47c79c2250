"""Budget files: what they may say, and errors with file, line and key."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feasibility.budget.budget_file import (
    BudgetedWorkload,
    DeviceRule,
    DriftRule,
    OperatorRule,
    find_config,
    parse_config,
)
from feasibility.budget.budgeted_models import budgeted_models
from feasibility.budget.parse_limit import Limit, parse_limit
from feasibility.errors import ConfigError, UsageError

WHOLE = """\
baseline = "ci/profiles"
dedicated_runner = true

[[budget]]
model = "models/*.onnx"
file_size = ["+5%", "20MiB"]
peak = "+512KiB"
latency = "50ms"
parameters = 25_000_000
floor = "device:rpi_4b"
operators = ["Conv", "com.acme:Special"]
dims = { batch = 4 }
inputs = "inputs.npz"
threads = 2
drift = { limit = "0.5%", reference = "models/fp32.onnx" }

[budget.devices]
rpi_4b = "tight"

[[budget]]
model = "other.onnx"
flops = "4.1G"
[budget.operators]
cpu = ["Shape"]
"""


def test_a_whole_file_is_read() -> None:
    """Every kind of key arrives with its line."""
    config = parse_config(WHOLE, Path("sub/feasibility.toml"))
    first, second = config.budgets
    assert config.baseline == Path("sub/ci/profiles")
    assert config.is_dedicated
    assert dict(first.limits) == {
        "file_size": (
            Limit("+5%", "ratio", ratio=0.05, line=6),
            Limit("20MiB", "absolute", value=20 * 2**20, line=6),
        ),
        "parameters": (Limit("25000000", "absolute", value=25_000_000, line=9),),
        "peak": (Limit("+512KiB", "amount", value=512 * 1024, line=7),),
        "floor": (Limit("device:rpi_4b", "device", device="rpi_4b", line=10),),
        "latency": (Limit("50ms", "absolute", value=50_000_000, line=8),),
    }
    assert first.operators == (OperatorRule(None, ("Conv", "com.acme:Special"), 11),)
    assert first.devices == (DeviceRule("rpi_4b", "tight", 18),)
    assert first.workload == BudgetedWorkload(
        dims={"batch": 4}, inputs=Path("sub/inputs.npz"), threads=2
    )
    assert first.drift == DriftRule(0.005, "models/fp32.onnx", 15)
    assert second.operators == (OperatorRule("cpu", ("Shape",), 24),)
    assert second.limits["flops"][0].value == 4_100_000_000


def test_pyproject_holds_the_same_under_its_own_table() -> None:
    text = '[project]\nname = "a"\n\n[[tool.feasibility.budget]]\nmodel = "a.onnx"\npeak = "+1%"\n'
    config = parse_config(text, Path("pyproject.toml"))
    assert config.budgets[0].limits["peak"] == (Limit("+1%", "ratio", ratio=0.01, line=6),)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[[budget]\n", "line 1"),
        ('[[budget]]\nmodel = "a"\n<<<<<<< HEAD\npeak = "1MiB"\n', "line 3"),
        ("", "it has no [[budget]]"),
        (
            '[[budget]]\nmodel = "a"\npeek = "1MiB"\n',
            "line 3, budget[1].peek: unknown key; did you",
        ),
        ('budgets = 1\n[[budget]]\nmodel = "a"\n', "line 1, budgets: unknown key; did"),
        ('[[budget]]\npeak = "1MiB"\n', "line 1, budget[1].model: missing"),
        ('\n[[budget]]\nmodel = "a"\n', "line 3, budget[1].model: the budget states no limit"),
        (
            '[[budget]]\nmodel = "a"\n\npeak = "lots"\n',
            "line 4, budget[1].peak: cannot read the limit",
        ),
        (
            '[[budget]]\nmodel = "a"\npeak = 200\n',
            "line 3, budget[1].peak: cannot read the limit 200",
        ),
        (
            '[[budget]]\nmodel = "a"\nlatency = "5MiB"\n',
            "line 3, budget[1].latency: cannot read the limit",
        ),
        (
            '[[budget]]\nmodel = "a"\nlatency = "device:pi"\n',
            "line 3, budget[1].latency: cannot read the",
        ),
        (
            '[[budget]]\nmodel = "a"\npeak = "-5%"\n',
            "line 3, budget[1].peak: cannot read the limit",
        ),
        (
            '[[budget]]\nmodel = "a"\nthreads = 0\n',
            "line 3, budget[1].threads: expected a whole number, 1",
        ),
        (
            '[[budget]]\nmodel = "a"\nthreads = true\n',
            "line 3, budget[1].threads: expected a whole number",
        ),
        ('[[budget]]\nmodel = "a"\ndims = 3\n', "line 3, budget[1].dims: expected a table"),
        ('[[budget]]\nmodel = "a"\ndevices = { pi = "yes" }\n', "pi: expected one of fits"),
        (
            '[[budget]]\nmodel = "a"\noperators = "Conv"\n',
            "line 3, budget[1].operators: expected a list",
        ),
        ('[[budget]]\nmodel = "a"\ndrift = 1\n', "line 3, budget[1].drift: expected a share"),
        ("budget = 3\n", "line 1, budget: expected one or more [[budget]] tables"),
        ('dedicated_runner = 1\n[[budget]]\nmodel = "a"\nflops = 1\n', "line 1, dedicated_runner"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, Path("feasibility.toml"))
    assert why in caught.value.why
    assert caught.value.hint


def test_a_conflict_in_the_file_is_called_one() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config("<<<<<<< HEAD\n", Path("feasibility.toml"))
    assert "conflict" in caught.value.hint


@given(st.text(max_size=40))
def test_no_text_crashes_the_parser(text: str) -> None:
    """Anything is a limit or an error of ours."""
    for unit in ("bytes", "ns", "count"):
        try:
            limit = parse_limit(text, unit)
        except UsageError:
            continue
        assert limit.kind in ("absolute", "ratio", "amount", "device")


@given(st.integers(0, 10**12), st.integers(0, 500))
def test_a_relative_limit_is_above_its_baseline(baseline: int, percent: int) -> None:
    assert parse_limit(f"+{percent}%", "bytes").above(baseline) == round(
        baseline * (1 + percent / 100)
    )
    assert parse_limit("+3B", "bytes").above(baseline) == baseline + 3


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    for name in ("a", "b"):
        (tmp_path / "models" / f"{name}.onnx").write_bytes(b"x")
    (tmp_path / ".git").mkdir()
    return tmp_path


def models_of(project: Path, text: str, *wanted: Path) -> list[str]:
    text = text.replace('.onnx"\n', '.onnx"\nfile_size = "1B"\n')
    config = parse_config(text, project / "feasibility.toml")
    return [model.name for model in budgeted_models(config, wanted)]


def test_a_glob_stands_for_all_that_it_matches(project: Path) -> None:
    text = '[[budget]]\nmodel = "models/*.onnx"\n'
    assert models_of(project, text) == ["models/a.onnx", "models/b.onnx"]
    assert models_of(project, text, project / "models/b.onnx") == ["models/b.onnx"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('[[budget]]\nmodel = "none/*.onnx"\n', "line 1: nothing matches 'none/*.onnx'"),
        ('[[budget]]\nmodel = "none.onnx"\n', "line 1: there is no file 'none.onnx'"),
        ('[[budget]]\nmodel = "../*.onnx"\n', "line 1: '../*.onnx' is outside"),
        (
            '[[budget]]\nmodel = "models/*.onnx"\n[[budget]]\nmodel = "models/a.onnx"\n',
            "the budgets of lines 1 and 4 both match 'models/a.onnx'",
        ),
    ],
)
def test_a_budget_that_checks_nothing_or_too_much_is_an_error(
    project: Path, text: str, why: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        models_of(project, text)
    assert why in caught.value.why


def test_a_wanted_model_without_a_budget_is_an_error(project: Path) -> None:
    with pytest.raises(ConfigError, match="no budget of"):
        models_of(project, '[[budget]]\nmodel = "models/a.onnx"\n', project / "models/b.onnx")


def test_the_nearest_file_is_found_up_to_the_repository(project: Path) -> None:
    """A pyproject.toml counts only with a table of ours; nothing above the repository does."""
    with pytest.raises(ConfigError, match="Cannot find a budget file"):
        find_config(project / "models")
    (project / "pyproject.toml").write_text("[project]\n")
    with pytest.raises(ConfigError, match="Cannot find a budget file"):
        find_config(project / "models")
    (project / "pyproject.toml").write_text("[tool.feasibility]\n")
    assert find_config(project / "models") == project / "pyproject.toml"
    (project / "feasibility.toml").write_text("")
    assert find_config(project / "models") == project / "feasibility.toml"
