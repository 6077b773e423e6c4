"""The command line: what can be asked for, and the exit status that answers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from cqrs._version import __version__
from cqrs.cli import demo, simulate

#: Exit status after Ctrl-C, as shells have it (128 + SIGINT).
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status; ``arguments`` default to those of the process.

    Raises:
        SystemExit: usage was wrong (2), or help or the version was asked for (0).
    """
    parser = argparse.ArgumentParser(
        prog="holdfast", description="Holdfast keeps services answering when their dependencies don't."
    )
    parser.add_argument("--version", action="version", version=f"holdfast {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    demo.configure(commands.add_parser("demo", help=demo.HELP, description=demo.DESCRIPTION))
    simulate.configure(commands.add_parser("simulate", help=simulate.HELP, description=simulate.DESCRIPTION))
    options = parser.parse_args(arguments)
    try:
        status: int = options.run(options)
    except KeyboardInterrupt:
        sys.stderr.write("holdfast: stopped\n")
        return INTERRUPTED
    return status
