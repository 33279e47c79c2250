"""Whether a machine can measure: one small model, loaded and run there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from feasibility.measure.explain import explain
from feasibility.measure.host import ceiling_bytes, read_host
from feasibility.measure.memory import memory_of
from feasibility.measure.options import MeasureOptions
from feasibility.measure.passes import Passes
from feasibility.measure.plans import first_that_runs
from feasibility.measure.staging import files_to_stage
from feasibility.measure.subject import read_subject
from feasibility.probe.place import Machine
from feasibility.probe.wire import Ready
from feasibility.records.profile import Host
from feasibility.zoo.registry import build

MODEL_NAME = "yamnet"


@dataclass(frozen=True, slots=True)
class Trial:
    """A model that ran.

    Args:
        host: The machine that it ran on.
        is_emulated: Whether an emulator executed it.
        peak_bytes: What it needed there.
    """

    host: Host
    is_emulated: bool
    peak_bytes: int


def try_machine(machine: Machine) -> Trial:
    """What a model of the zoo needs on a machine.

    Raises:
        FeasibilityError: It cannot be measured there; the message says why.
    """
    path, options = build(MODEL_NAME), MeasureOptions()
    with machine.reach(partial(files_to_stage, path, options)) as place:
        ceiling = ceiling_bytes() if place.host is None else place.host.free_bytes
        passes = Passes(path.absolute(), options, place, ceiling)
        subject = read_subject(path, options, passes)
        _, result = first_that_runs(subject, passes.steady, ceiling)
        ready = result.event(Ready)
        if ready is None:
            raise explain(result, path.name, ceiling)
        memory = memory_of(result)
        return Trial(
            host=read_host(ready.versions, place.host),
            is_emulated=place.is_emulated,
            peak_bytes=max(memory.load_peak_bytes, memory.inference_peak_bytes),
        )
