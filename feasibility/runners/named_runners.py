"""Which runners can `--on` name, and what do they need on this machine?"""

from __future__ import annotations

import shutil
from typing import Final

from msgspec.structs import replace

from feasibility.errors import HostError, UsageError
from feasibility.records.runners import RunnerForm
from feasibility.runners.container import container_runner
from feasibility.runners.emulator.arm_cores import DEFAULT_CORE, core_model
from feasibility.runners.emulator.emulated_runner import EmulatedRunner
from feasibility.runners.emulator.installed_emulator import ISA, emulator_folder, usable_emulator
from feasibility.runners.session import LocalRunner, Runner
from feasibility.runners.ssh import ssh_runner
from feasibility.text import safe_text

_FORMS: Final = (
    RunnerForm(form="local", description="this machine", is_ready=True),
    RunnerForm(
        form="ssh:[USER@]HOST",
        description="a machine that ssh can log in to, with Python, onnxruntime and numpy",
        usage="with another Python: ssh:HOST:/path/to/python; port: ssh://USER@HOST:PORT",
        is_ready=True,
    ),
    RunnerForm(
        form="docker:IMAGE",
        description="a container of an image with Python, onnxruntime and numpy",
        usage="with a platform of the image: docker:IMAGE,platform=linux/arm64",
        is_ready=True,
    ),
    RunnerForm(form="podman:IMAGE", description="as docker:IMAGE, but with podman", is_ready=True),
    RunnerForm(
        form=f"emulate:{ISA}",
        description="an emulator that measures memory of 64-bit Arm code on this machine",
        usage=f"with a core: emulate:{ISA}:CPU; default in check: the cores of the devices",
        is_ready=True,
    ),
)


def runner_named(text: str) -> Runner:
    """The runner that a text such as `ssh:pi@raspberrypi` names."""
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
        f"a runner is one of {', '.join(form.form for form in _FORMS)}[:CPU]",
        "for example --on ssh:pi@raspberrypi or --on emulate:aarch64",
    )


def runner_forms() -> tuple[RunnerForm, ...]:
    """Every form of `--on`, with what is missing for it on this machine."""
    return tuple(map(_checked, _FORMS))


def _checked(form: RunnerForm) -> RunnerForm:
    kind = form.form.partition(":")[0]
    if kind == "emulate":
        try:
            manifest = usable_emulator(emulator_folder())
        except HostError as error:
            return replace(form, is_ready=False, finding=error.why, hint=error.hint)
        return replace(
            form,
            finding=f"installed: ONNX Runtime {manifest.onnxruntime}, "
            f"Python {manifest.python_version}, QEMU {manifest.emulator_version}",
        )
    if kind == "local" or shutil.which(kind) is not None:
        return form
    finding = f"the program {kind} is not installed here"
    return replace(form, is_ready=False, finding=finding, hint=f"install {kind}")
