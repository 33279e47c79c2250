"""The device files, what is wrong with a bad one, and the names people type."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feasibility.catalogue.cores import CORE_FAMILIES
from feasibility.catalogue.figures import BANDWIDTH, CLOCK, FLOP_RATE, MEMORY
from feasibility.catalogue.load_catalogue import (
    DEFAULT_DEVICE_IDS,
    chosen_devices,
    find_device,
    load_catalogue,
)
from feasibility.catalogue.read_device_file import parse_device, read_device
from feasibility.errors import DeviceError
from feasibility.paths import devices_dir
from feasibility.records.device import UNVERIFIED, Device, Figure
from feasibility.toml_key_errors import key_lines, line_of
from feasibility.units import GIB, MIB, MILLISECOND_NS

DEVICES = load_catalogue(devices_dir())

VALID = """\
schema = "feasibility/device/1"
id = "my_board"
name = "My board"
kind = "sbc"
aliases = ["mine"]
os = "Linux"
isa = "aarch64"
allocator = "glibc"
role = "headless"
runtimes = ["ONNX Runtime"]

[sources]
sheet = "the maker's data sheet"

[cpu]
soc = "SoC"

[[cpu.clusters]]
core = "cortex-a72"
count = { value = 4, source = "sheet" }
clock = { value = "1.8 GHz", source = "sheet" }
flop_per_cycle = { value = 8, source = "unverified", note = "from memory" }

[memory]
total = { value = "4 GiB", source = "sheet" }
bandwidth = { value = "12.8 GB/s", source = "sheet" }

[memory.grants.headless]
value = "3 GiB"
source = "unverified"
reason = "the system keeps the rest"

