"""How long does the command line take to start, against Python with its largest import?"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from benchmarks._common import alternate, median_ratio, print_table, spend

ROUND_COUNT = 15
COMMAND = str(Path(sys.executable).with_name("feasibility"))
REFERENCE = (sys.executable, "-c", "import typer")


def main() -> None:
    """Prints one row per option."""
    rows = []
    for option in ("--version", "--help"):
        pairs = alternate(ROUND_COUNT, partial(spend, (COMMAND, option)), partial(spend, REFERENCE))
        assert all(each.exit_code == 0 for pair in pairs for each in pair)
        time_ratio = median_ratio([(ours.wall_ns, theirs.wall_ns) for ours, theirs in pairs])
        memory_ratio = median_ratio([(a.peak_bytes, b.peak_bytes) for a, b in pairs])
        rows.append((f"feasibility {option}", f"{time_ratio:.2f}", f"{memory_ratio:.2f}"))
    print_table(('against python -c "import typer"', "time ratio", "memory ratio"), rows)


if __name__ == "__main__":
    main()
