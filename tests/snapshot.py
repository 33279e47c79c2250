"""Compares text with a file of an earlier run that somebody has looked at.

`FEASIBILITY_UPDATE_SNAPSHOTS=1 python -m pytest` writes the files anew; look at the difference
before committing it.
"""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(__file__).parent / "snapshots"


def assert_matches_snapshot(name: str, text: str) -> None:
    path = FOLDER / name
    if os.environ.get("FEASIBILITY_UPDATE_SNAPSHOTS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    expected = path.read_text(encoding="utf-8") if path.exists() else ""
    assert expected == text
