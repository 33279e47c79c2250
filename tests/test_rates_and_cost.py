"""Rates, signals in real time, energy and prices: what they mean and how they are read."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feasibility.commands.parse_check_options import (
    parse_prices,
    parse_rate_per_s,
    parse_realtime_ns,
)
from feasibility.decide.constraints import judge_period, judge_rate, period_share
from feasibility.decide.energy_and_cost import (
    POWER_LOW_RATIO,
    hourly_cost,
    inference_energy,
    request_cost,
    servers_needed,
)
from feasibility.decide.requirements import Requirements
from feasibility.decide.score import verdict_rank
from feasibility.errors import UsageError
from feasibility.records.device import Device, Figure, Price
from feasibility.records.intervals import DurationInterval, RatioInterval
from feasibility.render.reports.reasons import reason_text
from feasibility.units import MILLISECOND_NS
from tests.projection_samples import board

replace = msgspec.structs.replace


def interval(low_ms: float, high_ms: float) -> DurationInterval:
    low, high = (round(value * MILLISECOND_NS) for value in (low_ms, high_ms))
    return DurationInterval(low_ns=low, likely_ns=(low + high) // 2, high_ns=high)


@pytest.mark.parametrize(
    ("text", "rate"),
    [("30", 30.0), ("0.5/s", 0.5), ("90 / min", 1.5), ("1800/h", 0.5), (".5", 0.5)],
)
def test_rates(text: str, rate: float) -> None:
    assert parse_rate_per_s(text) == rate


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "30Hz", "1e3", "inf", "nan", "1/day", "9999999999", "0.000001/h"]
)
def test_rates_that_cannot_be_meant(text: str) -> None:
    with pytest.raises(UsageError, match="Cannot read --rate") as caught:
        parse_rate_per_s(text)
    assert caught.value.hint == "write for example --rate 30 or --rate 10/min"


def test_realtime() -> None:
    assert parse_realtime_ns("0.975s") == 975 * MILLISECOND_NS
    with pytest.raises(UsageError, match="the signal of one inference must be longer than zero"):
        parse_realtime_ns("0s")
    with pytest.raises(UsageError, match="Cannot read the duration"):
        parse_realtime_ns("soon")


@pytest.mark.parametrize(
    ("low_ms", "high_ms", "verdict", "text"),
    [
        (5, 7.5, "fits", "30 inferences per second keep it busy 15 to 22 % of the time"),
        (20, 30, "tight", "30 inferences per second keep it busy 60 to 90 % of the time"),
        (
            20,
            40,
            "undecided",
            "reaches 25 to 50 inferences per second; this interval contains the target of 30",
        ),
        (40, 50, "does-not-fit", "reaches 20 to 25 inferences per second, below the target of 30"),
        (
            9000,
            9000,
            "does-not-fit",
            "reaches 0.111 inferences per second, below the target of 30",
        ),
    ],
)
def test_a_rate_is_kept_up_with(low_ms: float, high_ms: float, verdict: str, text: str) -> None:
    found = judge_rate(interval(low_ms, high_ms), 30)
    assert (found.part, found.verdict) == ("rate", verdict)
    assert reason_text(found) == text


@pytest.mark.parametrize(
    ("low_ms", "high_ms", "words", "verdict"),
    [
        (5, 7.5, "keep it busy 15 to 22 % of the time", "fits"),
        (20, 40, "need 1 to 2 of these servers", "tight"),
        (40, 50, "need 2 of these servers", "tight"),
        (40, 110, "need 2 to 4 of these servers", "tight"),
    ],
)
def test_several_servers_keep_up_where_one_does_not(
    low_ms: float, high_ms: float, words: str, verdict: str
) -> None:
    """As many as the cost counts."""
    latency, demands = interval(low_ms, high_ms), Requirements(rate_per_s=30)
    found = judge_rate(latency, 30, is_server=True)
    assert found.verdict == verdict
    assert reason_text(found) == f"30 inferences per second {words}"
    count = servers_needed(latency, demands)
    assert hourly_cost(server(), latency, demands) == 360_000 * (count or 0)
    if verdict == "tight":
        assert f"{count} of these" in reason_text(found)


def test_servers_without_a_rate_or_a_time() -> None:
    assert servers_needed(DurationInterval(), Requirements()) == 1
    assert servers_needed(DurationInterval(), Requirements(rate_per_s=1)) is None
    assert hourly_cost(server(price_microusd=None), interval(1, 1), Requirements()) is None


@given(
    st.integers(0, 10**10),
    st.integers(0, 10**10),
    st.integers(1, 10**10),
    st.integers(0, 10**11),
    st.none() | st.floats(0.01, 1000),
)
def test_a_higher_price_never_lowers_the_cost(
    price: int, more: int, low: int, wider: int, rate: float | None
) -> None:
    latency = DurationInterval(low_ns=low, high_ns=low + wider)
    costs = []
    for each in (price, price + more):
        demands = Requirements(rate_per_s=rate, prices_microusd={"srv": each})
        found = request_cost(server(), latency, demands)
        assert found is not None
        assert found.low_microusd <= found.high_microusd
        hourly = hourly_cost(server(), latency, demands)
        assert hourly is not None
        costs.append((found.low_microusd, found.high_microusd, hourly))
    assert all(after >= before for before, after in zip(*costs, strict=True))


def test_real_time_factor() -> None:
    factor = period_share(interval(195, 390), 975 * MILLISECOND_NS)
    assert factor == RatioInterval(low_ratio=0.2, high_ratio=0.4)
    found = judge_period("realtime", interval(195, 390), 975 * MILLISECOND_NS)
    assert (found.verdict, reason_text(found)) == (
        "fits",
        "takes 20 to 40 % of the length of the signal (975 ms per inference)",
    )


def test_a_factor_of_several_is_not_written_in_percent() -> None:
    found = judge_period("realtime", interval(187, 432), 40 * MILLISECOND_NS)
    assert (
        reason_text(found)
        == "takes 4.7 to 11 times the length of the signal (40 ms per inference): too slow"
    )


def test_unknown_latency_is_undecided() -> None:
    unknown = DurationInterval()
    assert judge_rate(unknown, 3).verdict == "undecided"
    assert judge_period("realtime", unknown, 3).verdict == "undecided"


@given(
    st.integers(1, 10**11),
    st.integers(0, 10**11),
    st.floats(0.001, 1000),
    st.floats(1, 100),
    st.booleans(),
)
def test_a_lower_rate_is_never_worse(
    low: int, more: int, rate: float, factor: float, is_server: bool
) -> None:
    latency = DurationInterval(low_ns=low, high_ns=low + more)
    fast = judge_rate(latency, rate, is_server=is_server)
    lower = rate / factor
    slow = judge_rate(latency, lower, is_server=is_server)
    assert verdict_rank(slow.verdict) >= verdict_rank(fast.verdict)
    assert slow.score >= fast.score


def server(power_mw: int | None = 70_000, price_microusd: int | None = 360_000) -> Device:
    figure = None if power_mw is None else Figure(value=power_mw, source="sheet", note="of it")
    price = None
    if price_microusd is not None:
        hourly = Figure(value=price_microusd, source="unverified", note="on demand")
        price = Price(hourly_microusd=hourly, as_of="2026-06")
    return replace(board(), id="srv", kind="server", power_mw=figure, price=price)


def test_energy_is_power_times_time() -> None:
    """70 W for 100 ms are 7 J; the lower end has a share of the power."""
    found = inference_energy(server(), interval(50, 100))
    assert found is not None
    assert found.high_uj == 7_000_000
    assert found.low_uj == pytest.approx(7_000_000 / 2 * POWER_LOW_RATIO, abs=1)
    assert (found.power_mw, found.power_source) == (70_000, "of it; sheet")


def test_energy_that_is_not_known() -> None:
    assert inference_energy(server(power_mw=None), interval(1, 2)) is None
    assert inference_energy(server(), DurationInterval()) is None


def test_cost_of_a_server_that_is_never_idle() -> None:
    """0.36 USD per hour are 0.0001 per second, so 1,000 requests of 10 ms are 0.001."""
    found = request_cost(server(), interval(10, 20), Requirements())
    assert found is not None
    assert (found.low_microusd, found.high_microusd) == (1000, 2000)
    assert found.hourly_microusd == 360_000
    assert found.price_source == "on demand, 2026-06, unverified"


def test_cost_of_servers_that_do_nothing_else() -> None:
    """At 2 per second a server is rented half a second for each; 60 of them need more."""
    latency = interval(10, 20)
    alone = request_cost(server(), latency, Requirements(rate_per_s=2))
    many = request_cost(server(), latency, Requirements(rate_per_s=60))
    assert alone is not None
    assert many is not None
    assert (alone.low_microusd, alone.high_microusd) == (1000, 50_000)
    assert many.high_microusd == pytest.approx(1000 * 100 * 2 / 60, abs=1)
    assert alone.rate_per_s == 2


def test_a_price_that_is_given_comes_first() -> None:
    latency = interval(10, 10)
    for name in ("", "srv"):
        demands = Requirements(prices_microusd={name: 720_000})
        found = request_cost(server(), latency, demands)
        assert found is not None
        assert found.low_microusd == 2000
        assert (found.hourly_microusd, found.price_source) == (720_000, "")
    other = Requirements(prices_microusd={"other": 1})
    assert request_cost(server(price_microusd=None), latency, other) is None
    assert request_cost(server(), DurationInterval(), Requirements()) is None


def test_prices() -> None:
    assert parse_prices(None) == {}
    assert parse_prices(["0.526", "t4=1 USD/h", "a10g = 0"]) == {
        "": 526_000,
        "t4": 1_000_000,
        "a10g": 0,
    }


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        (["cheap"], "a price is US dollars per hour, zero or more"),
        (["t4=-1"], "a price is US dollars per hour, zero or more"),
        (["1 EUR"], "a price is US dollars per hour, zero or more"),
        (["=1"], "the name of the server before the equals sign is missing"),
        (["10001"], "the highest price is 10000 USD per hour"),
        (["t4=1", "t4=2"], "the price of 't4' is given twice"),
        (["1", "2"], "the price of all servers is given twice"),
    ],
)
def test_prices_that_cannot_be_meant(texts: list[str], why: str) -> None:
    with pytest.raises(UsageError, match="Cannot read --price") as caught:
        parse_prices(texts)
    assert caught.value.why == why
