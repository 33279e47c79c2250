"""Which device does a user's spelling mean, and which device is similar to a typo?

Names are compared by words and numbers, then without anything between them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from typing import Final

from feasibility.records.device import Device
from feasibility.units import GIB

_SIZE: Final = re.compile(r"(\d+)\s*(?:gib|gb|g)(?![a-z0-9])")
_WORDS: Final = re.compile(r"\d+gb|[a-z]+|\d+|\+")
_SIZE_WORD: Final = re.compile(r"(\d+)gb")
# Words that users add or leave out.
_FILLER_WORDS: Final = frozenset(
    {"the", "model", "gb", "gib", "g", "ram", "phone", "developer", "dev", "kit", "board"}
)
_MAKERS: Final = (
    "raspberry", "geforce", "nvidia", "apple", "samsung", "google", "galaxy", "intel", "amd",
    "aws", "xiaomi",
)  # fmt: skip
_SYNONYMS: Final = {"pi": "rpi", "raspberrypi": "rpi", "+": "plus", **dict.fromkeys(_MAKERS, "")}
_MOST_SUGGESTIONS: Final = 4
_SIMILAR: Final = 0.55

_Key = tuple[str, ...]


def matching(text: str, devices: Sequence[Device]) -> tuple[Device, ...]:
    """The devices that a name may mean; several if it is ambiguous."""
    for keys_of, key_of in _STAGES:
        key = key_of(text)
        found = tuple(device for device in devices if key in keys_of(device))
        if key and found:
            return found
    return ()


def suggestions(text: str, devices: Sequence[Device]) -> tuple[str, ...]:
    """Ids of devices with similar names, the most similar first."""
    wanted = set(word_key(text))
    within = [
        device.id
        for device in devices
        if wanted and any(wanted <= set(word_key(name)) for name in _names(device))
    ]
    spellings = {
        spelling.lower(): device.id
        for device in devices
        for spelling in (device.id, *device.aliases, device.name)
    }
    near = difflib.get_close_matches(text.lower(), spellings, n=3, cutoff=_SIMILAR)
    found = within or [spellings[spelling] for spelling in near]
    return tuple(dict.fromkeys(found))[:_MOST_SUGGESTIONS]


def word_key(name: str) -> _Key:
    """Sorted words and numbers of a name, without common words and makers."""
    return tuple(sorted(_words(name)))


def _words(name: str) -> list[str]:
    together = _SIZE.sub(r"\1gb", name.lower().replace("_", " "))
    words = (_SYNONYMS.get(word, word) for word in _WORDS.findall(together))
    return [word for word in words if word and word not in _FILLER_WORDS]


def _loose_key(name: str) -> _Key:
    """The words, sizes without their unit, as in `pi5 16`."""
    return tuple(sorted(_SIZE_WORD.sub(r"\1", word) for word in _words(name)))


def _joined_key(name: str) -> _Key:
    """The words joined, as in `rpi516gb`."""
    joined = "".join(_words(name))
    return (joined,) if joined else ()


def _plain_key(name: str) -> _Key:
    """Letters and digits joined, as in `samsunggalaxys24`."""
    plain = "".join(letter for letter in name.lower() if letter.isalnum())
    return (plain,) if plain else ()


def _names(device: Device) -> tuple[str, ...]:
    return (device.id, device.name, *device.aliases)


def _word_keys(device: Device) -> frozenset[_Key]:
    """Keys of all names, with and without the size of the memory."""
    memory = device.memory.total_bytes if device.memory is not None else None
    if device.runs_on == "gpu" and device.gpu is not None and device.gpu.memory_bytes is not None:
        memory = device.gpu.memory_bytes
    size = f" {round(memory.value / GIB)}gb" if memory is not None else ""
    names = _names(device)
    return frozenset(word_key(f"{name}{extra}") for name in names for extra in ("", size))


def _keys_by(key_of: Callable[[str], _Key]) -> Callable[[Device], frozenset[_Key]]:
    return lambda device: frozenset(key_of(name) for name in _names(device))


_STAGES: Final = (
    (_word_keys, word_key),
    (_keys_by(_loose_key), _loose_key),
    (_keys_by(_joined_key), _joined_key),
    (_keys_by(_plain_key), _plain_key),
)
