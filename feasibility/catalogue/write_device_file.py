"""Writes a device as the text of a device file; what is written reads back equal."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final

from feasibility.catalogue.anchors import with_anchors
from feasibility.catalogue.read_device_file import SCHEMA
from feasibility.records.device import (
    UNVERIFIED,
    Cluster,
    Cpu,
    Device,
    DeviceMemory,
    Figure,
    Gpu,
    Limits,
    MeasuredMachine,
    Npu,
    Rates,
)
from feasibility.units import GIB, KIB, MIB

_UNSAFE: Final = re.compile(r'[\x00-\x1f\x7f"\\]')
_SHORT_ESCAPES: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}


def device_text(device: Device, source_keys: Mapping[str, str], comment: str = "") -> str:
    """Text of a device file.

    Args:
        device: The device; where its record was read from is not written.
        source_keys: Short names for sources, by the source; others are numbered.
        comment: Lines at the top.
    """
    writer = _Writer(dict(source_keys))
    body = [*writer.lines(device)]
    head = [*(f"# {line}".rstrip() for line in comment.splitlines())]
    if head:
        head.append("")
    head += _general_lines(device)
    if writer.used:
        head += ["", "[sources]"]
        head += [f"{key} = {quoted(source)}" for source, key in writer.used.items()]
    return with_anchors("\n".join([*head, *body, ""]), device.anchors)


def quoted(text: str) -> str:
    """The text as a basic string of TOML, whatever is in it."""
    # Half a character, as broken encodings leave behind, has no place in a UTF-8 file.
    whole = text.encode("utf-8", "replace").decode()
    return f'"{_UNSAFE.sub(_escaped, whole)}"'


def _escaped(match: re.Match[str]) -> str:
    return _SHORT_ESCAPES.get(match[0], f"\\u{ord(match[0]):04x}")


def size_text(count: int) -> str:
    """A size in the largest unit that holds it in whole numbers."""
    for name, factor in (("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if count and count % factor == 0:
            return f"{count // factor} {name}"
    return f"{count} B"


def rate_text(value: int, unit: str) -> str:
    """A rate or frequency with a decimal prefix, exactly."""
    for prefix, power in (("P", 15), ("T", 12), ("G", 9), ("M", 6), ("k", 3)):
        if value >= 10**power:
            return f"{_scaled(value, power)} {prefix}{unit}"
    return f"{value} {unit}"


def duration_text(ns: int) -> str:
    """A duration, exactly."""
    for name, power in (("s", 9), ("ms", 6), ("us", 3)):
        if ns >= 10**power:
            return f"{_scaled(ns, power)} {name}"
    return f"{ns} ns"


def _scaled(value: int, power: int) -> str:
    return f"{Decimal(value).scaleb(-power).normalize():f}"


class _Writer:
    """Turns the parts of a device into lines and collects the sources of its figures."""

    def __init__(self, source_keys: dict[str, str]) -> None:
        self._keys = source_keys
        self._numbers = itertools.count(1)
        self.used: dict[str, str] = {}

    def lines(self, device: Device) -> Iterator[str]:
        """Everything below the sources."""
        if device.cpu is not None:
            yield from self._cpu(device.cpu)
        if device.memory is not None:
            yield from self._memory(device.memory)
        if device.gpu is not None:
            yield from self._gpu(device.gpu)
        if device.npu is not None:
            yield from self._npu(device.npu)
        yield from self._limits(device.limits)
        if device.power_mw is not None:
            yield from ("", "[power]")
            yield from self._own(device.power_mw, f"{_scaled(device.power_mw.value, 3)} W")
        if device.price is not None:
            figure = device.price.hourly_microusd
            yield from ("", "[price]")
            yield from self._own(figure, f"{_scaled(figure.value, 6)} USD/h")
            yield f"as_of = {quoted(device.price.as_of)}"
        if device.measured is not None:
            yield from self._measured(device.measured)

    def _cpu(self, cpu: Cpu) -> Iterator[str]:
        yield from ("", "[cpu]", f"soc = {quoted(cpu.soc)}")
        yield f"features = {_list(cpu.features)}"
        for cluster in cpu.clusters:
            yield from self._cluster(cluster)

    def _cluster(self, cluster: Cluster) -> Iterator[str]:
        yield from ("", "[[cpu.clusters]]", f"core = {quoted(cluster.core)}")
        yield self._count("count", cluster.core_count)
        yield self._rate("clock", cluster.clock_hz, "Hz")
        yield self._count("flop_per_cycle", cluster.flop_per_cycle)

    def _memory(self, memory: DeviceMemory) -> Iterator[str]:
        yield from ("", "[memory]", self._size("total", memory.total_bytes))
        if memory.bandwidth_bytes_per_s is not None:
            yield self._rate("bandwidth", memory.bandwidth_bytes_per_s, "B/s")
        for grant in memory.grants:
            yield from ("", f"[memory.grants.{grant.role}]")
            yield from self._own(grant.memory_bytes, size_text(grant.memory_bytes.value))
            yield f"reason = {quoted(grant.reason)}"

    def _gpu(self, gpu: Gpu) -> Iterator[str]:
        yield from ("", "[gpu]", f"name = {quoted(gpu.name)}")
        for key, size in (("memory", gpu.memory_bytes), ("context", gpu.context_bytes)):
            if size is not None:
                yield self._size(key, size)
        for key, rate, unit in (
            ("bandwidth", gpu.bandwidth_bytes_per_s, "B/s"),
            ("fp32", gpu.fp32_flops_per_s, "FLOP/s"),
            ("fp16", gpu.fp16_flops_per_s, "FLOP/s"),
        ):
            if rate is not None:
                yield self._rate(key, rate, unit)
        if gpu.launch_ns is not None:
            yield self._duration("launch", gpu.launch_ns)

    def _npu(self, npu: Npu) -> Iterator[str]:
        yield from ("", "[npu]", f"name = {quoted(npu.name)}")
        if npu.int8_ops_per_s is not None:
            yield self._rate("int8", npu.int8_ops_per_s, "OP/s")

    def _limits(self, limits: Limits) -> Iterator[str]:
        yield from ("", "[limits]", self._size("runtime", limits.runtime_bytes))
        if limits.model_storage_bytes is not None:
            yield self._size("storage", limits.model_storage_bytes)
        if limits.latency_ns is not None:
            yield self._duration("latency", limits.latency_ns)

    def _measured(self, machine: MeasuredMachine) -> Iterator[str]:
        yield from ("", "[measured]", f"runtime = {quoted(machine.runtime)}")
        yield f"processor = {quoted(machine.processor)}"
        yield f"core_count = {machine.core_count}"
        if machine.cache_bytes is not None:
            yield self._size("cache", machine.cache_bytes)
        for rates in machine.rates:
            yield from self._rates(rates)

    def _rates(self, rates: Rates) -> Iterator[str]:
        yield from ("", "[[measured.rates]]", f"threads = {rates.thread_count}")
        yield self._rate("activations", rates.activation_bytes_per_s, "B/s")
        yield self._rate("bandwidth", rates.bandwidth_bytes_per_s, "B/s")
        yield self._duration("layer", rates.layer_ns)
        yield from ("", "[measured.rates.operations]")
        for kind, figure in rates.operations_per_s.items():
            yield self._rate(kind, figure, "FLOP/s")

    def _size(self, key: str, figure: Figure) -> str:
        return self._line(key, quoted(size_text(figure.value)), figure)

    def _rate(self, key: str, figure: Figure, unit: str) -> str:
        return self._line(key, quoted(rate_text(figure.value, unit)), figure)

    def _duration(self, key: str, figure: Figure) -> str:
        return self._line(key, quoted(duration_text(figure.value)), figure)

    def _count(self, key: str, figure: Figure) -> str:
        return self._line(key, str(figure.value), figure)

    def _line(self, key: str, value: str, figure: Figure) -> str:
        note = f", note = {quoted(figure.note)}" if figure.note else ""
        return f"{key} = {{ value = {value}, source = {self._source(figure)}{note} }}"

    def _own(self, figure: Figure, value: str) -> Iterator[str]:
        """A figure that is a table of its own."""
        yield f"value = {quoted(value)}"
        yield f"source = {self._source(figure)}"
        if figure.note:
            yield f"note = {quoted(figure.note)}"

    def _source(self, figure: Figure) -> str:
        if figure.source == UNVERIFIED:
            return quoted(UNVERIFIED)
        if figure.source not in self.used:
            key = self._keys.get(figure.source) or f"source{next(self._numbers)}"
            self.used[figure.source] = key
        return quoted(self.used[figure.source])


def _general_lines(device: Device) -> list[str]:
    """Everything above the sources."""
    texts = {
        "schema": SCHEMA,
        "id": device.id,
        "name": device.name,
        "kind": device.kind,
        "os": device.os,
        "isa": device.isa,
        "allocator": device.allocator,
        "runs_on": device.runs_on,
        "role": device.role,
    }
    lines = [f"{key} = {quoted(text)}" for key, text in texts.items()]
    lists = {"aliases": device.aliases, "runtimes": device.runtimes}
    return lines + [f"{key} = {_list(texts)}" for key, texts in lists.items() if texts]


def _list(texts: tuple[str, ...]) -> str:
    return f"[{', '.join(map(quoted, texts))}]"
