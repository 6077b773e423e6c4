"""Measure Holdfast beside its peers: ``python benchmarks/run.py --help``.

There are four groups of cases: ``core`` (within a process), ``fleet`` (circuits that processes share
through Redis), ``http`` (service clients) and ``durable`` (sagas and the outbox). The peers are installed
into environments of their own under ``benchmarks/.venvs`` the first time.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.append(str(Path(__file__).resolve().parents[1]))  # tests.servers

from cases import ALL
from harness import machine, report
from harness.coordinator import Coordinator, Samples
from harness.environments import ENVIRONMENTS, PROJECT, InstallError, ensure
from harness.model import Case, Group
from harness.worker import serve

PAGE = PROJECT / "docs" / "benchmarks.md"
GROUPS = ("core", "fleet", "http", "durable")
ROUNDS, SECONDS, PATIENCE = 25, 0.02, 8.0
QUICK_ROUNDS, QUICK_SECONDS, QUICK_PATIENCE = 5, 0.005, 0.0


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmarks; returns 1 when a self-check failed or the arguments make no sense."""
    options = parse(arguments)
    if options.worker:
        work(options.worker)
        return 0
    known = {key: case for key, case in ALL.items() if options.group in (None, case.group)}
    if options.list:
        for case in known.values():
            print(f"{case.key:<28} {case.title}")
        return 0
    if options.write and (options.case or options.quick or options.here or options.no_peers):
        print("--write replaces all tables of a group: it takes a full run.", file=sys.stderr)
        return 1
    unknown = [key for key in options.case if not any(key in name for name in known)]
    if unknown:
        print(f"No case matches {', '.join(unknown)}; `--list` names them all.", file=sys.stderr)
        return 1
    selected = [c for c in known.values() if not options.case or any(key in c.key for key in options.case)]
    pythons = interpreters({s.environment for c in selected for s in c.subjects}, options)
    rounds, seconds, patience = ROUNDS, SECONDS, PATIENCE
    if options.quick:
        rounds, seconds, patience = QUICK_ROUNDS, QUICK_SECONDS, QUICK_PATIENCE
    seconds = options.seconds or seconds
    patience = patience if options.patience is None else options.patience
    measured: dict[Group, list[Samples]] = {}
    conditions: dict[Group, str] = {}
    with Coordinator(pythons, peers=not options.no_peers) as coordinator:
        for case in selected:
            if case.group not in measured:
                measured[case.group] = []
                began, load = time.monotonic(), machine.load()
            wanted = options.rounds or rounds_for(case, quick=options.quick)
            start = time.monotonic()
            samples = coordinator.measure(
                case, rounds=wanted, seconds=seconds, patience=patience, progress=progress
            )
            progress("")
            print(f"{report.plain(samples)}\n  ({time.monotonic() - start:.0f} s)\n", flush=True)
            measured[case.group].append(samples)
            conditions[case.group] = (
                f"{rounds_of(case.group, options.rounds or rounds)}, samples of {seconds * 1000:g} ms, load "
                f"average {load} before and {machine.load()} after {time.monotonic() - began:.0f} s."
            )
    deliver(measured, conditions, options)
    return 1 if any(samples.wrong for group in measured.values() for samples in group) else 0


def rounds_for(case: Case, *, quick: bool) -> int:
    """How many rounds a case gets: its own number if it has one, but never many in a quick run."""
    if quick:
        return min(QUICK_ROUNDS, case.rounds or QUICK_ROUNDS)
    return case.rounds or ROUNDS


def rounds_of(group: Group, rounds: int) -> str:
    """How often was measured, in words."""
    return f"{rounds} rounds" if group == "core" else f"At most {rounds} rounds of what is not said otherwise"


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench", description="Measure Holdfast beside its peers.")
    parser.add_argument("group", nargs="?", choices=GROUPS, help="only this group of cases")
    parser.add_argument("--quick", action="store_true", help="few short rounds: an impression, not a result")
    parser.add_argument(
        "--case", action="append", default=[], metavar="TEXT", help="only cases whose key has TEXT"
    )
    parser.add_argument("--list", action="store_true", help="name the cases and stop")
    parser.add_argument("--rounds", type=int, help="rounds for every case, instead of each case's own number")
    parser.add_argument("--seconds", type=float, help="length of a sample; full runs take 0.02")
    parser.add_argument(
        "--patience",
        type=float,
        help="seconds that a case may wait for the machine's full speed; full runs: 8",
    )
    parser.add_argument("--no-peers", action="store_true", help="measure Holdfast alone")
    parser.add_argument(
        "--here", action="store_true", help="use this interpreter for Holdfast, install nothing"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured to FILE")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown at the end")
    parser.add_argument("--write", action="store_true", help="write the tables into docs/benchmarks.md")
    parser.add_argument("--worker", choices=sorted(ENVIRONMENTS), help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def interpreters(names: set[str], options: argparse.Namespace) -> dict[str, Path]:
    """An interpreter for each environment; a peer that cannot be installed is left out, and said so."""
    if options.here:
        return {name: Path(sys.executable) for name, each in ENVIRONMENTS.items() if each.editable}
    found: dict[str, Path] = {}
    for name in ENVIRONMENTS:
        if name not in names or (options.no_peers and not ENVIRONMENTS[name].editable):
            continue
        progress(f"environment {name}")
        try:
            found[name] = ensure(ENVIRONMENTS[name])
        except InstallError as error:
            progress("")
            print(f"{name} is left out, its packages cannot be installed: {error}", file=sys.stderr)
            if ENVIRONMENTS[name].editable:
                found[name] = Path(sys.executable)
    progress("")
    return found


def progress(text: str) -> None:
    """Show what is going on, on a terminal only."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def deliver(
    measured: dict[Group, list[Samples]], conditions: dict[Group, str], options: argparse.Namespace
) -> None:
    """Write what was asked for."""
    for said in conditions.values():
        print(f"{machine.describe()}. {said}")
    if options.json:
        everything = [samples for group in measured.values() for samples in group]
        written = report.as_json(everything, " ".join(conditions.values()))
        options.json.write_text(json.dumps(written, indent=1), encoding="utf-8")
    for group, samples in measured.items():
        text = report.markdown(samples, conditions[group])
        if options.markdown:
            print(text)
        if options.write:
            report.write_between_markers(PAGE, text, group)
            print(f"wrote the tables of {group} into {PAGE.relative_to(PROJECT)}")


def work(environment: str) -> None:
    """Be a worker: replies go to the real standard output, what a library prints to standard error."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    serve(environment, ALL, replies)


if __name__ == "__main__":
    sys.exit(main())
