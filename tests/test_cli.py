"""Command lines: exit codes, streams, files."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from feasibility import __version__
from feasibility.commands import app
from feasibility.json_documents import encode
from feasibility.records.assessment import Assessment, Placement
from feasibility.records.facts import ModelFacts
from feasibility.records.profile import Profile
from tests import samples
from tests.cli import Result, Stages, cli, stages
from tests.tiny_models import endless_loop

__all__ = ["cli", "stages"]

Cli = Callable[..., Result]


def test_version_is_that_of_the_package(cli: Cli) -> None:
    assert cli("--version") == Result(0, f"feasibility {__version__}\n", "")


def test_no_arguments_show_the_help(cli: Cli) -> None:
    assert cli() == cli("--help")
    assert cli().code == 0


def test_the_help_names_every_command(cli: Cli) -> None:
    out = cli("--help").out
    assert [name for name in app.COMMANDS if f"\n  {name} " not in out] == []


@pytest.mark.parametrize("command", app.COMMANDS)
def test_every_command_has_a_help(cli: Cli, command: str) -> None:
    result = cli(command, "--help")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(f"Usage: feasibility {command}")


@pytest.mark.parametrize("command", app.COMMANDS)
def test_a_line_of_help_fits_the_table(command: str) -> None:
    assert len(app.COMMANDS[command]) <= 66


def test_inspect_prints_a_report(cli: Cli, stages: Stages) -> None:
    result = cli("inspect", "m.onnx", "--dim", "N=2", "--dim", "a=b=3")
    assert result.code == 0
    assert result.out.startswith("resnet101.onnx\n")
    assert stages.inspected == [(Path("m.onnx"), {"N": 2, "a=b": 3})]


@pytest.mark.parametrize(
    ("args", "kind"),
    [
        (("inspect", "m.onnx"), ModelFacts),
        (("measure", "m.onnx"), Profile),
        (("check", "m.onnx", "--device", "rpi_5"), Assessment),
    ],
)
def test_json_is_one_document_and_nothing_else(
    cli: Cli, stages: Stages, args: tuple[str, ...], kind: type
) -> None:
    result = cli(*args, "--json")
    assert result.code == 0
    assert encode(msgspec.json.decode(result.out, type=kind)).decode() == result.out


def test_measure_hands_its_options_on(cli: Cli, stages: Stages) -> None:
    cli(
        *("measure", "m.onnx", "--dim", "N=2", "--input", "x=a=b.npy", "--inputs", "all.npz"),
        *("--threads", "3", "--warmup", "0", "--runs", "7", "--timeout", "1.5"),
        *("--provider", "cuda", "--seed", "9"),
    )
    [(path, options)] = stages.measured
    assert path == Path("m.onnx")
    assert (options.dims, options.input_files) == ({"N": 2}, {"x": Path("a=b.npy")})
    assert options.inputs_archive == Path("all.npz")
    assert (options.threads, options.warmup_count, options.run_count) == (3, 0, 7)
    assert (options.timeout_s, options.provider, options.seed) == (1.5, "cuda", 9)


def test_progress_is_one_plain_line_per_step_on_stderr(cli: Cli, stages: Stages) -> None:
    result = cli("measure", "m.onnx")
    assert result.err == "m.onnx: latency (1 of 2)\nm.onnx: memory (2 of 2)\n"
    assert "latency (1" not in result.out


def test_quiet_says_nothing_on_stderr(cli: Cli, stages: Stages) -> None:
    assert cli("measure", "m.onnx", "--quiet").err == ""


def test_check_goes_on_after_a_model_that_fails(cli: Cli, stages: Stages) -> None:
    result = cli("check", "a.onnx", "broken.onnx", "bug.onnx", "b.onnx", "-q")
    assert result.code == 2
    assert [path.name for path, _ in stages.measured] == [
        "a.onnx",
        "broken.onnx",
        "bug.onnx",
        "b.onnx",
    ]
    assert result.err.splitlines()[:2] == [
        "error: Cannot read broken.onnx: it ends too early",
        "hint: download it again",
    ]
    assert "This is a bug in feasibility: ZeroDivisionError: division by zero" in result.err
    assert "\x1b" not in result.err
    assert result.out.count("memory / limit") == 2
    assert "not assessed, see the errors: broken.onnx, bug.onnx" in result.out


def test_a_long_check_shows_each_recommendation_as_it_is_known(cli: Cli, stages: Stages) -> None:
    """On stderr, for several models that are measured; the report comes at the end."""
    line = "resnet101.onnx: ON DEVICE: fits on the Samsung Galaxy S24; tight on the Phone, budget"
    assert cli("check", "a.onnx", "b.onnx").err.splitlines().count(line) == 2
    assert line not in cli("check", "a.onnx").err
    assert cli("check", "a.onnx", "b.onnx", "-q").err == ""


def test_check_reports_failures_in_its_document(cli: Cli, stages: Stages) -> None:
    result = cli("check", "broken.onnx", "a.onnx", "--json", "-q")
    document = msgspec.json.decode(result.out, type=Assessment)
    assert result.code == 2
    assert [failure.path for failure in document.errors] == ["broken.onnx"]
    assert len(document.models) == 1


def test_check_of_one_broken_model_prints_only_the_error(cli: Cli, stages: Stages) -> None:
    result = cli("check", "broken.onnx", "-q")
    assert result == Result(
        2, "", "error: Cannot read broken.onnx: it ends too early\nhint: download it again\n"
    )


def test_check_takes_saved_profiles(cli: Cli, stages: Stages, tmp_path: Path) -> None:
    saved = tmp_path / "profile.json"
    saved.write_bytes(encode(samples.profile()))
    assert cli("check", saved).code == 0
    assert stages.measured == []


@pytest.mark.parametrize(
    ("verdict", "require", "code"),
    [
        ("fits", "fits", 0),
        ("tight", "fits", 1),
        ("tight", "tight", 0),
        ("fits-with-changes", "tight", 1),
        ("fits-with-changes", "fits-with-changes", 0),
        ("does-not-fit", "fits-with-changes", 1),
        ("undecided", "fits-with-changes", 1),
        ("does-not-fit", None, 0),
    ],
)
def test_require_fails_on_a_worse_verdict(
    cli: Cli,
    stages: Stages,
    monkeypatch: pytest.MonkeyPatch,
    verdict: str,
    require: str | None,
    code: int,
) -> None:
    model = samples.model_assessment()
    device = msgspec.structs.replace(model.devices[0], verdict=verdict)
    answer = msgspec.structs.replace(
        model, devices=(device,), placement=Placement(where="undecided")
    )
    monkeypatch.setattr(
        sys.modules["feasibility.decide.recommendation"], "assess_model", lambda *_: answer
    )
    args = ("--require", require) if require else ()
    result = cli("check", "m.onnx", *args)
    assert result.code == code
    missed = f"{model.profile.model.name} on {device.device}: {verdict.replace('-', ' ')}"
    said = [line for line in result.err.splitlines() if line.startswith("not met: ")]
    assert said == ([f"not met: --require {require}: {missed}"] if code else [])


def test_an_interrupt_is_one_line_and_130(cli: Cli, stages: Stages, tmp_path: Path) -> None:
    result = cli("measure", "slow.onnx", "-q", "-o", tmp_path / "p.json")
    assert result == Result(130, "", "\ninterrupted; no unfinished file is left behind\n")
    assert list(tmp_path.iterdir()) == []


def test_output_holds_the_document(cli: Cli, stages: Stages, tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    result = cli("measure", "m.onnx", "-o", path, "-q")
    assert result.code == 0
    assert result.out.startswith("resnet101.onnx\n")
    assert path.read_bytes() == encode(samples.profile())
    assert list(tmp_path.iterdir()) == [path]


def test_output_has_the_permissions_of_an_ordinary_file(
    cli: Cli, stages: Stages, tmp_path: Path
) -> None:
    previous = os.umask(0o027)
    try:
        cli("measure", "m.onnx", "-o", tmp_path / "profile.json", "-q")
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "profile.json").stat().st_mode) == 0o640


def test_output_is_refused_before_measuring(cli: Cli, stages: Stages, tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    path.write_text("mine")
    result = cli("measure", "m.onnx", "-o", path)
    assert (result.code, result.out) == (2, "")
    assert stages.measured == []
    assert path.read_text() == "mine"


def test_force_replaces_the_file(cli: Cli, stages: Stages, tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    path.write_text("mine")
    assert cli("measure", "m.onnx", "-o", path, "--force").code == 0
    assert path.read_bytes() == encode(samples.profile())


def test_a_link_stays_a_link(cli: Cli, stages: Stages, tmp_path: Path) -> None:
    target, link = tmp_path / "target.json", tmp_path / "link.json"
    target.write_text("mine")
    link.symlink_to(target)
    assert cli("measure", "m.onnx", "-o", link, "--force").code == 0
    assert link.is_symlink()
    assert target.read_bytes() == encode(samples.profile())


def test_a_failure_leaves_the_old_file_and_no_other(
    cli: Cli, stages: Stages, tmp_path: Path
) -> None:
    path = tmp_path / "profile.json"
    path.write_text("mine")
    assert cli("measure", "broken.onnx", "-o", path, "--force").code == 2
    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_appears_meanwhile_is_kept(cli: Cli, stages: Stages, tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    stages.while_measuring = lambda _: path.write_text("theirs")
    result = cli("measure", "m.onnx", "-o", path, "-q")
    assert result.code == 2
    assert path.read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_that_leaves_is_no_error() -> None:
    script = "import sys; from feasibility.commands.app import run; sys.exit(run(['zoo', 'list']))"
    with subprocess.Popen(
        [sys.executable, "-c", f"import time; time.sleep(0.3); {script}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()
        code = process.wait()
    assert (code, err) == (app.EXIT_PIPE_CLOSED, b"")


def test_devices_are_listed_as_json(cli: Cli) -> None:
    result = cli("devices", "list", "--json")
    assert result.code == 0
    assert "rpi_5" in [device["id"] for device in json.loads(result.out)["devices"]]


def test_devices_alone_lists_them(cli: Cli) -> None:
    assert cli("devices") == cli("devices", "list")


def test_a_device_is_shown_with_its_sources(cli: Cli) -> None:
    result = cli("devices", "show", "pi5")
    assert result.code == 0
    assert result.out.startswith("Raspberry Pi 5")
    assert "unverified" in result.out


def test_valid_device_files_are_said_to_be(cli: Cli) -> None:
    path = Path(__file__).parents[1] / "devices" / "rpi_5.toml"
    result = cli("devices", "validate", path)
    assert result.code == 0
    assert "valid, Raspberry Pi 5" in result.out


def test_validated_files_are_one_document(cli: Cli, tmp_path: Path) -> None:
    """With `--json` standard output holds nothing else; what is not valid is said on stderr."""
    good = Path(__file__).parents[1] / "devices" / "rpi_5.toml"
    bad = tmp_path / "bad.toml"
    bad.write_text("id = 1\n")
    result = cli("devices", "validate", bad, good, "--json")
    assert result.code == 2
    assert [device["id"] for device in json.loads(result.out)["devices"]] == ["rpi_5"]
    assert "bad.toml is not valid" in result.err


def test_two_documents_are_not_printed_as_one(cli: Cli) -> None:
    good = Path(__file__).parents[1] / "devices" / "rpi_5.toml"
    result = cli("devices", "validate", good, "--report", "--json")
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: Cannot print two documents: ")


def test_a_gpu_is_listed_with_what_models_are_judged_by(cli: Cli) -> None:
    """Nine tenths of its 16 GiB, as `check` takes them."""
    row = cli("devices", "list", "t4").out.splitlines()[2]
    assert row.split()[-6:] == ["16", "GiB", "14.4", "GiB", "50", "ms"]


def test_schema_without_a_name_lists_the_documents(cli: Cli) -> None:
    assert set(cli("schema").out.split()) >= {"profile", "assessment", "facts"}


def test_schema_describes_every_field(cli: Cli) -> None:
    document = json.loads(cli("schema", "profile").out)
    fields = document["$defs"]["Memory"]["properties"]
    assert [name for name, field in fields.items() if "description" not in json.dumps(field)] == []


def test_python_m_feasibility_is_the_command() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "feasibility", "--version"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (0, f"feasibility {__version__}\n")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_terminated_job_leaves_nothing_behind(tmp_path: Path, name: str) -> None:
    script = f"""
