"""How are weights moved out of a model file without holding them? The kernel copies them.

ONNX Runtime maps weights that lie beside a model, so they are pages of a file instead of memory
that must stay, and while loading there is no second copy of them.
"""

from __future__ import annotations

from pathlib import Path

from feasibility.errors import ChangeError
from feasibility.facts.reader_process import in_reader_process
from feasibility.model_file.open_model import ModelFile
from feasibility.rewrite.data_path import data_path
from feasibility.rewrite.write_planned import WeightsPlan, write_planned
from feasibility.text import safe_text


def move_weights(file: ModelFile, target: Path) -> None:
    """Writes the model with all its weights in one file beside it.

    After an error nothing is left; files that were there before are kept.

    Raises:
        ModelError: The model cannot be read.
        ChangeError: It has no weights that can be moved, or the target cannot be written.
    """
    plan = _plan(file, data_path(target).name)
    if not plan.moved:
        raise ChangeError(
            f"Cannot move the weights of '{safe_text(str(file.path))}'",
            "no weight of 1 KiB or more can be moved out of the file",
            "try another change",
        )
    write_planned(file, plan, target)


def _plan(file: ModelFile, location: str) -> WeightsPlan:
    def read() -> WeightsPlan:
        from feasibility.model_file.skeleton import skeleton_of
        from feasibility.rewrite.forked.plan_weights import plan_weights

        return plan_weights(file, skeleton_of(file), location)

    what = f"Cannot read model '{safe_text(str(file.path))}'"
    return in_reader_process(read, WeightsPlan, what)
