"""Which function writes a changed copy of a model?"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from feasibility.model_file.open_model import open_model
from feasibility.records.changes import FileChange
from feasibility.records.workload import InputPlan
from feasibility.rewrite.change_process import write_changed
from feasibility.rewrite.change_request import ChangeRequest
from feasibility.rewrite.external_weights import move_weights
from feasibility.rewrite.require_onnx import require_onnx
from feasibility.runners.host import this_isa
from feasibility.text import safe_text

# Inputs for calibration where there are no samples; other ones than drift is measured with.
_SEEDS: Final = range(1000, 1008)


def rewrite_model(
    source: Path,
    target: Path,
    change: FileChange,
    *,
    isa: str,
    features: Sequence[str] | None = None,
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
        features: Extensions of their processors, as device files name them; None for those of
            this machine.
        plan: Inputs that the model runs with.
        samples: Inputs for calibration; if there are none, seeded ones after the plan.
        keep_float: Names of nodes that stay in float.

    Raises:
        ModelError: The source cannot be read, or the libraries crash on it.
        ChangeError: The change does not apply, or the target cannot be written.
        UselessChangeError: It would leave the model as it is.
    """
    what = f"Cannot apply {change} to '{safe_text(str(source))}'"
    with open_model(source) as file:
        require_onnx(file.format, what)
        if change == "external-data":
            move_weights(file, target)
            return
    inputs = [(sample, 0) for sample in samples] or [(plan, seed) for seed in _SEEDS]

    def make(path: Path) -> None:
        from feasibility.rewrite.forked.apply_change import apply_change

        request = ChangeRequest(
            source=source,
            target=path,
            what=what,
            # Blocks of channels are as wide as the registers of the processor that writes them.
            for_this_machine=features is None and isa == this_isa(),
            # Older processors with AVX add products of 8-bit numbers in 16 bits, which overflow.
            reduce_range=isa == "x86_64"
            and not (_has_vnni() if features is None else "vnni" in features),
            samples=tuple(inputs),
            keep_float=tuple(keep_float),
        )
        apply_change(change, request)

    write_changed(target, make, what)


def _has_vnni() -> bool:
    """Whether this machine adds products of 8-bit numbers in 32 bits."""
    with contextlib.suppress(OSError):
        return "vnni" in Path("/proc/cpuinfo").read_text("utf-8", "replace")
    return False
