"""The results that the documentation shows are those that the code gives."""

from __future__ import annotations

import csv
import io

import pytest

from cqrs.simulation import SCENARIOS, compare
from cqrs.simulation.policies import parse_policy
from cqrs.simulation.report import as_csv
from tests.repository.pages import ROOT, table_rows

FOLDER = ROOT / "docs" / "simulation"
ROWS = list(csv.DictReader(io.StringIO((FOLDER / "results.csv").read_text(encoding="utf-8"))))


@pytest.mark.parametrize("scenario", ["brown-out", "low-traffic"])
def test_published_figures_can_be_repeated(scenario: str) -> None:
    published = [row for row in ROWS if row["scenario"] == scenario]
    policies = {row["policy"]: parse_policy(row["policy"]) for row in published}
    results = compare(policies, SCENARIOS[scenario](), processes=100, seed=1)
    assert list(csv.DictReader(io.StringIO(as_csv(results.items())))) == published


def test_the_table_of_the_page_has_the_published_figures() -> None:
    shown: dict[tuple[str, str], list[str]] = {}
    scenario = ""
    for first, policy, *cells in (
        row for row in table_rows(FOLDER.parent / "simulation.md") if len(row) == 10
    ):
        scenario = first or scenario
        shown[scenario, policy.strip("`")] = cells
    published = {(row["scenario"], row["policy"]): row for row in ROWS}
    rows = [key for key in shown if key in published]
    assert {key[0] for key in rows} == set(SCENARIOS)
    for key in rows:
        row, (answered, _, leaked, needless, *_rest) = published[key], shown[key]
        assert answered == f"{float(row['availability']):.1%}"
        assert (leaked, needless) == (row["leaked"], row["needless_rejections"])


def test_every_scenario_is_published_and_explained() -> None:
    assert {row["scenario"] for row in ROWS} == set(SCENARIOS)
    explained = {row[0].strip("`") for row in table_rows(FOLDER.parent / "simulation.md") if len(row) == 3}
    assert set(SCENARIOS) <= explained
