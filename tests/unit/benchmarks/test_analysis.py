"""Figures of the benchmarks: ratios are to the floor of the same round and environment."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The modules of the harness, which are no installed package."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import harness.analysis
    import harness.coordinator
    import harness.model
    import harness.report

    yield harness
    for name in [name for name in sys.modules if name.partition(".")[0] == "harness"]:
        del sys.modules[name]


def samples_of(harness: Any, rounds: list[dict[str, float]], *targets: Any) -> Any:
    """Samples of a case with a floor and two subjects in one environment."""
    case = harness.model.Case("key", "title", "what", targets=targets)
    for label in ("floor", "Holdfast", "peer"):
        case.add(label, lambda: None, ["here"], floor=label == "floor")
    return harness.coordinator.Samples(case, rounds=[{"here": values} for values in rounds])


def test_a_machine_that_slows_down_between_rounds_does_not_change_the_ratio(harness: Any) -> None:
    rounds = [{"floor": speed, "Holdfast": 3.0 * speed} for speed in (1.0, 2.0, 5.0)]
    _, row = harness.analysis.rows(samples_of(harness, rounds))
    assert row.ratio.low == row.ratio.median == row.ratio.high == 3.0
    assert row.value.median == 6.0


def test_each_environment_is_compared_with_its_own_floor(harness: Any) -> None:
    case = harness.model.Case("key", "title", "what")
    for environment in ("fast", "slow"):
        case.add("floor", lambda: None, [environment], floor=True)
        case.add(environment, lambda: None, [environment])
    rounds = [{"fast": {"floor": 1.0, "fast": 2.0}, "slow": {"floor": 4.0, "slow": 8.0}}]
    rows = harness.analysis.rows(harness.coordinator.Samples(case, rounds=rounds))
    assert [row.ratio.median for row in rows if not row.floor] == [2.0, 2.0]


@pytest.mark.parametrize(
    ("metric", "limit", "against", "measured", "met"),
    [
        ("value", 3.0, None, 3.0, True),
        ("value", 2.9, None, 3.0, False),
        ("ratio", 3.0, None, 3.0, True),
        ("ratio", 2.9, None, 3.0, False),
        ("share", 3.0, None, 3.0, True),
        ("share", 3.1, None, 3.0, False),
        ("above", 2.0, None, 2.0, True),
        ("above", 1.9, None, 2.0, False),
        ("growth", 0.6, "peer", 0.6, True),
        ("growth", 0.5, "peer", 0.6, False),
        ("times", 0.6, "peer", 0.6, True),
        ("times", 0.7, "peer", 0.6, False),
        ("speedup", 2.0, "peer", 2.0, True),
        ("speedup", 2.1, "peer", 2.0, False),
        ("fastest", 0.0, None, 5.0 / 3.0, True),
    ],
)
def test_a_target_is_judged_by_its_metric(
    harness: Any, metric: str, limit: float, against: str | None, measured: float, met: bool
) -> None:
    target = harness.model.Target("Holdfast", metric, limit, against=against)
    samples = samples_of(harness, [{"floor": 1.0, "Holdfast": 3.0, "peer": 5.0}], target)
    [verdict] = harness.analysis.verdicts(samples)
    assert verdict.measured == pytest.approx(measured)
    assert verdict.met is met


def test_growth_is_the_median_of_the_rounds_not_a_ratio_of_medians(harness: Any) -> None:
    target = harness.model.Target("Holdfast", "growth", 2.0, against="peer")
    rounds = [
        {"Holdfast": 2.0, "peer": 1.0},
        {"Holdfast": 30.0, "peer": 10.0},
        {"Holdfast": 4.0, "peer": 8.0},
    ]
    [verdict] = harness.analysis.verdicts(samples_of(harness, rounds, target))
    assert verdict.measured == 2.0


def test_a_target_without_its_subject_is_neither_met_nor_missed(harness: Any) -> None:
    target = harness.model.Target("Holdfast", "ratio", 3.0)
    [verdict] = harness.analysis.verdicts(samples_of(harness, [{"floor": 1.0, "peer": 5.0}], target))
    assert verdict.met is None
    assert harness.report.outcome(verdict, "µs") == "not measured"


def test_the_tables_replace_only_what_stands_between_the_markers(harness: Any, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    begin, end = harness.report.BEGIN, harness.report.END
    page.write_text(f"before\n{begin}\nold\n{end}\nafter\n", encoding="utf-8")
    harness.report.write_between_markers(page, "new\n")
    assert page.read_text(encoding="utf-8") == f"before\n{begin}\nnew\n{end}\nafter\n"


def test_a_page_without_markers_is_refused(harness: Any, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing here\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"page\.md lacks"):
        harness.report.write_between_markers(page, "new\n")


def test_a_missed_target_and_a_failed_self_check_are_shown(harness: Any) -> None:
    target = harness.model.Target("Holdfast", "ratio", 2.0)
    samples = samples_of(harness, [{"floor": 1.0, "Holdfast": 3.0, "peer": 5.0}], target)
    samples.wrong["peer"] = "it lied"
    text = harness.report.markdown([samples], "conditions")
    assert "3.00× **missed**" in text
    assert "peer 5.00×" in text
    assert "**Self-check failed**: peer: it lied" in text


@pytest.mark.parametrize(
    ("metric", "limit", "measured", "met"),
    [
        ("least", 2.0, 2.0, True),
        ("least", 2.1, 2.0, False),
        ("worst", 9.0, 9.0, True),
        ("worst", 8.9, 9.0, False),
        ("p99", 9.0, 9.0, True),
        ("p99", 8.9, 9.0, False),
        ("exactly", 2.0, 9.0, False),
    ],
)
def test_a_target_about_all_rounds_is_not_judged_by_the_median(
    harness: Any, metric: str, limit: float, measured: float, met: bool
) -> None:
    target = harness.model.Target("Holdfast", metric, limit)
    rounds = [{"Holdfast": value} for value in (2.0, 2.0, 2.0, 9.0)]
    [verdict] = harness.analysis.verdicts(samples_of(harness, rounds, target))
    assert (verdict.measured, verdict.met) == (measured, met)


def test_exactly_is_met_when_all_rounds_agree(harness: Any) -> None:
    target = harness.model.Target("Holdfast", "exactly", 1.0)
    [verdict] = harness.analysis.verdicts(samples_of(harness, [{"Holdfast": 1.0}] * 3, target))
    assert verdict.met is True


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 1.0), (0.5, 2.0), (0.75, 3.0), (0.99, 4.0), (1.0, 4.0)]
)
def test_a_percentile_is_one_of_the_values(harness: Any, share: float, expected: float) -> None:
    assert harness.analysis.percentile((3.0, 1.0, 4.0, 2.0), share) == expected


def test_each_group_has_a_part_of_the_page(harness: Any, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    core, fleet = ("\n".join(harness.report.MARKERS[group]) for group in ("core", "fleet"))
    page.write_text(f"{core}\nbetween\n{fleet}\n", encoding="utf-8")
    harness.report.write_between_markers(page, "figures\n", "fleet")
    begin, end = harness.report.MARKERS["fleet"]
    assert page.read_text(encoding="utf-8") == f"{core}\nbetween\n{begin}\nfigures\n{end}\n"
