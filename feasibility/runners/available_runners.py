"""What `--on` takes, and what this machine has of what is needed for it."""

from __future__ import annotations

import shutil

from feasibility.errors import HostError
from feasibility.records.runners import RunnerForm
from feasibility.runners.emulator.root import ISA, root_folder, usable_root


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
        manifest = usable_root(root_folder())
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
