"""How large is the error on devices left out if the spreads of priors are chosen without them too?

    python -m calibration.nested_choice

`fit_cpu.CHOSEN` was chosen by the error on devices left out, so that error is too optimistic.
Here the rows of each chip are projected with the spreads that were best on all other chips, by
fits without groups of those. It takes some minutes.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence

from benchmarks._common import print_table
from calibration.fit_cpu import CHOSEN, Spreads, fit_cpu
from calibration.fit_rows import read_fit_rows
from feasibility.predict.validation.cases import Case
from feasibility.predict.validation.misses import Miss, cpu_miss, factor, median_error

CHOICES = tuple(
    Spreads(family=family, circumstance=circumstance)
    for family, circumstance in itertools.product((0.1, 0.15, 0.3), (0.001, 0.05, 0.07, 0.1))
)
GROUP_COUNT = 6
# A larger error counts as a factor of two: some tables were measured on another machine.
MOST_ERROR = math.log(2)
GROUPS = ("cpu, one thread", "cpu, several threads")


def main() -> None:
    """Print the error with the shipped spreads, and with nested ones."""
    cases = read_fit_rows().floats
    chosen: list[Miss] = []
    nested: list[Miss] = []
    picked: Counter[Spreads] = Counter()
    for chip in dict.fromkeys(case.chip for case in cases):
        inside = [case for case in cases if case.chip != chip]
        costs = {spreads: _cost(inside, spreads) for spreads in CHOICES}
        best = min(CHOICES, key=costs.__getitem__)
        picked[best] += 1
        outside = [case for case in cases if case.chip == chip]
        chosen += _misses(inside, outside, CHOSEN)
        nested += _misses(inside, outside, best)
        print(f"{chip}: {best.family}, {best.circumstance}", flush=True)
    rows = [
        (name, group, f"{median_error(own):.1%}", f"{factor(own, 0.9):.2f}x")
        for name, misses in (("as shipped", chosen), ("nested", nested))
        for group in GROUPS
        if (own := [miss for miss in misses if miss.group == group])
    ]
    print_table(("spreads", "device unseen", "median error", "90 % within"), rows)
    print(", ".join(f"{tuple(spreads)}: {count}" for spreads, count in picked.most_common()))


def _cost(cases: Sequence[Case], spreads: Spreads) -> float:
    """Root mean square of the errors on groups of chips left out; thread groups count equally."""
    chips = sorted({case.chip for case in cases})
    misses: list[Miss] = []
    for group in range(GROUP_COUNT):
        left = set(chips[group::GROUP_COUNT])
        inside = [case for case in cases if case.chip not in left]
        misses += _misses(inside, [case for case in cases if case.chip in left], spreads)
    costs = []
    for group_name in GROUPS:
        sizes = [min(MOST_ERROR, abs(miss.error)) for miss in misses if miss.group == group_name]
        costs.append(math.sqrt(sum(size**2 for size in sizes) / len(sizes)))
    return sum(costs)


def _misses(inside: Sequence[Case], outside: Sequence[Case], spreads: Spreads) -> list[Miss]:
    """Misses of the rows outside, by the fit to the rows inside."""
    fit = fit_cpu(inside, spreads)
    return [cpu_miss(case, case.seconds(fit), "cpu") for case in outside]


if __name__ == "__main__":
    main()
