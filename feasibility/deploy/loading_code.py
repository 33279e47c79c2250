"""Which code loads the model with its options, in each language?

The templates beside this module are the code; here are the spellings of each language. An
option that an interface does not have is named in a comment.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from string import Template
from typing import Final, NamedTuple

from feasibility.deploy import example_inputs
from feasibility.deploy.example_inputs import Elements, example_code
from feasibility.deploy.literals import (
    cpp_literal,
    javascript_literal,
    kotlin_literal,
    python_literal,
    swift_literal,
)
from feasibility.records.session_options import SessionOptions
from feasibility.records.workload import TRIM_THRESHOLD, InputSpec

_TEMPLATES: Final = Path(__file__).with_name("templates")


class Language(NamedTuple):
    """The spellings of one language.

    Attributes:
        literal: Writes a string literal.
        comment: Begins a comment that ends with the line.
        switches: Words for false and true of the arena, and of the memory pattern.
        levels: Words for the optimisation levels.
        entries: Opening, one entry, and closing of a map of strings; then an empty map.
        example: One line that adds an input.
        elements: Code of inputs by element type.
    """

    literal: Callable[[str], str]
    comment: str
    switches: tuple[tuple[str, str], tuple[str, str]]
    levels: Mapping[str, str]
    entries: tuple[str, str, str, str]
    example: str
    elements: Elements


_ORT_LEVELS: Final = {"all": "ORT_ENABLE_ALL", "disabled": "ORT_DISABLE_ALL"}
_LOWER_CASE: Final = (("false", "true"),) * 2
LANGUAGES: Final[dict[str, Language]] = {
    "load_model.py": Language(
        literal=python_literal,
        comment="#",
        switches=(("False", "True"),) * 2,
        levels=_ORT_LEVELS,
        entries=("{", "$key: $value", "}", "{}"),
        example="        $name: $value,",
        elements=example_inputs.PYTHON,
    ),
    "load_model.cpp": Language(
        literal=cpp_literal,
        comment="//",
        switches=(
            ("DisableCpuMemArena", "EnableCpuMemArena"),
            ("DisableMemPattern", "EnableMemPattern"),
        ),
        levels=_ORT_LEVELS,
        entries=("{", "{$key, $value}", "}", "{}"),
        example="  inputs.add($name, $value);",
        elements=example_inputs.CPP,
    ),
    "LoadModel.kt": Language(
        literal=kotlin_literal,
        comment="//",
        switches=_LOWER_CASE,
        levels={"all": "ALL_OPT", "disabled": "NO_OPT"},
        entries=("mapOf(", "$key to $value", ")", "emptyMap()"),
        example="        inputs[$name] = $value",
        elements=example_inputs.KOTLIN,
    ),
    "LoadModel.swift": Language(
        literal=swift_literal,
        comment="//",
        switches=_LOWER_CASE,
        levels={"all": "all", "disabled": "none"},
        entries=("[", "$key: $value", "]", "[:]"),
        example="        inputs[$name] = try $value",
        elements=example_inputs.SWIFT,
    ),
    "load_model.mjs": Language(
        literal=javascript_literal,
        comment="//",
        switches=_LOWER_CASE,
        levels={"all": '"all"', "disabled": '"disabled"'},
        entries=("{ ", "$key: $value", " }", "{}"),
        # With brackets, "__proto__" is a name like any other.
        example="    [$name]: $value,",
        elements=example_inputs.JAVASCRIPT,
    ),
}


def loading_code(
    file_name: str, options: SessionOptions, inputs: tuple[InputSpec, ...], unset: str
) -> str:
    """The text of one of `LANGUAGES`.

    Args:
        file_name: The file.
        options: The options that it sets.
        inputs: Inputs of the measurement.
        unset: What an interface without a switch for the arena cannot set; may be empty.
    """
    language = LANGUAGES[file_name]
    settings = options.settings
    arena, pattern = language.switches
    literal = language.literal
    template = (_TEMPLATES / f"{file_name}.template").read_text(encoding="utf-8")
    return Template(template).substitute(
        tool_version=_version(options.tool_version),
        runtime_version=_version(options.runtime_version),
        model=literal(options.model),
        data_files=f"[{', '.join(map(literal, options.data_files))}]",
        level=language.levels[settings.optimization_level],
        arena=arena[settings.arena],
        memory_pattern=pattern[settings.memory_pattern],
        threads=options.threads,
        config_entries=_entries(language, options.config_entries),
        trim_threshold=int(settings.environment.get(TRIM_THRESHOLD, "0")),
        inputs="\n".join(_example(language, spec) for spec in inputs),
        unset_options=textwrap.fill(
            unset,
            98,
            initial_indent=f"{language.comment} ",
            subsequent_indent=f"{language.comment} ",
        ),
    )


def _version(text: str) -> str:
    """A version that cannot end the comment that it is in."""
    return re.sub(r"[^\w.+-]", "?", text, flags=re.ASCII)


def _entries(language: Language, entries: Mapping[str, str]) -> str:
    opening, entry, closing, empty = language.entries
    if not entries:
        return empty
    parts = (
        Template(entry).substitute(key=language.literal(key), value=language.literal(value))
        for key, value in entries.items()
    )
    return f"{opening}{', '.join(parts)}{closing}"


def _example(language: Language, spec: InputSpec) -> str:
    """One line that adds an input, or a comment where it cannot be made."""
    name = language.literal(spec.name)
    value = example_code(spec, language.elements)
    if value is None:
        indent = language.example[: len(language.example) - len(language.example.lstrip())]
        kind = language.literal(spec.type_text or f"{spec.kind} of {spec.dtype}")
        return f"{indent}{language.comment} Add the input {name} here; its type is {kind}."
    return Template(language.example).substitute(name=name, value=value)
