"""The published results: read, repeated, and written as the page shows them.

After a change of the engine: ``holdfast simulate --shared --policy default --scenario outage --scenario
low-traffic --scenario poison-node --processes 10,1000,10000 --csv docs/simulation/shared.csv``, then
``python -m tests.unit.simulation.published`` prints the table for the page.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from cqrs.simulation import SCENARIOS, SharedStore, compare
from cqrs.simulation.policies import parse_policy
from cqrs.simulation.report import as_csv
from tests.repository.pages import ROOT

FOLDER = ROOT / "docs" / "simulation"
PAGE = FOLDER.parent / "simulation.md"
HEAD = (
    "scenario",
    "processes",
    "circuits",
    "answered",
    "leaked",
    "needless",
    "opens: first / median / last",
    "recovers: median / p99",
    "probes",
    "commands/s: mean / peak",
    "per process",
)

Row = dict[str, str]


def read(name: str) -> list[Row]:
    return list(csv.DictReader(io.StringIO((FOLDER / name).read_text(encoding="utf-8"))))


def repeat(published: list[Row], *, store: SharedStore | None = None) -> list[Row]:
    """Run again what gave some rows of one scenario."""
    policies = {row["policy"]: parse_policy(row["policy"]) for row in published}
    scenario, processes = published[0]["scenario"], int(published[0]["processes"])
    results = compare(policies, SCENARIOS[scenario](), processes=processes, seed=1, store=store)
    return list(csv.DictReader(io.StringIO(as_csv(results.items()))))


def cells(row: Row) -> list[str]:
    """Write a row of ``shared.csv`` as the page shows it."""

    def seconds(*columns: str) -> str:
        if not row[columns[0]]:
            return "–"
        return " / ".join(f"{float(row[column]):.1f}" for column in columns) + " s"

    commands = row["store_commands_per_second"]
    return [
        row["scenario"],
        row["processes"],
        row["circuits"],
        f"{float(row['availability']):.1%}",
        row["leaked"],
        row["needless_rejections"],
        seconds("time_to_open_first", "time_to_open_median", "time_to_open_last"),
        seconds("time_to_recover_median", "time_to_recover_p99"),
        row["probes"],
        f"{float(commands):.0f} / {row['store_peak']}" if commands else "–",
        f"{float(commands) / int(row['processes']):.2f}" if commands else "–",
    ]


def lines(rows: list[Row]) -> Iterator[str]:
    """Write the table; a cell that repeats the one above is empty in the first two columns."""
    yield f"| {' | '.join(HEAD)} |"
    yield "|" + "---|" * len(HEAD)
    above = ["", ""]
    for row in rows:
        found = cells(row)
        shown = ["" if found[0] == above[0] else found[0], "" if found[:2] == above else found[1]]
        above = found[:2]
        yield f"| {' | '.join([*shown, *found[2:]])} |"


if __name__ == "__main__":
    print("\n".join(lines(read("shared.csv"))))
