"""How does an engine get a model that it does not read itself? Converted, and then checked."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from feasibility.errors import FeasibilityError, ModelError
from feasibility.measure.engine_outputs import EngineOutputs
from feasibility.measure.inputs_that_run import first_that_runs, read_for
from feasibility.measure.measure_options import MeasureOptions
from feasibility.measure.passes import Passes, local_passes, names_of_outputs, passes_over
from feasibility.records.model_reading import ModelReading
from feasibility.records.profile import Conversion, Profile
from feasibility.runners.child_protocol import Converted
from feasibility.temporary_folders import scratch_folder
from feasibility.text import safe_text


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
        """The profile of the converted model, with the path of the original."""
        facts = self.original.facts
        model = replace(profile.model, path=facts.path, sha256=facts.sha256)
        return replace(profile, model=model, conversion=self.conversion)


@contextlib.contextmanager
def converted_model(
    reading: ModelReading, options: MeasureOptions, known: EngineOutputs | None = None
) -> Iterator[ConvertedModel]:
    """The model for the engine of the options, whose outputs are those of ONNX Runtime.

    Args:
        reading: The model.
        options: How to measure, with the engine.
        known: Outputs of ONNX Runtime for the only plan of the reading, if another engine was
            compared with them.

    Raises:
        FeasibilityError: ONNX Runtime cannot run it, the conversion fails, or outputs differ.
    """
    with scratch_folder() as folder:
        if known is None:
            reading, known = _outputs_here(reading, options, folder)
        target = folder / f"{reading.path.stem}.mnn"
        steps = _convert(reading, options, known.passes, target)
        own_bytes = target.stat().st_size
        written = [file for file in folder.iterdir() if file.name.startswith(target.name)]
        all_bytes = sum(file.stat().st_size for file in written)
        facts = replace(
            reading.facts,
            path=str(target),
            file_bytes=own_bytes,
            external_bytes=all_bytes - own_bytes,
            external_files=(),
            sha256=None,
        )
        converted = replace(reading, facts=facts, external_locations=())
        conversion = Conversion(
            duration_ns=sum(each.convert_ns for each in steps),
            peak_bytes=max(each.peak_bytes for each in steps),
            file_bytes=all_bytes,
            drift=known.checked(passes_over(converted, options)),
        )
        yield ConvertedModel(reading, converted, conversion)


def _outputs_here(
    reading: ModelReading, options: MeasureOptions, folder: Path
) -> tuple[ModelReading, EngineOutputs]:
    """The model with the inputs that ONNX Runtime runs, and its outputs for them."""
    passes = passes_over(reading, dataclasses.replace(options, engine="onnxruntime"))
    plan, _ = first_that_runs(reading, lambda each: passes.brief(each, 1), passes)
    reading = read_for(plan, reading, options)
    return reading, EngineOutputs(passes, plan, [*names_of_outputs(reading)], folder)


def _convert(
    reading: ModelReading, options: MeasureOptions, before: Passes, target: Path
) -> list[Converted]:
    """Folds constants with ONNX Runtime, then converts; returns time and memory of both."""
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
