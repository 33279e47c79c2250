"""Which types has msgspec prepared? It prepares a type when it first reads one.

Two threads that do this at the same time crash the process, because one uses the description of
a type that the other has not finished (observed with msgspec 0.22). So types are prepared under a
lock. A fork waits for the lock, because otherwise it could copy an unfinished description.
"""

from __future__ import annotations

import os
import threading
from typing import Final, TypeVar

import msgspec

TypeT = TypeVar("TypeT")

_PREPARING: Final = threading.Lock()
_PREPARED: Final[set[object]] = set()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_PREPARING.acquire,
        after_in_parent=_PREPARING.release,
        after_in_child=_PREPARING.release,
    )


def prepared(kind: type[TypeT]) -> type[TypeT]:
    """The type, which any number of threads may now decode at the same time."""
    if kind not in _PREPARED:
        with _PREPARING:
            msgspec.json.Decoder(kind)
            _PREPARED.add(kind)
    return kind
