"""The error on devices left out, with the priors' spreads chosen without them as well.

    python -m benchmarks.nested_choice

`feasibility.predict.calibration.fit_cpu.CHOSEN` was chosen by the error on devices left out,
so that error flatters it. Here the rows of each chip are projected with the spreads that did
best on all other chips, told by fits that left groups of those out. Some minutes.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence

from benchmarks._common import print_table
from feasibility.predict.calibration.fit_cpu import CHOSEN, Spreads, calibrate
from feasibility.predict.calibration.refit import published_evidence
from feasibility.predict.validation import held_out as validate
from feasibility.predict.validation.cases import Case, case_seconds

CHOICES = tuple(
    Spreads(family=family, circumstance=circumstance)
    for family, circumstance in itertools.product((0.1, 0.15, 0.3), (0.001, 0.05, 0.07, 0.1))
)
GROUP_COUNT = 6
# An error beyond a factor of two is as bad as one of two: some tables are of another machine.
MOST_ERROR = math.log(2)


def main() -> None:
    """Print the error with the choices that are shipped, and with nested ones."""
    cases = published_evidence().floats
    chosen: list[validate.Miss] = []
    nested: list[validate.Miss] = []
    picked: Counter[Spreads] = Counter()
    for chip in dict.fromkeys(case.chip for case in cases):
        inside = [case for case in cases if case.chip != chip]
        best = min(CHOICES, key=lambda spreads, rows=inside: _cost(rows, spreads))  # type: ignore[misc]
        picked[best] += 1
        outside = [case for case in cases if case.chip == chip]
        chosen += _misses(inside, outside, CHOSEN)
        nested += _misses(inside, outside, best)
        print(f"{chip}: {best.family}, {best.circumstance}", flush=True)
    rows = [
        (name, group, f"{validate.median_error(own):.1%}", f"{validate.factor(own, 0.9):.2f}x")
        for name, misses in (("as shipped", chosen), ("nested", nested))
        for group in ("cpu, one thread", "cpu, several threads")
        if (own := [miss for miss in misses if miss.group == group])
    ]
    print_table(("spreads", "device unseen", "median error", "90 % within"), rows)
    print(", ".join(f"{tuple(spreads)}: {count}" for spreads, count in picked.most_common()))


def _cost(cases: Sequence[Case], spreads: Spreads) -> float:
    """Root mean square of the errors on groups of chips left out, one and several threads alike."""
    chips = sorted({case.chip for case in cases})
    misses: list[validate.Miss] = []
    for group in range(GROUP_COUNT):
        left = set(chips[group::GROUP_COUNT])
        inside = [case for case in cases if case.chip not in left]
        misses += _misses(inside, [case for case in cases if case.chip in left], spreads)
    costs = []
    for group_name in ("cpu, one thread", "cpu, several threads"):
        sizes = [min(MOST_ERROR, abs(miss.error)) for miss in misses if miss.group == group_name]
        costs.append(math.sqrt(sum(size**2 for size in sizes) / len(sizes)))
    return sum(costs)


def _misses(
    inside: Sequence[Case], outside: Sequence[Case], spreads: Spreads
) -> list[validate.Miss]:
    """Misses of the rows outside by the fit to those inside."""
    fit = calibrate(inside, spreads)
    return [validate.miss_of(case, case_seconds(case, fit), "cpu") for case in outside]


if __name__ == "__main__":
    main()
