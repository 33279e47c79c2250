"""One recommendation, in words somebody can act on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feasibility.catalogue.load_catalogue import chosen_devices, find_device, load_catalogue
from feasibility.decide.recommendation import assess_model, recommend_placement
from feasibility.decide.requirements import Requirements
from feasibility.decide.score import interval_score
from feasibility.paths import devices_dir
from feasibility.records.assessment import (
    DeviceAssessment,
    ModelAssessment,
    Placement,
    Reason,
    Storage,
    Verdict,
    Where,
)
from feasibility.records.intervals import BytesInterval, DurationInterval
from feasibility.render.reports.assessment_texts import with_sentences
from feasibility.render.reports.reasons import reason_text
from feasibility.units import MIB, MILLISECOND_NS
from tests.projection_samples import minilm, resnet101

VERDICTS: tuple[Verdict, ...] = ("fits", "tight", "fits-with-changes", "undecided", "does-not-fit")
SCORES: dict[Verdict, int] = {
    "fits": 90,
    "tight": 70,
    "fits-with-changes": 59,
    "undecided": 40,
    "does-not-fit": 5,
}


def assessed(
    name: str, kind: str, verdict: Verdict, *, likely_ns: int | None = MILLISECOND_NS
) -> DeviceAssessment:
    return DeviceAssessment(
        device=name.lower(),
        name=name,
        kind=kind,
        verdict=verdict,
        score=SCORES[verdict],
        reasons=(reason(name, verdict),),
        memory=BytesInterval(),
        latency=DurationInterval(low_ns=likely_ns, likely_ns=likely_ns, high_ns=likely_ns),
        storage=Storage(needed_bytes=1),
        memory_change=reason(name, verdict) if verdict == "fits-with-changes" else None,
    )


def reason(name: str, verdict: Verdict) -> Reason:
    return Reason(
        code="operators-available",
        part="operators",
        verdict=verdict,
        score=SCORES[verdict],
        device=name.lower(),
    )


def told(*found: DeviceAssessment) -> Placement:
    """The recommendation with its sentences."""
    model = ModelAssessment(profile=minilm(), devices=found, placement=recommend_placement(found))
    return with_sentences(model).placement


SERVER = assessed("Server", "server", "fits")


def test_phones_here_boards_in_the_cloud() -> None:
    """Kinds are named as one where all of a kind fare alike."""
    found = told(
        assessed("P1", "phone", "fits"),
        assessed("P2", "phone", "tight"),
        assessed("B1", "sbc", "does-not-fit"),
        assessed("B2", "sbc", "does-not-fit"),
        SERVER,
    )
    assert (found.where, found.device) == ("on-device", "p1")
    assert found.summary == "on device: fits on the P1; tight on the P2"
    text = "standard builds of ONNX Runtime have all operators of the model"
    assert found.reasons_text == (f"B2: {text}", f"B1: {text}", f"P1: {text}")
    assert [one.device for one in found.reasons] == ["b2", "b1", "p1"]


def test_members_of_a_kind_are_named_where_they_differ() -> None:
    found = told(
        assessed("B1", "sbc", "fits"),
        assessed("B2", "sbc", "undecided"),
        assessed("B3", "sbc", "fits-with-changes"),
    )
    assert found.summary == ("on device: fits on the B1; fits with changes on the B3")


@pytest.mark.parametrize(
    ("verdicts", "where", "device"),
    [
        (("tight", "fits"), "on-device", "d1"),
        (("does-not-fit", "tight"), "on-device", "d1"),
        (("fits-with-changes", "undecided"), "on-device-with-changes", "d0"),
        (("undecided", "does-not-fit"), "undecided", "d0"),
        (("does-not-fit", "does-not-fit"), "cloud", "server"),
    ],
)
def test_where(verdicts: tuple[Verdict, ...], where: Where, device: str) -> None:
    """The best that is the user's own comes first, then what a change allows, then the cloud."""
    found = recommend_placement(
        (*(assessed(f"D{i}", "sbc", verdict) for i, verdict in enumerate(verdicts)), SERVER)
    )
    assert (found.where, found.device) == (where, device)


def test_no_server_asked_for() -> None:
    """The cloud is not recommended unseen."""
    found = told(assessed("B1", "sbc", "does-not-fit"))
    assert (found.where, found.device) == ("undecided", None)
    assert found.summary == "does not fit on the B1"


def test_no_server_fits() -> None:
    found = told(assessed("B1", "sbc", "does-not-fit"), assessed("S", "server", "does-not-fit"))
    assert found.where == "undecided"
    assert found.summary == "does not fit on the B1 and the S"


@pytest.mark.parametrize(
    ("verdict", "where", "summary"),
    [
        ("fits", "cloud", "cloud: S"),
        ("undecided", "undecided", "undecided for the S"),
        ("does-not-fit", "undecided", "does not fit on the S"),
    ],
)
def test_only_servers(verdict: Verdict, where: Where, summary: str) -> None:
    found = told(assessed("S", "server", verdict))
    assert (found.where, found.summary) == (where, summary)


