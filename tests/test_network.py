"""Networks: which can be named, what a request over them takes, and what it carries."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feasibility.commands.parse_check_options import parse_network
from feasibility.decide.network import (
    PRESETS,
    Transfer,
    network_time,
    raw_tensors,
    transfer_ns,
)
from feasibility.errors import UsageError
from feasibility.records.intervals import Network, NetworkRange
from feasibility.records.profile import Profile
from feasibility.records.shared_fields import TensorSpec
from feasibility.records.workload import Fill, InputSpec, Workload
from feasibility.units import MILLISECOND_NS
from tests.projection_samples import minilm

replace = msgspec.structs.replace


def fixed(up: int, down: int, round_trip_ns: int) -> Network:
    """A network that is always the same."""
    up_range, down_range, trip = (
        NetworkRange(worst=value, usual=value, best=value) for value in (up, down, round_trip_ns)
    )
    return Network(
        name="line",
        up_bits_per_s=up_range,
        down_bits_per_s=down_range,
        round_trip_ns=trip,
        source="a test",
    )


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_in_order_and_have_a_source(name: str) -> None:
    preset = parse_network(name.upper())
    assert preset is PRESETS[name]
    for rate in (preset.up_bits_per_s, preset.down_bits_per_s):
        assert 0 < rate.worst <= rate.usual <= rate.best
    trip = preset.round_trip_ns
    assert trip.worst >= trip.usual >= trip.best > 0
    assert preset.source


@pytest.mark.parametrize(
    ("text", "name"), [("Wi-Fi", "wifi"), ("WLAN", "wifi"), ("LTE", "4g"), (" ethernet ", "lan")]
)
def test_other_names_of_networks(text: str, name: str) -> None:
    assert parse_network(text) is PRESETS[name]


def test_none_is_no_network() -> None:
    assert parse_network(" None ") is None


@pytest.mark.parametrize(
    ("text", "up", "down", "round_trip_ns"),
    [
        ("10/50/40ms", 10_000_000, 50_000_000, 40 * MILLISECOND_NS),
        ("0.5 / 2.5 / 1.5s", 500_000, 2_500_000, 1500 * MILLISECOND_NS),
        ("800kbit/1Gbit/40", 800_000, 1_000_000_000, 40 * MILLISECOND_NS),
        ("10Mbps/10mbit/0ms", 10_000_000, 10_000_000, 0),
    ],
)
def test_a_network_in_figures(text: str, up: int, down: int, round_trip_ns: int) -> None:
    """Mbit/s and milliseconds unless it says otherwise; no figure of it is a range."""
    found = parse_network(text)
    assert found is not None
    for figure, value in (
        (found.up_bits_per_s, up),
        (found.down_bits_per_s, down),
        (found.round_trip_ns, round_trip_ns),
    ):
        assert figure == NetworkRange(worst=value, usual=value, best=value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "neither a known network nor UP/DOWN/RTT"),
        ("6g", "neither a known network nor UP/DOWN/RTT"),
        ("10/50", "neither a known network nor UP/DOWN/RTT"),
        ("10/50/40ms/1", "neither a known network nor UP/DOWN/RTT"),
        ("fast/50/40ms", "'fast' is not a rate in Mbit/s"),
        ("-1/50/40ms", "'-1' is not a rate in Mbit/s"),
        ("10MB/50/40ms", "'10MB' is not a rate in Mbit/s"),
        ("0/50/40ms", "no network has a rate of '0'"),
        ("10/99999999Gbit/40ms", "no network has a rate of '99999999Gbit'"),
        ("10/50/soon", "'soon' is not a round trip in ms"),
        ("10/50/", "'' is not a round trip in ms"),
        ("10/50/2min", "a round trip of '2min' is longer than a minute"),
        ("a\x1b/1/1", "'a\\\\x1b' is not a rate in Mbit/s"),
    ],
)
def test_a_network_that_cannot_be_read(text: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_network(text)
    assert why in caught.value.why
    assert "10/50/40ms" in caught.value.hint
    assert "\x1b" not in str(caught.value)


@given(st.text(max_size=30) | st.text("0123456789./kMGbitms ", max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = parse_network(text)
    except UsageError:
        return
    assert found is None or found.up_bits_per_s.worst >= 1


def test_time_is_a_round_trip_and_both_transfers() -> None:
    """1 MB at 8 Mbit/s takes a second, 1 kB back at 8 Mbit/s a millisecond."""
    line = fixed(8_000_000, 8_000_000, 50 * MILLISECOND_NS)
    found = network_time(line, Transfer(1_000_000, 1000))
    assert found.low_ns == found.likely_ns == found.high_ns == 1051 * MILLISECOND_NS


def test_an_answer_of_unknown_size_is_at_most_as_large_as_the_question() -> None:
    line = fixed(8_000_000, 8_000_000, 0)
    found = network_time(line, Transfer(1000, None))
    assert (found.low_ns, found.high_ns) == (MILLISECOND_NS, 2 * MILLISECOND_NS)


def test_inputs_of_unknown_size_have_no_upper_end() -> None:
    found = network_time(fixed(8, 8, 7), Transfer(None, 5))
    assert (found.low_ns, found.likely_ns, found.high_ns) == (7, None, None)


_RATES = st.integers(1, 10**12)


@given(_RATES, _RATES, st.integers(0, 10**9), st.integers(0, 10**9), st.floats(1, 1000))
def test_a_faster_network_is_never_slower(
    up: int, down: int, trip: int, size: int, factor: float
) -> None:
    slow = network_time(fixed(up, down, trip), Transfer(size, size))
    better = fixed(max(up, int(up * factor)), max(down, int(down * factor)), int(trip / factor))
    fast = network_time(better, Transfer(size, size))
    assert slow.high_ns is not None
    assert fast.high_ns is not None
    assert fast.high_ns <= slow.high_ns


@given(st.integers(0, 10**12), _RATES)
def test_transfers_are_rounded_up(count: int, rate: int) -> None:
    taken = transfer_ns(count, rate)
    assert (taken - 1) * rate < count * 8 * 10**9 <= taken * rate or count == taken == 0


def fed(*inputs: InputSpec, dims: dict[str, int] | None = None, outputs: object = ()) -> Profile:
    profile = minilm()
    workload = Workload(inputs=inputs, dims=dims or {})
    return replace(profile, workload=workload, model=replace(profile.model, outputs=outputs))


@pytest.mark.parametrize(
    ("dtype", "bits"),
    [
        ("float32", 32),
        ("int64", 64),
        ("uint8", 8),
        ("bool", 8),
        ("bfloat16", 16),
        ("int4", 4),
        ("float8_e4m3fn", 8),
        ("complex64", 64),
        ("string", None),
        ("", None),
    ],
)
def test_a_tensor_is_as_large_as_its_elements(dtype: str, bits: int | None) -> None:
    sent = raw_tensors(fed(InputSpec(name="x", dtype=dtype, shape=(3, 5)))).upload_bytes
    assert sent == (None if bits is None else (15 * bits + 7) // 8)


PIXELS = InputSpec(name="x", dtype="float32", shape=(1, 3, 224, 224))


def test_a_request_sends_what_was_fed_and_what_comes_back() -> None:
    outputs = (TensorSpec(name="y", dtype="float32", shape=("N", 1000)),)
    assert raw_tensors(fed(PIXELS, dims={"N": 1}, outputs=outputs)) == Transfer(602_112, 4000)


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        (fed(), (None, None)),
        (fed(PIXELS, InputSpec(name="s", dtype="string", shape=(1,))), (None, None)),
        (fed(PIXELS, InputSpec(name="s", dtype="int8", shape=(1,), kind="map")), (None, None)),
        (
            fed(PIXELS, InputSpec(name="o", dtype="string", shape=(), fill=Fill(kind="absent"))),
            (602_112, None),
        ),
        (fed(PIXELS, outputs=(TensorSpec(name="y", dtype="int8", shape=("M",)),)), (602_112, None)),
        (fed(PIXELS, outputs=(TensorSpec(name="y", dtype="int8"),)), (602_112, None)),
    ],
    ids=["nothing fed", "text", "map", "left out", "open size", "any shape"],
)
def test_sizes_that_are_not_known(
    profile: Profile, expected: tuple[int | None, int | None]
) -> None:
    """Not known is not zero."""
    assert raw_tensors(profile)[:2] == expected
