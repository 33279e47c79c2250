"""Words and literals of the files to deploy: names stay names, figures are the answer's."""

from __future__ import annotations

import ast
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from feasibility.deploy.literals import (
    cpp_literal,
    javascript_literal,
    kotlin_literal,
    python_literal,
    swift_literal,
)
from feasibility.deploy.loading_code import LANGUAGES, loading_code
from feasibility.deploy.model_card import code_span, model_card
from feasibility.deploy.unset_options import unset_in_swift
from feasibility.deploy.write_deployment import session_options
from feasibility.records.drift import OutputDrift
from feasibility.records.fit import Fit, FitCandidate, FitFigures
from feasibility.records.shared_fields import Notice
from feasibility.records.workload import STEADY_ENVIRONMENT, RuntimeSettings
from feasibility.units import MIB
from tests.deploy_samples import HOSTILE_NAMES, drifted, fit, inputs_of, profile

PROFILE = profile(inputs_of(("x",)))
NAMES = ("model.onnx", "model.onnx.data")


def card(result: Fit, unset: str = "") -> str:
    assert result.chosen is not None
    options = session_options(NAMES, result, PROFILE)
    return model_card(result, result.chosen, options, PROFILE, unset)


def cpp_value(literal: str) -> str:
    plain = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), literal[1:-1])
    return plain.encode("latin-1").decode()


def kotlin_value(literal: str) -> str:
    units = re.sub(r"\\u([0-9a-f]{4})", lambda found: chr(int(found[1], 16)), literal[1:-1])
    return units.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def swift_value(literal: str) -> str:
    return re.sub(r"\\u\{([0-9a-f]+)\}", lambda found: chr(int(found[1], 16)), literal[1:-1])


@given(st.one_of(st.text(), st.sampled_from(HOSTILE_NAMES)))
def test_literals_keep_any_text(text: str) -> None:
    """Each literal is printable ASCII on one line, cannot end early, and has the same value."""
    assert ast.literal_eval(python_literal(text)) == text
    assert json.loads(javascript_literal(text)) == text
    for literal, value in (
        (cpp_literal(text), cpp_value),
        (kotlin_literal(text), kotlin_value),
        (swift_literal(text), swift_value),
    ):
        assert value(literal) == text
        assert re.fullmatch(r'"(\\([0-7]{3}|u[0-9a-f]{4}|u\{[0-9a-f]+\})|[^"\\$])*"', literal)
    for write in (python_literal, javascript_literal, cpp_literal, kotlin_literal, swift_literal):
        assert write(text).isascii()
        assert write(text).isprintable()


def test_swift_has_no_lone_surrogates() -> None:
    """Its compiler refuses them."""
    assert swift_literal("a\ud800b") == r'"a\u{fffd}b"'


@pytest.mark.parametrize("name", [*HOSTILE_NAMES, "``", "`a``b`", "a|b", ""])
def test_code_in_a_table_ends_where_it_should(name: str) -> None:
    """The fence is longer than any run of backticks inside, and no pipe starts a cell."""
    span = code_span(name)
    fence = re.match("`+", span)
    assert fence is not None
    inside = span[len(fence[0]) : -len(fence[0])]
    assert fence[0] not in re.findall("`+", inside)
    assert re.search(r"(?<!\\)\|", span) is None
    assert span.isprintable()


def test_the_card_has_the_figures_before_and_after() -> None:
    """With the changes and their cost, and how to set what no file can."""
    text = card(fit(PROFILE))
    assert "| load peak | 1.76 GiB | 344 MiB | 0.191x |" in text
    assert "| floor (must stay in memory) | 1.22 GiB | 333 MiB | 0.267x |" in text
    assert "| median latency | 60 ms | 64 ms | 1.07x |" in text
    assert "Peaks before: default allocator of glibc" in text
    assert "identical to those of the original bit by bit (1 input)." in text
    assert "* **external data**: the weights are in a file beside the model" in text
    assert "set `MALLOC_TRIM_THRESHOLD_=131072` before the process starts" in text
    assert "onnxruntime 1.31.1" in text
    assert "$" not in text


