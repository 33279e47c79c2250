"""Which measured options can the interface for Swift not set, and what does that cost?

ORTSessionOptions of ONNX Runtime's Objective-C interface, which Swift uses, has no switches for
the arena and the memory pattern. Source: objectivec/include/ort_session.h. Configuration entries
of these names (`session.enable_cpu_mem_arena`) exist, but ONNX Runtime 1.31.1 ignores them when
they are added one by one: memory and logged options were the same with and without them.
"""

from __future__ import annotations

from typing import Final

from feasibility.records.fit import Fit, FitCandidate
from feasibility.units import format_bytes

_UNSET: Final = frozenset({"arena-off", "pattern-off"})


def unset_in_swift(result: Fit, chosen: FitCandidate) -> str:
    """Sentences about options that Swift cannot set; empty if it sets all."""
    settings = result.settings
    names = [
        name
        for name, is_on in (("arena", settings.arena), ("memory pattern", settings.memory_pattern))
        if not is_on
    ]
    if not names:
        return ""
    return (
        f"The model was measured with {' and '.join(names)} off. Swift and Objective-C cannot turn "
        f"{'them' if len(names) > 1 else 'it'} off; C++ can. {_cost(result, chosen)}"
    )


def _cost(result: Fit, chosen: FitCandidate) -> str:
    """The inference peak with both options on, next to the one without."""
    left = tuple(code for code in chosen.changes if code not in _UNSET)
    alike = (each for each in (result.baseline, *result.candidates) if each.changes == left)
    figures = next((each.measured or each.modelled for each in alike), None)
    if figures is None or chosen.measured is None:
        return "So the inference peak is higher than measured."
    return (
        f"So the inference peak is {format_bytes(figures.inference_peak_bytes)} instead of "
        f"{format_bytes(chosen.measured.inference_peak_bytes)}."
    )
