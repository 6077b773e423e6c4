"""The commands that play a plan with many processes: their arguments, their database, what they print."""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from tests.crash.explore import warm

LIMIT = 3600  # s, for any child

Play: TypeAlias = Callable[[Any, Path], tuple[Mapping[str, object], Sequence[str]]]
"""Plays a plan, with a folder to write to; returns the figures, and what was wrong."""


def command(name: str, description: str | None, plan: Any, play: Play) -> int:
    """Play the plan that the command line asks for, print the figures, and return the exit status.

    Args:
        name: the module, as it is run.
        description: what it is for.
        plan: a dataclass, whose first field is the URL of an empty database; the others are options.
        play: plays it, in a process without threads.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {name}", description=description)
    parser.add_argument("--url", help="an empty database; default: a private PostgreSQL server")
    for field in dataclasses.fields(plan)[1:]:
        parser.add_argument(f"--{field.name}", type=type(field.default), default=field.default)
    options = vars(parser.parse_args())
    url = options.pop("url")
    warm()
    with _database(url) as found, tempfile.TemporaryDirectory(prefix="holdfast-crash-") as folder:
        began = time.monotonic()
        figures, problems = play(plan(found, **options), Path(folder))
        seconds = time.monotonic() - began
    for what, value in {**figures, "seconds": round(seconds, 1)}.items():
        print(f"{what.replace('_', ' '):45} {value:>10}")
    for problem in problems[:20]:
        print(problem)
    return 1 if problems else 0


@contextmanager
def _database(url: str | None) -> Iterator[str]:
    """Return the URL, or that of a new private PostgreSQL server."""
    if url is not None:
        yield url
        return
    from tests.servers.postgres import PostgresServer, fresh_postgres

    with PostgresServer() as server, fresh_postgres(server.url) as fresh:
        yield fresh.render_as_string(hide_password=False)
