"""The first screen of `check`: verdict and next action first, marks that say what is over."""

from __future__ import annotations

import io

import msgspec
import pytest
from rich.console import Console

from feasibility.catalogue.load_catalogue import find_device, load_catalogue
from feasibility.decide.network import PRESETS
from feasibility.decide.recommendation import assess_model
from feasibility.decide.requirements import Requirements
from feasibility.json_documents import read_document
from feasibility.paths import devices_dir, profiles_dir
from feasibility.records.assessment import Assessment, ModelAssessment
from feasibility.records.device import Device
from feasibility.records.profile import Profile
from feasibility.render.reports.assessment_texts import with_sentences
from feasibility.render.reports.check import check_report, headline
from feasibility.render.terminal.layout import print_report
from feasibility.units import MILLISECOND_NS
from tests.test_render_terminal import drawn, printed

CATALOGUE = load_catalogue(devices_dir())
S24, ZERO, PI_4, SERVER = (
    find_device(name, CATALOGUE) for name in ("galaxy_s24", "rpi_zero2w", "rpi_4b", "rtx_3070")
)
RESNET, YAMNET = (
    read_document(profiles_dir() / "zoo" / f"{name}.json", Profile)
    for name in ("resnet101", "yamnet")
)


def assessed(
    *devices: Device, profile: Profile = RESNET, demands: Requirements | None = None
) -> ModelAssessment:
    found = devices or (S24, ZERO, PI_4, SERVER)
    return with_sentences(assess_model(profile, found, demands or Requirements()))


def report(*models: ModelAssessment, width: int = 80) -> str:
    record = Assessment(tool_version="0", models=models)
    return drawn(record, printed(check_report), width=width)


@pytest.mark.parametrize(
    ("model", "text", "tone"),
    [
        (
            assessed(),
            "UNDECIDED: one measured time on the Samsung Galaxy S24 is missing",
            "plain",
        ),
        (assessed(profile=YAMNET), "ON DEVICE: fits on the Samsung Galaxy S24 and boards", "good"),
        (assessed(ZERO, PI_4), "DOES NOT FIT on boards", "bad"),
        (
            assessed(ZERO, SERVER),
            "CLOUD: RTX 3070 server; does not fit on the Raspberry Pi Zero 2 W",
            "good",
        ),
        (assessed(SERVER), "CLOUD: RTX 3070 server", "good"),
        (
            assessed(ZERO, profile=YAMNET, demands=Requirements(memory_budget_bytes=62_914_560)),
            "ON DEVICE WITH CHANGES: fits with changes on the Raspberry Pi Zero 2 W",
            "caution",
        ),
        (
            assessed(SERVER, demands=Requirements(is_offline=True)),
            "cloud (RTX 3070 server) not possible: it must work without a network (--offline)",
            "bad",
        ),
    ],
    ids=["undecided", "on device", "nowhere", "cloud", "server", "changes", "offline"],
)
def test_the_first_line_is_the_answer(model: ModelAssessment, text: str, tone: str) -> None:
    assert headline(model) == (text, tone)


def test_marks_show_what_is_over_and_what_is_open() -> None:
    """Also a memory that is over beside a time that is over."""
    lines = {line.partition("  ")[0]: line for line in report(assessed()).splitlines()}
    assert " ms ?  " in lines["Samsung Galaxy S24"]
    assert " s !  " in lines["Raspberry Pi Zero 2 W"]
    assert lines["Raspberry Pi Zero 2 W"].endswith(" 383 / 250 MiB !")
    assert lines["Raspberry Pi 4 (4 GB)"].endswith(" 383 MiB / 3 GiB")
    text = report(assessed(profile=YAMNET))
    assert " ! " not in text
    assert " ? " not in text


def test_the_time_of_a_server_includes_the_network() -> None:
    model = assessed()
    (server,) = (one for one in model.placement.candidates if one.where == "cloud")
    assert server.latency.high_ns is not None
    text = report(model)
    assert "0.11 to 1 s * " in text
    assert "* includes the network (Wi-Fi, assumed); the verdict ignores it; set --network" in text
    named = Requirements(network=PRESETS["4g"], latency_budget_ns=100 * MILLISECOND_NS)
    text = report(assessed(demands=named))
    assert "* includes the network (4G)\n" in text
    assert " to 6.6 s ! *  100 ms" in text
    assert "*" not in report(assessed(ZERO, SERVER, demands=Requirements(is_offline=True)))


