"""Which function writes a changed copy of a model?"""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from feasibility.model_file.open_model import open_model
from feasibility.records.changes import ChangeCode
from feasibility.records.shared_fields import ISA_ALIASES
from feasibility.records.workload import InputPlan
from feasibility.rewrite.change_process import write_changed
from feasibility.rewrite.external_weights import move_weights
from feasibility.rewrite.require_onnx import require_onnx
from feasibility.text import safe_text

# Inputs for calibration where there are no samples; other ones than drift is measured with.
_SEEDS: Final = range(1000, 1008)


def rewrite_model(
    source: Path,
    target: Path,
    change: ChangeCode,
    *,
    isa: str,
    plan: InputPlan,
    samples: Sequence[InputPlan] = (),
    keep_float: Sequence[str] = (),
) -> None:
    """Writes a changed copy of a model; its weights go into a file beside it.

    After an error nothing is left; files that were there before are kept.

    Args:
        source: The model.
        target: The changed model.
        change: What to change; one that is written into files.
        isa: Instruction set of the machines that will load it.
        plan: Inputs that the model runs with.
        samples: Inputs for calibration; if there are none, seeded ones after the plan.
        keep_float: Names of nodes that stay in float.

    Raises:
        ModelError: The source cannot be read, or the libraries crash on it.
        ChangeError: The change does not apply, or the target cannot be written.
    """
    what = f"Cannot apply {change} to '{safe_text(str(source))}'"
    with open_model(source) as file:
        require_onnx(file.format, what)
    if change == "external-data":
        move_weights(source, target)
        return
    machine = platform.machine().lower()
    is_this_isa = isa == ISA_ALIASES.get(machine, machine)
    inputs = [(sample, 0) for sample in samples] or [(plan, seed) for seed in _SEEDS]

    def make(path: Path) -> None:
        from feasibility.rewrite.forked.changes import ChangeRequest, apply

        request = ChangeRequest(
            source=source,
            what=what,
            for_this_machine=is_this_isa,
            reduce_range=is_this_isa and machine in {"x86_64", "amd64"} and not _has_vnni(),
            samples=tuple(inputs),
            keep_float=tuple(keep_float),
        )
        apply(change, request, path)

    write_changed(target, make, what)


def _has_vnni() -> bool:
    """Whether this machine adds products of 8-bit numbers without overflow."""
    with contextlib.suppress(OSError):
        return "vnni" in Path("/proc/cpuinfo").read_text("utf-8", "replace")
    return False