import os, signal, sys
from types import ModuleType

def measure_model(*_):
    os.kill(os.getpid(), signal.{name})
    signal.pause()

run = ModuleType("feasibility.measure.measure_model")
run.measure_model = measure_model
sys.modules["feasibility.measure.measure_model"] = run
sys.argv = ["feasibility", "measure", "m.onnx", "-q", "-o", {str(tmp_path / "p.json")!r}]
from feasibility.__main__ import main
main()
"""
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=30
    )
    assert (result.returncode, result.stdout) == (130, "")
    assert result.stderr == "\ninterrupted; no unfinished file is left behind\n"
    assert list(tmp_path.iterdir()) == []


def test_a_closed_terminal_leaves_nothing_behind(tmp_path: Path) -> None:
    """The kernel then sends SIGHUP, and every further write to the terminal fails."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    model = endless_loop(tmp_path / "m.onnx")
    script = (
        "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
        "from feasibility.__main__ import main; main()"
    )
    terminal, end_of_process = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", script, "measure", str(model), "-q"],
        env={**os.environ, "TMPDIR": str(temporary)},
        stdin=end_of_process,
        stdout=end_of_process,
        stderr=end_of_process,
        start_new_session=True,
    )
    os.close(end_of_process)
    deadline = time.monotonic() + 60
    while not list(temporary.glob("feasibility-*")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.close(terminal)
    assert process.wait(60) == 130
    assert list(temporary.glob("feasibility-*")) == []


def test_an_ignored_hangup_stays_ignored() -> None:
    """`nohup feasibility ...` outlives its terminal."""
    script = (
        "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "import feasibility.__main__ as tool; tool.run = lambda _: 0\n"
        "try: tool.main()\n"
        "finally: print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "True\n")


def test_an_interrupt_inside_code_compiled_from_text_ends_with_its_code(tmp_path: Path) -> None:
    """CPython ends what `python -m` runs by SIGINT then, although the interrupt was handled."""
    program = """
import feasibility.__main__ as tool
def interrupted(arguments):
    print("as far as it came")
    try:
        exec("raise KeyboardInterrupt")
    except KeyboardInterrupt:
        return 130
tool.run = interrupted
tool.main()
"""
    (tmp_path / "interrupted_tool.py").write_text(program, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "interrupted_tool"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (130, "as far as it came\n")


def test_the_help_of_check_lists_options_under_headings(cli: Cli) -> None:
    out = cli("check", "--help").out
    sections = [line[:-1] for line in out.splitlines() if line and line[0] != " "]
    assert sections[1:] == [
        "Arguments",
        "Targets and limits of the model",
        "Where it may run",
        "Network and cloud",
        "Inputs of the model",
        "How to measure",
        "Output",
    ]
    last = out.partition("\nOutput:\n")[2]
    assert "--details" in last
    assert "--help" in last


def test_options_of_a_group_have_one_meaning(cli: Cli) -> None:
    """What two commands share is described in the same words."""
    for heading in ("Inputs of the model", "Output"):
        found = {
            cli(command, "--help").out.partition(f"\n{heading}:\n")[2].partition("\n\n")[0]
            for command in ("measure", "check", "prove")
        }
        assert len(found) == 1
