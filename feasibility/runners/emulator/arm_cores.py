"""Which Arm core does the emulator use for a device, and what does /proc/cpuinfo hold there?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from feasibility.errors import UsageError
from feasibility.text import safe_text

# The emulator's CPU models with the part number that Linux shows for each.
# Source: the MIDR_EL1 descriptions in Arm's technical reference manuals.
PARTS: Final = {
    "cortex-a53": 0xD03,
    "cortex-a57": 0xD07,
    "cortex-a72": 0xD08,
    "cortex-a76": 0xD0B,
    "neoverse-n1": 0xD0C,
    "max": 0xD0B,
}
DEFAULT_CORE: Final = "cortex-a72"

# The CPU model for cores that the emulator does not know: one with the same vector
# instructions, because memory depends on those. Other cores have dot products, as cortex-a76 has.
_MODELS: Final = {
    **dict.fromkeys(("cortex-a35", "cortex-a53"), "cortex-a53"),
    "cortex-a57": "cortex-a57",
    **dict.fromkeys(("cortex-a72", "cortex-a73"), "cortex-a72"),
    **dict.fromkeys(("neoverse-n1", "neoverse-n2", "neoverse-v1", "neoverse-v2"), "neoverse-n1"),
}


def core_model(name: str) -> str:
    """The name, if it is that of a CPU model of the emulator; else raises `UsageError`."""
    if name not in PARTS:
        raise UsageError(
            f"Cannot emulate the core {safe_text(name)!r}",
            f"the cores are {', '.join(PARTS)}",
            f"write for example --on emulate:aarch64:{DEFAULT_CORE}",
        )
    return name


def emulated_core(cores: Sequence[str]) -> str:
    """The CPU model for a device with these cores, the fastest first."""
    return _MODELS.get(cores[0], "cortex-a76") if cores else DEFAULT_CORE


def cpuinfo(model: str, core_count: int) -> str:
    """The text of /proc/cpuinfo for a core; without it ONNX Runtime's detection crashes."""
    core = (
        "BogoMIPS\t: 108.00\n"
        "Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid\n"
        "CPU implementer\t: 0x41\n"
        "CPU architecture: 8\n"
        "CPU variant\t: 0x0\n"
        f"CPU part\t: {PARTS[model]:#05x}\n"
        "CPU revision\t: 3\n\n"
    )
    return "".join(f"processor\t: {number}\n{core}" for number in range(core_count))