def test_many_names_are_counted() -> None:
    fitting = [assessed(f"D{i}", "phone" if i else "sbc", "fits") for i in range(7)]
    found = told(*fitting, assessed("D9", "phone", "does-not-fit"))
    assert found.summary.startswith("on device: fits on the D0, the D1, the D2 and 4 others")


def test_nothing_asked_for() -> None:
    assert told().summary == "no device to check"


def test_fastest_server_among_equals() -> None:
    slow = assessed("Slow", "server", "fits", likely_ns=9 * MILLISECOND_NS)
    found = recommend_placement((slow, assessed("Unknown", "server", "fits", likely_ns=None)))
    assert found.device == "slow"
    assert recommend_placement((slow, SERVER)).device == "server"


def test_alternatives_say_why_not() -> None:
    found = told(
        assessed("A", "phone", "fits"),
        assessed("B", "phone", "fits-with-changes"),
        assessed("C", "sbc", "does-not-fit"),
        SERVER,
    )
    assert [(other.where, other.device) for other in found.alternatives] == [
        ("on-device-with-changes", "b"),
        ("cloud", "server"),
        ("on-device", "c"),
    ]
    assert found.alternatives[1].reason == (
        "Server: takes 1 ms without the network; needs a network, and inputs leave the device"
    )


@given(st.lists(st.tuples(st.sampled_from(("phone", "sbc", "server")), st.sampled_from(VERDICTS))))
def test_every_device_is_accounted_for(kinds: list[tuple[str, Verdict]]) -> None:
    """There is always one sentence, and a device is named only if it was asked for."""
    found = [assessed(f"D{i}", kind, verdict) for i, (kind, verdict) in enumerate(kinds)]
    placement = told(*found)
    assert placement.summary != ""
    assert placement.device is None or placement.device in {one.device for one in found}
    if any(one.kind != "server" and one.verdict in ("fits", "tight") for one in found):
        assert placement.where == "on-device"


def test_chosen_devices_end_to_end() -> None:
    """MiniLM runs on a flagship phone and on both boards, and says so."""
    devices = chosen_devices(None)
    found = assess_model(minilm(), devices)
    assert [one.device for one in found.devices] == [one.id for one in devices]
    verdicts = {one.device: one.verdict for one in found.devices}
    assert verdicts["galaxy_s24"] == verdicts["rpi_5"] == verdicts["rtx_3070"] == "fits"
    assert found.placement.where == "on-device"


def test_role_decides_the_budget() -> None:
    """An iOS extension gets 50 MB, so what fits in an app does not fit there."""
    iphone = find_device("iphone_13", load_catalogue(devices_dir()))
    app = assess_model(minilm(), (iphone,)).devices[0]
    extension = assess_model(minilm(), (iphone,), Requirements(role="extension")).devices[0]
    assert app.verdict == "fits"
    assert extension.verdict == "does-not-fit"
    assert extension.memory.budget_bytes == 50_000_000
    assert reason_text(extension.reasons[0]) == (
        "needs 151 to 175 MiB to load, over the limit: iOS grants an extension 47.7 MiB of 4 GiB"
    )


def test_a_role_that_the_file_does_not_know_gets_the_smallest_grant_and_says_so() -> None:
    phone = find_device("galaxy_s24", load_catalogue(devices_dir()))
    found = assess_model(minilm(), (phone,), Requirements(role="extension")).devices[0]
    assert found.memory.budget_bytes == 512 * MIB
    memory = next(one for one in found.reasons if one.part == "memory")
    assert reason_text(memory) == (
        "needs 151 to 175 MiB to load; limit: Android grants a background process about 512 MiB "
        "of 8 GiB (the device file has no figure for an extension)"
    )


@pytest.mark.parametrize("identifier", ["iphone_12", "iphone_13", "iphone_15_pro"])
def test_what_ios_leaves_in_the_background_is_what_apple_advises(identifier: str) -> None:
    phone = find_device(identifier, load_catalogue(devices_dir()))
    grant = phone.grant("background")
    assert grant is not None
    assert (grant.role, grant.memory_bytes.value) == ("background", 50_000_000)
    assert grant.memory_bytes.is_verified


def test_overrides_replace_the_device_file() -> None:
    board = find_device("pi4", load_catalogue(devices_dir()))
    demands = Requirements(
        latency_budget_ns=5, memory_budget_bytes=6, storage_budget_bytes=7, threads=1
    )
    found = assess_model(resnet101(), (board,), demands).devices[0]
    assert found.latency.budget_ns == 5
    assert found.memory.budget_bytes == 6
    assert found.storage.budget_bytes == 7
    assert found.latency.threads == 1
    assert found.score == interval_score(1, 1, 0.4) == 0
