"""How is a model measured in a container? The runners `docker:IMAGE` and `podman:IMAGE`."""

from __future__ import annotations

import platform
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal

from feasibility.errors import UsageError
from feasibility.runners.remote_runner import Failure, RemoteRunner
from feasibility.text import safe_text

_IMAGE: Final = re.compile(r"\w[\w./:@-]*", re.ASCII)
_PLATFORM: Final = re.compile(r"\w+(?:/\w+){1,2}", re.ASCII)
# Exit codes of docker and podman for failures before the command ran.
_ENGINE_FAILED: Final = frozenset({125, 126, 127})
_WANTED: Final = "use an image with Python, onnxruntime and numpy"

# Source: messages of docker 20.10 and 28.2 and podman 4.3, with runc 1.1 and crun 1.8, and of
# docker 28.3 for the first two.
_FAILURES: Final = (
    Failure(
        r"permission denied while trying to connect to the docker",
        "this user may not use the Docker daemon",
        "let an administrator add you to the group docker, or use podman:{image}",
    ),
    Failure(
        r"cannot connect to the docker daemon|failed to connect to the docker api"
        r"|error during connect|cannot connect to podman",
        "{engine} does not answer",
        "start it, and check `{engine} info`",
    ),
    Failure(
        r"executable file (`[^`]*` )?not found|\[exit code 127\]",
        "python3 is missing in the image {image}",
        _WANTED,
    ),
    Failure(
        r"exec format error",
        "the image {image} is for another instruction set, and this machine has no emulator for "
        "containers",
        "choose a platform that the image has, or install QEMU for containers (Debian: "
        "qemu-user-static)",
    ),
    Failure(
        r"does not match the specified platform|no matching manifest for"
        r"|no image found in (manifest list|image index) for",
        "the image {image} is not available for {platform}",
        "choose another platform, for example {engine}:{image},platform=linux/amd64",
    ),
    Failure(
        r"manifest unknown|pull access denied|requested access to the resource is denied"
        r"|short-name .* did not resolve|no such image",
        "the image {wanted} is neither on this machine nor in a registry",
        "check the name with `{engine} images`, or build, pull or log in first",
    ),
    Failure(
        r"dial tcp|pinging container registry|tls handshake",
        "the image {wanted} is not on this machine, and its registry does not answer",
        "check the name with `{engine} images`, or the network",
    ),
    Failure(
        # The agent is the first process of the container, so the container ended with it.
        r"\[agent lost\]",
        "the container was stopped by {engine}, a memory limit or a user",
        "see `{engine} events`, and run it again",
    ),
)


@dataclass(frozen=True, slots=True)
class ContainerRunner(RemoteRunner):
    """One container without a network, removed after the measurement.

    Args:
        platform: A platform of the image, for example linux/arm64; empty for the default.
    """

    failures: ClassVar[tuple[Failure, ...]] = _FAILURES
    unknown_hint: ClassVar[str] = "check `{engine} info`"
    install_hint: ClassVar[str] = (
        "use an image that has them, for example with RUN pip install {modules} in its Dockerfile"
    )

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

    @property
    def names(self) -> dict[str, str]:
        """The engine, the image and its platform."""
        image = safe_text(self.image)
        return {
            "engine": self.engine,
            "image": image,
            "wanted": f"{image} for {self.platform}" if self.platform else image,
            "platform": self.platform or f"this machine's instruction set ({platform.machine()})",
        }

    def agent_argv(self, code: str) -> list[str]:
        """Starts the container; the agent is its first process."""
        platform = ["--platform", self.platform] if self.platform else []
        return [
            *(self.engine, "run", "--rm", "--interactive", "--network", "none"),
            *("--name", self.container, *platform),
            *("--entrypoint", "python3", self.image, "-c", code),
        ]

    def child_argv(self, script: str, variables: Mapping[str, str]) -> list[str]:
        """Runs a script in the container."""
        assignments = [
            part for name, value in variables.items() for part in ("--env", f"{name}={value}")
        ]
        return [
            *(self.engine, "exec", "--interactive", *assignments, self.container),
            *("python3", "-X", "utf8", script),
        ]

    def explain_later(self, text: str, exit_code: int | None) -> tuple[str, str] | None:
        """The reason if the engine did not run a command in the container."""
        return self.explain(text, exit_code) if exit_code in _ENGINE_FAILED else None


def container_runner(engine: Literal["docker", "podman"], text: str) -> ContainerRunner:
    """The runner of a text such as `IMAGE` or `IMAGE,platform=linux/arm64`."""
    image, _, option = text.partition(",")
    key, _, platform = option.partition("=")
    if not _IMAGE.fullmatch(image) or (
        option and (key != "platform" or not _PLATFORM.fullmatch(platform))
    ):
        raise UsageError(
            f"Cannot read --on {engine}:{safe_text(text)}",
            "expected IMAGE or IMAGE,platform=PLATFORM",
            f"write for example --on {engine}:my/image:1.0,platform=linux/arm64",
        )
    return ContainerRunner(engine, image, platform)
