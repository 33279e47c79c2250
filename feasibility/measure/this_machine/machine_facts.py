"""What kind of machine is this, and how much memory may one process use?"""

from __future__ import annotations

import os
import platform
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args

from feasibility.errors import HostError
from feasibility.measure.this_machine.core_clusters import (
    CoreCluster,
    last_cache_bytes,
    read_clusters,
    read_extensions,
    read_processors,
)
from feasibility.records.device import Kind
from feasibility.records.shared_fields import Isa
from feasibility.runners.cgroup_mounts import kernel_text, memory_limits
from feasibility.runners.host import RESERVE_RATIO, this_host, this_isa
from feasibility.text import safe_text
from feasibility.units import format_bytes, format_percent

_ISAS: Final[dict[str, Isa]] = {isa: isa for isa in get_args(Isa)}
# What many manufacturers leave in place of a name.
_PLACEHOLDER: Final = re.compile(
    "to be filled|default string|system product name|not specified|unknown", re.IGNORECASE
)
# Source: DMTF DSP0134, System Management BIOS, section 7.4.1, table 17.
_CHASSIS: Final[dict[str, Kind]] = {
    **dict.fromkeys(("3", "4", "5", "6", "7", "13", "15", "24", "35", "36"), "desktop"),
    **dict.fromkeys(("8", "9", "10", "14", "31", "32"), "laptop"),
    "11": "phone",
    "30": "tablet",
    **dict.fromkeys(("17", "23", "25", "28", "29"), "server"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """Facts of this machine.

    `processor` is the name that profiles of this machine give. `memory_bytes` is all that the
    kernel manages, `grant_bytes` what one process may use now, for the reason in the clause
    beside it. `storage_bytes` is free storage where the user's files lie.
    """

    name: str
    chip: str
    processor: str
    isa: Isa
    kind: Kind
    os: str
    libc: str
    clusters: tuple[CoreCluster, ...]
    extensions: tuple[str, ...]
    cache_bytes: int | None
    memory_bytes: int
    grant_bytes: int
    grant_reason: str
    storage_bytes: int

    @property
    def core_count(self) -> int:
        """Physical cores that a process may use."""
        return sum(cluster.core_count for cluster in self.clusters)


def read_machine(root: Path = Path("/")) -> MachineFacts:
    """Facts of the machine that this process runs on; `root` holds `proc` and `sys`.

    Raises:
        HostError: Device files cannot describe this instruction set.
    """
    isa = _ISAS.get(this_isa())
    if isa is None:
        raise HostError(
            "Cannot describe this machine",
            f"its instruction set is {safe_text(platform.machine())!r}; device files know x86_64 "
            "and aarch64",
            "on an Arm board, use a 64-bit system; ONNX Runtime has wheels for it",
        )
    host = this_host()
    board = kernel_text(root / "proc/device-tree/model")  # empty without a device tree
    product = kernel_text(root / "sys/class/dmi/id/product_name")
    names = [name for name in (board, product, host.cpu) if name and not _PLACEHOLDER.search(name)]
    grant_bytes, reason = memory_grant(root)
    home = next(folder for folder in (Path.home(), *Path.home().parents) if folder.exists())
    return MachineFacts(
        name=names[0] if names else "this machine",
        chip=_chip(root) or host.cpu,
        processor=host.cpu,
        isa=isa,
        kind=_kind(root, board, isa),
        os=host.os,
        libc=platform.libc_ver()[0],
        clusters=read_clusters(root),
        extensions=read_extensions(root),
        cache_bytes=last_cache_bytes(root),
        memory_bytes=host.memory_bytes,
        grant_bytes=grant_bytes,
        grant_reason=reason,
        storage_bytes=shutil.disk_usage(home).free,
    )


def memory_grant(root: Path = Path("/")) -> tuple[int, str]:
    """Memory that one process may use now, and the reason as a clause."""
    import psutil

    memory = psutil.virtual_memory()
    available: int = memory.available
    limits = memory_limits(root / "proc/self")
    limit = min((limit for limit in limits if limit < memory.total), default=None)
    kept = f"{format_percent(RESERVE_RATIO)} of it are left for other programs"
    if limit is not None and limit < available:
        grant = round(limit * (1 - RESERVE_RATIO))
        return grant, f"a control group limits this session to {format_bytes(limit)}; {kept}"
    grant = round(available * (1 - RESERVE_RATIO))
    return grant, (
        f"{format_bytes(available)} were available when this was written, and no control group "
        f"sets a lower limit; {kept}"
    )


def _chip(root: Path) -> str:
    """The chip: the last and most general name in the device tree, such as `brcm,bcm2711`."""
    words = [word for word in kernel_text(root / "proc/device-tree/compatible").split("\0") if word]
    return words[-1].partition(",")[2].upper() if words else ""


def _kind(root: Path, board: str, isa: Isa) -> Kind:
    if os.environ.get("ANDROID_ROOT"):
        return "phone"
    if board:
        return "sbc"
    chassis = _CHASSIS.get(kernel_text(root / "sys/class/dmi/id/chassis_type"))
    is_virtual = any(
        "hypervisor" in fields.get("flags", "").split() for fields in read_processors(root).values()
    )
    if chassis is None or is_virtual:
        return "server" if is_virtual or isa == "x86_64" else "sbc"
    return chassis
