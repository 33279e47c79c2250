"""How are a device file and its anchors written? What is written reads back equal."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

import tomli_w

from feasibility.catalogue.read_device_file import ANCHOR_COUNTS, SCHEMA
from feasibility.records.device import (
    UNVERIFIED,
    Anchor,
    Cpu,
    Device,
    DeviceMemory,
    Figure,
    MeasuredMachine,
)
from feasibility.text import safe_text
from feasibility.units import GIB, KIB, MIB

_TEXT_KEYS: Final = ("id", "name", "kind", "os", "isa", "allocator", "runs_on", "role")
_LIST_KEYS: Final = ("aliases", "runtimes")
_ANCHORS_HEADER: Final = "\n[[anchors]]"


def device_text(device: Device, source_keys: Mapping[str, str], comment: str = "") -> str:
    """Text of a device file, with short names for these sources; other sources are numbered."""
    sources = _Sources(source_keys)
    figures = _present(
        cpu=device.cpu and _cpu(device.cpu, sources),
        memory=device.memory and _memory(device.memory, sources),
        gpu=device.gpu
        and _present(
            name=device.gpu.name,
            memory=sources.figure(device.gpu.memory_bytes, size_text),
            context=sources.figure(device.gpu.context_bytes, size_text),
            bandwidth=sources.figure(device.gpu.bandwidth_bytes_per_s, _rate("B/s")),
            fp32=sources.figure(device.gpu.fp32_flops_per_s, _rate("FLOP/s")),
            fp16=sources.figure(device.gpu.fp16_flops_per_s, _rate("FLOP/s")),
            launch=sources.figure(device.gpu.launch_ns, duration_text),
        ),
        npu=device.npu
        and _present(
            name=device.npu.name,
            int8=sources.figure(device.npu.int8_ops_per_s, _rate("OP/s")),
        ),
        limits=_present(
            runtime=sources.figure(device.limits.runtime_bytes, size_text),
            storage=sources.figure(device.limits.model_storage_bytes, size_text),
            latency=sources.figure(device.limits.latency_ns, duration_text),
        ),
        power=sources.figure(device.power_mw, lambda value: f"{_scaled(value, 3)} W"),
        price=device.price
        and {
            **sources.required(
                device.price.hourly_microusd, lambda value: f"{_scaled(value, 6)} USD/h"
            ),
            "as_of": device.price.as_of,
        },
        measured=device.measured and _measured(device.measured, sources),
    )
    head = "".join(f"# {line}".rstrip() + "\n" for line in comment.splitlines())
    # The figures come first, because they are what the sources are collected from.
    document = {
        "schema": SCHEMA,
        **{key: getattr(device, key) for key in _TEXT_KEYS},
        **{key: list(texts) for key in _LIST_KEYS if (texts := getattr(device, key))},
        "sources": sources.used,
        **figures,
    }
    text = f"{head}\n{tomli_w.dumps(document)}" if head else tomli_w.dumps(document)
    return with_anchors(_utf8(text), device.anchors)


def with_anchors(text: str, anchors: Iterable[Anchor]) -> str:
    """The text of a device file with these anchors in place of its own.

    Anchors are the end of the file, because only this function writes them. The rest of the
    text, comments included, stays as it is.
    """
    body = text.partition(_ANCHORS_HEADER)[0].rstrip("\n") + "\n"
    tables = [_anchor(anchor) for anchor in anchors]
    return f"{body}\n{_utf8(tomli_w.dumps({'anchors': tables}))}" if tables else body


def size_text(count: int) -> str:
    """A size in the largest unit that gives a whole number."""
    for name, factor in (("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if count and count % factor == 0:
            return f"{count // factor} {name}"
    return f"{count} B"


def rate_text(value: int, unit: str) -> str:
    """A rate or frequency with a decimal prefix, exact."""
    for prefix, power in (("P", 15), ("T", 12), ("G", 9), ("M", 6), ("k", 3)):
        if value >= 10**power:
            return f"{_scaled(value, power)} {prefix}{unit}"
    return f"{value} {unit}"


def duration_text(ns: int) -> str:
    """A duration, exact."""
    for name, power in (("s", 9), ("ms", 6), ("us", 3)):
        if ns >= 10**power:
            return f"{_scaled(ns, power)} {name}"
    return f"{ns} ns"


class _Sources:
    """Turns figures into tables and gives each source a short name."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._keys = keys
        self._numbers = itertools.count(1)
        self.used: dict[str, str] = {}
        self._key_of: dict[str, str] = {UNVERIFIED: UNVERIFIED}

    def required(self, figure: Figure, text: Callable[[int], object]) -> dict[str, object]:
        """The table of a figure."""
        if figure.source not in self._key_of:
            key = self._keys.get(figure.source) or f"source{next(self._numbers)}"
            self._key_of[figure.source] = key
            self.used[key] = figure.source
        table = {"value": text(figure.value), "source": self._key_of[figure.source]}
        return {**table, "note": figure.note} if figure.note else table

    def figure(
        self, figure: Figure | None, text: Callable[[int], object]
    ) -> dict[str, object] | None:
        """The table of a figure; None if there is none."""
        return None if figure is None else self.required(figure, text)


