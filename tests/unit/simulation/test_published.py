"""The results that the documentation shows are those that the code gives."""

from __future__ import annotations

import csv
import io

import pytest

from cqrs.simulation import SCENARIOS, SharedStore, compare
from cqrs.simulation.policies import parse_policy
from cqrs.simulation.report import as_csv
from tests.repository.pages import ROOT, table_rows

FOLDER = ROOT / "docs" / "simulation"
PAGE = FOLDER.parent / "simulation.md"
Row = dict[str, str]


def read(name: str) -> list[Row]:
    return list(csv.DictReader(io.StringIO((FOLDER / name).read_text(encoding="utf-8"))))


ROWS = read("results.csv")
SHARED = read("shared.csv")


def repeat(published: list[Row], *, store: SharedStore | None = None) -> list[Row]:
    """Run again what gave some rows of one scenario."""
    policies = {row["policy"]: parse_policy(row["policy"]) for row in published}
    scenario, processes = published[0]["scenario"], int(published[0]["processes"])
    results = compare(policies, SCENARIOS[scenario](), processes=processes, seed=1, store=store)
    return list(csv.DictReader(io.StringIO(as_csv(results.items()))))


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
    for first, policy, *cells in (row for row in table_rows(PAGE) if len(row) == 10):
        scenario = first or scenario
        shown[scenario, policy.strip("`")] = cells
    published = {(row["scenario"], row["policy"]): row for row in ROWS}
    rows = [key for key in shown if key in published]
    assert {key[0] for key in rows} == set(SCENARIOS)
    for key in rows:
        row, (answered, _, leaked, needless, *_rest) = published[key], shown[key]
        assert answered == f"{float(row['availability']):.1%}"
        assert (leaked, needless) == (row["leaked"], row["needless_rejections"])


def shared_cells(row: Row) -> list[str]:
    """Write a row of ``shared.csv`` as the page shows it."""

    def seconds(*columns: str) -> str:
        return (
            " / ".join(f"{float(row[column]):.1f}" for column in columns) + " s" if row[columns[0]] else "–"
        )

    commands = row["store_commands_per_second"]
    return [
        f"{float(row['availability']):.1%}",
        row["leaked"],
        row["needless_rejections"],
        seconds("time_to_open_first", "time_to_open_median", "time_to_open_last"),
        seconds("time_to_recover_median", "time_to_recover_p99"),
        row["probes"],
        f"{float(commands):.0f} / {row['store_peak']}" if commands else "–",
        f"{float(commands) / int(row['processes']):.2f}" if commands else "–",
    ]


def test_the_table_of_shared_circuits_has_the_published_figures() -> None:
    shown: list[list[str]] = []
    for row in (row for row in table_rows(PAGE) if len(row) == 11):
        scenario, processes = row[0] or shown[-1][0], row[1] or shown[-1][1]
        shown.append([scenario, processes, *row[2:]])
    columns = ("scenario", "processes", "circuits")
    published = [[*(row[column] for column in columns), *shared_cells(row)] for row in SHARED]
    assert [row for row in shown if row[0] in SCENARIOS] == published


def test_every_scenario_is_published_and_explained() -> None:
    assert {row["scenario"] for row in ROWS} == set(SCENARIOS)
    explained = {row[0].strip("`") for row in table_rows(PAGE) if len(row) == 3}
    assert set(SCENARIOS) <= explained
