"""How large is the error on devices left out if the spreads of priors are chosen without them too?

    python -m calibration.nested_choice

`fit_cpu.CHOSEN` was chosen by the error on devices left out, so that error is too optimistic.
Here the rows of each group of chips are projected with the spreads that were best on the chips of
the other groups. It takes some minutes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from benchmarks._common import print_table
from calibration.fit_cpu import CHOSEN, Spreads, fit_cpu
from calibration.fit_rows import read_fit_rows
from calibration.hold_out import chip_groups
from feasibility.predict.validation.cases import Case
from feasibility.predict.validation.misses import Miss, cpu_miss, factor, median_error
from feasibility.predict.validation.rows_report import grouped

CHOICES = tuple(map(Spreads._make, itertools.product((0.15, 0.3), (0.2, 0.3), (0.001, 0.07))))
GROUP_COUNT = 6
# A larger error counts as a factor of two: some tables were measured on another machine.
MOST_ERROR = math.log(2)


def main() -> None:
    """Print the error with the shipped spreads, and with nested ones."""
    cases = read_fit_rows().floats
    chosen = _held_out(cases, CHOSEN)
    nested: list[Miss] = []
    groups = chip_groups(cases, GROUP_COUNT)
    for group in range(GROUP_COUNT):
        seen = [case for case in cases if groups[case.chip] != group]
        best = min(CHOICES, key=lambda spreads: _cost(_held_out(seen, spreads)))
        fit = fit_cpu(seen, spreads=best)
        nested += [
            cpu_miss(case, case.seconds(fit), "cpu") for case in cases if groups[case.chip] == group
        ]
        print(f"group {group}: {best}", flush=True)
    rows = [
        (name, group, f"{median_error(own):.1%}", f"{factor(own, 0.9):.2f}x")
        for name, misses in (("as shipped", chosen), ("nested", nested))
        for group, own in grouped(misses, lambda miss: miss.group)
    ]
    print_table(("spreads", "device unseen", "median error", "90 % within"), rows)


def _held_out(cases: Sequence[Case], spreads: Spreads) -> list[Miss]:
    """Misses of every row by fits without its group of chips."""
    groups = chip_groups(cases, GROUP_COUNT)
    fits = [
        fit_cpu([case for case in cases if groups[case.chip] != group], spreads=spreads)
        for group in range(GROUP_COUNT)
    ]
    return [cpu_miss(case, case.seconds(fits[groups[case.chip]]), "cpu") for case in cases]


def _cost(misses: Sequence[Miss]) -> float:
    """Root mean square of the errors; one thread and several threads count equally."""
    return sum(
        math.sqrt(sum(min(MOST_ERROR, abs(miss.error)) ** 2 for miss in own) / len(own))
        for _, own in grouped(misses, lambda miss: miss.group)
    )


if __name__ == "__main__":
    main()
