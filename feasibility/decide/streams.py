"""Work that does not end: inferences at a rate, and signals that come in real time."""

from __future__ import annotations

import math
import re
from typing import Final

from feasibility.decide.constraints import Finding, Part
from feasibility.decide.score import (
    SCORE_TIGHT,
    SCORE_UNKNOWN,
    interval_score,
    interval_verdict,
)
from feasibility.errors import UsageError
from feasibility.records.comparison import DurationInterval, RatioInterval
from feasibility.text import safe_text
from feasibility.units import SECOND_NS, format_duration, parse_duration_ns

# From here on factors read better than percentages.
_MANY_TIMES: Final = 2
# Once in thirty years: what idle servers cost until then is no figure any more.
_LOWEST_RATE: Final = 1e-9
_HIGHEST_RATE: Final = 10**9
_RATE: Final = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(?:/\s*(s|min|h))?", re.ASCII)
_PER_S: Final = {"s": 1, "min": 60, "h": 3600}


def parse_rate_per_s(text: str) -> float:
    """Inferences per second that `30`, `30/s`, `10/min` or `2/h` names.

    Raises:
        UsageError: It is not a rate, or it is zero or absurd.
    """
    match = _RATE.fullmatch(text.strip())
    rate = float(match[1]) / _PER_S[match[2] or "s"] if match else 0.0
    if not _LOWEST_RATE <= rate <= _HIGHEST_RATE:
        raise UsageError(
            f"Cannot read --rate {safe_text(text)!r}",
            f"a rate is a plain number above zero, at most {_HIGHEST_RATE:,} inferences per second",
            "write for example --rate 30 or --rate 10/min",
        )
    return rate


def parse_realtime_ns(text: str) -> int:
    """Nanoseconds of signal that `0.975s` names.

    Raises:
        UsageError: It is not a duration, or it is zero.
    """
    duration = parse_duration_ns(text)
    if duration == 0:
        raise UsageError(
            f"Cannot read --realtime {safe_text(text)!r}",
            "one inference covers some signal",
            "write for example --realtime 0.975s",
        )
    return duration


def utilisation(latency: DurationInterval, rate_per_s: float) -> RatioInterval | None:
    """Share of the time that one stream of this rate keeps it busy; above 1 it falls behind."""
    return _ratio(latency, SECOND_NS / rate_per_s)


def realtime_factor(latency: DurationInterval, signal_ns: int) -> RatioInterval | None:
    """Time that one inference takes, by the time that its signal lasts; above 1 it lags."""
    return _ratio(latency, signal_ns)


def server_count(busy: RatioInterval) -> tuple[int, int]:
    """How many of a server keep up with a rate side by side, at least and at most."""
    return max(1, math.ceil(busy.low_ratio)), max(1, math.ceil(busy.high_ratio))


def judge_rate(
    busy: RatioInterval | None, rate_per_s: float, *, is_server: bool = False
) -> Finding:
    """Whether it keeps up with a rate; of a server there may be several, for what they cost."""
    if busy is None:
        reason = (
            f"whether it does {rate_per_s:g} per second is not known; timing it would settle it"
        )
        return Finding("rate", "undecided", SCORE_UNKNOWN, reason)
    asked = f"{rate_per_s:g} inferences per second"
    if busy.high_ratio <= 1:
        reason = f"{asked} keep it busy {percent_span(busy)} of the time"
        return _finding("rate", busy, reason)
    if is_server:
        return Finding("rate", "tight", SCORE_TIGHT, f"{asked} take {_servers_text(busy)}")
    done = _span(rate_per_s / busy.high_ratio, rate_per_s / busy.low_ratio)
    return _finding("rate", busy, f"does {done} of the {asked} asked for")


def _servers_text(busy: RatioInterval) -> str:
    low, high = server_count(busy)
    return f"{high} of these servers" if low == high else f"{low} to {high} of these servers"


def _span(low: float, high: float) -> str:
    """Both ends with two significant digits, or one where they read alike."""
    texts = [f"{value:.0f}" if value >= 99.5 else f"{value:.2g}" for value in (low, high)]
    return texts[1] if texts[0] == texts[1] else f"{texts[0]} to {texts[1]}"


def judge_realtime(factor: RatioInterval | None, signal_ns: int) -> Finding:
    """Whether it keeps up with a signal."""
    signal = format_duration(signal_ns)
    if factor is None:
        reason = f"whether it keeps up with {signal} is not known; timing it would settle it"
        return Finding("realtime", "undecided", SCORE_UNKNOWN, reason)
    if factor.high_ratio < _MANY_TIMES:
        share = f"{percent_span(factor)} of"
    else:
        share = f"{_span(factor.low_ratio, factor.high_ratio)} times"
    reason = f"takes {share} the {signal} of signal that one inference covers"
    return _finding("realtime", factor, reason)


def percent_span(ratio: RatioInterval) -> str:
    """Both ends in percent, or one where they read alike; tenths of little."""
    low, high = (_percent(value) for value in (ratio.low_ratio, ratio.high_ratio))
    return f"{high} %" if low == high else f"{low} to {high} %"


def _percent(ratio: float) -> str:
    return f"{100 * ratio:.2g}" if ratio < 0.0995 else f"{100 * ratio:.0f}"


def _finding(part: Part, ratio: RatioInterval, reason: str) -> Finding:
    verdict = interval_verdict(ratio.low_ratio, ratio.high_ratio, 1.0)
    if verdict == "does-not-fit":
        reason += ", too slow"
    elif verdict == "undecided":
        reason += "; too close to call, timing it there would settle it"
    score = interval_score(ratio.low_ratio, ratio.high_ratio, 1.0)
    return Finding(part, verdict, score, reason)


def _ratio(latency: DurationInterval, span_ns: float) -> RatioInterval | None:
    if latency.low_ns is None or latency.high_ns is None:
        return None
    return RatioInterval(low_ratio=latency.low_ns / span_ns, high_ratio=latency.high_ns / span_ns)
