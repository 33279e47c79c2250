"""Descriptions of plots: the figures of the records, in the unit of the axis, with their texts."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from feasibility.records.profile import Latency, Profile
from feasibility.render.html.assessment_plots import assessment_plots
from feasibility.render.html.blocks import blocks_of
from feasibility.render.html.comparison_plots import comparison_plots
from feasibility.render.html.data_tables import AXIS_END, device_table, node_tables
from feasibility.render.html.fit_plots import fit_plots
from feasibility.render.html.limit_plots import budget_plots, facts_plots, proof_plots
from feasibility.render.html.plots import Plot, Series, bytes_scale, thinned, time_scale
from feasibility.render.html.profile_plots import (
    anatomy_plot,
    latency_plots,
    profile_plots,
    roofline_plots,
    timeline_plot,
)
from feasibility.units import GIB, MIB, MILLISECOND_NS
from tests import anatomy_samples, budget_samples, samples
from tests.html_samples import model_assessment, records
from tests.test_compare import measured_now
from tests.test_fit_report import found
from tests.test_prove_report import bisected

RECORDS = records()


def series(plot: Plot, name: str) -> Series:
    (found_series,) = (each for each in plot.series if each.name == name)
    return found_series


def all_plots() -> list[Plot]:
    return [
        plot for record in RECORDS.values() for block in blocks_of(record) for plot in block.plots
    ]


@pytest.mark.parametrize("plot", all_plots(), ids=lambda plot: plot.title)
def test_a_plot_is_a_table(plot: Plot) -> None:
    """Every series has a value and its text at each position, or neither."""
    assert plot.labels
    assert plot.series
    assert not plot.places or len(plot.places) == len(plot.labels)
    for each in plot.series:
        assert len(each.values) == len(each.texts) == len(plot.labels)
        assert [value is None for value in each.values] == [text == "" for text in each.texts]
    grid = plot.grid()
    assert len(grid.rows) == len(plot.labels)
    assert {len(row) for row in grid.rows} == {len(grid.columns)} == {len(plot.series) + 1}
    if plot.value_axis.is_log:
        ends = [
            end
            for each in plot.series
            for value in each.values
            if value is not None
            for end in (value if isinstance(value, tuple) else (value,))
        ]
        assert min(ends) > 0


def test_scales_have_the_unit_of_the_largest_figure() -> None:
    assert bytes_scale([3 * MIB, None, 2 * GIB]).axis("memory").title == "memory, GiB"
    assert bytes_scale([3 * MIB]).of(3 * MIB) == 3
    assert time_scale([1_500_000, 20]).axis("time").title == "time, ms"
    assert time_scale([]).of(None) is None
    scale = time_scale([8 * MILLISECOND_NS])
    assert scale.series("time", "points", [None, 1_234_567]).values == (None, 1.235)
    assert scale.series("time", "points", [None, 1_234_567]).texts == ("", "1.23 ms")
    assert scale.interval(MILLISECOND_NS, 2 * MILLISECOND_NS) == (1, 2)
    assert scale.interval(MILLISECOND_NS, None) is None


def test_thinning_keeps_the_largest_figure_of_each_slice() -> None:
    assert thinned([1, 9, 2], 5) == [0, 1, 2]
    assert thinned([1, 9, 2, 3, 3, 8], 3) == [1, 3, 5]


def test_memory_over_time_has_phases_and_the_node_at_the_peak() -> None:
    """Bands are the phases; a point of the first run names the node of the arena's peak."""
    timeline = anatomy_samples.timeline()
    plot = timeline_plot(timeline)
    bands = [mark for mark in plot.marks if mark.until is not None]
    assert [mark.text for mark in bands] == [phase.name for phase in timeline.phases]
    assert bands[0].until == bands[1].at
    node = series(plot, "node at the arena's peak")
    (at,) = (index for index, value in enumerate(node.values) if value is not None)
    first_run = next(phase for phase in timeline.phases if phase.name == "first-run")
    assert first_run.begin_ns <= timeline.at_ns[at] < first_run.end_ns
    assert timeline.arena_peak is not None
    assert timeline.arena_peak.node in node.texts[at]
    assert plot.labels[at].endswith("first-run")
    assert series(plot, "resident").values[at] == node.values[at]


def test_parts_of_memory_add_up_to_the_total() -> None:
    profile = anatomy_samples.profile()
    plot = anatomy_plot(profile)
    assert plot.is_stacked
    assert profile.anatomy is not None
    parts = [each.values[0] for each in plot.series]
    total = sum(value for value in parts if isinstance(value, float | int))
    assert total == pytest.approx(profile.anatomy.loaded.total_bytes / MIB, rel=0.001)


def test_the_distribution_counts_every_run_once() -> None:
    latency = samples.latency(65 * MILLISECOND_NS)
    runs, distribution = latency_plots(latency)
    counts = distribution.series[0].values
    assert sum(value for value in counts if isinstance(value, float)) == len(latency.samples_ns)
    assert [mark.text.split()[0] for mark in runs.marks] == ["p99", "p95", "median"]


