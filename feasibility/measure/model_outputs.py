"""What does a model compute? The outputs of one run in a fresh process."""

from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from feasibility.errors import MeasurementError
from feasibility.measure.passes import Passes
from feasibility.records.workload import InputPlan
from feasibility.runners.child_process import ChildResult
from feasibility.temporary_folders import scratch_folder

if TYPE_CHECKING:
    from feasibility.output_drift import Array, Outputs


class ModelOutputs(NamedTuple):
    """Outputs by their position, and what else the process measured."""

    by_position: Outputs
    result: ChildResult

    def named(self, names: Sequence[str]) -> Outputs:
        """Outputs under these names, in order.

        Outputs without a name here, and outputs with a repeated name, get their position as name.
        """
        found: dict[str, Array] = {}
        for position, array in self.by_position.items():
            name = names[int(position)] if int(position) < len(names) else position
            found[position if name in found else name] = array
        return found


def model_outputs(passes: Passes, plan: InputPlan, seed: int | None = None) -> ModelOutputs:
    """Outputs of one run; `seed` replaces that of the options for generated inputs.

    Raises:
        FeasibilityError: The model does not load or run, or its outputs cannot be saved.
    """
    if seed is not None:
        passes = dataclasses.replace(passes, options=dataclasses.replace(passes.options, seed=seed))
    with scratch_folder() as folder:
        path = f"{passes.session.output_folder(folder)}/outputs.npz"
        result = passes.finished(passes.outputs(plan, path))
        try:
            saved = _read(passes.session.fetch(path, folder))
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            why = f"they were not saved: {error}"
            raise MeasurementError("Cannot compare outputs", why) from error
    return ModelOutputs(saved, result)


def _read(path: Path) -> Outputs:
    import numpy as np

    with np.load(path, allow_pickle=False) as saved:
        return {name: saved[name] for name in saved.files}
