"""What is fed to the model: the inputs with all their sizes decided."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from feasibility.records.base import Assumption, Count, Record


class Fill(Record, frozen=True, kw_only=True):
    """How the elements of a generated input are chosen."""

    kind: Annotated[
        Literal["uniform", "integers", "constant", "file", "absent"],
        Meta(
            description="Uniform floats in [low, high), whole numbers from low to high inclusive, "
            "one constant (low), the array of a file, or an optional that is left empty."
        ),
    ] = "uniform"
    low: Annotated[float, Meta(description="Lowest value.")] = 0.0
    high: Annotated[float, Meta(description="Highest value.")] = 1.0
    path: Annotated[str | None, Meta(description="The .npy or .npz file.")] = None
    member: Annotated[str | None, Meta(description="Array name inside the .npz file.")] = None
    reason: Annotated[str, Meta(description="Why these values; empty where it is obvious.")] = ""


class InputSpec(Record, frozen=True, kw_only=True):
    """One input of a run, complete."""

    name: Annotated[str, Meta(description="Input name; untrusted text.")]
    dtype: Annotated[str, Meta(description="Element type in numpy's words.")]
    shape: Annotated[tuple[int, ...], Meta(description="Concrete shape.")]
    kind: Annotated[
        Literal["tensor", "sequence", "map", "optional", "sparse"],
        Meta(description="What the value is."),
    ] = "tensor"
    type_text: Annotated[str, Meta(description="The full type as the runtime writes it.")] = ""
    fill: Annotated[Fill, Meta(description="Where its elements come from.")] = Fill()


class InputPlan(Record, frozen=True, kw_only=True):
    """One complete choice of inputs, with everything that was assumed to make it."""

    inputs: Annotated[tuple[InputSpec, ...], Meta(description="All inputs that are fed.")]
    dims: Annotated[dict[str, int], Meta(description="Symbolic dims and their sizes.")] = {}
    assumptions: Annotated[
        tuple[Assumption, ...], Meta(description="What was chosen without being told.")
    ] = ()


class Workload(Record, frozen=True, kw_only=True):
    """The conditions under which a profile was taken."""

    dims: Annotated[dict[str, int], Meta(description="Symbolic dims and their sizes.")] = {}
    inputs: Annotated[tuple[InputSpec, ...], Meta(description="The inputs that were fed.")] = ()
    assumptions: Annotated[
        tuple[Assumption, ...], Meta(description="What was chosen without being told.")
    ] = ()
    threads: Annotated[Count, Meta(description="Intra-op threads.")] = 1
    warmup_count: Annotated[Count, Meta(description="Runs before the latency samples.")] = 0
    run_count: Annotated[Count, Meta(description="Latency samples taken.")] = 0
    runtime: Annotated[str, Meta(description="Runtime and version.")] = ""
    provider: Annotated[str, Meta(description="Execution provider.")] = "CPUExecutionProvider"
    recipe: Annotated[
        str, Meta(description="How the model is loaded; `as-is` without any change.")
    ] = "as-is"
    seed: Annotated[int, Meta(description="Seed of the generated inputs.")] = 0
