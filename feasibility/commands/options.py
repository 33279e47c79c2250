"""Which options do several commands share, and how are their values read?"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, TypeAlias

from feasibility.commands.option_groups import argument, option, single_option
from feasibility.errors import UsageError
from feasibility.text import safe_text

if TYPE_CHECKING:
    from feasibility.measure.measure_options import MeasureOptions

INPUTS: Final = "Inputs of the model"
MEASURING: Final = "How to measure"
OUTPUT: Final = "Output"
# A week; the clocks of some systems end before infinity.
LONGEST_S: Final = 604_800.0

ModelArgument: TypeAlias = Annotated[Path, argument("MODEL", "An .onnx, .ort or .tflite file.")]
DimOption: TypeAlias = Annotated[
    list[str] | None,
    single_option(
        "--dim NAME=VALUE",
        "Size of a symbolic dim, for example batch=4; repeatable.",
        heading=INPUTS,
    ),
]
ThreadsOption: TypeAlias = Annotated[
    int, single_option("--threads N", "Intra-op threads.", min=1, heading=MEASURING)
]
TimeoutOption: TypeAlias = Annotated[
    float,
    single_option(
        "--timeout SECONDS",
        "Time limit of each measuring process.",
        min=0.1,
        max=LONGEST_S,
        heading=MEASURING,
    ),
]
EngineOption: TypeAlias = Annotated[
    str | None,
    single_option(
        "--engine NAME",
        "Engine that runs the model: onnxruntime, openvino, mnn, litert (for .tflite files); "
        "default: onnxruntime, or litert for .tflite files. docs/engines.md has all names.",
        heading=MEASURING,
    ),
]
ProviderOption: TypeAlias = Annotated[
    str,
    single_option("--provider NAME", "Execution provider, for example cuda.", heading=MEASURING),
]
OnOption: TypeAlias = Annotated[
    str | None,
    single_option(
        "--on RUNNER",
        "Machine to measure on: ssh:[USER@]HOST, docker:IMAGE, podman:IMAGE or "
        "emulate:aarch64; default: this machine.",
        heading=MEASURING,
    ),
]
HtmlOption: TypeAlias = Annotated[
    Path | None,
    single_option("--html FILE", "Also write one HTML file with tables and plots; opens offline."),
]
JsonOption: TypeAlias = Annotated[
    bool, single_option("--json", "Print one JSON document instead of the report.")
]
ForceOption: TypeAlias = Annotated[bool, single_option("--force", "Replace files that exist.")]
QuietOption: TypeAlias = Annotated[
    bool, single_option("--quiet -q", "Show no progress and no notes on stderr.")
]
DetailsOption: TypeAlias = Annotated[
    bool, single_option("--details", "Also show operators, phases, allocations and assumptions.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class InputOptions:
    """What the model is fed with."""

    heading: ClassVar = INPUTS

    dim: DimOption = None
    input_: list[str] | None = option(
        "--input NAME=FILE.npy", "Array for one input of the model; repeatable."
    )
    inputs: Path | None = option("--inputs FILE.npz", "Arrays for all inputs, by input name.")
    seed: int = option("--seed N", "Seed of generated inputs.", min=0, default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuringOptions:
    """How a model is run and timed."""

    heading: ClassVar = MEASURING

    warmup: int | None = option(
        "--warmup N", "Runs before the measured ones; default: automatic.", min=0
    )
    runs: int | None = option(
        "--runs N", "Measured runs; default: 10 to 100, until the median is steady.", min=1
    )
    timeout: TimeoutOption = 60.0
    provider: ProviderOption = "cpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions:
    """Where the result goes."""

    heading: ClassVar = OUTPUT

    json: JsonOption = False
    output: Path | None = option("--output -o FILE", "Also write the JSON document to this file.")
    html: HtmlOption = None
    force: ForceOption = False
    quiet: QuietOption = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions(OutputOptions):
    """Where the result goes, and how much the report shows."""

    details: DetailsOption = False


def parse_dims(texts: Iterable[str] | None) -> dict[str, int]:
    """Sizes by dim name from texts such as `batch=4`."""
    dims: dict[str, int] = {}
    # The last equals sign divides, because exporters name dims by expressions.
    for name, value in _pairs("--dim", texts, "batch=4", str.rpartition):
        if not (value.isascii() and value.isdigit()):
            raise UsageError(
                f"Cannot read --dim {safe_text(name)}={safe_text(value)}",
                "a size is a whole number, zero or more",
                "write for example --dim batch=4",
            )
        dims[name] = int(value)
    return dims


def measure_options(
    inputs: InputOptions,
    measuring: MeasuringOptions,
    threads: int,
    engine: str | None = None,
) -> MeasureOptions:
    """The options of a measurement."""
    from feasibility.measure.measure_options import MeasureOptions
    from feasibility.runners.engines import engine_named

    files = _pairs("--input", inputs.input_, "pixels=cat.npy", str.partition)
    return MeasureOptions(
        dims=parse_dims(inputs.dim),
        input_files={name: Path(value) for name, value in files},
        inputs_archive=inputs.inputs,
        threads=threads,
        warmup_count=measuring.warmup,
        run_count=measuring.runs,
        timeout_s=measuring.timeout,
        provider=measuring.provider,
        engine=None if engine is None else engine_named(engine),
        seed=inputs.seed,
    )


def positive_limit(option: str, text: str | None, parse: Callable[[str], int]) -> int | None:
    """The limit that was given; None if none was."""
    if text is None:
        return None
    limit = parse(text)
    if limit <= 0:
        raise UsageError(
            f"Cannot use {option} {safe_text(text, 40)}",
            "every model is over a limit of zero",
            "give a larger limit, or leave the option out",
        )
    return limit


def _pairs(
    option: str,
    texts: Iterable[str] | None,
    example: str,
    divide: Callable[[str, str], tuple[str, str, str]],
) -> tuple[tuple[str, str], ...]:
    """Name and value of each `NAME=VALUE`, every name once."""
    pairs: dict[str, str] = {}
    for text in texts or ():
        name, equals, value = divide(text, "=")
        if not (name and equals and value):
            raise UsageError(
                f"Cannot read {option} {safe_text(text)!r}",
                "it must be a name, an equals sign and a value",
                f"write for example {option} {example}",
            )
        if name in pairs:
            raise UsageError(
                f"Cannot read {option} {safe_text(text)!r}",
                f"{safe_text(name)!r} is given twice",
                "keep one of them",
            )
        pairs[name] = value
    return tuple(pairs.items())