@pytest.mark.parametrize("times", [(5, 6, 7), (5,) * 40], ids=["few runs", "equal times"])
def test_few_or_equal_times_have_no_distribution(times: tuple[int, ...]) -> None:
    plots = list(latency_plots(Latency(median_ns=5, samples_ns=times)))
    assert [plot.title for plot in plots] == ["time of each run"]


def test_the_roofline_goes_through_the_fastest_operators() -> None:
    """Speed is work by time; no point lies above the line."""
    profile = model_assessment().profile
    (plot,) = roofline_plots(profile)
    nanoseconds = sum(item.total_ns // item.run_count for item in profile.operators)
    whole = plot.labels.index("whole model")
    speed = plot.series[0].values[whole]
    assert speed == pytest.approx(15_004_000_000 / nanoseconds, rel=0.001)
    (guide,) = plot.guides
    (_, (ridge, top), (_, end)) = guide.points
    assert top == end == max(value for value in plot.series[0].values if isinstance(value, float))
    rate = top / ridge
    for x, y in zip(plot.places, plot.series[0].values, strict=True):
        assert isinstance(y, float)
        assert y <= min(top, rate * x) * 1.001


def test_a_model_of_unknown_work_has_no_roofline() -> None:
    assert list(roofline_plots(samples.profile())) == []


def test_a_profile_without_figures_has_no_plots() -> None:
    profile = replace(samples.profile(), latency=None, operators=())
    assert list(profile_plots(profile)) == []


def test_devices_have_intervals_in_the_colour_of_their_verdict_and_their_limits() -> None:
    memory, time = assessment_plots(samples.model_assessment())
    assert [each.name for each in memory.series] == [
        "does not fit", "fits", "tight", "likely", "limit",
    ]  # fmt: skip
    zero = memory.labels.index("Raspberry Pi Zero 2 W")
    assert series(memory, "does not fit").colour == "bad"
    assert series(memory, "does not fit").texts[zero] == "238 to 280 MiB"
    assert series(memory, "fits").values[zero] is None
    assert series(memory, "limit").values[zero] == 220
    assert series(time, "target").texts[zero] == "200 ms"


def test_the_table_of_devices_has_intervals_on_one_axis() -> None:
    """A higher figure is further right, also in another row."""
    table = device_table([samples.model_assessment(), samples.model_assessment("b.onnx")], ())
    assert [title for title, _ in table.columns][:3] == ["model", "device", "verdict"]
    assert len(table.rows) == 10
    zero, pi, phone = (table.rows[index][3].span for index in range(3))
    assert zero is not None
    assert pi is not None
    assert phone is not None
    low, likely, high, limit = zero
    assert 0 <= (limit or 0) < (low or 0) < (likely or 0) < (high or 0) <= AXIS_END
    assert (phone[1] or 0) < (pi[1] or 0) < (likely or 0)
    assert phone[3] == limit
    assert table.rows[4][3].span is None  # its time is not known


def test_nodes_are_sorted_by_time_with_figures_as_keys() -> None:
    (table,) = node_tables(samples.profile())
    times = [row[2].key for row in table.rows]
    assert times == sorted(times, key=lambda key: -(key or 0))
    assert len(table.rows) == 28


def test_ratios_of_a_comparison_have_their_confidence() -> None:
    ratios, memory, times, *_ = comparison_plots(measured_now())
    assert [mark.at for mark in ratios.marks] == [1.0]
    assert any(each.form == "intervals" for each in ratios.series)
    assert [each.name for each in memory.series] == [each.name for each in times.series]
    assert len(memory.series) == 2


def test_a_fit_shows_before_and_after_with_its_targets() -> None:
    fit = found()
    memory, _, candidates = fit_plots(fit)
    assert [each.name for each in memory.series] == ["as it is", "changed"]
    assert fit.requirements.memory_bytes is not None
    assert fit.requirements.memory_bytes / MIB in [mark.at for mark in memory.marks]
    assert {"as it is", "chosen"} <= {each.name for each in candidates.series}


def test_a_search_of_limits_marks_floor_and_comfort() -> None:
    proof = bisected()
    (plot,) = proof_plots(proof)
    assert {each.name for each in plot.series} == {run.outcome for run in proof.runs}
    assert [mark.text.split()[0] for mark in plot.marks] == ["floor", "comfort"]
    killed = series(plot, "killed")
    assert {value for value in killed.values if value is not None} == {0.0}


def test_figures_of_budgets_are_shares_of_their_limits() -> None:
    (plot,) = budget_plots(budget_samples.report(budget_samples.broken_model()))
    broken = [value for value in series(plot, "BROKEN").values if value is not None]
    kept = [value for each in plot.series if each.name == "kept" for value in each.values]
    assert all(isinstance(value, float) and value > 100 for value in broken)
    assert all(value is None or (isinstance(value, float) and value <= 100) for value in kept)


def test_facts_show_work_by_operator() -> None:
    work, *_ = facts_plots(samples.facts())
    assert work.title == "operations by operator type"
    assert work.value_axis.title.endswith("GFLOP")


def test_imported_figures_have_a_page() -> None:
    """A report of another program may have a median only."""
    profile = replace(samples.profile(), latency=Latency(median_ns=5), operators=(), memory=None)
    assert isinstance(profile, Profile)
    assert [block.plots for block in blocks_of(profile)] == [()]
