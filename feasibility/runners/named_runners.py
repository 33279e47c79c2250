"""Which runners can `--on` name, and what do they need on this machine?"""

from __future__ import annotations

import shutil
from typing import Final

from feasibility.errors import HostError, UsageError
from feasibility.records.runners import RunnerForm
from feasibility.runners.container import container_runner
from feasibility.runners.emulator.arm_cores import DEFAULT_CORE, core_model
from feasibility.runners.emulator.emulated_runner import EmulatedRunner
from feasibility.runners.emulator.installed_emulator import ISA, emulator_folder, usable_emulator
from feasibility.runners.local import LocalRunner
from feasibility.runners.runner import Runner
from feasibility.runners.ssh import ssh_runner
from feasibility.text import safe_text

FORMS: Final = (
    "local",
    "ssh:[USER@]HOST",
    "docker:IMAGE",
    "podman:IMAGE",
    f"emulate:{ISA}[:CPU]",
)


def runner_named(text: str) -> Runner:
    """The runner that a text such as `ssh:pi@raspberrypi` names.

    Raises:
        UsageError: The text does not name a runner.
    """
    kind, _, rest = text.partition(":")
    if text == "local":
        return LocalRunner()
    if kind == "ssh" and rest:
        return ssh_runner(rest)
    if kind in ("docker", "podman") and rest:
        return container_runner("docker" if kind == "docker" else "podman", rest)
    if kind == "emulate":
        isa, _, core = rest.partition(":")
        if isa == ISA:
            return EmulatedRunner(core_model(core or DEFAULT_CORE))
    raise UsageError(
        f"Cannot measure on {safe_text(text)!r}",
        f"a runner is one of {', '.join(FORMS)}",
        "for example --on ssh:pi@raspberrypi or --on emulate:aarch64",
    )


def runner_forms() -> tuple[RunnerForm, ...]:
    """Every form of `--on`, with what is missing for it here."""
    return (
        RunnerForm(form="local", description="this machine", is_ready=True),
        _through_program(
            "ssh",
            "ssh:[USER@]HOST",
            "a machine that ssh can log in to, with Python, onnxruntime and numpy",
            "ssh:HOST:/path/to/python names its Python, ssh://USER@HOST:PORT its port",
        ),
        _through_program(
            "docker",
            "docker:IMAGE",
            "a container of an image with Python, onnxruntime and numpy",
            "docker:IMAGE,platform=linux/arm64 names one of its platforms",
        ),
        _through_program("podman", "podman:IMAGE", "the same under podman", ""),
        _emulated(),
    )


def _through_program(program: str, form: str, description: str, usage: str) -> RunnerForm:
    is_here = shutil.which(program) is not None
    return RunnerForm(
        form=form,
        description=description,
        usage=usage,
        is_ready=is_here,
        finding="" if is_here else f"the program {program} is not installed here",
        hint="" if is_here else f"install {program}",
    )


def _emulated() -> RunnerForm:
    try:
        manifest = usable_emulator(emulator_folder())
    except HostError as error:
        is_ready, finding, hint = False, error.why, error.hint
    else:
        is_ready, hint = True, ""
        finding = (
            f"installed: ONNX Runtime {manifest.onnxruntime}, Python {manifest.python_version}, "
            f"QEMU {manifest.emulator_version}"
        )
    return RunnerForm(
        form=f"emulate:{ISA}",
        description="memory on 64-bit Arm without the device",
        usage=f"emulate:{ISA}:CPU names the core; check takes those of the devices",
        is_ready=is_ready,
        finding=finding,
        hint=hint,
    )