def _cpu(cpu: Cpu, sources: _Sources) -> dict[str, Any]:
    return {
        "soc": cpu.soc,
        "features": list(cpu.features),
        "clusters": [
            {
                "core": cluster.core,
                "count": sources.required(cluster.core_count, int),
                "clock": sources.required(cluster.clock_hz, _rate("Hz")),
                "flop_per_cycle": sources.required(cluster.flop_per_cycle, int),
            }
            for cluster in cpu.clusters
        ],
    }


def _memory(memory: DeviceMemory, sources: _Sources) -> dict[str, Any]:
    return _present(
        total=sources.required(memory.total_bytes, size_text),
        bandwidth=sources.figure(memory.bandwidth_bytes_per_s, _rate("B/s")),
        grants={
            grant.role: {
                **sources.required(grant.memory_bytes, size_text),
                "reason": grant.reason,
            }
            for grant in memory.grants
        },
    )


def _measured(machine: MeasuredMachine, sources: _Sources) -> dict[str, Any]:
    return _present(
        runtime=machine.runtime,
        processor=machine.processor,
        core_count=machine.core_count,
        cache=sources.figure(machine.cache_bytes, size_text),
        rates=[
            {
                "threads": rates.thread_count,
                "activations": sources.required(rates.activation_bytes_per_s, _rate("B/s")),
                "bandwidth": sources.required(rates.bandwidth_bytes_per_s, _rate("B/s")),
                "layer": sources.required(rates.layer_ns, duration_text),
                "operations": {
                    kind: sources.required(figure, _rate("FLOP/s"))
                    for kind, figure in rates.operations_per_s.items()
                },
            }
            for rates in machine.rates
        ],
    )


def _anchor(anchor: Anchor) -> dict[str, Any]:
    return {
        "model": safe_text(anchor.model, 200),
        "latency": duration_text(anchor.latency_ns),
        "threads": anchor.threads,
        "runtime": safe_text(anchor.runtime, 200),
        "precision": anchor.precision,
        "measured_on": safe_text(anchor.measured_on, 200),
        **{key: getattr(anchor, key) for key in ANCHOR_COUNTS},
        "operations": dict(anchor.operations),
    }


def _present(**values: Any) -> dict[str, Any]:
    """The values that are known."""
    return {key: value for key, value in values.items() if value is not None}


def _rate(unit: str) -> Callable[[int], str]:
    return lambda value: rate_text(value, unit)


def _scaled(value: int, power: int) -> str:
    return f"{Decimal(value).scaleb(-power).normalize():f}"


def _utf8(text: str) -> str:
    """The text without lone surrogates, which a UTF-8 file cannot hold."""
    return text.encode("utf-8", "replace").decode()
