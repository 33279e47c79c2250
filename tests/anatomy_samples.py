"""Records of where memory is, as the renderers get them."""

from __future__ import annotations

import math

import msgspec

from feasibility.records.anatomy import (
    Anatomy,
    ArenaPeak,
    HeldTensor,
    MemoryParts,
    SettingEffect,
    Timeline,
    TimelinePhase,
)
from feasibility.records.facts import ActivationPeak, LiveTensor
from feasibility.records.profile import Profile
from feasibility.units import KIB, MIB
from tests import samples

_MS = 1_000_000
_PHASES = (
    ("import", 100, 46),
    ("parse", 90, 220),
    ("optimise", 300, 410),
    ("prepack", 12, 240),
    ("inputs", 1, 240),
    ("first-run", 80, 244),
    ("runs", 100, 250),
)


def anatomy() -> Anatomy:
    """A convolutional network with plain and prepacked weights."""
    loaded = MemoryParts(
        total_bytes=183 * MIB,
        weights_bytes=162 * MIB,
        prepacked_bytes=8 * MIB,
        objects_bytes=4 * MIB,
        retained_bytes=1 * MIB,
        library_bytes=7 * MIB,
        unattributed_bytes=1 * MIB,
    )
    peak = MemoryParts(
        total_bytes=200 * MIB,
        weights_bytes=162 * MIB,
        prepacked_bytes=8 * MIB,
        arena_in_use_bytes=8 * MIB,
        arena_idle_bytes=6 * MIB,
        inputs_bytes=588 * KIB,
        objects_bytes=4 * MIB,
        retained_bytes=1 * MIB,
        transient_bytes=1 * MIB,
        library_bytes=8 * MIB,
        unattributed_bytes=2 * MIB - 588 * KIB,
    )
    return Anatomy(
        loaded=loaded,
        inference_peak=peak,
        allocated_bytes=174 * MIB,
        requested_bytes=173 * MIB,
        mapped_bytes=3 * MIB,
        untouched_bytes=70 * KIB,
        default_retained_low_bytes=239 * MIB,
        default_retained_high_bytes=297 * MIB,
        settings=(
            SettingEffect(
                setting="prepacking-off",
                load_peak_bytes=367 * MIB,
                resident_bytes=183 * MIB,
                resident_anonymous_bytes=176 * MIB,
                inference_peak_bytes=198 * MIB,
                inference_anonymous_bytes=190 * MIB,
            ),
            SettingEffect(
                setting="arena-off",
                load_peak_bytes=368 * MIB,
                resident_bytes=183 * MIB,
                resident_anonymous_bytes=176 * MIB,
                inference_peak_bytes=191 * MIB,
                inference_anonymous_bytes=177 * MIB,
            ),
        ),
    )


def timeline() -> Timeline:
    """Two humps while loading, then a level."""
    phases, begin = [], 0
    for name, length_ms, peak_mib in _PHASES:
        end = begin + length_ms * _MS
        phases.append(
            TimelinePhase(
                name=name,
                begin_ns=begin,
                end_ns=end,
                resident_peak_bytes=peak_mib * MIB,
                allocated_peak_bytes=(peak_mib - 40) * MIB,
            )
        )
        begin = end
    at = tuple(range(0, begin, 5 * _MS))
    resident = tuple(_resident_bytes(moment, begin) for moment in at)
    return Timeline(
        baseline_bytes=46 * MIB,
        phases=tuple(phases),
        at_ns=at,
        resident_bytes=resident,
        allocated_bytes=tuple(max(0, size - 40 * MIB) for size in resident),
        arena_peak=ArenaPeak(
            node="/layer1/conv2",
            op_type="Conv",
            in_use_bytes=8 * MIB,
            prepacked_bytes=7 * MIB,
            scratch_bytes=1 * MIB,
            tensors=tuple(
                HeldTensor(producer=f"/layer{index}/conv1", op_type="Conv", size_bytes=size * KIB)
                for index, size in enumerate((3072, 1024, 512, 512, 512, 512, 512, 512))
            ),
        ),
    )


def _resident_bytes(moment: int, end: int) -> int:
    ratio = moment / end
    humps = math.sin(ratio * 9) if 0.15 < ratio < 0.7 else 0
    return round((46 + 200 * min(1, ratio * 4) + 160 * max(0, humps)) * MIB)


def profile() -> Profile:
    """The common sample with where its memory is and how it got there."""
    common = samples.profile()
    steps = (3, 9, 9, 15, 12, 8)
    operators = tuple(
        msgspec.structs.replace(common.operators[0], arena_in_use_bytes=size * MIB)
        for size in steps
    )
    static = ActivationPeak(
        peak_bytes=9 * MIB,
        node="/layer1/relu2",
        op_type="Relu",
        tensors=(LiveTensor(name="x", size_bytes=588 * KIB, producer="input"),),
    )
    return msgspec.structs.replace(
        common,
        anatomy=anatomy(),
        timeline=timeline(),
        operators=operators,
        model=msgspec.structs.replace(common.model, activation_peak=static),
    )
