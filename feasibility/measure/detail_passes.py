"""The passes that explain the steady figures, and what they bring together."""

from __future__ import annotations

import os
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from math import prod
from pathlib import Path

from feasibility.measure.arena_peak import arena_peak
from feasibility.measure.instruments.memray_capture import PhaseAllocations
from feasibility.measure.instruments.ort_log import read_load_phases
from feasibility.measure.instruments.ort_profile import Trace
from feasibility.measure.memory_anatomy import Evidence, anatomy
from feasibility.measure.memory_figures import ChildMemory, memory_of
from feasibility.measure.memory_surveys import moments_of
from feasibility.measure.memory_timeline import timeline
from feasibility.measure.subject import Subject
from feasibility.model_file.element_types import ELEMENT_TYPES
from feasibility.records.anatomy import Anatomy, Timeline
from feasibility.records.workload import InputSpec
from feasibility.runners.child_process import ChildResult
from feasibility.runners.child_protocol import Recording
from feasibility.runners.runner import Session


@dataclass(slots=True)
class Details:
    """Children that came through, and None for those that did not.

    Args:
        steady: The child that the steady figures are of.
        without_prepacking: The same with prepacking off.
        without_arena: The same with the arena off.
        recorded: A child whose memory was recorded over time.
        log_path: Where its log is.
    """

    steady: ChildResult | None = None
    without_prepacking: ChildResult | None = None
    without_arena: ChildResult | None = None
    recorded: ChildResult | None = None
    log_path: Path | None = None

    def anatomy(
        self,
        model_files: AbstractSet[str],
        inputs: Sequence[InputSpec],
        trace: Trace | None,
        load: PhaseAllocations | None,
        defaults: Sequence[ChildMemory],
    ) -> Anatomy | None:
        """Where the memory is; None without the steady child or its surveys.

        Args:
            model_files: Paths of the model and its external data as the child found them.
            inputs: What it was fed.
            trace: The runtime's profile.
            load: memray's figures of loading.
            defaults: Children with the default allocator.
        """
        steady = None if self.steady is None else moments_of(self.steady, model_files)
        if self.steady is None or steady is None:
            return None
        off = None if self.without_arena is None else moments_of(self.without_arena, model_files)
        return anatomy(
            Evidence(
                kernel=memory_of(self.steady),
                steady=steady,
                input_sizes=tuple(map(_input_bytes, inputs)),
                trace=trace,
                load=load,
                without_prepacking=(
                    None if self.without_prepacking is None else memory_of(self.without_prepacking)
                ),
                without_arena=(
                    None
                    if self.without_arena is None or off is None
                    else (memory_of(self.without_arena), off)
                ),
                defaults=defaults,
            )
        )

    def timeline(self, trace: Trace | None) -> Timeline | None:
        """How the memory got there; None where nothing was recorded.

        Raises:
            OSError: The runtime's log cannot be read.
        """
        recording = None if self.recorded is None else self.recorded.event(Recording)
        if recording is None:
            return None
        load_phases = () if self.log_path is None else read_load_phases(self.log_path)
        return timeline(recording, load_phases, None if trace is None else arena_peak(trace.steps))


def model_files(subject: Subject, session: Session) -> frozenset[str]:
    """Paths of the model and its external data as the kernel there names them."""
    model = Path(session.child_path(subject.path.absolute()))
    data = (model.parent / file.location for file in subject.facts.external_files)
    return frozenset(map(os.path.realpath, (model, *data)))


def _input_bytes(spec: InputSpec) -> int:
    """Bytes of one input; nothing for what is no tensor of numbers."""
    element = next((each for each in ELEMENT_TYPES.values() if each.name == spec.dtype), None)
    if element is None or spec.kind != "tensor":
        return 0
    return element.size_bytes(prod(spec.shape)) or 0
