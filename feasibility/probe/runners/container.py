"""A container image with Python and onnxruntime, under docker or podman."""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from feasibility.errors import UsageError
from feasibility.probe.place import FilesToStage
from feasibility.probe.runners.remote import RemotePlace, reached
from feasibility.text import safe_text

_IMAGE: Final = re.compile(r"\w[\w./:@-]*", re.ASCII)
_PLATFORM: Final = re.compile(r"\w+(?:/\w+){1,2}", re.ASCII)
_SHELL_CANNOT_FIND: Final = 127


@dataclass(frozen=True, slots=True)
class ContainerMachine:
    """One container for as long as a model is measured, without a network.

    Args:
        engine: The program.
        image: The image; it is pulled if it is not here.
        platform: Its platform where it has several, for example linux/arm64.
        container: Name of the container.
    """

    engine: Literal["docker", "podman"]
    image: str
    platform: str = ""
    timeout_s: float = 900.0  # an image may have to be pulled first
    container: str = field(default_factory=lambda: f"feasibility-{secrets.token_hex(6)}")

    @property
    def name(self) -> str:
        """Its name as `--on` takes it."""
        platform = f",platform={self.platform}" if self.platform else ""
        return f"{self.engine}:{self.image}{platform}"

    @contextlib.contextmanager
    def reach(self, files: FilesToStage) -> Iterator[RemotePlace]:
        """A folder in a fresh container with the files in it.

        Raises:
            HostError: The engine does not answer, or the image lacks something.
        """
        with reached(self, files) as place:
            yield place

    def keeper_command(self, code: str) -> list[str]:
        """The argv that starts the container, whose first process is the keeper."""
        platform = ["--platform", self.platform] if self.platform else []
        return [
            *(self.engine, "run", "--rm", "--interactive", "--network", "none"),
            *("--name", self.container, *platform),
            *("--entrypoint", "python3", self.image, "-c", code),
        ]

    def child_command(self, script: str, variables: Mapping[str, str]) -> list[str]:
        """The argv that runs a script in the container."""
        assignments = [
            part for name, value in variables.items() for part in ("--env", f"{name}={value}")
        ]
        return [
            *(self.engine, "exec", "--interactive", *assignments, self.container),
            *("python3", "-X", "utf8", script),
        ]

    def explain(self, text: str, exit_code: int | None) -> tuple[str, str]:
        """What the engine said."""
        if exit_code == _SHELL_CANNOT_FIND or "executable file not found" in text:
            return (
                f"the image {safe_text(self.image)} has no python3",
                "name an image with Python, onnxruntime and numpy in it",
            )
        if "Cannot connect to the Docker daemon" in text:
            return "the Docker daemon does not answer", "start it, and check `docker info`"
        last = safe_text(text.rpartition("\n")[2], 300)
        return last or f"{self.engine} ended with code {exit_code}", f"check `{self.engine} info`"


def container_machine(engine: Literal["docker", "podman"], text: str) -> ContainerMachine:
    """The machine of a text such as `IMAGE` or `IMAGE,platform=linux/arm64`.

    Raises:
        UsageError: The text has another form.
    """
    image, _, option = text.partition(",")
    key, _, platform = option.partition("=")
    if not _IMAGE.fullmatch(image) or (
        option and (key != "platform" or not _PLATFORM.fullmatch(platform))
    ):
        raise UsageError(
            f"Cannot read --on {engine}:{safe_text(text)}",
            "it is not an image, with a platform or without",
            f"write for example --on {engine}:my/image:1.0,platform=linux/arm64",
        )
    return ContainerMachine(engine, image, platform)
