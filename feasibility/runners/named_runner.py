"""From what `--on` is given to a machine."""

from __future__ import annotations

from typing import Final

from feasibility.errors import UsageError
from feasibility.runners.container import container_machine
from feasibility.runners.emulator.cores import DEFAULT_CORE, core_model
from feasibility.runners.emulator.emulator import EmulatedMachine
from feasibility.runners.emulator.root import ISA
from feasibility.runners.runner import LocalMachine, Machine
from feasibility.runners.ssh import ssh_machine
from feasibility.text import safe_text

FORMS: Final = (
    "local",
    "ssh:[USER@]HOST",
    "docker:IMAGE",
    "podman:IMAGE",
    f"emulate:{ISA}[:CPU]",
)


def machine_named(text: str) -> Machine:
    """The machine that a text such as `ssh:pi@raspberrypi` names.

    Raises:
        UsageError: No machine is named so.
    """
    kind, _, rest = text.partition(":")
    if text == "local":
        return LocalMachine()
    if kind == "ssh" and rest:
        return ssh_machine(rest)
    if kind in ("docker", "podman") and rest:
        return container_machine("docker" if kind == "docker" else "podman", rest)
    if kind == "emulate":
        isa, _, core = rest.partition(":")
        if isa == ISA:
            return EmulatedMachine(core_model(core or DEFAULT_CORE))
    raise UsageError(
        f"Cannot measure on {safe_text(text)!r}",
        f"a runner is one of {', '.join(FORMS)}",
        "for example --on ssh:pi@raspberrypi or --on emulate:aarch64",
    )
