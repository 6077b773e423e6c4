"""The process that runs tests: it imports the slow libraries once and forks for each mutant.

Requests and replies are lines of JSON on its standard input and output. When its input ends, the runner is
gone: it ends, with the child that it may have then, and removes the folder that is its argument.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import sys
import traceback
from contextlib import suppress
from importlib import import_module
from typing import Any, NoReturn

import pytest

from tools.mutation.pytest_plugin import PROFILE, MutationPlugin

# Nothing of this project: every child imports the mutated one anew.
PRELOADED = ("_pytest.python", "asyncio", "hypothesis.stateful", "pydantic", "pytest_asyncio.plugin")
OPTIONAL = ("redis", "redis.asyncio", "redis.cluster", "redis.sentinel")


def main() -> None:
    """Serve requests until the input ends."""
    for name in PRELOADED:
        import_module(name)
    for name in OPTIONAL:
        with suppress(ImportError):
            import_module(name)
    os.environ["HYPOTHESIS_PROFILE"] = PROFILE
    loaded = [name for name in sys.modules if name.partition(".")[0] == "cqrs"]
    assert not loaded, f"imported before the fork: {loaded}"
    _send({"ready": os.getpid()})
    while line := _read_line():
        _send(_run(json.loads(line)))
    _give_up()


def _give_up() -> None:
    if len(sys.argv) > 1:
        shutil.rmtree(sys.argv[1], ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


def _run(request: dict[str, Any]) -> dict[str, Any]:
    end, start = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(end)
        _child(request, start)
    os.close(start)
    answer = b""
    while True:
        ready, _, _ = select.select([end, 0], [], [])
        if 0 in ready:  # nothing is asked while a child runs
            _give_up()
        part = os.read(end, 1 << 16)
        if not part:
            break
        answer += part
    os.close(end)
    os.waitpid(child, 0)
    reply: dict[str, Any] = json.loads(answer) if answer else {"status": -1, "failed": "", "durations": {}}
    return reply


def _child(request: dict[str, Any], output: int) -> NoReturn:
    try:
        log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        plugin = MutationPlugin(request["first"], request["durations"], request["source"])
        fixed = ["-x", "-q", "--tb=short", "-p", "no:cacheprovider"]
        fixed += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # of plugins that were preloaded
        status = int(pytest.main([*fixed, *request["arguments"]], plugins=[plugin]))
        reply = {"status": status, "failed": plugin.failed, "durations": plugin.durations}
        with os.fdopen(output, "w") as file:
            json.dump(reply, file)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _read_line() -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        part = os.read(0, 1 << 20)
        if not part:
            return b""
        line += part
    return line


def _send(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
