"""Places side by side: the cloud with its network, and what may not leave the device."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feasibility.catalogue.load_catalogue import find_device, load_catalogue
from feasibility.decide import cloud_request as cloud
from feasibility.decide import energy_and_cost
from feasibility.decide import network as network_module
from feasibility.decide.network import PRESETS
from feasibility.decide.recommendation import assess_model
from feasibility.decide.requirements import Requirements
from feasibility.decide.score import verdict_rank
from feasibility.paths import devices_dir
from feasibility.records.assessment import Assessment, ModelAssessment, Placement
from feasibility.records.device import Device
from feasibility.records.intervals import Network, NetworkRange
from feasibility.records.profile import Profile
from feasibility.records.shared_fields import TensorSpec
from feasibility.records.workload import InputSpec, Workload
from feasibility.render.reports.assessment_texts import with_sentences
from feasibility.render.reports.check import check_report
from feasibility.units import GIB, MILLISECOND_NS, SECOND_NS
from tests.projection_samples import board, devices, minilm, profiles, resnet101
from tests.snapshot import assert_matches_snapshot
from tests.test_network import fixed
from tests.test_render_terminal import drawn, printed
from tests.test_scoring import IMPROVEMENTS

replace = msgspec.structs.replace
CATALOGUE = load_catalogue(devices_dir())
T4 = find_device("t4", CATALOGUE)
ZERO = find_device("rpi_zero2w", CATALOGUE)
LAN = PRESETS["lan"]


def pictures(profile: Profile | None = None) -> Profile:
    """A profile whose model was fed one picture of 588 KiB."""
    profile = profile or resnet101()
    pixels = InputSpec(name="x", dtype="float32", shape=(1, 3, 224, 224))
    outputs = (TensorSpec(name="y", dtype="float32", shape=(1, 1000)),)
    model = replace(profile.model, outputs=outputs)
    return replace(profile, model=model, workload=Workload(inputs=(pixels,)))


def placed(demands: Requirements, *found: Device) -> ModelAssessment:
    return with_sentences(assess_model(pictures(), found or (ZERO, T4), demands))


def test_a_request_is_network_and_server() -> None:
    network = fixed(48_168_960, 32_000_000, 30 * MILLISECOND_NS)
    found = placed(Requirements(network=network))
    cloud = next(one for one in found.placement.candidates if one.where == "cloud")
    there = found.devices[1].latency
    # 602112 bytes at 48.16896 Mbit/s are 100 ms, 4000 at 32 Mbit/s are 1 ms.
    assert cloud.network_time is not None
    assert cloud.network_time.likely_ns == 131 * MILLISECOND_NS
    assert there.high_ns is not None
    assert cloud.latency.high_ns == there.high_ns + 131 * MILLISECOND_NS
    assert (cloud.upload_bytes, cloud.download_bytes, cloud.storage_bytes) == (602_112, 4000, 0)
    assert (cloud.works_offline, cloud.data_leaves_device) == (False, True)
    # Without --latency the network has as much as the server's own target of 50 ms.
    assert cloud.latency.budget_ns == 100 * MILLISECOND_NS
    assert cloud.verdict == "does-not-fit"


def test_a_device_of_ones_own_needs_no_network() -> None:
    own = next(one for one in placed(Requirements()).placement.candidates if one.where != "cloud")
    assert (own.works_offline, own.data_leaves_device, own.upload_bytes) == (True, False, 0)
    assert own.storage_bytes == resnet101().model.file_bytes
    assert own.network_time is None
    assert own.cost_per_1000 is None
    assert own.energy is not None


@pytest.mark.parametrize(
    ("demands", "summary"),
    [
        (Requirements(is_offline=True), "it must work without a network (--offline)"),
        (Requirements(is_private=True), "inputs must stay on the device (--private)"),
    ],
)
def test_demands_that_keep_it_from_the_cloud(demands: Requirements, summary: str) -> None:
    found = placed(demands)
    assert (found.placement.where, found.placement.device) == ("undecided", None)
    assert found.placement.summary == (
        "does not fit on the Raspberry Pi Zero 2 W; "
        f"cloud (NVIDIA T4 server) not possible: {summary}"
    )
    assert (found.devices[1].verdict, found.devices[1].score_parts["demands"]) == (
        "does-not-fit",
        0,
    )
    assert ("cloud", f"NVIDIA T4 server: {summary}") in {
        (other.where, other.reason) for other in found.placement.alternatives
    }


def test_every_demand_that_rules_a_server_out_is_said() -> None:
    found = placed(Requirements(is_offline=True, is_private=True))
    said = [reason.code for reason in found.placement.reasons if reason.device == "t4"]
    assert said == ["no-network-allowed", "inputs-private"]


def test_only_a_server_that_may_not_be_asked() -> None:
    found = placed(Requirements(is_offline=True), T4)
    assert found.placement.summary == (
        "cloud (NVIDIA T4 server) not possible: it must work without a network (--offline)"
    )
    assert found.placement.network is None


def test_a_slow_network_keeps_it_from_the_cloud() -> None:
    """4G carries 588 KiB in 0.4 s at best."""
    demands = Requirements(network=PRESETS["4g"], latency_budget_ns=300 * MILLISECOND_NS)
    found = placed(demands)
    assert found.placement.where == "undecided"
    assert "a request over 4G, 588 KiB of raw tensors up, takes" in found.placement.summary
    assert placed(replace_network(demands, LAN)).placement.where == "cloud"


def test_what_is_sent_may_be_smaller_than_the_tensors() -> None:
    """A picture of 60 kB goes up as it is, and the figures say so."""
    demands = Requirements(
        network=PRESETS["4g"], latency_budget_ns=300 * MILLISECOND_NS, upload_bytes=60_000
    )
    found = placed(demands)
    cloud = next(one for one in found.placement.candidates if one.where == "cloud")
    assert (cloud.upload_bytes, cloud.is_upload_given) == (60_000, True)
    assert cloud.network_time is not None
    # 60000 bytes at 8.06 Mbit/s and 4000 at 90.8 Mbit/s on top of 64 ms.
    assert cloud.network_time.likely_ns == pytest.approx(64e6 + 59.55e6 + 0.352e6, rel=1e-3)
    assert "58.6 KiB up, 3.91 KiB back" in cloud.network_time.explanation
    assert "a request over 4G, 58.6 KiB up, takes" in cloud.reasons_text[0]
    plain = placed(changed(demands, upload_bytes=None)).placement.candidates
    assert [one.is_upload_given for one in plain] == [False, False]


def test_everything_that_stands_in_the_way_is_said() -> None:
    """Whoever makes it faster is not to learn only then that it does not fit either."""
    demands = Requirements(memory_budget_bytes=GIB // 64, storage_budget_bytes=GIB // 64)
    placement = placed(demands, ZERO).placement
    said = placement.reasons_text
    endings = (
        "default target of 200 ms",
        "limit of 16 MiB (--app-size)",
        "limit: 16 MiB (--memory)",
    )
    assert all(any(reason.endswith(ending) for reason in said) for ending in endings)
    assert len(said) == len(endings)


def test_of_servers_that_do_the_cheapest_is_taken() -> None:
    named = [replace(T4, id=f"s{i}", name=f"S{i}") for i in range(3)]
    prices = {"s0": 900_000, "s2": 400_000}
    found = placed(
        Requirements(prices_microusd=prices), *(replace(one, price=None) for one in named)
    )
    assert found.placement.device == "s2"
    assert [one.device for one in found.placement.candidates] == ["s2", "s0", "s1"]
    assert [one.hourly_microusd for one in found.placement.candidates] == [400_000, 900_000, None]


def test_a_rate_that_one_server_does_not_reach_takes_several() -> None:
    found = placed(Requirements(rate_per_s=100, network=LAN, upload_bytes=1000), T4)
    cloud = found.placement.candidates[0]
    assert cloud.server_count is not None
    assert cloud.server_count > 1
    assert (found.devices[0].verdict, found.placement.where) == ("tight", "cloud")
    assert found.placement.summary == (
        f"cloud: NVIDIA T4 server, up to {cloud.server_count} of them"
    )
    assert T4.price is not None
    assert cloud.hourly_microusd == T4.price.hourly_microusd.value * cloud.server_count


def test_the_nearest_of_several_servers_says_why_none_will_do() -> None:
    found = placed(Requirements(network=fixed(10**6, 10**6, 0)), T4, find_device("l4", CATALOGUE))
    assert found.placement.summary.startswith(
        "cloud (NVIDIA L4 server) not possible: a request over"
    )


def replace_network(demands: Requirements, network: Network) -> Requirements:
    return Requirements(latency_budget_ns=demands.latency_budget_ns, network=network)


def test_a_network_nobody_named_is_assumed_and_judged_only_with_a_budget() -> None:
    open_ = placed(Requirements()).placement
    assert open_.network is not None
    assert (open_.network.name, open_.network.is_assumed) == ("Wi-Fi", True)
    assert open_.where == "cloud"
    demands = Requirements(latency_budget_ns=60 * MILLISECOND_NS)
    assert placed(demands).placement.where == "undecided"


def test_servers_alone_are_not_judged_by_a_network_nobody_named() -> None:
    demands = Requirements(latency_budget_ns=60 * MILLISECOND_NS, rate_per_s=10)
    found = placed(demands, T4)
    assert found.placement.where == "cloud"
    assert found.placement.candidates[0].network_time is not None
    assert found.placement.candidates[0].latency.budget_ns is None
    named = placed(replace_network(demands, PRESETS["wifi"]), T4)
    assert named.placement.where == "undecided"


def test_undecided_says_which_measurement_is_missing() -> None:
    latency = placed(Requirements()).devices[1].latency
    assert latency.high_ns is not None
    trip = NetworkRange(worst=SECOND_NS, usual=MILLISECOND_NS, best=MILLISECOND_NS)
    network = replace(fixed(10**9, 10**9, 0), round_trip_ns=trip)
    demands = Requirements(latency_budget_ns=latency.high_ns + SECOND_NS // 2, network=network)
    found = placed(demands)
    assert found.placement.where == "undecided"
    assert found.placement.summary == (
        "undecided: measured figures of the network to the NVIDIA T4 server are missing"
    )
    assert found.placement.settled_by == (
        "measure the network to the NVIDIA T4 server and set --network UP/DOWN/RTT",
    )


def test_a_close_request_over_a_measured_network_is_settled_on_the_server() -> None:
    """Where the network has no range, measuring it again settles nothing."""
    network = fixed(10**9, 10**9, 30 * MILLISECOND_NS)
    there = placed(Requirements(network=network)).devices[1].latency
    assert there.low_ns is not None
    assert there.high_ns is not None
    budget = (there.low_ns + there.high_ns) // 2 + 35 * MILLISECOND_NS
    found = placed(Requirements(network=network, latency_budget_ns=budget))
    assert found.devices[1].verdict == "undecided"
    assert found.devices[1].reasons[0].code == "limit-inside-interval"
    assert found.placement.settled_by == (
        "measure the model's time on the NVIDIA T4 server, then run `feasibility devices "
        "calibrate t4 --measured resnet101.onnx=TIME`",
    )


def test_a_close_latency_is_settled_on_the_device() -> None:
    roomy = replace(board(memory_bytes=64 * GIB), name="Board")
    likely = assess_model(pictures(), (roomy,)).devices[0].latency.likely_ns
    found = with_sentences(
        assess_model(pictures(), (roomy,), Requirements(latency_budget_ns=likely))
    )
    assert found.placement.settled_by == (
        "measure the model's time on the Board, then run `feasibility devices calibrate board "
        "--measured resnet101.onnx=TIME`",
    )


def test_a_device_of_a_file_is_timed_with_a_table() -> None:
    """`devices calibrate` finds listed devices only."""
    own = replace(board(memory_bytes=64 * GIB), name="Board", origin="here/board.toml")
    likely = assess_model(pictures(), (own,)).devices[0].latency.likely_ns
    found = with_sentences(assess_model(pictures(), (own,), Requirements(latency_budget_ns=likely)))
    assert found.placement.settled_by == (
        "measure the model's time on the Board and give it with `--measured TIMES.toml`; the file "
        'contains [board] and "resnet101.onnx" = "TIME"',
    )


def test_a_close_memory_is_settled_under_its_limit() -> None:
    roomy = board(memory_bytes=64 * GIB, latency_ns=None, allocator="scudo")
    # Nothing is known to make an .ort file smaller in memory.
    profile = pictures(minilm())
    profile = replace(profile, model=replace(profile.model, format="ort"))
    memory = assess_model(profile, (roomy,)).devices[0].memory
    demands = Requirements(memory_budget_bytes=memory.low_bytes)
    found = with_sentences(assess_model(profile, (roomy,), demands))
    assert found.devices[0].verdict == "undecided"
    assert found.placement.settled_by == (
        "run the model under the memory limit of the Board: "
        "`feasibility prove minilm.onnx --device board`",
    )


@pytest.mark.parametrize(
    ("rate", "verdict", "words"),
    [
        (1.0, "fits", "LAN is fast enough to send 588 KiB"),
        (190.0, "does-not-fit", "LAN is too slow to send 588 KiB"),
    ],
)
def test_the_uplink_carries_a_stream_or_not(rate: float, verdict: str, words: str) -> None:
    fast = replace(LAN, up_bits_per_s=fixed(900_000_000, 1, 1).up_bits_per_s)
    found = placed(Requirements(rate_per_s=rate, network=fast), T4)
    cloud = found.placement.candidates[0]
    assert any(words in reason for reason in cloud.reasons_text)
    assert (found.devices[0].verdict == "does-not-fit") == (verdict == "does-not-fit")


def test_realtime_is_judged_on_every_device() -> None:
    found = placed(Requirements(realtime_ns=SECOND_NS // 10, network=LAN))
    assert found.devices[0].verdict == "does-not-fit"
    for one in found.devices:
        assert one.realtime is not None
        assert one.latency.low_ns is not None
        assert one.realtime.low_ratio == pytest.approx(one.latency.low_ns / (SECOND_NS / 10))
        assert "realtime" in one.score_parts


def test_what_an_app_may_add_is_no_limit_to_a_server() -> None:
    found = placed(Requirements(storage_budget_bytes=10))
    assert found.devices[0].storage.budget_bytes == 10
    assert found.devices[1].storage.budget_bytes is None


def test_candidates_are_ordered_and_complete() -> None:
    found = assess_model(pictures(), CATALOGUE).placement.candidates
    assert {one.device for one in found} == {device.id for device in CATALOGUE}
    ranks = [verdict_rank(one.verdict) for one in found]
    assert ranks == sorted(ranks, reverse=True)


def rank(placement: Placement) -> int:
    """Order of the answers as docs/placement.md gives it, 0 the worst."""
    if placement.where == "undecided":
        return 2 if placement.device else 0
    return {"on-device": 4, "on-device-with-changes": 3, "cloud": 1}[placement.where]


def assert_no_worse(before: ModelAssessment, after: ModelAssessment) -> None:
    for old, new in zip(before.devices, after.devices, strict=True):
        assert verdict_rank(new.verdict) >= verdict_rank(old.verdict)
        assert new.score >= old.score
    assert rank(after.placement) >= rank(before.placement)


_DEVICES = st.lists(devices(), min_size=1, max_size=3).map(
    lambda found: tuple(replace(one, id=f"d{i}", name=f"D{i}") for i, one in enumerate(found))
)
_RATE = st.integers(1000, 10**10)
_NETWORKS = st.builds(fixed, _RATE, _RATE, st.integers(0, 10**9))
_DEMANDS = st.builds(
    Requirements,
    latency_budget_ns=st.none() | st.integers(1000, 10**11),
    rate_per_s=st.none() | st.floats(0.01, 1000),
    realtime_ns=st.none() | st.integers(10**6, 10**11),
    network=st.none() | _NETWORKS,
    is_offline=st.booleans(),
    is_private=st.booleans(),
)
_FED = profiles().map(pictures) | profiles()


@settings(max_examples=60)
@given(profiles().map(pictures), st.lists(devices(), min_size=1, max_size=2), st.data())
def test_every_reason_has_its_points(
    profile: Profile, found: list[Device], data: st.DataObject
) -> None:
    """The points of a part are those of its reason."""
    for one in assess_model(profile, found, data.draw(_DEMANDS)).devices:
        points = {reason.part: reason.score for reason in one.reasons}
        assert points == one.score_parts


@settings(max_examples=60)
@given(_FED, _DEVICES, _DEMANDS, st.sampled_from(IMPROVEMENTS), st.floats(1, 20), st.integers(0, 2))
def test_better_devices_never_worsen_the_placement(
    profile: Profile,
    found: tuple[Device, ...],
    demands: Requirements,
    improve: Callable[[Device, float], Device],
    factor: float,
    which: int,
) -> None:
    index = which % len(found)
    better = (*found[:index], improve(found[index], factor), *found[index + 1 :])
    assert_no_worse(assess_model(profile, found, demands), assess_model(profile, better, demands))


def changed(demands: Requirements, **changes: object) -> Requirements:
    names = demands.__slots__
    return Requirements(**{name: getattr(demands, name) for name in names} | changes)  # type: ignore[arg-type]


@settings(max_examples=60)
@given(_FED, _DEVICES, _DEMANDS, _NETWORKS, st.floats(1, 100))
def test_a_faster_network_never_worsens_anything(
    profile: Profile,
    found: tuple[Device, ...],
    demands: Requirements,
    network: Network,
    factor: float,
) -> None:
    up, down = network.up_bits_per_s.best, network.down_bits_per_s.best
    faster = fixed(
        max(up, int(up * factor)),
        max(down, int(down * factor)),
        int(network.round_trip_ns.best / factor),
    )
    assert_no_worse(
        assess_model(profile, found, changed(demands, network=network)),
        assess_model(profile, found, changed(demands, network=faster)),
    )


@settings(max_examples=60)
@given(_FED, _DEVICES, _DEMANDS, st.integers(1000, 10**10), st.floats(1, 20))
def test_looser_demands_never_worsen_anything(
    profile: Profile,
    found: tuple[Device, ...],
    demands: Requirements,
    budget: int,
    factor: float,
) -> None:
    tight = changed(demands, latency_budget_ns=budget, realtime_ns=budget, rate_per_s=factor)
    loose = changed(
        demands,
        latency_budget_ns=int(budget * factor),
        realtime_ns=int(budget * factor),
        rate_per_s=1.0,
        is_offline=False,
        is_private=False,
    )
    assert_no_worse(assess_model(profile, found, tight), assess_model(profile, found, loose))


def test_the_report_of_places_looks_as_it_did() -> None:
    """The table of places, the way to the cloud and the real-time factor."""
    demands = Requirements(
        rate_per_s=2, realtime_ns=SECOND_NS, network=LAN, latency_budget_ns=SECOND_NS
    )
    sizes = board(memory_bytes=2 * GIB, clock_hz=600_000_000)
    slow = replace(sizes, id="slow_board", name="Slow board", power_mw=ZERO.power_mw)
    found = placed(demands, slow, replace(T4, price=None), replace(T4, id="t4b"))
    report = Assessment(tool_version="0", models=(found,))
    text = drawn(report, printed(check_report), details=True)
    first, _, rest = text.partition("Slow board (slow_board)\n")
    table = rest[rest.index("all devices and servers") : rest.index("memory above the baseline")]
    assert_matches_snapshot("places.txt", f"{first[: first.index('measured on')]}{table}")


def test_the_document_says_what_the_code_does() -> None:
    """Constants and networks of docs/placement.md are those of the code."""
    text = (Path(__file__).parents[1] / "docs" / "placement.md").read_text(encoding="utf-8")
    known = vars(cloud) | vars(energy_and_cost) | vars(network_module)
    named = re.findall(r"`([A-Z][A-Z0-9_]+)` = ([\d.]+)", text)
    assert len(named) == 3
    for name, value in named:
        assert known[name] == float(value)
    for name, preset in PRESETS.items():
        row = next(line for line in text.splitlines() if line.startswith(f"| `{name}`"))
        cells = [cell.strip() for cell in row.split("|")[2:5]]
        figures = (
            (preset.up_bits_per_s, 10**6),
            (preset.down_bits_per_s, 10**6),
            (preset.round_trip_ns, MILLISECOND_NS),
        )
        assert cells == [
            ", ".join(f"{value / unit:g}" for value in (one.worst, one.usual, one.best))
            for one, unit in figures
        ]
