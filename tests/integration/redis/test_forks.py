"""Forked children and the end of the interpreter, in processes of their own where warnings are errors."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="no /proc on this system")


def run(url: str, program: str, *options: str) -> str:
    """Run a program with a connected transport ``store``; returns what it prints, on stderr too."""
    begin = """
        import os, sys, threading, warnings
        # Forking is the point here; Python 3.12 warns of it while there are threads.
        warnings.filterwarnings("ignore", "This process", DeprecationWarning)
        from tests.integration.redis.transports import Link, PATIENCE, override, request

        def all_sockets():
            found = set()
            for each in os.listdir("/proc/self/fd"):
                try:
                    found.add(os.readlink(f"/proc/self/fd/{each}"))
                except OSError:
                    pass
            return {each for each in found if each.startswith("socket:")}

        def fork(work):
            sys.stdout.flush()
            child = os.fork()
            if child == 0:
                work()
                sys.exit(0)
            _, status = os.waitpid(child, 0)
            assert status == 0, status

        before = all_sockets()
        store = Link(sys.argv[1], push=True)
        while not store.ticker.messages:
            store.ask(override())
        opened = all_sockets() - before
    """
    command = [sys.executable, "-X", "dev", "-W", "error", *options, "-c"]
    text = textwrap.dedent(begin) + textwrap.dedent(program)
    done = subprocess.run(
        [*command, text, url], cwd=ROOT, capture_output=True, text=True, timeout=110, check=False
    )
    return done.stdout + done.stderr + (f"\nexit {done.returncode}" if done.returncode else "")


@needs_fork
@needs_proc
def test_an_abandoned_transport_shares_no_socket_with_its_parent(redis_server: Any) -> None:
    said = run(
        redis_server.url,
        """
        def child():
            print("child shares", len(all_sockets() & opened))
            store.transport.abandon()
            print("child shares", len(all_sockets() & opened))
            store.transport.wake()
            print("child:", store.submit(request()).exception(0))
            store.transport.close(PATIENCE)

        fork(child)
        known = store.ticker.connections
        print("parent has", len(opened), store.ask()["live"], store.ticker.connections - known)
        store.transport.close(PATIENCE)
        """,
    )
    assert said.splitlines() == [
        "child shares 4",  # two connections, and the pair that wakes the loop
        "child shares 0",
        "child: the store: it was closed",
        "parent has 4 1 0",  # the same connection: the child has not touched it
    ]


@needs_fork
def test_a_child_makes_a_transport_of_its_own_and_the_parent_goes_on(redis_server: Any) -> None:
    said = run(
        redis_server.url,
        """
        def child():
            store.transport.abandon()
            own = Link(sys.argv[1], push=True, namespace=store.settings.namespace)
            print("child", own.ask(node="child", stale_us=60_000_000)["live"])
            own.transport.close(PATIENCE)

        for _ in range(3):
            fork(child)
        print("parent", store.ask(stale_us=60_000_000)["live"])
        heard = len(store.ticker.messages)
        store.ask(override())
        store.ticker.wait(lambda: len(store.ticker.messages) > heard)
        store.transport.close(PATIENCE)
        """,
    )
    assert said.splitlines() == ["child 2", "child 2", "child 2", "parent 2"]


@needs_fork
def test_a_fork_in_the_middle_of_requests(redis_server: Any) -> None:
    said = run(
        redis_server.url,
        """
        answers = []

        def ask():
            for _ in range(100):
                answers.append(store.submit(request(), timeout=50))

        def child():
            store.transport.abandon()

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(2):
            fork(child)
        for thread in threads:
            thread.join()
        print(len([answer.result(50) for answer in answers]))
        store.transport.close(PATIENCE)
        """,
    )
    assert said.splitlines() == ["300"]


@pytest.mark.parametrize("last", ["", "store.submit(request())", "store.transport.close(0)"])
def test_the_interpreter_exits_quietly_without_a_close(redis_server: Any, last: str) -> None:
    assert run(redis_server.url, last) == ""


def test_the_interpreter_exits_while_a_name_is_looked_up(redis_server: Any) -> None:
    said = run(
        redis_server.url,
        """
        import socket
        started = threading.Event()

        def hang(*_, **__):
            started.set()
            threading.Event().wait()

        socket.getaddrinfo = hang
        other = Link("redis://cache.example")
        other.submit(request())
        started.wait(PATIENCE)
        store.transport.close(PATIENCE)
        """,
    )
    assert said == ""


def test_nothing_is_left_open_by_a_close(redis_server: Any) -> None:
    said = run(
        redis_server.url,
        """
        import gc
        store.transport.close(PATIENCE)
        del store
        gc.collect()
        print(len(all_sockets() & opened), [each.name for each in threading.enumerate()])
        """,
    )
    assert said.splitlines() == ["0 ['MainThread']"]
