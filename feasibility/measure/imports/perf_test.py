"""How are the output and the results file of onnxruntime_perf_test read?

Source: ONNX Runtime's own tool, onnxruntime/test/perftest. The wording differs between versions;
all of them are read. A results file has one line for each run: the model's folder, seconds, peak
bytes of the process, CPU usage, and the number of the run.
"""

from __future__ import annotations

import re
from typing import Final

from feasibility.measure.imports.imported_figures import UnreadableError, imported_profile, whole
from feasibility.measure.latency_percentiles import latency_summary
from feasibility.records.profile import Latency, Profile
from feasibility.units import MILLISECOND_NS, SECOND_NS

_TOOL: Final = "onnxruntime_perf_test"
_NUMBER: Final = r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?)"
_AVERAGE: Final = re.compile(rf"Average (?:inference )?time cost[^:\n]*: *{_NUMBER} *ms")
_SESSION: Final = re.compile(rf"Session creation time cost: *{_NUMBER} *s")
_FIRST: Final = re.compile(rf"First inference time cost: *{_NUMBER} *ms")
_PEAK: Final = re.compile(r"Peak working set size: *(\d+)")
_THREADS: Final = re.compile(r"Setting intra_op_num_threads to (\d+)")
_RUNS: Final = re.compile(r"(?:Total inference requests|Total iterations|Runs): *(\d+)")
_PROVIDER: Final = re.compile(r"^using (\w+ExecutionProvider)", re.MULTILINE)
_ROW: Final = re.compile(
    rf"(?P<model>[^,\n]*),{_NUMBER},(?P<peak>\d{{1,18}}),-?\d+,(?P<run>\d{{1,18}})"
)
# Some versions of 2019 wrote nanoseconds; a run of this tool never takes so many seconds.
_MOST_S: Final = 10_000
_WHOLE_PROCESS: Final = "memory is the peak of the whole process, runtime and program included"


def read_output(content: str) -> Profile | None:
    """The figures of the output; None for any other text."""
    if not _AVERAGE.search(content):
        return None
    mean = _found(_AVERAGE, content, MILLISECOND_NS)
    if mean is None:
        raise UnreadableError("it has no average time cost")
    median = _statistic("P50", content)
    caveats = [_WHOLE_PROCESS]
    if median is None:
        caveats.append("the median was not printed; the average time is used instead")
    provider = _PROVIDER.search(content)
    return imported_profile(
        tool=_TOOL,
        runtime="ONNX Runtime",
        provider=provider[1] if provider else "",
        threads=_found(_THREADS, content, 1) or None,
        run_count=_found(_RUNS, content, 1),
        latency=Latency(
            load_ns=_found(_SESSION, content, SECOND_NS),
            first_run_ns=_found(_FIRST, content, MILLISECOND_NS),
            min_ns=_statistic("Min", content),
            median_ns=mean if median is None else median,
            mean_ns=mean,
            p90_ns=_statistic("P90", content),
            p95_ns=_statistic("P95", content),
            p99_ns=_statistic("P99", content),
        ),
        process_peak_bytes=_found(_PEAK, content, 1) or None,
        caveats=tuple(caveats),
    )


def read_result_file(content: str) -> Profile | None:
    """The figures of the last benchmark in the file, to which the tool appends.

    None for any other text: every line of the file is a row, and the first row is run 0.
    """
    rows = _rows(content)
    if not rows or int(rows[0]["run"]) != 0:
        return None
    begins = [index for index, row in enumerate(rows) if int(row["run"]) == 0]
    last = rows[begins[-1] :]
    seconds = [float(row[2]) for row in last]
    if max(seconds) > _MOST_S:
        raise UnreadableError("its times are too large to be seconds")
    caveats = [_WHOLE_PROCESS]
    if len(begins) > 1:
        caveats.append(
            f"the file holds {len(begins)} benchmarks; the figures are from the last one"
        )
    return imported_profile(
        tool=_TOOL,
        runtime="ONNX Runtime",
        model_name=last[0]["model"],
        latency=latency_summary([round(value * SECOND_NS) for value in seconds]),
        process_peak_bytes=int(last[0]["peak"]) or None,
        caveats=tuple(caveats),
    )


def _rows(content: str) -> list[re.Match[str]]:
    """One match per line, without statistics and empty lines; none if a line is not a row."""
    lines = [line.strip() for line in content.splitlines()]
    lines = [line for line in lines if line and " Latency" not in line]
    rows = list(filter(None, map(_ROW.fullmatch, lines)))
    return rows if len(rows) == len(lines) else []


def _statistic(name: str, content: str) -> int | None:
    """The time in `P50 Latency: 0.0587 s` or in the older `P50 Latency is 0.0587 sec`."""
    return _found(re.compile(rf"{name} Latency(?: is|:) *{_NUMBER} *s"), content, SECOND_NS)


def _found(pattern: re.Pattern[str], content: str, factor: float) -> int | None:
    match = pattern.search(content)
    return whole(float(match[1]), factor) if match else None
