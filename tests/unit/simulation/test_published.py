"""The results that the documentation shows are those that the code gives."""

from __future__ import annotations

import pytest

from cqrs.simulation import SCENARIOS, SharedStore
from tests.repository.pages import table_rows
from tests.unit.simulation.published import HEAD, PAGE, cells, lines, read, repeat

ROWS = read("results.csv")
SHARED = read("shared.csv")
SIZES = ("10", "1000", "10000")


@pytest.mark.parametrize("scenario", ["brown-out", "low-traffic"])
def test_published_figures_can_be_repeated(scenario: str) -> None:
    published = [row for row in ROWS if row["scenario"] == scenario]
    assert repeat(published) == published


@pytest.mark.parametrize("scenario", ["outage", "low-traffic", "poison-node"])
def test_published_figures_of_shared_circuits_can_be_repeated(scenario: str) -> None:
    """Of the small fleets: what larger ones do takes minutes."""
    small = [row for row in SHARED if (row["scenario"], row["processes"]) == (scenario, "10")]
    own, shared = ([row for row in small if row["circuits"] == whose] for whose in ("own", "shared"))
    assert repeat(own) == own
    assert repeat(shared, store=SharedStore()) == shared


def test_the_table_of_the_page_has_the_published_figures() -> None:
    shown: dict[tuple[str, str], list[str]] = {}
    scenario = ""
    for first, policy, *figures in (row for row in table_rows(PAGE) if len(row) == 10):
        scenario = first or scenario
        shown[scenario, policy.strip("`")] = figures
    published = {(row["scenario"], row["policy"]): row for row in ROWS}
    rows = [key for key in shown if key in published]
    assert {key[0] for key in rows} == set(SCENARIOS)
    for key in rows:
        row, (answered, _, leaked, needless, *_rest) = published[key], shown[key]
        assert answered == f"{float(row['availability']):.1%}"
        assert (leaked, needless) == (row["leaked"], row["needless_rejections"])


def test_the_table_of_shared_circuits_has_the_published_figures() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert "\n".join(lines(SHARED)) in text
    assert len(cells(SHARED[0])) == len(HEAD)
    assert {(row["scenario"], row["processes"], row["circuits"]) for row in SHARED} == {
        (scenario, processes, circuits)
        for scenario in ("outage", "low-traffic", "poison-node")
        for processes in SIZES
        for circuits in ("own", "shared")
    }


def test_every_scenario_is_published_and_explained() -> None:
    assert {row["scenario"] for row in ROWS} == set(SCENARIOS)
    explained = {row[0].strip("`") for row in table_rows(PAGE) if len(row) == 3}
    assert set(SCENARIOS) <= explained
