"""How do the page `docs/accuracy.md` and its plot look?"""

from __future__ import annotations

import math
from typing import Final

from feasibility.records.accuracy import Accuracy, AccuracyPoint
from feasibility.render.reports.accuracy import HEADINGS, accuracy_grid, accuracy_remarks

PLOT_NAME: Final = "accuracy.svg"
_SIZE: Final = 460
_MARGIN: Final = 56
_COLOURS: Final = {
    "device unseen, 1 thread": "#1f6fb4",
    "device unseen, several": "#d1662a",
    "int8, device unseen": "#3a9a4b",
    "GPU, device unseen": "#8a5bb5",
}
_OTHER: Final = "#777777"
_TICKS: Final = ((10**3, "1 us"), (10**6, "1 ms"), (10**9, "1 s"))
_TITLE: Final = "Measured and projected latency of rows that the fit did not see"

_INTRODUCTION: Final = """\
# Error of projected latency

`make calibrate` writes this page together with the coefficients; do not edit it.
`feasibility devices validate --report` prints the same tables. `--rows FILE.csv` prints them for
your own measurements, a file with the columns of `profiles/published.csv`.

{remarks}
* **Device unseen**: the fit did not see any row of the chip. **Model unseen**: no row of the
  architecture. **Runtime unseen**: no row of the runtime.
* **Several** means several threads.
* **1 or 2 models known**: one or two models of a published table count as measured on the device.
  The other models of this table are projected. All choices of the known models were tried, up to a
  fixed number, so these lines have more projections than rows.
* **90 % within**: 90 % of the rows have an error of at most this factor. **In 1.5x** and **in 2x**:
  share of the rows with an error of at most this factor.
* **In interval**: share of the rows inside the 80 % interval. The rows of all other chips set the
  width of the interval.
* **Transformer**: more than half of the operations are matrix products.
* **Formula without**: error of the formula without one of its parts; "nothing" means the whole
  formula. For this table, the chips were left out in six groups, so the errors are larger. Parts:
  rates of core families and of runtimes; operations per activation; cycles to dispatch a layer,
  with extra cycles for several threads; the loss of speed of further threads, because cores share
  caches and memory bus, and a smaller loss on computers; newer builds; factors from similar models,
  with extra factors for several threads, fp16 and newer builds.
* We chose the parts and parameters of the fit by these errors, so the errors are too low.
  [scoring.md](scoring.md#the-interval) states by how much for three parameters.
* A time is the fastest run if the table states it. Otherwise it is the mean.
"""


def accuracy_page(accuracy: Accuracy) -> str:
    """The page in Markdown, with a link to the plot."""
    remarks = "\n".join(f"* {remark}." for remark in accuracy_remarks(accuracy))
    lines = [_INTRODUCTION.format(remarks=remarks)]
    for scope, heading in HEADINGS:
        grid = accuracy_grid(accuracy, scope, heading)
        lines.append(f"| {' | '.join(column.title for column in grid.columns)} |")
        lines.append(f"|{'|'.join(['---', *['---:'] * (len(grid.columns) - 1)])}|")
        lines += [f"| {' | '.join(map(str, cells))} |" for cells in grid.rows]
        lines.append("")
    lines += [f"![{_TITLE}]({PLOT_NAME})", ""]
    return "\n".join(lines)


def accuracy_plot(accuracy: Accuracy) -> str:
    """Measured against projected time on logarithmic axes, as an SVG picture."""
    points = [point for point in accuracy.points if point.measured_ns and point.projected_ns]
    times = [time for point in points for time in (point.measured_ns, point.projected_ns)]
    low, high = math.log10(min(times)) - 0.1, math.log10(max(times)) + 0.1
    scale = _SIZE / (high - low)

    def across(ns: float) -> float:
        return _MARGIN + (math.log10(ns) - low) * scale

    def down(ns: float) -> float:
        return _SIZE + 16 - (math.log10(ns) - low) * scale

    full = _SIZE + _MARGIN + 16
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{full}" height="{full + 80}" '
        f'font-family="sans-serif" font-size="12" fill="#333333">',
        f"<title>{_TITLE}</title>",
        f'<rect width="{full}" height="{full + 80}" fill="#ffffff"/>',
        f'<rect x="{_MARGIN}" y="16" width="{_SIZE}" height="{_SIZE}" fill="none" '
        'stroke="#999999"/>',
    ]
    bottom, top = 10**low, 10**high
    for ratio, dash in ((1.0, ""), (2.0, "4 4"), (0.5, "4 4")):
        start, end = max(bottom, bottom / ratio), min(top, top / ratio)
        parts.append(
            f'<line x1="{across(start):.1f}" y1="{down(start * ratio):.1f}" '
            f'x2="{across(end):.1f}" y2="{down(end * ratio):.1f}" stroke="#999999" '
            f'stroke-dasharray="{dash}"/>'
        )
    for ns, text in _TICKS:
        if low < math.log10(ns) < high:
            parts.append(
                f'<text x="{across(ns):.1f}" y="{_SIZE + 34}" text-anchor="middle">{text}</text>'
            )
            parts.append(
                f'<text x="{_MARGIN - 6}" y="{down(ns) + 4:.1f}" text-anchor="end">{text}</text>'
            )
    parts += [_dot(point, across(point.measured_ns), down(point.projected_ns)) for point in points]
    parts += _legend(full)
    return "\n".join((*parts, "</svg>", ""))


def _dot(point: AccuracyPoint, x: float, y: float) -> str:
    colour = _COLOURS.get(point.subject, _OTHER)
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2" fill="{colour}" fill-opacity="0.6"/>'


def _legend(top: int) -> list[str]:
    parts = [
        f'<text x="{_MARGIN}" y="{top - 18}">measured (across), projected (up); dashed: twice and '
        "half</text>"
    ]
    for index, (subject, colour) in enumerate(_COLOURS.items()):
        y = top + 2 + 18 * index
        parts.append(f'<circle cx="{_MARGIN + 5}" cy="{y - 4}" r="4" fill="{colour}"/>')
        parts.append(f'<text x="{_MARGIN + 16}" y="{y}">{subject}</text>')
    return parts