def test_the_card_says_what_the_default_allocator_needs() -> None:
    """Where the trim threshold is not among the changes."""
    text = card(fit(PROFILE, changes=("external-data",), settings=RuntimeSettings()))
    assert "No environment variable is needed." in text
    assert "With the default allocator of glibc, the process needs up to 457 MiB" in text
    assert "needs up to" not in card(fit(PROFILE))


def test_the_card_states_drift_per_output() -> None:
    """Names of outputs are code."""
    worst = OutputDrift(
        name="a|`b`",
        max_difference=0.5,
        mean_difference=0.1,
        relative_ratio=0.0123,
        cosine=0.99987,
        top1_ratio=0.75,
    )
    text = card(drifted(fit(PROFILE), worst))
    assert "differ from those of the original by at most 1.23 % of the largest value (3 inp" in text
    assert (
        "* `` a\\|`b` ``: at most 1.23 %, cosine similarity 0.9998, "
        "same largest element in 75 % of the rows"
    ) in text


def test_the_card_states_what_was_not_measured() -> None:
    """A missing figure is no zero, and a comparison that was not made is said."""
    result = fit(PROFILE)
    assert result.chosen is not None
    bare = replace(
        result,
        chosen=replace(result.chosen, drift=None, measured=None, changes=()),
        proof_outcome="thrashed",
        warnings=(Notice(code="seeded", message="Samples were\x1b made up."),),
    )
    text = card(bare)
    assert "| load peak | 1.76 GiB | not measured |  |" in text
    assert "were not compared" in text
    assert "None: this is the original model." in text
    assert "Each run reads evicted pages again" in text
    assert "* Samples were\\x1b made up." in text


def test_what_swift_cannot_set_is_said_with_its_cost() -> None:
    """The measured candidate with the arena on tells the difference."""
    settings = RuntimeSettings(arena=False, memory_pattern=False, environment=STEADY_ENVIRONMENT)
    result = fit(PROFILE, changes=("external-data", "arena-off"), settings=settings)
    assert result.chosen is not None
    assert unset_in_swift(result, result.chosen).endswith("is higher than measured.")
    on = FitFigures(load_peak_bytes=MIB, inference_peak_bytes=400 * MIB)
    other = FitCandidate(changes=("external-data",), status="misses", measured=on)
    told = unset_in_swift(replace(result, candidates=(other, result.chosen)), result.chosen)
    assert told == (
        "In the measurement, arena and memory pattern were off. Swift and Objective-C cannot turn "
        "them off; C++ can. With Swift, the inference peak is 400 MiB instead of 344 MiB."
    )
    options = session_options(NAMES, result, PROFILE)
    swift = loading_code("LoadModel.swift", options, (), told)
    assert "// In the measurement, arena and memory pattern were off. Swift" in swift
    assert told in card(result, told)
    assert unset_in_swift(fit(PROFILE), result.chosen) == ""


@pytest.mark.parametrize("name", LANGUAGES)
def test_every_option_is_in_every_language(name: str) -> None:
    """Two settings that differ in one option give two texts, but for the arena in Swift."""
    unset = {"arena", "memory_pattern"} if name == "LoadModel.swift" else set()
    in_process = set() if name in ("load_model.py", "load_model.cpp") else {"environment"}

    def text(settings: RuntimeSettings) -> str:
        return loading_code(
            name, session_options(NAMES, fit(PROFILE, settings=settings), PROFILE), (), ""
        )

    changed = {
        "optimization_level": RuntimeSettings(optimization_level="disabled"),
        "prepacking": RuntimeSettings(prepacking=False),
        "arena": RuntimeSettings(arena=False),
        "memory_pattern": RuntimeSettings(memory_pattern=False),
        "environment": RuntimeSettings(environment=STEADY_ENVIRONMENT),
    }
    assert changed.keys() == set(RuntimeSettings.__struct_fields__)
    plain = text(RuntimeSettings())
    same = {option for option, settings in changed.items() if text(settings) == plain}
    assert same == unset | in_process


def test_a_version_cannot_end_a_comment() -> None:
    """It can come from another machine."""
    hostile = replace(
        PROFILE, host=replace(PROFILE.host, libraries={"onnxruntime": '1"""\nimport os'})
    )
    options = session_options(NAMES, fit(hostile), hostile)
    assert "with ONNX Runtime 1????import?os" in loading_code("load_model.py", options, (), "")
