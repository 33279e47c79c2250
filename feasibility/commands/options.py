"""The options that several commands share, and what their texts mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from feasibility.errors import UsageError
from feasibility.text import safe_text

if TYPE_CHECKING:
    from feasibility.measure.measure_options import MeasureOptions

ModelArgument: TypeAlias = Annotated[
    Path, typer.Argument(metavar="MODEL", show_default=False, help="An .onnx or .ort file.")
]
DimOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--dim", metavar="NAME=N", help="Size of a symbolic dim; repeatable."),
]
InputOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--input", metavar="NAME=FILE.npy", help="Array for an input; repeatable."),
]
InputsOption: TypeAlias = Annotated[
    Path | None,
    typer.Option("--inputs", metavar="FILE.npz", help="Arrays for all inputs, by name."),
]
ThreadsOption: TypeAlias = Annotated[
    int, typer.Option("--threads", metavar="N", min=1, help="Intra-op threads.")
]
WarmupOption: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--warmup",
        metavar="N",
        min=0,
        help="Runs before the measured ones; as many as it takes if left out.",
    ),
]
RunsOption: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--runs",
        metavar="N",
        min=1,
        help="Measured runs; 10 to 100, until the median is steady, if left out.",
    ),
]
TimeoutOption: TypeAlias = Annotated[
    float,
    typer.Option("--timeout", metavar="SECONDS", min=0.1, help="Time limit of one pass."),
]
ProviderOption: TypeAlias = Annotated[
    str, typer.Option("--provider", metavar="NAME", help="Execution provider, for example cpu.")
]
SeedOption: TypeAlias = Annotated[
    int, typer.Option("--seed", metavar="N", min=0, help="Seed of the generated inputs.")
]
OnOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--on",
        metavar="RUNNER",
        help="Where to measure: ssh:[USER@]HOST, docker:IMAGE, podman:IMAGE, emulate:aarch64.",
    ),
]
JsonOption: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print one JSON document instead of the report.")
]
OutputOption: TypeAlias = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Also write the JSON document here."),
]
ForceOption: TypeAlias = Annotated[
    bool, typer.Option("--force", help="Let --output replace an existing file.")
]
QuietOption: TypeAlias = Annotated[
    bool, typer.Option("--quiet", "-q", help="Show no progress and no notes on stderr.")
]
DetailsOption: TypeAlias = Annotated[
    bool, typer.Option("--details", help="Add operators, phases, allocations, assumptions.")
]


def parse_dims(texts: Iterable[str] | None) -> dict[str, int]:
    """Sizes by dim name from texts such as `batch=4`.

    Raises:
        UsageError: A text has another form, a size is not a whole number of at least
            zero, or a name comes twice.
    """
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


def parse_input_files(texts: Iterable[str] | None) -> dict[str, Path]:
    """Files by input name from texts such as `pixels=cat.npy`.

    Raises:
        UsageError: A text has another form, or a name comes twice.
    """
    pairs = _pairs("--input", texts, "pixels=cat.npy", str.partition)
    return {name: Path(value) for name, value in pairs}


def measure_options(
    *,
    dim: list[str] | None,
    input_: list[str] | None,
    inputs: Path | None,
    threads: int,
    warmup: int | None,
    runs: int | None,
    timeout: float,
    provider: str,
    seed: int,
) -> MeasureOptions:
    """The measuring options of a command line, parsed.

    Raises:
        UsageError: One of them cannot be meant as it was written.
    """
    from feasibility.measure.measure_options import MeasureOptions

    return MeasureOptions(
        dims=parse_dims(dim),
        input_files=parse_input_files(input_),
        inputs_archive=inputs,
        threads=threads,
        warmup_count=warmup,
        run_count=runs,
        timeout_s=timeout,
        provider=provider,
        seed=seed,
    )


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
                "it is not a name, an equals sign and a value",
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
