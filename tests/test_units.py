"""Sizes, durations and counts to text and back."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feasibility import units
from feasibility.errors import UsageError


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0B", 0),
        ("200MB", 200_000_000),
        ("200MiB", 209_715_200),
        ("1.5 GiB", 1_610_612_736),
        ("1.5gib", 1_610_612_736),
        (".5KB", 500),
        (" 7 b ", 7),
    ],
)
def test_sizes_are_read(text: str, size: int) -> None:
    """MB is 10^6 and MiB is 2^20, whatever their case."""
    assert units.parse_bytes(text) == size


@pytest.mark.parametrize(
    "text", ["", "200", "MB", "24 MBxyz", "-1MB", "1,5MB", "1e3MB", "\u0661MB"]
)
def test_other_sizes_are_refused(text: str) -> None:
    """A size without a unit, or with more behind it, is an error that shows how to write it."""
    with pytest.raises(UsageError, match="Cannot read the size") as caught:
        units.parse_bytes(text)
    assert "200MiB" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("50ms", 50_000_000),
        ("1.5s", 1_500_000_000),
        ("3us", 3000),
        ("3µs", 3000),
        ("2min", 12 * 10**10),
    ],
)
def test_durations_are_read(text: str, ns: int) -> None:
    """Durations come out in nanoseconds."""
    assert units.parse_duration_ns(text) == ns


@pytest.mark.parametrize("text", ["", "5", "5 hours", "ms", "-5ms"])
def test_other_durations_are_refused(text: str) -> None:
    """A duration without a known unit is an error."""
    with pytest.raises(UsageError, match="Cannot read the duration"):
        units.parse_duration_ns(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1024**2 - 1, "1 MiB"),
        (409 * units.MIB, "409 MiB"),
        (1802 * units.MIB, "1.76 GiB"),
        (int(12.34 * units.MIB), "12.3 MiB"),
        (5000 * units.GIB, "5000 GiB"),
        (-3 * units.MIB, "-3 MiB"),
    ],
)
def test_sizes_are_written(size: int, text: str) -> None:
    """Three significant digits in the unit that keeps the number below 1024."""
    assert units.format_bytes(size) == text


@pytest.mark.parametrize(("count", "rounded"), [(0, 0), (1, 64), (64, 64), (65, 128)])
def test_counts_are_rounded_up_to_whole_steps(count: int, rounded: int) -> None:
    assert units.rounded_up(count, 64) == rounded


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0 ns"),
        (65_123_000, "65.1 ms"),
        (999_999_999, "1 s"),
        (1_500, "1.5 us"),
        (90 * 10**9, "90 s"),
    ],
)
def test_durations_are_written(ns: int, text: str) -> None:
    """Three significant digits in the unit that keeps the number below 1000."""
    assert units.format_duration(ns) == text


@pytest.mark.parametrize(
    ("count", "text"), [(7, "7"), (999, "999"), (44_549_160, "44.5 M"), (15_600_000_000, "15.6 G")]
)
def test_counts_are_written(count: int, text: str) -> None:
    """Counts have decimal prefixes."""
    assert units.format_count(count) == text


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (417 * units.MIB, 504 * units.MIB, "417 to 504 MiB"),
        (900 * units.MIB, 1250 * units.MIB, "0.879 to 1.22 GiB"),
        (5 * units.MIB, 7 * units.GIB, "5 MiB to 7 GiB"),
        (0, 7 * units.GIB, "0 to 7 GiB"),
        (411 * units.MIB, 411 * units.MIB + 9, "411 MiB"),
        (411 * units.MIB, 411 * units.MIB, "411 MiB"),
    ],
)
def test_size_intervals_are_written(low: int, high: int, text: str) -> None:
    """Three digits in one unit; one figure where both ends read alike."""
    assert units.format_bytes_range(low, high) == text


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (71_500_000, 177_000_000, "72 to 180 ms"),
        (482_000_000, 1_230_000_000, "0.48 to 1.2 s"),
        (400_000_000, 996_000_000, "0.4 to 1 s"),
        (71_500_000, None, "over 72 ms"),
    ],
)
def test_duration_intervals_are_written(low: int, high: int | None, text: str) -> None:
    """A single figure would have a third digit."""
    assert units.format_duration_range(low, high) == text


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        (units.format_bytes(None), "not measured"),
        (units.format_duration(None), "not measured"),
        (units.format_bytes_of(206 * units.MIB, 220 * units.MIB), "206 of 220 MiB"),
        (units.format_bytes_of(206 * units.MIB, 3000 * units.MIB), "206 MiB of 2.93 GiB"),
        (units.format_bytes_of(206 * units.MIB, None), "206 MiB, no limit known"),
        (units.format_bytes_of(None, units.GIB), "not measured"),
        (units.format_count(7, "FLOP"), "7 FLOP"),
        (units.format_count(15_600_000_000, "FLOP"), "15.6 GFLOP"),
        (units.format_count(0.526, "USD"), "0.526 USD"),
        (units.format_energy_range(200_000, 1_300_000), "0.2 to 1.3 J"),
        (units.format_number_range(0.0012, 0.00254), "0.0012 to 0.0025"),
        (units.format_number_range(0.00001, 250), "0.00001 to 250"),
        (units.format_percent(0.374), "37 %"),
        (units.format_percent(0.004), "<1 %"),
        (units.format_percent_range(0.116, 0.3), "12 to 30 %"),
        (units.format_change(1.12), "+12 %"),
        (units.format_change(0.996), "-0.4 %"),
        (units.format_change(1.0001), "0 %"),
        (units.format_change_range(0.99, 1.03), "-1 to +3 %"),
        (units.format_factor(1.034), "1.03x"),
        (units.format_factor(12.34), "12.3x"),
        (units.format_factor(1234.5), "1234x"),
    ],
)
def test_other_figures_are_written(actual: str, expected: str) -> None:
    assert actual == expected


@given(st.integers(0, 2**45), st.integers(0, 2**45))
def test_written_size_intervals_can_be_read(first: int, second: int) -> None:
    """Each end comes back within the five per cent that two digits leave."""
    low, high = sorted((first, second))
    check_ends(units.format_bytes_range(low, high), units.parse_bytes, low, high)


@given(st.integers(0, 10**14), st.integers(0, 10**14))
def test_written_duration_intervals_can_be_read(first: int, second: int) -> None:
    """Each end comes back within the five per cent that two digits leave."""
    low, high = sorted((first, second))
    check_ends(units.format_duration_range(low, high), units.parse_duration_ns, low, high)


def check_ends(text: str, parse: Callable[[str], int], low: int, high: int) -> None:
    first, _, last = text.rpartition(" to ")
    unit = last.partition(" ")[2]
    ends = (first or last, last)
    read = [parse(end if " " in end else f"{end} {unit}") for end in ends]
    assert read[0] <= read[1]
    assert read[0] == pytest.approx(low, rel=0.0501, abs=1)
    assert read[1] == pytest.approx(high, rel=0.0501, abs=1)


@given(st.integers(0, 2**45))
def test_written_sizes_can_be_read(size: int) -> None:
    """What is printed comes back within the half per cent that three digits leave."""
    assert units.parse_bytes(units.format_bytes(size)) == pytest.approx(size, rel=0.0051)


@given(st.integers(0, 10**14))
def test_written_durations_can_be_read(ns: int) -> None:
    """What is printed comes back within the half per cent that three digits leave."""
    assert units.parse_duration_ns(units.format_duration(ns)) == pytest.approx(ns, rel=0.0051)


@given(st.integers(0, 2**45), st.integers(0, 2**45))
def test_formatting_keeps_order(first: int, second: int) -> None:
    """A larger size never reads as a smaller one."""
    low, high = sorted((first, second))
    read = [units.parse_bytes(units.format_bytes(size)) for size in (low, high)]
    assert read[0] <= read[1]


@pytest.mark.parametrize(
    ("cosine", "text"),
    [(1.0, "1.0000"), (0.9999, "0.9999"), (0.99988, "0.9998"), (0.9991, "0.9991"), (0.0, "0.0000")],
)
def test_a_similarity_is_rounded_down(cosine: float, text: str) -> None:
    """So that it does not look as if it met a bound that it misses."""
    assert units.format_similarity(cosine) == text
