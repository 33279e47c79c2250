"""Which options does only `check` have, and which requirements do they set?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

from feasibility.commands.option_groups import option
from feasibility.commands.options import positive_limit
from feasibility.errors import DeviceError, UsageError
from feasibility.text import safe_text

if TYPE_CHECKING:
    from feasibility.decide.requirements import Requirements
    from feasibility.records.device import Device

# Verdicts that can be required, best first; each is met by itself and by the ones before it.
RequiredVerdict: TypeAlias = Literal["fits", "tight", "fits-with-changes"]
AppRole: TypeAlias = Literal["foreground", "background", "extension"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetOptions:
    """Targets and limits of the model."""

    heading: ClassVar = "Targets and limits of the model"

    latency: str | None = option(
        "--latency TIME",
        "Longest time of one inference, for example 50ms; default: the device's target.",
    )
    memory: str | None = option(
        "--memory SIZE",
        "Highest memory, including the runtime, for example 200MiB; default: the device's limit.",
    )
    app_size: str | None = option(
        "--app-size SIZE",
        "Largest size of the model's files in an app, for example 30MB; default: the "
        "device's limit.",
    )
    rate: str | None = option(
        "--rate N", "Requested inferences, for example 5 (per second), 10/min or 2/h."
    )
    realtime: str | None = option(
        "--realtime TIME",
        "Seconds of signal per inference, for example 0.975s; inference must be faster than this.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceOptions:
    """Where the model may run, and how."""

    heading: ClassVar = "Where it may run"

    device: list[str] | None = option(
        "--device ID",
        "Device: an id, a name or a device file; repeatable; default: two phones, two "
        "boards and a server.",
    )
    role: AppRole | None = option(
        "--role", "Role of the app; sets its memory limit; default: the role in the device file."
    )
    runtime: str | None = option(
        "--runtime NAME",
        "Runtime to project times for: ncnn, tflite, mnn, ...; default: ONNX Runtime.",
    )
    threads: int | None = option(
        "--threads N",
        "Intra-op threads on the device and on this machine (here at most its core count); "
        "default: the fastest number from 1 to 4 on the device, 1 on this machine.",
        min=1,
    )
    measured: Path | None = option(
        "--measured FILE.toml",
        'Times measured on devices: a table per device id with "model.onnx" = "23ms".',
    )
    prove: bool = option(
        "--prove",
        "Also run the model under each device's memory limit, enforced by the kernel.",
        default=False,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkOptions:
    """What the cloud needs."""

    heading: ClassVar = "Network and cloud"

    network: str | None = option(
        "--network NAME",
        "Network to the server: wifi, 4g, 5g, lan, none, or UP/DOWN/RTT in Mbit/s and "
        "time, for example 10/50/40ms.",
    )
    upload: str | None = option(
        "--upload SIZE",
        "Bytes that one request sends, for example 60KB for a JPEG; default: size of "
        "the raw input tensors.",
    )
    offline: bool = option("--offline", "The model must work without a network.", default=False)
    private: bool = option("--private", "Inputs must stay on the device.", default=False)
    price: list[str] | None = option(
        "--price [ID=]USD", "Price of a server per hour, for example t4=0.526; repeatable."
    )


def read_requirements(
    targets: TargetOptions, places: PlaceOptions, network: NetworkOptions
) -> Requirements:
    """What the options mean; prices still by the name that was typed."""
    from feasibility.commands.parse_check_options import (
        parse_network,
        parse_prices,
        parse_rate_per_s,
        parse_realtime_ns,
        parse_runtime,
    )
    from feasibility.decide.requirements import Requirements
    from feasibility.units import parse_bytes, parse_duration_ns

    link = None if network.network is None else parse_network(network.network)
    return Requirements(
        latency_budget_ns=positive_limit("--latency", targets.latency, parse_duration_ns),
        memory_budget_bytes=positive_limit("--memory", targets.memory, parse_bytes),
        storage_budget_bytes=None if targets.app_size is None else parse_bytes(targets.app_size),
        role=places.role,
        rate_per_s=None if targets.rate is None else parse_rate_per_s(targets.rate),
        realtime_ns=None if targets.realtime is None else parse_realtime_ns(targets.realtime),
        upload_bytes=None if network.upload is None else parse_bytes(network.upload),
        network=link,
        is_offline=network.offline or (network.network is not None and link is None),
        is_private=network.private,
        prices_microusd=parse_prices(tuple(network.price or ())),
        threads=places.threads,
        runtime=None if places.runtime is None else parse_runtime(places.runtime),
    )


def with_prices_by_id(requirements: Requirements, devices: Sequence[Device]) -> Requirements:
    """The requirements with each price under the id of its server; no name means all servers."""
    from feasibility.catalogue.load_catalogue import find_device

    servers = tuple(device for device in devices if device.kind == "server")
    prices = {}
    for name, price in requirements.prices_microusd.items():
        try:
            prices[find_device(name, servers).id if name else ""] = price
        except DeviceError as error:
            names = ", ".join(server.id for server in servers)
            raise UsageError(
                f"Cannot take --price for {safe_text(name)!r}",
                "no server of this name is among the devices of this check",
                f"servers of this check: {names or 'none'}",
            ) from error
    return replace(requirements, prices_microusd=prices)
