"""What does `feasibility prove` do? Runs a model under a memory limit that the kernel enforces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from feasibility.commands.option_groups import CommandApp, option
from feasibility.commands.options import (
    InputOptions,
    MeasuringOptions,
    ModelArgument,
    ReportOptions,
    ThreadsOption,
    measure_options,
    positive_limit,
)
from feasibility.commands.output import open_outputs, print_result
from feasibility.commands.progress import progress_on
from feasibility.errors import EXIT_OK, EXIT_REQUIREMENT_NOT_MET, UsageError

if TYPE_CHECKING:
    from feasibility.measure.prove.prove_model import ProveOptions
    from feasibility.records.device import Device
    from feasibility.records.proof import Proof

app = CommandApp()


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitOptions:
    """Which limit is enforced, and what counts as a failure."""

    heading: ClassVar = "Limit"

    memory: str | None = option(
        "--memory SIZE", "Limit for the model, without the runtime, for example 200MiB."
    )
    device: str | None = option("--device ID", "Take the limit for the model from this device.")
    bisect: bool = option(
        "--bisect",
        "Find the lowest limit that the model survives, and the lowest limit that does not "
        "slow it down.",
        default=False,
    )
    allocator: Literal["steady", "default"] = option(
        "--allocator",
        "`steady` is glibc with a fixed trim threshold: figures repeat. `default` "
        "is glibc with default settings: it needs more memory, and figures vary.",
        default="steady",
    )
    require_speed: bool = option(
        "--require-speed",
        "Also exit with 1 if the limit makes the model slow (thrashed).",
        default=False,
    )


@app.add_command()
def prove(
    model: ModelArgument,
    *,
    limit: LimitOptions,
    inputs: InputOptions,
    threads: ThreadsOption = 1,
    measuring: MeasuringOptions,
    out: ReportOptions,
) -> int:
    """Run a model under a memory limit that the kernel enforces.

    The limit is for the model. The memory of Python and the runtime is added to it.
    The exit code is 1 if the limit killed the model.
    """
    options = measure_options(inputs, measuring, threads)
    wanted = _wanted(limit)
    with open_outputs(out.output, out.html, force=out.force) as files:
        from feasibility.measure.prove.prove_model import prove_model
        from feasibility.render.reports.prove import prove_report

        with progress_on(model.name, quiet=out.quiet) as progress:
            proof = prove_model(model, options, wanted, progress)
        print_result(
            proof, lambda: prove_report(proof, details=out.details), as_json=out.json, output=files
        )
    return _exit_code(proof, require_speed=limit.require_speed)


def _wanted(asked: LimitOptions) -> ProveOptions:
    from feasibility.measure.prove.prove_model import ProveOptions
    from feasibility.units import parse_bytes

    what = "Cannot run `feasibility prove`"
    if asked.memory is not None and asked.device is not None:
        raise UsageError(what, "--memory and --device both set the limit", "give one of them")
    if asked.memory is None and asked.device is None and not asked.bisect:
        raise UsageError(
            what,
            "no limit is given",
            "give --memory 200MiB, --device ID, or --bisect to find the lowest limit",
        )
    limit, device = positive_limit("--memory", asked.memory, parse_bytes), None
    if asked.device is not None:
        from feasibility.catalogue.load_catalogue import chosen_devices

        device = chosen_devices([asked.device])[0]
        limit = _left_for_the_model(device)
    return ProveOptions(
        memory_bytes=limit, device=device, bisect=asked.bisect, allocator=asked.allocator
    )


def _left_for_the_model(device: Device) -> int:
    """The device's memory limit for a process, less what its runtime needs."""
    granted = device.usable_bytes()
    left = 0 if granted is None else granted - device.limits.runtime_bytes.value
    if device.runs_on == "gpu":
        why = "its models run in GPU memory"
    elif granted is None:
        why = "its file states no limit"
    elif left <= 0:
        why = "its runtime needs all of it"
    else:
        return left
    raise UsageError(
        f"Cannot use the memory limit of {device.name}", why, "give the limit itself: --memory SIZE"
    )


def _exit_code(proof: Proof, *, require_speed: bool) -> int:
    if proof.verdict is None or proof.verdict.outcome == "survived":
        return EXIT_OK
    if proof.verdict.outcome == "thrashed" and not require_speed:
        return EXIT_OK
    return EXIT_REQUIREMENT_NOT_MET
