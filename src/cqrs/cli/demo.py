"""``holdfast demo``: its arguments, and what it prints."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

if TYPE_CHECKING:
    from rich.console import Console

    from cqrs.demo.fleet.plan import Plan
    from cqrs.demo.fleet.view import FleetView
    from cqrs.demo.notifications.plan import Plan as NotificationsPlan
    from cqrs.demo.schedule import Timing
    from cqrs.demo.view import View

HELP = "watch a shop keep answering while the service it depends on fails and recovers"
DESCRIPTION = (
    "Runs two equal shops against one upstream process that gets slow, fails, is killed and comes back; one "
    "shop has circuit breakers. With --fleet, runs one shop as several processes that share a circuit "
    "through a private Redis server, kills the process that probes, and later Redis. With --notifications, "
    "runs two web services: one notifies people by mail, and looks them up in the other one, which fails. "
    "Exit status 1 when a guarantee was broken, 2 when something that is needed is missing."
)
#: Exit status after SIGTERM, as shells have it (128 + SIGTERM).
TERMINATED = 143
#: Exit status when something that is needed is missing.
MISSING = 2

R = TypeVar("R")


def configure(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the command takes and what runs it."""
    from cqrs.demo.notifications import plan as notifications
    from cqrs.demo.schedule import DEFAULT_SECONDS, MIN_SECONDS, Kind

    parser.add_argument(
        "--seconds",
        type=_timing,
        default=None,
        metavar="S",
        help=f"length of the run without --fleet, at least {MIN_SECONDS:g} (default: {DEFAULT_SECONDS:g}); "
        f"with --notifications at least {notifications.MIN_SECONDS:g} "
        f"(default: {notifications.DEFAULT_SECONDS:g})",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--fleet",
        type=_plan,
        default=None,
        metavar="N",
        help="run the shop as N processes that share a circuit through a private Redis or Valkey server",
    )
    which.add_argument(
        "--notifications",
        action="store_true",
        help="run two web services on free loopback ports, with a dashboard, and make one of them fail",
    )
    parser.add_argument(
        "--processes",
        type=int,
        default=None,
        metavar="N",
        help="with --notifications: processes that share a circuit, as with --fleet (default: 2)",
    )
    parser.add_argument(
        "--server",
        choices=get_args(notifications.Server),
        default=None,
        help="with --notifications: what serves them (default: uvicorn)",
    )
    parser.add_argument("--fast", action="store_true", help="with --fleet: a shorter run")
    parser.add_argument(
        "--seed", type=int, default=1, metavar="N", help="seed of the load (default: %(default)s)"
    )
    parser.add_argument(
        "--json", action="store_true", help="print a JSON summary on standard output, nothing else"
    )
    parser.add_argument("--plain", action="store_true", help="print lines, also on a terminal")
    parser.add_argument("--report", type=Path, metavar="PATH", help="where to write the HTML report")
    parser.add_argument("--no-report", action="store_true", help="write no report")
    # For the tests: show that a broken guarantee is noticed.
    parser.add_argument("--without-fallback", type=Kind, default=None, help=argparse.SUPPRESS)
    parser.add_argument("--unshared", action="store_true", help=argparse.SUPPRESS)
    parser.set_defaults(run=_demo, refuse=parser.error)


