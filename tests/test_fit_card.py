"""Words and literals of the files to deploy: names stay names, figures are the answer's."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from msgspec.structs import replace

from feasibility.deploy.example_inputs import JAVASCRIPT
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
from feasibility.deploy.write_deployment import session_options, write_deployment
from feasibility.records.drift import OutputDrift
from feasibility.records.fit import Fit, FitCandidate, FitFigures, FitTargets
from feasibility.records.shared_fields import Notice
from feasibility.records.workload import STEADY_ENVIRONMENT, Fill, InputSpec, RuntimeSettings
from feasibility.text import safe_text
from feasibility.units import MIB, MILLISECOND_NS
from tests.deploy_samples import (
    HOSTILE_NAMES,
    drifted,
    fit,
    inputs_of,
    model_with_inputs,
    profile,
)

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


def parsed(text: str) -> list[Token]:
    return MarkdownIt("gfm-like", {"linkify": False}).parse(text)


@pytest.mark.parametrize("name", [*HOSTILE_NAMES, "``", "`a``b`", "a|b", "\\|", " x ", "<b>"])
def test_code_in_a_table_ends_where_it_should(name: str) -> None:
    """It stays in its cell, and is the name."""
    tokens = parsed(f"| a | b |\n|---|---|\n| x | {code_span(name)} |\n")
    cells = [token.children or [] for token in tokens if token.type == "inline"]
    assert len(cells) == 4
    assert {each.type for each in cells[3]} <= {"code_inline", "html_inline", "text"}
    tags = [each.content for each in cells[3] if each.type == "html_inline"]
    assert tags in ([], ["<code>", "</code>"])
    assert "".join(each.content for each in cells[3] if each.content not in tags) == safe_text(name)


NAMES_WITH_MARKUP = (
    "[click](http://evil.com)",
    "![x](http://evil.com/x.png)",
    "<img src=x onerror=alert(1)>",
    "**bold** _it_ ~~gone~~",
    "| a | b |",
    "# title",
    "- item",
    "www.evil.com @everyone",
)


@pytest.mark.parametrize("name", [*NAMES_WITH_MARKUP, *HOSTILE_NAMES])
def test_nothing_in_the_card_is_markup_out_of_a_name(name: str) -> None:
    """Names are those of the model, its inputs, the machine that sent figures, and in warnings."""

    def card_with(name: str) -> str:
        of = profile(inputs_of((name,)))
        host = replace(of.host, cpu=name, os=name, arch=name, python=name, libraries={name: name})
        of = replace(of, host=host)
        notice = Notice(code="seeded", message=name)
        result = replace(fit(of, original=f"a/{name}"), warnings=(notice,), loads_on=(name, name))
        assert result.chosen is not None
        options = session_options((name,), result, of)
        return model_card(result, result.chosen, options, of, "")

    found, plain = parsed(card_with(name)), parsed(card_with("x"))
    assert [each.type for each in found] == [each.type for each in plain]
    inline = [child for token in found for child in token.children or ()]
    assert {each.type for each in inline} <= {
        "text", "text_special", "code_inline", "html_inline", "softbreak",
        "strong_open", "strong_close",
    }  # fmt: skip
    assert sum(each.type == "strong_open" for each in inline) == 2  # the changes
    assert {each.content for each in inline if each.type == "html_inline"} <= {"<code>", "</code>"}
    outside = re.sub("`[^`]*`|<code>.*?</code>", "", card_with(name))
    assert re.search(r"www\.|@", outside) is None


def test_the_card_has_the_figures_before_and_after() -> None:
    """With the changes and their cost, and how to set what no file can."""
    text = card(fit(PROFILE))
    assert "| load peak | 1.76 GiB | 344 MiB | 0.191x | at most 400 MiB |" in text
    assert "| floor (must stay in memory) | 1.22 GiB | 333 MiB | 0.267x |  |" in text
    assert "| median time of one run | 60 ms | 64 ms | 1.07x |  |" in text
    assert "peaks before the changes were measured with the default allocator of glibc" in text
    assert "identical to those of the original bit by bit (1 input)." in text
    assert "* **external data**: the weights are in a file beside the model" in text
    assert "set `MALLOC_TRIM_THRESHOLD_=131072` before the process starts" in text
    assert "onnxruntime 1.31.1" in text
    assert "$" not in text


def test_the_card_has_all_targets() -> None:
    """Beside the figures that they are compared with."""
    wanted = FitTargets(
        floor_bytes=350 * MIB, latency_ratio=1.5, size_bytes=2000 * MIB, drift_ratio=0.05
    )
    worst = OutputDrift(name="y", max_difference=0.5, mean_difference=0.1, relative_ratio=0.0123)
    text = card(
        replace(drifted(fit(PROFILE), worst), requirements=wanted, proof_outcome="survived")
    )
    assert "| inference peak | 1.22 GiB | 344 MiB | 0.274x |  |" in text
    assert "| floor (must stay in memory) | 1.22 GiB | 333 MiB | 0.267x | at most 350 MiB |" in text
    assert "| median time of one run | 60 ms | 64 ms | 1.07x | at most 1.5x |" in text
    assert "| size of all files | 1.03 GiB | 1.03 GiB | 1x | at most 1.95 GiB |" in text
    assert "1.23 % of the largest value (3 inputs; target: at most 5 %)." in text
    assert (
        "With 350 MiB above the baseline, enforced by the kernel, the model runs without a slow"
        in text
    )


def test_the_card_has_the_figures_on_the_device() -> None:
    """They are what the targets of memory and time are for."""
    result = fit(PROFILE)
    assert result.chosen is not None
    chosen = replace(
        result.chosen, device_memory_bytes=380 * MIB, device_latency_ns=900 * MILLISECOND_NS
    )
    wanted = FitTargets(
        memory_bytes=400 * MIB,
        latency_ns=1000 * MILLISECOND_NS,
        device="rpi_5",
        device_limit_bytes=7000 * MIB,
    )
    text = card(replace(result, requirements=wanted, chosen=chosen))
    assert (
        "| memory with the runtime on `rpi_5`, projected | not measured | 380 MiB |  | "
        "at most 400 MiB + runtime; at most 6.84 GiB |"
    ) in text
    assert (
        "| time of one run on `rpi_5`, projected | not measured | 900 ms |  | at most 1 s |" in text
    )
    assert "| load peak | 1.76 GiB | 344 MiB | 0.191x |  |" in text
    assert "| median time of one run | 60 ms | 64 ms | 1.07x |  |" in text
    assert "Projected memory is the upper end of its interval" in text
    assert "80 %" not in card(result)


def test_the_card_asks_for_a_test_with_real_inputs() -> None:
    """If random inputs were used where the arithmetic changed."""
    worst = OutputDrift(name="y", max_difference=0.5, mean_difference=0.1, relative_ratio=0.01)
    result = drifted(fit(PROFILE), worst)
    assert "random numbers" not in card(result)
    seeded = replace(result, warnings=(Notice(code="seeded-samples", message="seeded"),))
    assert "**These inputs were random numbers: test the accuracy with real inputs" in card(seeded)


def test_the_card_says_what_the_inputs_were() -> None:
    """A flag or a rate that was constant, numbers of words, and what was left out."""
    fills = (
        (InputSpec(name="a", dtype="float32", shape=(1, 4)), "1 x 4: 0 to 1"),
        (
            InputSpec(
                name="b", dtype="int64", shape=(2,), fill=Fill(kind="integers", high=1234567)
            ),
            "2: 0 to 1234567",
        ),
        (
            InputSpec(name="c", dtype="int64", shape=(), fill=Fill(kind="constant", low=16000)),
            "scalar: 16000",
        ),
        (
            InputSpec(name="d", dtype="int64", shape=(3,), fill=Fill(kind="constant", low=1)),
            "3: all 1",
        ),
        (
            InputSpec(name="e", dtype="int64", shape=(3,), fill=Fill(kind="file", path="/x|.npy")),
            "3: from a file",
        ),
        (InputSpec(name="f", dtype="int64", shape=(), fill=Fill(kind="absent")), "left out"),
    )
    of = profile(tuple(spec for spec, _ in fills))
    result = fit(of)
    assert result.chosen is not None
    text = model_card(result, result.chosen, session_options(NAMES, result, of), of, "")
    for spec, told in fills:
        assert f"| input | `{spec.name}` | `{spec.dtype}` | `N x 4` | {told} |" in text


def test_python_code_in_the_card_runs(tmp_path: Path) -> None:
    """As a reader would copy it."""
    model = model_with_inputs(tmp_path / "m.onnx", ("x",), data_name="m.data")
    of = profile(inputs_of(("x",)))
    write_deployment(tmp_path / "out", model, fit(of), of, force=False)
    text = (tmp_path / "out" / "MODELCARD.md").read_text(encoding="utf-8")
    (code,) = [token.content for token in parsed(text) if token.type == "code_block"]
    child = subprocess.run(
        [sys.executable, "-c", f"{code}\nprint([each.shape for each in outputs])"],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
        env={"PYTHONPATH": str(tmp_path / "out")},
    )
    assert (child.stdout, child.stderr) == ("[(256, 4)]\n", "")


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
        "* <code>a&#124;&#96;b&#96;</code>: at most 1.23 %, cosine similarity 0.9998, "
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
    assert "| load peak | 1.76 GiB | not measured |  | at most 400 MiB |" in text
    assert "were not compared" in text
    assert "* none: this is the original model\n" in text
    assert (
        "* With 400 MiB above the baseline, enforced by the kernel, the model runs, but thrashes:"
        in text
    )
    assert "* Samples were&#92;x1b made up." in text


def test_the_card_says_which_run_was_emulated() -> None:
    result = fit(PROFILE)
    assert "* Loaded and run on: `x86_64`. Test it" in card(result)
    both = card(replace(result, loads_on=("x86_64", "aarch64")))
    assert "* Loaded and run on: `x86_64`; under emulation: `aarch64`. Test it" in both


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


# Lines that set an option: as the runtime does by default, and changed.
OPTION_LINES = {
    "load_model.py": (
        (
            "options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL",
            "options.enable_cpu_mem_arena = True",
            "options.enable_mem_pattern = True",
            "CONFIG_ENTRIES: dict[str, str] = {}",
            "TRIM_THRESHOLD_BYTES = 0",
        ),
        (
            "options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL",
            "options.enable_cpu_mem_arena = False",
            "options.enable_mem_pattern = False",
            'CONFIG_ENTRIES: dict[str, str] = {"session.disable_prepacking": "1"}',
            "TRIM_THRESHOLD_BYTES = 131072",
        ),
    ),
    "load_model.cpp": (
        (
            "options.SetGraphOptimizationLevel(ORT_ENABLE_ALL);",
            "options.EnableCpuMemArena();",
            "options.EnableMemPattern();",
            "static const std::vector<std::pair<std::string, std::string>> kConfigEntries = {};",
            "static const int kTrimThresholdBytes = 0;",
        ),
        (
            "options.SetGraphOptimizationLevel(ORT_DISABLE_ALL);",
            "options.DisableCpuMemArena();",
            "options.DisableMemPattern();",
            "static const std::vector<std::pair<std::string, std::string>> kConfigEntries = "
            '{{"session.disable_prepacking", "1"}};',
            "static const int kTrimThresholdBytes = 131072;",
        ),
    ),
    "LoadModel.kt": (
        (
            "options.setOptimizationLevel(OrtSession.SessionOptions.OptLevel.ALL_OPT)",
            "options.setCPUArenaAllocator(true)",
            "options.setMemoryPatternOptimization(true)",
            "private val configEntries: Map<String, String> = emptyMap()",
        ),
        (
            "options.setOptimizationLevel(OrtSession.SessionOptions.OptLevel.NO_OPT)",
            "options.setCPUArenaAllocator(false)",
            "options.setMemoryPatternOptimization(false)",
            "private val configEntries: Map<String, String> = "
            'mapOf("session.disable_prepacking" to "1")',
        ),
    ),
    # Swift cannot set the arena and the memory pattern.
    "LoadModel.swift": (
        (
            "try options.setGraphOptimizationLevel(ORTGraphOptimizationLevel.all)",
            "static let configEntries: [String: String] = [:]",
        ),
        (
            "try options.setGraphOptimizationLevel(ORTGraphOptimizationLevel.none)",
            'static let configEntries: [String: String] = ["session.disable_prepacking": "1"]',
        ),
    ),
    "load_model.mjs": (
        (
            'graphOptimizationLevel: "all",',
            "enableCpuMemArena: true,",
            "enableMemPattern: true,",
            "extra: {},",
        ),
        (
            'graphOptimizationLevel: "disabled",',
            "enableCpuMemArena: false,",
            "enableMemPattern: false,",
            'extra: { "session.disable_prepacking": "1" },',
        ),
    ),
}
THREADS = {
    "load_model.py": "options.intra_op_num_threads = 2",
    "load_model.cpp": "options.SetIntraOpNumThreads(2);",
    "LoadModel.kt": "options.setIntraOpNumThreads(2)",
    "LoadModel.swift": "try options.setIntraOpNumThreads(2)",
    "load_model.mjs": "ort.env.wasm.numThreads = 2;",
}
CHANGED = RuntimeSettings(
    optimization_level="disabled",
    prepacking=False,
    arena=False,
    memory_pattern=False,
    environment=STEADY_ENVIRONMENT,
)


@pytest.mark.parametrize("name", LANGUAGES)
def test_every_option_is_set_in_every_language(name: str) -> None:
    """By whole lines: the line of the one value is there, and that of the other is not."""
    of = profile(inputs_of(("x",)), threads=2)
    for index, settings in enumerate((RuntimeSettings(), CHANGED)):
        options = session_options(NAMES, fit(of, settings=settings), of)
        lines = [line.strip() for line in loading_code(name, options, (), "").splitlines()]
        for line in (*OPTION_LINES[name][index], THREADS[name]):
            assert lines.count(line) == 1, line
        for line in OPTION_LINES[name][1 - index]:
            assert line not in lines


def test_no_setting_is_left_out_above() -> None:
    """Optimisation level, arena, memory pattern, prepacking, and the trim threshold of glibc."""
    assert CHANGED.__struct_fields__ == (
        "optimization_level", "prepacking", "arena", "memory_pattern", "environment",
    )  # fmt: skip
    assert OPTION_LINES.keys() == THREADS.keys() == LANGUAGES.keys()


needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


def node(*arguments: str) -> str:
    child = subprocess.run(
        ["node", *arguments], capture_output=True, check=False, text=True, timeout=60
    )
    assert child.returncode == 0, child.stderr
    return child.stdout


@needs_node
def test_javascript_is_valid_with_any_names_and_types(tmp_path: Path) -> None:
    of = profile(inputs_of(HOSTILE_NAMES))
    inputs = (
        *of.workload.inputs,
        *(
            InputSpec(name=f"* / {dtype}\n", dtype=dtype, shape=shape)
            for dtype in (*JAVASCRIPT, "bfloat16")
            for shape in ((), (2, 0), (2, 3))
        ),
    )
    options = session_options(HOSTILE_NAMES[:2], fit(of, settings=CHANGED), of)
    path = tmp_path / "load_model.mjs"
    path.write_text(loading_code("load_model.mjs", options, inputs, ""))
    node("--check", str(path))


@needs_node
def test_javascript_has_the_options_and_the_inputs(tmp_path: Path) -> None:
    """As a program gets them that imports the file, with a stand-in for the runtime."""
    of = profile(inputs_of(HOSTILE_NAMES), threads=2)
    options = session_options(NAMES, fit(of, settings=CHANGED), of)
    path = tmp_path / "load_model.mjs"
    path.write_text(loading_code("load_model.mjs", options, of.workload.inputs, ""))
    program = """
    const loading = await import(process.argv[2]);
    class Tensor { constructor(type, data, dims) { Object.assign(this, {type, data, dims}); } }
    const created = [];
    const InferenceSession = {create: async (...given) => created.push(given)};
    await loading.loadModel({Tensor, InferenceSession});
    const inputs = Object.entries(loading.exampleInputs({Tensor}));
    console.log(JSON.stringify({
      created, inputs: inputs.map(([name, {type, data, dims}]) => [name, type, [...data], dims]),
    }));
    """
    found = json.loads(node("--input-type=module", "-e", program, "not a file", str(path)))
    assert found["created"] == [
        [
            str(tmp_path / "model.onnx"),
            {
                "graphOptimizationLevel": "disabled",
                "enableCpuMemArena": False,
                "enableMemPattern": False,
                "intraOpNumThreads": 2,
                "extra": {"session.disable_prepacking": "1"},
                "executionProviders": ["cpu"],
            },
        ]
    ]
    assert found["inputs"] == [[name, "float32", [0.5] * 4, [1, 4]] for name in HOSTILE_NAMES]


def test_a_version_cannot_end_a_comment() -> None:
    """It can come from another machine."""
    hostile = replace(
        PROFILE, host=replace(PROFILE.host, libraries={"onnxruntime": '1"""\nimport os'})
    )
    options = session_options(NAMES, fit(hostile), hostile)
    assert "with ONNX Runtime 1????import?os" in loading_code("load_model.py", options, (), "")
