"""The options of `check` that say what a model must keep, and what their texts mean."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from feasibility.errors import UsageError
from feasibility.text import safe_text

if TYPE_CHECKING:
    from feasibility.decide.requirements import Requirements
    from feasibility.records.device import Device

AppRole: TypeAlias = Literal["foreground", "background", "extension"]

RateOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--rate", metavar="N", help="Inferences per second it must keep up with; 10/min, 2/h."
    ),
]
RealtimeOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--realtime",
        metavar="TIME",
        help="Signal that one inference covers, for example 0.975s; it must not take longer.",
    ),
]
NetworkOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--network",
        metavar="NAME",
        help="Way to a server: wifi, 4g, 5g, lan, none, or UP/DOWN/RTT such as 10/50/40ms "
        "(Mbit/s).",
    ),
]
UploadOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--upload",
        metavar="SIZE",
        help="What one request sends to a server, for example 60KB for a JPEG; the plain "
        "tensors if left out.",
    ),
]
OfflineOption: TypeAlias = Annotated[
    bool, typer.Option("--offline", help="It must work without a network.")
]
PrivateOption: TypeAlias = Annotated[
    bool, typer.Option("--private", help="No input may leave the device.")
]
RoleOption: TypeAlias = Annotated[
    AppRole | None,
    typer.Option("--role", help="What the process is to the system, which decides its memory."),
]
AppSizeOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--app-size", metavar="SIZE", help="What the model's files may add to an app: 30MB."
    ),
]
PriceOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--price",
        metavar="[ID=]USD",
        help="What a server costs per hour, for example t4=0.526; repeatable.",
    ),
]


RuntimeOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--runtime",
        metavar="NAME",
        help="Project the time for another runtime than ONNX Runtime: ncnn, tflite, mnn, ...",
    ),
]
DeviceThreadsOption: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--threads",
        metavar="N",
        min=1,
        help="Intra-op threads on the devices (the best number up to 4 if left out), and here "
        "as far as there are cores (1 if left out).",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """The options as they were written; None where they were left out."""

    latency: str | None = None
    memory: str | None = None
    rate: str | None = None
    realtime: str | None = None
    network: str | None = None
    upload: str | None = None
    is_offline: bool = False
    is_private: bool = False
    role: AppRole | None = None
    app_size: str | None = None
    prices: tuple[str, ...] = ()
    runtime: str | None = None
    threads: int | None = None

    def check(self) -> None:
        """Read everything that needs no device.

        Raises:
            UsageError: One of them cannot be meant as it was written.
        """
        self._requirements({})

    def requirements(self, devices: Sequence[Device]) -> Requirements:
        """What the texts mean for these devices.

        Raises:
            UsageError: One of them cannot be meant as it was written, or a price is for a
                server that was not asked for.
        """
        from feasibility.decide.server_cost import parse_prices

        prices = parse_prices(self.prices)
        return self._requirements(
            {_server_id(name, devices): price for name, price in prices.items()}
        )

    def _requirements(self, prices: dict[str, int]) -> Requirements:
        from feasibility.decide.network import parse_network
        from feasibility.decide.requirements import Requirements
        from feasibility.decide.runtimes import parse_runtime
        from feasibility.decide.server_cost import parse_prices
        from feasibility.decide.streams import parse_rate_per_s, parse_realtime_ns
        from feasibility.predict.latency.latency import DEFAULT_RUNTIME
        from feasibility.units import parse_bytes, parse_duration_ns

        parse_prices(self.prices)
        network = None if self.network is None else parse_network(self.network)
        return Requirements(
            latency_budget_ns=_positive("--latency", self.latency, parse_duration_ns),
            memory_budget_bytes=_positive("--memory", self.memory, parse_bytes),
            storage_budget_bytes=None if self.app_size is None else parse_bytes(self.app_size),
            role=self.role,
            rate_per_s=None if self.rate is None else parse_rate_per_s(self.rate),
            realtime_ns=None if self.realtime is None else parse_realtime_ns(self.realtime),
            upload_bytes=None if self.upload is None else parse_bytes(self.upload),
            network=network,
            is_offline=self.is_offline or (self.network is not None and network is None),
            is_private=self.is_private,
            prices_microusd=prices,
            threads=self.threads,
            runtime=DEFAULT_RUNTIME if self.runtime is None else parse_runtime(self.runtime),
        )


def _positive(option: str, text: str | None, parse: Callable[[str], int]) -> int | None:
    """The limit that was given, None if none was.

    Raises:
        UsageError: It cannot be read, or nothing could keep it.
    """
    if text is None:
        return None
    limit = parse(text)
    if limit <= 0:
        raise UsageError(
            f"Cannot use {option} {safe_text(text, 40)}",
            "a limit of nothing cannot be kept",
            "leave the option out for the device's own limit",
        )
    return limit


def _server_id(name: str, devices: Sequence[Device]) -> str:
    """Id of the server that a price is for; the empty name stays empty."""
    from feasibility.catalogue.load_catalogue import find_device
    from feasibility.errors import DeviceError

    servers = tuple(device for device in devices if device.kind == "server")
    if not name:
        return name
    try:
        return find_device(name, servers).id
    except DeviceError as error:
        names = [server.id for server in servers]
        near = difflib.get_close_matches(name, names, n=1)
        raise UsageError(
            f"Cannot take --price for {safe_text(name)!r}",
            "no server of that name was asked for",
            f"did you mean {near[0]}?" if near else f"servers here: {', '.join(names) or 'none'}",
        ) from error
