"""``holdfast simulate``: its arguments, and what it prints."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from cqrs.simulation import SimulationResult

HELP = "ask what settings of a circuit breaker would have done in an outage"
DESCRIPTION = (
    "Runs many processes, each with a circuit breaker of its own, through a scenario in virtual time, once "
    "per policy and always with the same calls, and compares the outcomes."
)
EPILOG = """\
A policy is none, default or consecutive[:threshold[:ttl]], then ,field=value for each field that differs:
  --policy consecutive:3:10,recovery_ramp=20:0.1
  --policy default,slow_call_duration_threshold=1,wait_duration_in_open=2:2:60:0.5
"""
DEFAULT_POLICIES = ["none", "default", "consecutive:5:30"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the command takes and what runs it."""
    from cqrs.simulation import SCENARIOS

    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument(
        "--scenario",
        action="append",
        choices=[*SCENARIOS, "all"],
        metavar="NAME",
        help=f"{', '.join(SCENARIOS)} or all; may be given several times (default: outage)",
    )
    parser.add_argument(
        "--policy",
        action="append",
        metavar="POLICY",
        help=f"may be given several times (default: {', '.join(DEFAULT_POLICIES)})",
    )
    parser.add_argument(
        "--processes", type=int, default=100, metavar="N", help="number of callers (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="seed (default: %(default)s)")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the figures")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw the course of the one scenario")
    parser.set_defaults(run=functools.partial(_simulate, refuse=parser.error))


def _simulate(options: argparse.Namespace, refuse: Callable[[str], NoReturn]) -> int:
    from cqrs.exceptions import ConfigurationError
    from cqrs.simulation import SCENARIOS, compare
    from cqrs.simulation.charts import MOST, chart
    from cqrs.simulation.policies import parse_policy
    from cqrs.simulation.report import LEGEND, as_csv, table

    names = list(dict.fromkeys(options.scenario or ["outage"]))
    if "all" in names:
        names = list(SCENARIOS)
    texts = list(dict.fromkeys(options.policy or DEFAULT_POLICIES))
    if options.svg and (len(names) != 1 or len(texts) > MOST):
        refuse(f"--svg draws one scenario and at most {MOST} policies")
    results: dict[str, dict[str, SimulationResult]] = {}
    lines: list[str] = []
    try:
        policies = {text: parse_policy(text) for text in texts}
        for name in names:
            scenario = SCENARIOS[name]()
            results[name] = compare(policies, scenario, processes=options.processes, seed=options.seed)
            lines += [f"{name}: {options.processes} processes, {scenario.duration:g} s", ""]
            lines += [table(results[name]), ""]
    except ConfigurationError as error:
        refuse(str(error))
    try:
        if options.csv:
            options.csv.write_text(as_csv(results), encoding="utf-8")
        if options.svg:
            drawing = chart(results[names[0]], SCENARIOS[names[0]]())
            options.svg.write_text(drawing, encoding="utf-8")
    except OSError as error:
        sys.stderr.write(f"holdfast simulate: {error}\n")
        return 1
    sys.stdout.write("\n".join([*lines, LEGEND, ""]))
    return 0
