"""``holdfast demo``: its arguments, and what it prints."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cqrs.demo.run import Options
    from cqrs.demo.schedule import Timing
    from cqrs.demo.verdict import Result
    from cqrs.demo.view import View

HELP = "watch a shop keep answering while the service it depends on fails and recovers"
DESCRIPTION = (
    "Runs two equal shops against one upstream process that gets slow, fails, is killed and comes back; one "
    "shop has circuit breakers. Exit status 1 when a guarantee was broken."
)
#: Exit status after SIGTERM, as shells have it (128 + SIGTERM).
TERMINATED = 143


def configure(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the command takes and what runs it."""
    from cqrs.demo.schedule import DEFAULT_SECONDS, MIN_SECONDS, Kind, Timing

    parser.add_argument(
        "--seconds",
        type=_timing,
        default=Timing(),
        metavar="S",
        help=f"length of the run, at least {MIN_SECONDS:g} (default: {DEFAULT_SECONDS:g})",
    )
    parser.add_argument(
        "--seed", type=int, default=1, metavar="N", help="seed of the load (default: %(default)s)"
    )
    parser.add_argument(
        "--json", action="store_true", help="print a JSON summary on standard output, nothing else"
    )
    parser.add_argument("--plain", action="store_true", help="print lines, also on a terminal")
    parser.add_argument("--report", type=Path, metavar="PATH", help="where to write the HTML report")
    parser.add_argument("--no-report", action="store_true", help="write no report")
    # For the tests: shows that a broken guarantee is noticed.
    parser.add_argument("--without-fallback", type=Kind, default=None, help=argparse.SUPPRESS)
    parser.set_defaults(run=_demo)


def _timing(text: str) -> Timing:
    from cqrs.demo.schedule import Timing

    try:
        return Timing(float(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _demo(arguments: argparse.Namespace) -> int:
    from cqrs.demo.output import as_json, closing
    from cqrs.demo.run import Options
    from cqrs.demo.view import PlainView

    # A fallback that answers is worth a warning in a service; here it is what the view shows.
    logging.getLogger("cqrs").addHandler(logging.NullHandler())
    view = _view(arguments)
    options = Options(arguments.seconds, arguments.seed, arguments.without_fallback)
    try:
        result = asyncio.run(_perform(options, view))
    except asyncio.CancelledError:
        return TERMINATED
    report = _write_report(result, arguments)
    if arguments.json:
        print(json.dumps(as_json(result, report), indent=2))  # noqa: T201
    else:
        print(closing(result, report, colour=not isinstance(view, PlainView)))  # noqa: T201
    return 0 if result.kept else 1


async def _perform(options: Options, view: View) -> Result:
    from cqrs.demo.run import perform

    task = asyncio.current_task()
    assert task is not None
    # asyncio.run turns Ctrl-C into a cancellation of this task; a polite kill must clean up as well.
    with suppress(NotImplementedError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await perform(options, view)


def _view(arguments: argparse.Namespace) -> View:
    from cqrs.demo.view import PlainView, SilentView

    if arguments.json:
        return SilentView()
    if not sys.stdout.isatty() or arguments.plain:
        return PlainView(sys.stdout)
    try:
        from rich.console import Console
    except ImportError:
        sys.stdout.write("Lines only; for the live view: pip install 'holdfast[cli]'\n")
        return PlainView(sys.stdout)
    from cqrs.demo.live import LiveView

    console = Console()
    return PlainView(sys.stdout) if console.is_dumb_terminal else LiveView(console)


def _write_report(result: Result, arguments: argparse.Namespace) -> Path | None:
    from cqrs.demo.report import write_report

    if arguments.no_report:
        return None
    try:
        return write_report(result, arguments.report)
    except OSError as error:
        sys.stderr.write(f"holdfast demo: the report could not be written: {error}\n")
        return None
