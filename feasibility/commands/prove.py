"""`feasibility prove`: runs a model under a memory limit that the kernel enforces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from feasibility.commands.options import (
    DetailsOption,
    DimOption,
    ForceOption,
    InputOption,
    InputsOption,
    JsonOption,
    ModelArgument,
    OutputOption,
    ProviderOption,
    QuietOption,
    RunsOption,
    SeedOption,
    ThreadsOption,
    TimeoutOption,
    WarmupOption,
    measure_options,
)
from feasibility.commands.output import open_output, print_result
from feasibility.commands.progress import progress_on
from feasibility.errors import EXIT_OK, EXIT_REQUIREMENT_NOT_MET, UsageError

if TYPE_CHECKING:
    from feasibility.measure.prove.prove_model import ProveOptions
    from feasibility.records.device import Device
    from feasibility.records.proof import Proof

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def prove(
    model: ModelArgument,
    *,
    memory: Annotated[
        str | None,
        typer.Option("--memory", metavar="SIZE", help="Limit on the model, for example 200MiB."),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option("--device", metavar="ID", help="Limit it to what this device leaves it."),
    ] = None,
    bisect: Annotated[
        bool,
        typer.Option("--bisect", help="Find the lowest limits that it survives and does not feel."),
    ] = False,
    allocator: Annotated[
        Literal["steady", "default"],
        typer.Option(
            "--allocator",
            help="default: the C library as it comes, which needs more, and not always the same.",
        ),
    ] = "steady",
    require_speed: Annotated[
        bool,
        typer.Option("--require-speed", help="Exit with 1 also where the limit makes it thrash."),
    ] = False,
    dim: DimOption = None,
    input_: InputOption = None,
    inputs: InputsOption = None,
    threads: ThreadsOption = 1,
    warmup: WarmupOption = None,
    runs: RunsOption = None,
    timeout: TimeoutOption = 60.0,
    provider: ProviderOption = "cpu",
    seed: SeedOption = 0,
    details: DetailsOption = False,
    json: JsonOption = False,
    output: OutputOption = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> int:
    """Run a model under a memory limit that the kernel enforces.

    The limit is on the model; what Python and the runtime take without one is added.
    Exits with 1 if the limit killed the model.
    """
    options = measure_options(
        dim=dim,
        input_=input_,
        inputs=inputs,
        threads=threads,
        warmup=warmup,
        runs=runs,
        timeout=timeout,
        provider=provider,
        seed=seed,
    )
    wanted = _wanted(memory, device, allocator, bisect=bisect)
    with open_output(output, force=force) as file:
        from feasibility.measure.prove.prove_model import prove_model
        from feasibility.render.terminal.prove import render_proof

        with progress_on(model.name, quiet=quiet) as progress:
            proof = prove_model(model, options, wanted, progress)
        print_result(
            proof,
            lambda console: render_proof(proof, console, details=details),
            as_json=json,
            output=file,
        )
    return _exit_code(proof, require_speed=require_speed)


def _wanted(
    memory: str | None, device: str | None, allocator: Literal["steady", "default"], *, bisect: bool
) -> ProveOptions:
    from feasibility.measure.prove.prove_model import ProveOptions
    from feasibility.units import parse_bytes

    what = "Cannot prove anything"
    if memory is not None and device is not None:
        raise UsageError(what, "--memory and --device both set the limit", "give one of them")
    if memory is not None:
        limit = parse_bytes(memory)
        if limit <= 0:
            raise UsageError(
                what,
                "a limit of nothing leaves no room",
                "give a larger one, for example --memory 200MiB",
            )
        return ProveOptions(memory_bytes=limit, bisect=bisect, allocator=allocator)
    if device is None:
        if not bisect:
            raise UsageError(
                what,
                "no limit is given",
                "give --memory 200MiB, --device ID, or --bisect to find the lowest limit",
            )
        return ProveOptions(bisect=True, allocator=allocator)
    from feasibility.commands.check import chosen_devices

    found = chosen_devices([device])[0]
    return ProveOptions(
        memory_bytes=_left_for_the_model(found), device=found, bisect=bisect, allocator=allocator
    )


def _left_for_the_model(device: Device) -> int:
    """What the device grants a process, less what the runtime itself takes there.

    Raises:
        UsageError: Models run on its GPU there, nothing limits them, or nothing is left.
    """
    from feasibility.decide.constraints import memory_budget_bytes
    from feasibility.decide.requirements import Requirements

    what = f"Cannot limit a model to what {device.name} leaves it"
    if device.runs_on == "gpu":
        raise UsageError(
            what, "models run in the memory of its GPU", "give the limit itself: --memory SIZE"
        )
    granted = memory_budget_bytes(device, Requirements())
    if granted is None:
        raise UsageError(what, "its file names no limit", "give the limit itself: --memory SIZE")
    left = granted - device.limits.runtime_bytes.value
    if left <= 0:
        raise UsageError(
            what, "its runtime takes all that it grants", "give the limit itself: --memory SIZE"
        )
    return left


def _exit_code(proof: Proof, *, require_speed: bool) -> int:
    if proof.verdict is None or proof.verdict.outcome == "survived":
        return EXIT_OK
    if proof.verdict.outcome == "thrashed" and not require_speed:
        return EXIT_OK
    return EXIT_REQUIREMENT_NOT_MET
