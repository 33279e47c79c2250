"""How does an engine get a model that it does not read itself? Converted, and then checked."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from feasibility.errors import FeasibilityError, ModelError
from feasibility.measure.engine_outputs import EngineOutputs
from feasibility.measure.inputs_that_run import first_that_runs, read_to_run
from feasibility.measure.measure_options import MeasureOptions
from feasibility.measure.passes import Passes, local_passes, names_of_outputs
from feasibility.records.model_reading import ModelReading
from feasibility.records.profile import Conversion, Profile
from feasibility.runners.child_protocol import Converted
from feasibility.temporary_folders import scratch_folder
from feasibility.text import safe_text

if TYPE_CHECKING:
    from pathlib import Path


class ConvertedModel(NamedTuple):
    """A model in the format of its engine, until the block ends.

    Attributes:
        original: The model that it was made of.
        reading: Facts of the original with the path and the size of the new file; one plan.
    """

    original: ModelReading
    reading: ModelReading
    conversion: Conversion

    def described(self, profile: Profile) -> Profile:
        """The profile of the converted model, with the name of the original."""
        facts = self.original.facts
        model = replace(profile.model, name=facts.name, path=facts.path, sha256=facts.sha256)
        return replace(profile, model=model, conversion=self.conversion)


@contextlib.contextmanager
def converted_model(reading: ModelReading, options: MeasureOptions) -> Iterator[ConvertedModel]:
    """The model for the engine of the options, whose outputs are those of ONNX Runtime.

    Raises:
        FeasibilityError: ONNX Runtime cannot run it, the conversion fails, or outputs differ.
    """
    before = local_passes(reading.path, dataclasses.replace(options, engine="onnxruntime"))
    plan, _ = first_that_runs(reading, lambda each: before.brief(each, 1), before)
    if plan.dims != reading.facts.dims:
        reading = read_to_run(reading.path, dataclasses.replace(options, dims=plan.dims))
    reading = replace(reading, plans=(plan,))
    names = names_of_outputs(reading)
    with scratch_folder() as folder:
        target = folder / f"{reading.path.stem}.mnn"
        steps = _convert(reading, options, before, target)
        after = dataclasses.replace(local_passes(target, options), output_names=names)
        drift = EngineOutputs(before, plan, list(names), folder).checked(after)
        own_bytes = target.stat().st_size
        written = [file for file in folder.iterdir() if file.name.startswith(target.name)]
        all_bytes = sum(file.stat().st_size for file in written)
        facts = replace(
            reading.facts,
            path=str(target),
            name=target.name,
            file_bytes=own_bytes,
            external_bytes=all_bytes - own_bytes,
            external_files=(),
            sha256=None,
        )
        conversion = Conversion(
            duration_ns=sum(each.convert_ns for each in steps),
            peak_bytes=max(each.peak_bytes for each in steps),
            file_bytes=all_bytes,
            drift=drift,
        )
        yield ConvertedModel(
            reading, replace(reading, facts=facts, external_locations=()), conversion
        )


def _convert(
    reading: ModelReading, options: MeasureOptions, before: Passes, target: Path
) -> list[Converted]:
    """Folds constants with ONNX Runtime, then converts; what both processes needed."""
    folded = target.with_name("folded.onnx")
    try:
        steps = [before.finished(before.convert(folded))]
        converter = local_passes(folded, options)
        steps.append(converter.finished(converter.convert(target)))
    except FeasibilityError as error:
        what = f"Cannot convert '{safe_text(reading.facts.name)}'"
        raise ModelError(what, error.why, error.hint) from error
    folded.unlink()
    return [step.sent(Converted) for step in steps]
