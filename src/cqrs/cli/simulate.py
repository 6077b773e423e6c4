"""``holdfast simulate``: its arguments, and what it prints."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from cqrs.circuit_breaker import CircuitBreakerPolicy
    from cqrs.simulation import Scenario, SharedStore, SimulationResult

HELP = "ask what settings of a circuit breaker would have done in an outage"
DESCRIPTION = (
    "Runs many processes, each with a circuit breaker of its own (or, with --shared, one that all share "
    "through a store as well), through a scenario in virtual time, once per policy and always with the same "
    "calls, and compares the outcomes."
)
EPILOG = """\
A policy is none, default or consecutive[:threshold[:ttl]], then ,field=value for each field that differs:
  --policy consecutive:3:10,recovery_ramp=20:0.1
  --policy default,slow_call_duration_threshold=1,wait_duration_in_open=2:2:60:0.5
"""
DEFAULT_POLICIES = ["none", "default", "consecutive:5:30"]
SHARED = " + store"
"""What the table adds to the name of a policy whose circuits are shared."""


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
        "--processes",
        type=_numbers,
        default=[100],
        metavar="N[,N...]",
        help="number of callers, or several to run one after the other (default: 100)",
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="seed (default: %(default)s)")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the figures")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw the course of the one scenario")
    _configure_store(parser.add_argument_group("shared circuits").add_argument)
    parser.set_defaults(run=functools.partial(_simulate, refuse=parser.error))


def _configure_store(add: Callable[..., object]) -> None:
    add("--shared", action="store_true", help="run each policy with circuits shared through a store as well")
    options: list[tuple[str, str, str]] = [
        ("--sync-interval", "SECONDS", "between two exchanges of a process with the store (default: 1)"),
        ("--quorum", "SHARE", "of the processes that must be unhealthy before all open (default: 0.5)"),
        ("--store-latency", "SECONDS", "of a round trip to the store, at the least (default: 0.001)"),
        ("--store-jitter", "SHARE", "mean of what comes on top of the latency (default: 0.5)"),
        ("--store-service-time", "SECONDS", "one command keeps the store from the next (default: 0)"),
    ]
    for option, metavar, text in options:
        add(option, type=float, metavar=metavar, help=text)
    add(
        "--store-outage",
        action="append",
        type=_span,
        metavar="START:END",
        help="seconds of the scenario in which the store is away; may be given several times",
    )
    add("--store-forgets", action="store_true", help="the store comes back empty from an outage")
    add("--no-push", action="store_true", help="changes arrive with the next exchange only")


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def _span(text: str) -> tuple[float, float]:
    start, end = text.split(":")
    return float(start), float(end)


def _store(options: argparse.Namespace, refuse: Callable[[str], NoReturn]) -> SharedStore | None:
    from cqrs.simulation import SharedStore

    fields: dict[str, Any] = {
        "sync_interval": options.sync_interval,
        "quorum": options.quorum,
        "latency": options.store_latency,
        "jitter": options.store_jitter,
        "service_time": options.store_service_time,
        "outages": options.store_outage,
        "forgets": options.store_forgets or None,
        "push": False if options.no_push else None,
    }
    given = {name: value for name, value in fields.items() if value is not None}
    if not options.shared:
        if given:
            refuse("settings of a store need --shared")
        return None
    return SharedStore(**given)


def _runs(
    policies: Mapping[str, CircuitBreakerPolicy | None],
    scenario: Scenario,
    processes: int,
    seed: int,
    store: SharedStore | None,
) -> Iterator[tuple[str, SimulationResult]]:
    from cqrs.simulation import simulate

    for text, policy in policies.items():
        yield text, simulate(policy, scenario, processes=processes, seed=seed)
        if store is not None and policy is not None:
            yield text, simulate(policy, scenario, processes=processes, seed=seed, store=store)


def _simulate(options: argparse.Namespace, refuse: Callable[[str], NoReturn]) -> int:
    from cqrs.exceptions import ConfigurationError
    from cqrs.simulation import SCENARIOS
    from cqrs.simulation.charts import MOST, chart
    from cqrs.simulation.policies import parse_policy
    from cqrs.simulation.report import LEGEND, STORE_LEGEND, as_csv, table

    names = list(dict.fromkeys(options.scenario or ["outage"]))
    if "all" in names:
        names = list(SCENARIOS)
    texts = list(dict.fromkeys(options.policy or DEFAULT_POLICIES))
    found: list[tuple[str, SimulationResult]] = []
    named: dict[str, SimulationResult] = {}
    lines: list[str] = []
    try:
        policies = {text: parse_policy(text) for text in texts}
        store = _store(options, refuse)
        shared = 0 if store is None else sum(policy is not None for policy in policies.values())
        if options.svg and len(names) * len(options.processes) != 1:
            refuse("--svg draws one scenario with one number of processes")
        if options.svg and len(texts) + shared > MOST:
            refuse(f"--svg draws at most {MOST} policies, shared ones included")
        for name in names:
            for processes in options.processes:
                scenario = SCENARIOS[name]()
                results = list(_runs(policies, scenario, processes, options.seed, store))
                found += results
                named = {text + SHARED * (result.store is not None): result for text, result in results}
                lines += [f"{name}: {processes} processes, {scenario.duration:g} s", "", table(named), ""]
    except ConfigurationError as error:
        refuse(str(error))
    try:
        if options.csv:
            options.csv.write_text(as_csv(found), encoding="utf-8")
        if options.svg:
            options.svg.write_text(chart(named, SCENARIOS[names[0]]()), encoding="utf-8")
    except OSError as error:
        sys.stderr.write(f"holdfast simulate: {error}\n")
        return 1
    legend = [LEGEND] if store is None else [LEGEND, STORE_LEGEND]
    sys.stdout.write("\n".join([*lines, *legend, ""]))
    return 0