[limits]
runtime = { value = "24 MiB", source = "unverified" }
latency = { value = "200 ms", source = "unverified" }
"""


def figures(record: object) -> Iterator[Figure]:
    if isinstance(record, Figure):
        yield record
    elif isinstance(record, msgspec.Struct):
        for name in record.__struct_fields__:
            yield from figures(getattr(record, name))
    elif isinstance(record, tuple):
        for item in record:
            yield from figures(item)


def error_of(text: str) -> DeviceError:
    with pytest.raises(DeviceError) as caught:
        parse_device(text, "my_board.toml")
    return caught.value


def test_a_valid_file() -> None:
    device = parse_device(VALID, "my_board.toml")
    assert device.cpu is not None
    assert device.memory is not None
    cluster = device.cpu.clusters[0]
    assert cluster.core_flops_per_s == 14_400_000_000
    assert cluster.core_count == Figure(value=4, source="the maker's data sheet")
    assert cluster.flop_per_cycle == Figure(value=8, source=UNVERIFIED, note="from memory")
    assert device.memory.total_bytes.value == 4 * GIB
    assert device.memory.bandwidth_bytes_per_s is not None
    assert device.memory.bandwidth_bytes_per_s.value == 12_800_000_000
    assert device.limits.latency_ns is not None
    assert device.limits.latency_ns.value == 200 * MILLISECOND_NS
    assert device.limits.model_storage_bytes is None


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            'clock = { value = "1.8 GHz"',
            'clock = { value = "1.8 GB"',
            'line 21, cpu.clusters[1].clock.value: expected a frequency such as "2.4 GHz", '
            "not '1.8 GB'",
        ),
        (
            'total = { value = "4 GiB"',
            'total = { value = "-4 GiB"',
            'line 25, memory.total.value: expected a size such as "8 GiB" or "512 MiB", '
            "not '-4 GiB'",
        ),
        (
            'total = { value = "4 GiB"',
            'total = { value = "4000 TiB"',
            'line 25, memory.total.value: expected a size such as "8 GiB" or "512 MiB"; '
            "no device has this much or this little, not '4000 TiB'",
        ),
        (
            "count = { value = 4,",
            "count = { value = true,",
            "line 20, cpu.clusters[1].count.value: expected a whole number such as 4, not 'True'",
        ),
        (
            "count = { value = 4,",
            "count = { value = 0,",
            "line 20, cpu.clusters[1].count.value: expected a whole number such as 4; "
            "no device has this much or this little, not '0'",
        ),
        (
            'value = "3 GiB"',
            'value = "5 GiB"',
            "line 29, memory.grants.headless.value: expected at most memory.total: no process "
            "gets more than there is",
        ),
        (
            'clock = { value = "1.8 GHz", source = "sheet" }\n',
            "",
            'line 18, cpu.clusters[1].clock: missing; expected a frequency such as "2.4 GHz" '
            "with its source",
        ),
        (
            'clock = { value = "1.8 GHz", source = "sheet" }',
            'clock = "1.8 GHz"',
            'line 21, cpu.clusters[1].clock: expected { value = ..., source = "..." }: no '
            "figure without its source",
        ),
        (
            'clock = { value = "1.8 GHz", source = "sheet" }',
            'clock = { value = "1.8 GHz" }',
            "line 21, cpu.clusters[1].clock.source: missing; expected a text",
        ),
        (
            'clock = { value = "1.8 GHz", source = "sheet" }',
            'clock = { value = "1.8 GHz", source = "shet" }',
            "line 21, cpu.clusters[1].clock.source: expected a name from [sources] or "
            "\"unverified\", not 'shet'; did you mean 'sheet'?",
        ),
        (
            'bandwidth = { value = "12.8 GB/s"',
            'bandwith = { value = "12.8 GB/s"',
            "line 26, memory.bandwith: unknown key; did you mean 'bandwidth'?",
        ),
        (
            'kind = "sbc"',
            'kind = "scb"',
            "line 4, kind: expected one of phone, tablet, sbc, laptop, desktop, server; did you "
            "mean 'sbc'?",
        ),
        ('os = "Linux"\n', "", "line 1, os: missing; expected a text"),
        ('id = "my_board"', 'id = "My Board"', "line 2, id: expected small letters"),
        (
            "[memory.grants.headless]",
            "[memory.grants.headles]",
            "line 28, memory.grants.headles: unknown key; did you mean 'headless'?",
        ),
        ('aliases = ["mine"]', "aliases = [1]", "line 5, aliases: expected a list of texts"),
        (
            'role = "headless"',
            'role = "headless"\nruns_on = "gpu"',
            'gpu: missing or without fp32; runs_on = "gpu" needs both',
        ),
        (
            'schema = "feasibility/device/1"',
            'schema = "feasibility/device/2"',
            'line 1, schema: expected "feasibility/device/1"',
        ),
        ("[limits]", "[limits", "it is not TOML"),
        (
            "[limits]",
            '[power]\nvalue = "15"\nsource = "sheet"\n\n[limits]',
            "power.value: expected a power such as \"15 W\", not '15'",
        ),
        (
            "[limits]",
            '[power]\nvalue = "15 W"\n\n[limits]',
            "power.source: missing; expected a text",
        ),
        (
            "[limits]",
            '[price]\nvalue = "1 EUR/h"\nsource = "sheet"\nas_of = "2026-06"\n\n[limits]',
            "price.value: expected a price such as \"0.526 USD/h\", not '1 EUR/h'",
        ),
        (
            "[limits]",
            '[price]\nvalue = "1 USD/h"\nsource = "sheet"\n\n[limits]',
            "price.as_of: missing; expected a text",
        ),
        (
            "[limits]",
            '[price]\nvalue = "1 USD/h"\nsource = "sheet"\nas_of = "June"\n\n[limits]',
            'price.as_of: expected the date of the price, such as "2026-06" or "2026-06-17"',
        ),
        (
            "[limits]",
            '[price]\nhourly = "1 USD/h"\nas_of = "2026-06"\n\n[limits]',
            "price.hourly: unknown key",
        ),
    ],
)
def test_what_is_wrong_is_named(old: str, new: str, expected: str) -> None:
    """File, line, key and what was expected."""
    assert old in VALID
    error = error_of(VALID.replace(old, new))
    assert expected in error.why
    assert error.what == "Device file my_board.toml is not valid"
    assert error.hint


def test_power_and_price() -> None:
    """Watts and US dollars are kept in thousandths and millionths, with source and date."""
    added = (
        '[power]\nvalue = "7.5 W"\nsource = "sheet"\nnote = "of the chip"\n\n'
        '[price]\nvalue = "0.1445 USD/h"\nsource = "unverified"\nas_of = "2026-06-17"\n\n'
    )
    device = parse_device(VALID.replace("[limits]", f"{added}[limits]"), "my_board.toml")
    assert device.power_mw is not None
    assert device.price is not None
    assert (device.power_mw.value, device.power_mw.note) == (7500, "of the chip")
    assert (device.price.hourly_microusd.value, device.price.as_of) == (144_500, "2026-06-17")


REAL = {
    name: (devices_dir() / f"{name}.toml").read_text(encoding="utf-8")
    for name in ("rpi_5", "t4", "galaxy_s24")
}
_BAD_FIGURES = (
    "-1", "0", "true", "[]", "{}", "1e400", "nan", "1979-05-27", '""', '"x"', '"-4 GiB"', '"4"',
    '"4 GiB/s"', '"99999999999 THz"', '"1e3 GiB"', "0x" + "f" * 5000,
)  # fmt: skip
_PLACE = re.compile(r"line (\d+), [a-z][\w.\[\]]*: \S")


def refusal(text: str) -> str | None:
    """Why the text is no device file; None if it is one."""
    try:
        parse_device(text, "my_board.toml")
    except DeviceError as error:
        return error.why
    return None


def figure_lines(text: str) -> list[int]:
    return [i for i, line in enumerate(text.splitlines()) if re.search(r"\bvalue = ", line)]


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("bad", _BAD_FIGURES, ids=lambda bad: bad[:20])
def test_a_bad_figure_of_a_real_file_is_named_with_its_line(name: str, bad: str) -> None:
    """Wherever it stands, the error has file, line, key and what was expected."""
    for index in figure_lines(REAL[name]):
        lines = REAL[name].splitlines()
        lines[index] = re.sub(r'(value = )("[^"]*"|\d+)', rf"\g<1>{bad}", lines[index])
        error = error_of("\n".join(lines))
        found = _PLACE.match(error.why)
        assert found is not None, error.why
        assert int(found[1]) == index + 1
        assert "expected" in error.why


@pytest.mark.parametrize("name", REAL)
def test_a_key_that_is_missing_or_unknown_is_named(name: str) -> None:
    """Every key of a real file: without it the file is valid or the error says where it is."""
    lines = REAL[name].splitlines()
    for index, line in enumerate(lines):
        if not re.match(r"\w+ = ", line):
            continue
        why = refusal("\n".join((*lines[:index], *lines[index + 1 :])))
        assert why is None or _PLACE.match(why), why
        unknown = re.sub(r"^\w+", "surprise", line)
        why = refusal("\n".join((*lines[:index], unknown, *lines[index + 1 :])))
        assert why is None or _PLACE.match(why), why
        # Sources may be called anything.
        assert why is not None or "[sources]" in lines[:index]


@settings(max_examples=200)
@given(st.sampled_from(sorted(REAL)), st.data())
def test_a_damaged_file_is_refused_or_read(name: str, data: st.DataObject) -> None:
    """Never anything but a device or one error that names the file and a line."""
    text = REAL[name]
    at = data.draw(st.integers(0, len(text) - 1))
    until = data.draw(st.integers(at, min(len(text), at + 60)))
    put = data.draw(st.text('"=[]{}#\n.-_ 0a\x00é', max_size=4))
    why = refusal(f"{text[:at]}{put}{text[until:]}")
    assert why is None or "line " in why or "end of document" in why


def test_missing_cpu_is_named() -> None:
    start, end = VALID.index("[cpu]"), VALID.index("[memory]")
    assert "cpu: missing" in error_of(VALID[:start] + VALID[end:]).why


def test_control_characters_do_not_pass() -> None:
    error = error_of(VALID.replace('"1.8 GHz"', r'"\u001b[2J"'))
    assert "\x1b" not in str(error)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda path: path.mkdir(), "it is not a file"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "it is not UTF-8 text"),
        (lambda path: path.write_bytes(b"#" * 300_000), "it is larger than 256 KiB"),
        (lambda path: None, "No such file or directory"),
    ],
)
def test_unreadable_file(tmp_path: Path, make: object, expected: str) -> None:
    path = tmp_path / "bad.toml"
    make(path)  # type: ignore[operator]
    with pytest.raises(DeviceError, match=expected):
        read_device(path)


def test_two_devices_with_one_id(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(VALID)
    (tmp_path / "my_board.toml").write_text(VALID)
    with pytest.raises(DeviceError, match="line 2, id: the name 'my_board' already belongs to"):
        load_catalogue(tmp_path)


def test_two_devices_with_one_alias(tmp_path: Path) -> None:
    (tmp_path / "my_board.toml").write_text(VALID)
    (tmp_path / "other.toml").write_text(
        VALID.replace('"my_board"', '"other"').replace('"mine"', '"MINE"')
    )
    with pytest.raises(DeviceError, match="line 3, name: the name 'My board' already belongs to"):
        load_catalogue(tmp_path)
    path = tmp_path / "other.toml"
    path.write_text(path.read_text().replace("My board", "Theirs"))
    with pytest.raises(
        DeviceError,
        match=r"line 5, aliases: the name 'MINE' already belongs to .*_board\.toml as 'mine'",
    ):
        load_catalogue(tmp_path)


def test_file_is_named_after_its_device(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text(VALID)
    with pytest.raises(DeviceError, match="named after its id"):
        load_catalogue(tmp_path)


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"holds no \.toml file"):
        load_catalogue(tmp_path)


@pytest.mark.parametrize(
    ("text", "identifier"),
    [
        ("pi4", "rpi_4b"),
        ("pi5", "rpi_5"),
        ("rpi 5 8gb", "rpi_5"),
        ("Raspberry Pi 5", "rpi_5"),
        ("raspberry-pi-5", "rpi_5"),
        ("Pi 4 8GB", "rpi_4b_8gb"),
        ("zero 2 w", "rpi_zero2w"),
        ("pixel8", "pixel_8"),
        ("Galaxy S24", "galaxy_s24"),
        ("iPhone 15 Pro", "iphone_15_pro"),
        ("RTX 3070", "rtx_3070"),
        ("3070", "rtx_3070"),
        ("GeForce RTX 4090", "rtx_4090"),
        ("Raspberry Pi 5 16 GB", "rpi_5_16gb"),
        ("Raspberry Pi 5 Model B 16GB", "rpi_5_16gb"),
        ("pi5 16", "rpi_5_16gb"),
        ("pi54gb", "rpi_5_4gb"),
        ("Pi 3B+", "rpi_3bplus"),
        ("rtx3070", "rtx_3070"),
        ("iphone15pro", "iphone_15_pro"),
        ("SamsungGalaxyS24", "galaxy_s24"),
        ("Galaxy S24 8GB", "galaxy_s24"),
        ("NVIDIA Jetson Orin Nano Developer Kit", "jetson_orin_nano_8gb"),
        ("g4dn.xlarge", "t4"),
        ("AWS c7g", "aws_c7g_xlarge"),
        ("Intel N100", "n100_minipc"),
        ("E5-2630v4", "xeon_e5_2630v4"),
    ],
)
def test_tolerant_names(text: str, identifier: str) -> None:
    assert find_device(text, DEVICES).id == identifier


@pytest.mark.parametrize("device", DEVICES, ids=lambda device: device.id)
def test_every_own_name_finds_the_device(device: Device) -> None:
    for name in (device.id, device.name, *device.aliases, device.id.replace("_", "-").upper()):
        assert find_device(name, DEVICES) is device


_RESPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "capitals": str.upper,
    "title": str.title,
    "underscores": lambda name: name.replace(" ", "_"),
    "hyphens": lambda name: re.sub(r"[ _]", "-", name),
    "spaces": lambda name: re.sub(r"[_-]", " ", name),
    "one word": lambda name: re.sub(r"[ _()]", "", name),
    "no brackets": lambda name: re.sub(r"[()]", "", name),
    "surrounded": lambda name: f"  the {name} ",
}


@given(st.sampled_from(DEVICES), st.sampled_from(sorted(_RESPELLINGS)), st.data())
def test_obvious_spellings_find_one_device(device: Device, how: str, data: st.DataObject) -> None:
    """No name of any device is ambiguous, however it is capitalised and joined."""
    name = data.draw(st.sampled_from((device.id, device.name, *device.aliases)))
    assert find_device(_RESPELLINGS[how](name), DEVICES) is device


def test_a_size_that_no_device_has_finds_none() -> None:
    """A Pixel 8 has 8 GB; the one with 6 GB is not a Pixel 6 with 8."""
    for name in ("pixel 8 6gb", "pi 5 32gb", "pi 4 1gb"):
        with pytest.raises(DeviceError, match="has this name"):
            find_device(name, DEVICES)


def test_a_part_of_names_gets_all_that_have_it() -> None:
    with pytest.raises(DeviceError) as caught:
        find_device("jetson", DEVICES)
    assert caught.value.hint.startswith(
        "did you mean jetson_nano or jetson_orin_nano_8gb or jetson_orin_nano_super? "
    )


def test_typo_gets_a_suggestion() -> None:
    with pytest.raises(DeviceError) as caught:
        find_device("pixl_8", DEVICES)
    assert caught.value.what == "Cannot find device 'pixl_8'"
    assert caught.value.hint.startswith("did you mean pixel_8")


@pytest.mark.parametrize("text", ["", " ", "gb", "zzzzzzzz", "\x1b[31m"])
def test_nonsense_is_not_found(text: str) -> None:
    with pytest.raises(DeviceError, match="Cannot find device") as caught:
        find_device(text, DEVICES)
    assert "\x1b" not in str(caught.value)


def test_path_is_a_device(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(VALID)
    assert find_device(str(path), DEVICES).id == "my_board"


def test_chosen_devices() -> None:
    """A budget and a flagship phone, a Pi 4 and a Pi 5, an RTX server."""
    kinds = [device.kind for device in chosen_devices(None)]
    assert kinds == ["phone", "phone", "sbc", "sbc", "server"]
    assert len(set(DEFAULT_DEVICE_IDS)) == len(DEFAULT_DEVICE_IDS)


@pytest.mark.parametrize("device", DEVICES, ids=lambda device: device.id)
def test_shipped_device(device: Device) -> None:
    """Every figure has a source or says that it has none, and every core is calibrated."""
    found = list(figures(device))
    assert found
    assert all(figure.source for figure in found)
    assert device.limits.runtime_bytes.value >= 10 * MIB
    if device.cpu is not None:
        assert {cluster.core for cluster in device.cpu.clusters} <= set(CORE_FAMILIES)
    if device.runs_on == "cpu":
        assert device.grant() is not None


def test_an_unknown_role_gets_the_smallest_grant() -> None:
    phone = find_device("galaxy_s24", DEVICES)
    assert phone.grant("foreground") != phone.grant("background")
    assert phone.grant("extension") == phone.grant("background")


def test_lines_survive_comments_arrays_and_long_texts() -> None:
    text = (
        '# [memory]\na = """\n[x]\nb = 1\n"""\n[[c.d]]\nk = 1\n[[c.d]]\nk = 2 # z = 3\n[ m . n ]\n'
    )
    lines = key_lines(text)
    assert lines["a",] == 2
    assert lines["c", "d", 0, "k"] == 7
    assert lines["c", "d", 1, "k"] == 9
    assert lines["m", "n"] == 10
    assert ("x",) not in lines
    assert line_of(lines, ("c", "d", 1, "missing")) == 8
    assert line_of(lines, ("nowhere",)) == 1


@given(st.text(max_size=20) | st.integers() | st.floats() | st.none())
def test_any_value_is_read_or_refused(value: object) -> None:
    for quantity in (CLOCK, MEMORY, BANDWIDTH, FLOP_RATE):
        try:
            number = quantity.read(value)
        except ValueError:
            continue
        assert quantity.lowest <= number <= quantity.highest


def test_the_documented_file_is_valid() -> None:
    """The example in docs/devices.md uses every key and can be copied."""
    text = (Path(__file__).parents[1] / "docs" / "devices.md").read_text(encoding="utf-8")
    example = text.split("```toml\n")[1].split("```")[0]
    device = parse_device(example, "docs/devices.md")
    assert device.gpu is not None
    assert device.npu is not None
    missing = [name for name in device.__struct_fields__ if getattr(device, name) is None]
    assert missing == []