def test_where_targets_come_from() -> None:
    assert "targets: defaults of phones and boards" in report(assessed())
    asked = Requirements(latency_budget_ns=100 * MILLISECOND_NS)
    assert "targets: defaults" not in report(assessed(demands=asked))


def test_memory_on_a_device_is_shown_as_a_sum() -> None:
    """The figures of the table, so that a reader can add them up; --details has the same."""
    text = report(assessed())
    assert "383 MiB = 359 MiB for the model on aarch64 + 24 MiB for the runtime" in text
    assert "641 MiB = 241 MiB for the model on the GPU + 400 MiB for the runtime" in text
    (found,) = assessed(ZERO).devices
    assert "about 359 MiB to load" in found.memory.explanation
    # A device's figure is explained once, however many devices share it.
    assert report(assessed(*CATALOGUE)).count(" for the runtime\n") <= 6


def test_a_small_file_has_no_multiple() -> None:
    assert "368 MiB to load (2.16x the file)" in report(assessed())
    tiny = msgspec.structs.replace(RESNET.model, file_bytes=200, external_bytes=0)
    text = report(assessed(profile=msgspec.structs.replace(RESNET, model=tiny)))
    assert "368 MiB to load, 199 MiB to run" in text


def test_marks_are_explained_below_the_table_that_has_them() -> None:
    text = report(assessed(), assessed(profile=YAMNET))
    head, _, rest = text.partition("resnet101.onnx  UNDECIDED")
    first, _, second = rest.partition("yamnet.onnx  ON DEVICE")
    assert "! over the target or limit   ? target or limit inside the interval" in first
    assert "! over" not in head + second


def test_obstacles_without_a_column_are_listed() -> None:
    demands = Requirements(storage_budget_bytes=31_457_280, is_private=True)
    text = report(assessed(demands=demands))
    assert "takes 171 MiB on disk, over the limit of 30 MiB (--app-size)" in text
    assert "server         inputs must stay on the device (--private)" in text


def test_the_next_action_can_be_pasted() -> None:
    lines = report(assessed()).splitlines()
    command = "feasibility devices calibrate galaxy_s24 --measured resnet101.onnx=TIME"
    assert f"        {command}" in lines
    assert lines.index(f"        {command}") < lines.index(
        "measured on AMD EPYC (x86_64), ONNX Runtime 1.31.1, CPU, 1 thread"
    )


def test_several_models_begin_with_all_verdicts_and_one_common_legend() -> None:
    text = report(assessed(), assessed(profile=YAMNET))
    head, _, rest = text.partition("resnet101.onnx  UNDECIDED")
    assert "recommendation" in head
    assert text.count("80 % intervals") == 1
    assert "80 % intervals" in head
    assert "yamnet.onnx  ON DEVICE" in rest


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_column_is_lost_at_any_width(width: int) -> None:
    """Where the width is short the table continues below."""
    text = report(assessed(), width=width)
    for title in ("verdict", "time", "target", "memory / limit"):
        assert f" {title}" in text
    assert max(map(len, text.splitlines())) <= width


def test_colour_marks_verdicts_in_both_parts_of_a_split_table() -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=60, force_terminal=True, color_system="standard")
    print_report(console, check_report(Assessment(tool_version="0", models=(assessed(),))))
    assert stream.getvalue().count("\x1b[1;31mdoes not fit") == 2


def test_a_long_name_has_its_own_line() -> None:
    model = assessed()
    name = "a_model_with_a_name_that_no_column_can_hold.onnx"
    renamed = msgspec.structs.replace(model.profile.model, name=name)
    profile = msgspec.structs.replace(model.profile, model=renamed)
    first, second, *_ = report(msgspec.structs.replace(model, profile=profile)).splitlines()
    assert first == name
    assert second.startswith("  UNDECIDED: ")