def _timing(text: str) -> Timing:
    from cqrs.demo.schedule import Timing

    try:
        return Timing(float(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _plan(text: str) -> Plan:
    from cqrs.demo.fleet.plan import Plan

    try:
        return Plan(int(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _notifications_plan(arguments: argparse.Namespace) -> NotificationsPlan:
    from cqrs.demo.notifications.plan import Plan

    given: dict[str, Any] = {
        "seconds": None if arguments.seconds is None else arguments.seconds.seconds,
        "processes": arguments.processes,
        "server": arguments.server,
    }
    chosen = {name: value for name, value in given.items() if value is not None}
    try:
        return Plan(seed=arguments.seed, fallback=arguments.without_fallback is None, **chosen)
    except ValueError as error:
        arguments.refuse(str(error))
        raise  # never reached: refuse ends the program


def _demo(arguments: argparse.Namespace) -> int:
    # A fallback that answers is worth a warning in a service; here it is what the view shows.
    logging.getLogger("cqrs").addHandler(logging.NullHandler())
    if not arguments.notifications and (arguments.processes is not None or arguments.server):
        arguments.refuse("--processes and --server belong to --notifications")
    try:
        if arguments.notifications:
            return _notifications(arguments, _notifications_plan(arguments))
        return _two_shops(arguments) if arguments.fleet is None else _fleet(arguments)
    except asyncio.CancelledError:
        return TERMINATED


def _two_shops(arguments: argparse.Namespace) -> int:
    from cqrs.demo.output import as_json, closing
    from cqrs.demo.report import write_report
    from cqrs.demo.run import Options, perform
    from cqrs.demo.schedule import Timing
    from cqrs.demo.view import PlainView

    view = _view(arguments)
    colour = not isinstance(view, PlainView)
    options = Options(arguments.seconds or Timing(), arguments.seed, arguments.without_fallback)
    result = asyncio.run(_until_told_to_stop(perform(options, view)))
    return _conclude(
        arguments,
        result.kept,
        write=lambda path: write_report(result, path),
        figures=lambda report: as_json(result, report),
        text=lambda report: closing(result, report, colour=colour),
    )


def _fleet(arguments: argparse.Namespace) -> int:
    from cqrs.demo.fleet.output import as_json, closing
    from cqrs.demo.fleet.report import write_report
    from cqrs.demo.fleet.run import perform
    from cqrs.demo.fleet.server import ServerMissingError
    from cqrs.demo.fleet.view import PlainFleetView

    view = _fleet_view(arguments)
    colour = not isinstance(view, PlainFleetView)
    plan = replace(
        arguments.fleet,
        fast=arguments.fast,
        seed=arguments.seed,
        shared=not arguments.unshared,
        fallback=arguments.without_fallback is None,
    )
    try:
        result = asyncio.run(_until_told_to_stop(perform(plan, view)))
    except ServerMissingError as error:
        sys.stderr.write(f"holdfast demo: {error}\n")
        return MISSING
    return _conclude(
        arguments,
        result.kept,
        write=lambda path: write_report(result, path),
        figures=lambda report: as_json(result, report),
        text=lambda report: closing(result, report, colour=colour),
    )


def _notifications(arguments: argparse.Namespace, plan: NotificationsPlan) -> int:
    from cqrs.demo.notifications.output import PlainStory, SilentStory, as_json, closing
    from cqrs.demo.notifications.run import PackagesMissingError, perform

    story = SilentStory() if arguments.json else PlainStory(sys.stdout)
    try:
        result = asyncio.run(_until_told_to_stop(perform(plan, story)))
    except PackagesMissingError as error:
        sys.stderr.write(f"holdfast demo: {error}\n")
        return MISSING
    if arguments.json:
        print(json.dumps(as_json(result), indent=2))  # noqa: T201
    else:
        print(closing(result, colour=sys.stdout.isatty() and not arguments.plain))  # noqa: T201
    return 0 if result.kept else 1


async def _until_told_to_stop(run: Coroutine[Any, Any, R]) -> R:
    task = asyncio.current_task()
    assert task is not None
    # asyncio.run turns Ctrl-C into a cancellation of this task; a polite kill must clean up as well.
    with suppress(NotImplementedError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await run


def _view(arguments: argparse.Namespace) -> View:
    from cqrs.demo.view import PlainView, SilentView

    if arguments.json:
        return SilentView()
    console = _console(arguments)
    if console is None:
        return PlainView(sys.stdout)
    from cqrs.demo.live import LiveView

    return LiveView(console)


def _fleet_view(arguments: argparse.Namespace) -> FleetView:
    from cqrs.demo.fleet.view import PlainFleetView, SilentFleetView

    if arguments.json:
        return SilentFleetView()
    console = _console(arguments)
    if console is None:
        return PlainFleetView(sys.stdout)
    from cqrs.demo.fleet.live import LiveFleetView

    return LiveFleetView(console)


def _console(arguments: argparse.Namespace) -> Console | None:
    """Return a terminal for a live view, ``None`` where lines are the better choice."""
    if not sys.stdout.isatty() or arguments.plain:
        return None
    try:
        from rich.console import Console
    except ImportError:
        sys.stdout.write("Lines only; for the live view: pip install 'holdfast[cli]'\n")
        return None
    console = Console()
    return None if console.is_dumb_terminal else console


def _conclude(
    arguments: argparse.Namespace,
    kept: bool,
    *,
    write: Callable[[Path | None], Path],
    figures: Callable[[Path | None], dict[str, Any]],
    text: Callable[[Path | None], str],
) -> int:
    """Write the report, print what was asked for, and return the exit status."""
    report = None
    if not arguments.no_report:
        try:
            report = write(arguments.report)
        except OSError as error:
            sys.stderr.write(f"holdfast demo: the report could not be written: {error}\n")
    if arguments.json:
        print(json.dumps(figures(report), indent=2))  # noqa: T201
    else:
        print(text(report))  # noqa: T201
    return 0 if kept else 1
