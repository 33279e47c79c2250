"""How are a device file and its anchors written, so that reading gives the same device?"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any, Final

import tomli_w

from feasibility.catalogue.figures import FIGURES, LATENCY, MEMORY, PRICE, SUSTAINED_RATE, Quantity
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
from feasibility.records.shared_fields import Record
from feasibility.text import safe_text

_TEXT_KEYS: Final = ("id", "name", "kind", "os", "isa", "allocator", "runs_on", "role")
_LIST_KEYS: Final = ("aliases", "runtimes")
_ANCHORS_HEADER: Final = "\n[[anchors]]"


def device_text(device: Device, source_keys: Mapping[str, str], comment: str = "") -> str:
    """Text of a device file, with short names for these sources; other sources are numbered."""
    sources = _Sources(source_keys)
    figures: dict[str, Any] = dict(
        cpu=device.cpu and _cpu(device.cpu, sources),
        memory=device.memory and _memory(device.memory, sources),
        gpu=device.gpu and {"name": device.gpu.name, **sources.figures(device.gpu)},
        npu=device.npu and {"name": device.npu.name, **sources.figures(device.npu)},
        limits=sources.figures(device.limits),
        **sources.figures(device),
        price=device.price
        and {**sources.figure(device.price.hourly_microusd, PRICE), "as_of": device.price.as_of},
        measured=device.measured and _measured(device.measured, sources),
    )
    head = "".join(f"# {line}".rstrip() + "\n" for line in comment.splitlines())
    # The figures come first, because they are what the sources are collected from.
    document = {
        "schema": SCHEMA,
        **{key: getattr(device, key) for key in _TEXT_KEYS},
        **{key: list(texts) for key in _LIST_KEYS if (texts := getattr(device, key))},
        "sources": sources.used,
        **{key: table for key, table in figures.items() if table is not None},
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


class _Sources:
    """Turns figures into tables and gives each source a short name."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._keys = keys
        self._numbers = itertools.count(1)
        self.used: dict[str, str] = {}
        self._key_of: dict[str, str] = {UNVERIFIED: UNVERIFIED}

    def figure(self, figure: Figure, quantity: Quantity) -> dict[str, object]:
        """The table of a figure."""
        if figure.source not in self._key_of:
            key = self._keys.get(figure.source) or f"source{next(self._numbers)}"
            self._key_of[figure.source] = key
            self.used[key] = figure.source
        value = quantity.form.text(figure.value)
        table = {"value": value, "source": self._key_of[figure.source]}
        return {**table, "note": figure.note} if figure.note else table

    def figures(self, record: Record) -> dict[str, object]:
        """The tables of the figures of a record that are known, by key."""
        return {
            key: self.figure(figure, quantity)
            for key, (field, quantity) in FIGURES[type(record)].items()
            if (figure := getattr(record, field)) is not None
        }


def _cpu(cpu: Cpu, sources: _Sources) -> dict[str, Any]:
    return {
        "soc": cpu.soc,
        "features": list(cpu.features),
        "clusters": [
            {"core": cluster.core, **sources.figures(cluster)} for cluster in cpu.clusters
        ],
    }


def _memory(memory: DeviceMemory, sources: _Sources) -> dict[str, Any]:
    return {
        **sources.figures(memory),
        "grants": {
            grant.role: {**sources.figure(grant.memory_bytes, MEMORY), "reason": grant.reason}
            for grant in memory.grants
        },
    }


def _measured(machine: MeasuredMachine, sources: _Sources) -> dict[str, Any]:
    return {
        "runtime": machine.runtime,
        "processor": machine.processor,
        "core_count": machine.core_count,
        **sources.figures(machine),
        "rates": [
            {
                "threads": rates.thread_count,
                **sources.figures(rates),
                "operations": {
                    kind: sources.figure(figure, SUSTAINED_RATE)
                    for kind, figure in rates.operations_per_s.items()
                },
            }
            for rates in machine.rates
        ],
    }


def _anchor(anchor: Anchor) -> dict[str, Any]:
    return {
        "model": safe_text(anchor.model, 200),
        "latency": LATENCY.form.text(anchor.latency_ns),
        "threads": anchor.threads,
        "runtime": safe_text(anchor.runtime, 200),
        "precision": anchor.precision,
        "measured_on": safe_text(anchor.measured_on, 200),
        **{key: getattr(anchor, key) for key in ANCHOR_COUNTS},
        "operations": dict(anchor.operations),
    }


def _utf8(text: str) -> str:
    """The text without lone surrogates, which a UTF-8 file cannot hold."""
    return text.encode("utf-8", "replace").decode()
