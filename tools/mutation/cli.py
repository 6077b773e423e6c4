"""The command line: ``python -m tools.mutation lua|python ...``."""

from __future__ import annotations

import argparse
import random
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from tools.mutation.campaign import Campaign, Clock, Verdict
from tools.mutation.equivalents import FILE, read, split, survivors
from tools.mutation.lua_mutants import lua_mutants
from tools.mutation.mutant import Mutant
from tools.mutation.python_mutants import python_mutants
from tools.mutation.report import Report
from tools.mutation.runner import MutationError, Runner
from tools.mutation.server import SharedServer

ROOT = Path(__file__).parents[2]
LUA_FILES = ["src/cqrs/circuit_breaker/redis/fleet.lua"]
LUA_TESTS = ["tests/fleet/coordination"]
PYTHON_FILES = [f"src/cqrs/circuit_breaker/{name}.py" for name in ("machine", "transitions", "conditions")]
PYTHON_TESTS = ["tests/unit/circuit_breaker", "tests/model"]
DONE, SURVIVORS, FAILED = 0, 1, 2

Generator = Callable[[str, str], list[Mutant]]


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Run a campaign; returns 0, 1 when the score is below ``--fail-under``, 2 when the tests do not run."""
    options = _parser().parse_args(arguments)
    lua = options.language == "lua"
    files = [_path(name, root) for name in options.files or (LUA_FILES if lua else PYTHON_FILES)]
    try:
        return _campaign(options, files, lua_mutants if lua else python_mutants, root)
    except MutationError as error:
        _say(str(error))
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.mutation", description=__doc__)
    languages = parser.add_subparsers(dest="language", required=True)
    for language, files, tests in (("lua", LUA_FILES, LUA_TESTS), ("python", PYTHON_FILES, PYTHON_TESTS)):
        sub = languages.add_parser(language, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        sub.add_argument(
            "--module" if language == "python" else "--file",
            dest="files",
            action="append",
            metavar="PATH",
            help=f"a file to mutate, may be repeated; default {', '.join(files)}",
        )
        sub.add_argument("--tests", nargs="+", default=tests, metavar="PATH", help="what pytest is to run")
        sub.add_argument("-k", dest="keyword", metavar="EXPRESSION", help="as of pytest")
        sub.add_argument("--sample", type=int, metavar="N", help="only N of the mutants, by chance")
        sub.add_argument("--seed", type=int, default=0, help="of the sample")
        sub.add_argument("--lines", type=_lines, metavar="A-B", help="only mutants of these lines")
        sub.add_argument("--function", metavar="NAME", help="only mutants within functions of this name")
        sub.add_argument(
            "--again", type=Path, metavar="FILE", help="only mutants that survived, says a report"
        )
        sub.add_argument("--revision", metavar="NAME", help="mutate what git has, not the work tree")
        sub.add_argument("--workers", type=int, choices=(1, 2), default=2)
        sub.add_argument("--limit", type=float, metavar="S", help="seconds after which a mutant has hung")
        sub.add_argument(
            "--server", action=argparse.BooleanOptionalAction, default=True, help="a Redis server"
        )
        sub.add_argument("--baseline", action="store_true", help="only run the tests without a mutant")
        sub.add_argument("--list", action="store_true", help="only print the mutants")
        sub.add_argument("--report", type=Path, metavar="FILE", help="write the report to a file, too")
        sub.add_argument("--fail-under", type=float, default=0.0, metavar="PERCENT", help="status 1 below it")
    return parser


def _campaign(options: argparse.Namespace, files: list[str], generate: Generator, root: Path) -> int:
    entries = read(FILE.read_text("utf-8"))
    with ExitStack() as stack:
        runners: list[Runner] = []
        arguments = [*options.tests, *(["-k", options.keyword] if options.keyword else [])]
        tree, revision = root, options.revision
        for _ in range(1 if options.list else options.workers):
            wanted = options.server and not options.list
            server = stack.enter_context(closing(SharedServer())) if wanted else None
            runners.append(
                stack.enter_context(Runner(tree, arguments, options.language == "lua", server, revision))
            )
            tree, revision = runners[0].workspace.root, None  # somebody may be writing in the work tree
        sources = {path: (tree / path).read_text("utf-8") for path in files}
        everything = [mutant for path in files for mutant in generate(path, sources[path])]
        run, equivalent, stale = split(everything, [entry for entry in entries if entry.path in files])
        chosen = _choose(run, options)
        if options.list:
            _say("\n\n".join(map(str, chosen)))
            return DONE
        progress = _Progress(len(chosen))
        campaign = Campaign(runners, sources, options.limit, progress)
        _say(f"the tests pass without a mutant, in {campaign.baseline():.1f} s; {len(chosen)} mutants")
        if options.baseline:
            return DONE
        report = Report(campaign.run(chosen), equivalent, stale, len(run) - len(chosen))
    _say(report.text())
    if options.report is not None:
        options.report.write_text(report.text(), "utf-8")
    return SURVIVORS if 100 * report.score < options.fail_under else DONE


def _choose(mutants: list[Mutant], options: argparse.Namespace) -> list[Mutant]:
    first, last = options.lines or (0, sys.maxsize)
    chosen = [mutant for mutant in mutants if first <= mutant.line <= last]
    if options.again is not None:
        names = survivors(options.again.read_text("utf-8"))
        chosen = [mutant for mutant in chosen if mutant.name in names]
    if options.function:
        chosen = [mutant for mutant in chosen if options.function in mutant.function.split(".")]
    if options.sample is None or options.sample >= len(chosen):
        return chosen
    picked = random.Random(options.seed).sample(range(len(chosen)), options.sample)
    return [chosen[number] for number in sorted(picked)]


class _Progress:
    """Prints survivors at once, and a line now and then."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._clock = Clock(total)
        self._done = self._survived = 0
        self._lock = threading.Lock()

    def __call__(self, verdict: Verdict) -> None:
        with self._lock:
            self._done += 1
            self._survived += verdict.survived
            if verdict.survived:
                _say(f"SURVIVED {verdict.mutant}")
            if self._done % 50 == 0:
                left = self._clock.left(self._done)
                _say(f"{self._done} of {self._total}, {self._survived} survived, {left:.0f} s left")


def _path(name: str, root: Path) -> str:
    """Return a file's path from the root, given as a path or as a module's dotted name."""
    path = Path(name)
    if not (root / path).is_file() and "/" not in name:
        path = Path("src", *name.split(".")).with_suffix(".py")
    full = (root / path).resolve()
    if not full.is_file():
        raise SystemExit(f"no such file: {name}")
    return full.relative_to(root.resolve()).as_posix()


def _lines(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    return int(first), int(last or first)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
