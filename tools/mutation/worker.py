"""The process that runs tests: it does what is slow once, and forks for each mutant.

Arguments: its folder, "fresh" or "collected", and the arguments of pytest. "fresh": slow libraries are
imported before the fork, and nothing of this project. "collected": the tests are imported and collected
before it, which suits mutants of files that tests read while they run.
"""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pytest

from tools.mutation.forks import Forks
from tools.mutation.pytest_plugin import PROFILE, MutationPlugin

PRELOADED = ("_pytest.python", "asyncio", "hypothesis.stateful", "pydantic", "pytest_asyncio.plugin")
OPTIONAL = ("redis", "redis.asyncio", "redis.cluster", "redis.sentinel")
OPTIONS = ["-x", "-q", "--tb=short", "-p", "no:cacheprovider"]
# Of plugins that were preloaded.
OPTIONS += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]


class CollectedPlugin(MutationPlugin):
    """Forks between the collection of tests and their run."""

    def __init__(self, source: str, forks: Forks) -> None:
        super().__init__(source)
        self._forks = forks

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Stay here in the parent; let each child run the tests, in its order."""
        if session.items and not session.testsfailed:
            self.expect(*self._forks.wait_for_child())
            self.order(session.items)


def main(folder: str, mode: str, arguments: list[str]) -> None:
    """Serve requests; ends when there are no more."""
    forks = Forks(Path(folder))
    os.environ["HYPOTHESIS_PROFILE"] = PROFILE
    for name in PRELOADED:
        import_module(name)
    for name in OPTIONAL:
        with suppress(ImportError):
            import_module(name)
    loaded = [name for name in sys.modules if name.partition(".")[0] == "cqrs"]
    assert not loaded, f"imported before the fork: {loaded}"
    source = str(Path(folder, "tree", "src"))
    plugin = MutationPlugin(source)
    if mode == "collected":
        plugin = CollectedPlugin(source, forks)
    else:
        plugin.expect(*forks.wait_for_child())
    status = -1
    try:
        status = int(pytest.main([*OPTIONS, *arguments], plugins=[plugin]))
    except BaseException:
        traceback.print_exc()
    finally:
        forks.reply(status, plugin.failed, plugin.durations)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
