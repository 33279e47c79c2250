"""The report of `measure`: what memory to reserve, and what each setting would save."""

from __future__ import annotations

import msgspec
import pytest

from feasibility.records.anatomy import Anatomy, SettingEffect
from feasibility.records.profile import Memory, Profile
from feasibility.render.reports.measure import measure_report, savings_rows
from feasibility.render.reports.model_and_machine import reserve_row
from feasibility.units import MIB
from tests import anatomy_samples, samples


def changed(**fields: object) -> Profile:
    return msgspec.structs.replace(samples.profile(), **fields)


def memory_of(profile: Profile) -> Memory:
    assert profile.memory is not None
    return profile.memory


def test_the_reserve_is_the_highest_peak() -> None:
    """Of the default allocator, if a range of it was measured, and of the steady one."""
    assert reserve_row(samples.profile()).text == (
        "reserve 457 MiB with the default allocator, 366 MiB with the steady allocator; "
        "plus 44 MiB for Python and the runtime"
    )


def test_the_reserve_may_be_a_peak_of_the_runs() -> None:
    memory = memory_of(samples.profile())
    above = msgspec.structs.replace(memory, inference_peak_bytes=memory.load_peak_bytes + MIB)
    found = reserve_row(changed(memory=above, default_allocator=None))
    assert found.text.startswith("reserve 367 MiB; plus ")


def test_without_memory_there_is_no_reserve() -> None:
    assert reserve_row(changed(memory=None)).text == "not measured"


@pytest.mark.parametrize(
    ("load_bytes", "run_bytes", "text"),
    [
        (0, 0, "arena off saves nothing"),
        (-MIB, -MIB, "arena off saves nothing"),
        (MIB, MIB // 2, "arena off saves nothing"),
        (0, 8 * MIB, "arena off saves 8 MiB while running"),
        (5 * MIB, 8 * MIB, "arena off saves 5 MiB while loading and 8 MiB while running"),
    ],
)
def test_what_a_setting_saves(load_bytes: int, run_bytes: int, text: str) -> None:
    """Less than half a percent may be chance."""
    profile = anatomy_samples.profile()
    memory, anatomy = memory_of(profile), profile.anatomy
    assert isinstance(anatomy, Anatomy)
    assert memory.inference_peak_bytes is not None
    effect = SettingEffect(
        setting="arena-off",
        load_peak_bytes=memory.load_peak_bytes - load_bytes,
        resident_bytes=memory.resident_bytes,
        resident_anonymous_bytes=memory.resident_anonymous_bytes,
        inference_peak_bytes=memory.inference_peak_bytes - run_bytes,
        inference_anonymous_bytes=0,
    )
    tried = msgspec.structs.replace(
        profile, anatomy=msgspec.structs.replace(anatomy, settings=(effect,))
    )
    (row,) = savings_rows(tried)
    assert row.text == text


def test_without_tried_settings_nothing_is_said_about_them() -> None:
    assert savings_rows(samples.profile()) == ()


def test_details_have_every_section_of_the_first_screen() -> None:
    first, all_ = (
        [section.title for section in report if section is not None]
        for report in (
            measure_report(samples.profile()),
            measure_report(samples.profile(), details=True),
        )
    )
    assert set(first) <= set(all_)
