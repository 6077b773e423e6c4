"""Starting and ending a proxy: nothing is left behind, and nothing wrong is accepted."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cqrs.testing import ActiveFault, ChaosProxy, FakeClock
from tests.unit.testing.chaos_line import assert_silent, dial, line, take, target

SOMEWHERE = ("127.0.0.1", 9)


def descriptors() -> set[str]:
    folder = Path("/proc/self/fd") if Path("/proc/self/fd").exists() else Path("/dev/fd")
    return set(os.listdir(folder))


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """Compare threads and file descriptors before and after."""
    gc.collect()
    threads, open_files = set(threading.enumerate()), descriptors()
    yield
    assert set(threading.enumerate()) == threads
    assert descriptors() == open_files


@pytest.mark.usefixtures("nothing_left")
def test_nothing_is_left_of_a_proxy_in_the_middle_of_its_work(clock: FakeClock) -> None:
    with target() as listener:
        proxy = ChaosProxy(*listener.getsockname(), clock=clock)
        with proxy, line(proxy, listener) as (client, server), dial(proxy) as unknown:
            proxy.latency(1.0)
            proxy.bandwidth(1, direction="down")
            client.sendall(b"data")
            unknown.sendall(bytes(1 << 20))
            assert_silent(proxy, server)
            proxy.refuse()
            proxy.black_hole()
            assert clock.sleepers == 0, "swallowed data needs no timer"
            proxy.heal()
            proxy.latency(1.0)
            with line(proxy, listener):
                pass
        with pytest.raises(ConnectionRefusedError):
            dial(proxy)
    assert clock.sleepers == 0


@pytest.mark.usefixtures("nothing_left")
def test_connections_that_are_open_at_the_end_are_closed_in_an_orderly_way() -> None:
    with target() as listener, contextlib.ExitStack() as ends:
        with ChaosProxy(*listener.getsockname()) as proxy:
            client, server = ends.enter_context(line(proxy, listener))
            client.sendall(b"data")
            assert take(server, 4) == b"data"
        assert client.recv(1) == b""
        assert server.recv(1) == b""


@pytest.mark.usefixtures("nothing_left")
def test_an_error_in_the_block_comes_out_unchanged() -> None:
    error = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError) as raised, ChaosProxy(*SOMEWHERE):
        raise error
    assert raised.value is error


async def test_a_cancelled_test_leaves_nothing_behind(nothing_left: None) -> None:
    with target() as listener:
        entered = asyncio.Event()

        async def cancelled_test() -> None:
            async with ChaosProxy(*listener.getsockname()) as proxy:
                with proxy.latency(1.0), dial(proxy) as client:
                    client.sendall(b"data")
                    entered.set()
                    await asyncio.Event().wait()

        before = asyncio.all_tasks()
        task = asyncio.create_task(cancelled_test())
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == before
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("chaos-proxy")]


async def test_a_cancellation_that_is_due_while_the_proxy_closes_leaves_nothing_behind(
    nothing_left: None,
) -> None:
    async def cancelled_test() -> None:
        async with ChaosProxy(*SOMEWHERE):
            current = asyncio.current_task()
            assert current is not None
            current.cancel()
        closed.append(
            not [thread for thread in threading.enumerate() if thread.name.startswith("chaos-proxy")]
        )
        await asyncio.sleep(0)

    closed: list[bool] = []
    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(cancelled_test())
    assert closed == [True]


@pytest.mark.usefixtures("nothing_left")
def test_a_proxy_that_cannot_start_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_thread)
    proxy = ChaosProxy(*SOMEWHERE)
    with pytest.raises(RuntimeError, match="can't start"), proxy:
        pass
    monkeypatch.undo()
    with pytest.raises(RuntimeError, match="not running"):
        proxy.heal()


def test_a_name_that_cannot_be_resolved_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(socket.gaierror), ChaosProxy("payments.internal", 80):
        pass


@pytest.mark.usefixtures("nothing_left")
def test_an_error_of_the_proxy_itself_is_not_hushed_up() -> None:
    def broken() -> float:
        raise ZeroDivisionError

    with (
        target() as listener,
        pytest.raises(RuntimeError, match="the proxy itself failed") as raised,
        ChaosProxy(*listener.getsockname()) as proxy,
        line(proxy, listener) as (client, server),
    ):
        proxy.latency(1.0, jitter=1.0, random=broken)
        client.sendall(b"data")
        assert_silent(proxy, server)
    assert isinstance(raised.value.__cause__, ZeroDivisionError)


def test_faults_may_be_set_from_many_threads_and_from_the_proxys_own() -> None:
    with (
        target() as listener,
        ChaosProxy(*listener.getsockname()) as proxy,
        line(proxy, listener) as (client, server),
    ):
        start = threading.Barrier(8)
        failures: list[BaseException] = []

        def set_and_heal() -> None:
            try:
                start.wait()
                for _ in range(50):
                    with proxy.latency(0.0), proxy.slice(1, pause=0.0), proxy.bandwidth(1e9), proxy.refuse():
                        pass
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=set_and_heal) for _ in range(8)]
        for thread in threads:
            thread.start()
        client.sendall(bytes(1000))
        assert take(server, 1000) == bytes(1000)
        for thread in threads:
            thread.join()
        assert failures == []

        def heal_and_draw() -> float:
            proxy.heal()
            return 0.0

        proxy.latency(3600.0, jitter=1.0, random=heal_and_draw)
        client.sendall(b"data")
        assert take(server, 4) == b"data"


def test_a_proxy_is_entered_once_and_says_what_it_is() -> None:
    proxy = ChaosProxy(*SOMEWHERE)
    assert repr(proxy) == "<ChaosProxy to 127.0.0.1:9, not started>"
    with proxy:
        assert repr(proxy) == f"<ChaosProxy to 127.0.0.1:9, on port {proxy.port}>"
        with pytest.raises(RuntimeError, match="entered once"), proxy:
            pass
        assert repr(proxy).endswith(f"on port {proxy.port}>"), "the running one is not disturbed"
    assert repr(proxy) == "<ChaosProxy to 127.0.0.1:9, closed>"
    with pytest.raises(RuntimeError, match="entered once"), proxy:
        pass
    assert "/run/x" in repr(ChaosProxy(unix_path="/run/x"))


@pytest.mark.parametrize(
    "use",
    [
        lambda proxy: proxy.latency(1.0),
        lambda proxy: proxy.cut(),
        lambda proxy: proxy.heal(),
        lambda proxy: proxy.wait_for_connections(1),
    ],
)
def test_a_proxy_that_does_not_run_takes_no_faults(use: Callable[[ChaosProxy], object]) -> None:
    proxy = ChaosProxy(*SOMEWHERE)
    with pytest.raises(RuntimeError, match=r"with ChaosProxy\(\.\.\.\) as proxy"):
        use(proxy)
    with proxy:
        pass
    with pytest.raises(RuntimeError, match="the proxy is closed"):
        use(proxy)


def test_before_the_start_there_is_no_address_and_no_count() -> None:
    for read in ("address", "port", "connections", "open_connections", "bytes_up", "bytes_down"):
        with pytest.raises(RuntimeError, match="not running"):
            getattr(ChaosProxy(*SOMEWHERE), read)


def test_blocks_may_be_left_in_any_order() -> None:
    with ChaosProxy(*SOMEWHERE) as proxy:
        fault = proxy.refuse()
    fault.heal()
    with fault:
        pass


def test_every_fault_can_be_a_block() -> None:
    with ChaosProxy(*SOMEWHERE) as proxy, proxy.cut(after_bytes=1) as cut, proxy.black_hole() as hole:
        assert isinstance(cut, ActiveFault)
        assert isinstance(hole, ActiveFault)


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({}, TypeError, "either a host and a port or unix_path"),
        ({"host": "127.0.0.1"}, TypeError, "either a host and a port or unix_path"),
        ({"port": 80}, TypeError, "either a host and a port or unix_path"),
        ({"host": "127.0.0.1", "port": 80, "unix_path": "/run/x"}, TypeError, "either a host"),
        ({"host": "127.0.0.1", "port": "80"}, TypeError, "port must be a whole number, not '80'"),
        ({"host": "127.0.0.1", "port": 0}, ValueError, "port must be at least 1, not 0"),
        ({"host": "127.0.0.1", "port": 65536}, ValueError, "port must be at most 65535, not 65536"),
        ({"host": 127, "port": 80}, TypeError, "host must be a name or an address, not 127"),
        ({"host": "", "port": 80}, ValueError, "host must not be empty"),
        ({"unix_path": ""}, ValueError, "unix_path must not be empty"),
        ({"unix_path": "/" + "x" * 200}, ValueError, "unix_path is too long"),
        ({"host": "127.0.0.1", "port": 80, "clock": time.monotonic}, TypeError, "clock must be a FakeClock"),
    ],
)
def test_a_wrong_target_is_refused(arguments: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        ChaosProxy(**arguments)


@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        (lambda p: p.latency(-1), ValueError, "seconds must be finite and at least 0, not -1"),
        (lambda p: p.latency(float("nan")), ValueError, "seconds must be finite"),
        (lambda p: p.latency("1"), TypeError, "seconds must be a number, not '1'"),
        (lambda p: p.latency(True), TypeError, "seconds must be a number"),
        (
            lambda p: p.latency(1, jitter=2),
            ValueError,
            "jitter must be at most the latency of 1 seconds, not 2",
        ),
        (lambda p: p.latency(1, jitter=-1), ValueError, "jitter must be finite and at least 0"),
        (lambda p: p.latency(1, random=0.5), TypeError, "random must be a function, not 0.5"),
        (lambda p: p.latency(1, direction="left"), ValueError, "'up', 'down' or 'both', not 'left'"),
        (lambda p: p.black_hole(direction=None), ValueError, "'up', 'down' or 'both', not None"),
        (lambda p: p.cut(after_bytes=-1), ValueError, "after_bytes must be at least 0, not -1"),
        (lambda p: p.cut(after_bytes=1.5), TypeError, "after_bytes must be a whole number, not 1.5"),
        (lambda p: p.cut(direction="up"), ValueError, "needs after_bytes"),
        (lambda p: p.drop_replies(count=0), ValueError, "count must be at least 1, not 0"),
        (lambda p: p.drop_replies(count=True), TypeError, "count must be a whole number"),
        (lambda p: p.bandwidth(0), ValueError, "more than 0; black_hole"),
        (lambda p: p.bandwidth(float("inf")), ValueError, "bytes_per_second must be finite"),
        (lambda p: p.slice(0), ValueError, "size must be at least 1, not 0"),
        (lambda p: p.slice(1, pause=-1), ValueError, "pause must be finite and at least 0"),
        (lambda p: p.wait_for_connections(-1), ValueError, "count must be at least 0"),
        (
            lambda p: p.wait_for_connections(1, timeout=-1),
            ValueError,
            "timeout must be finite and at least 0",
        ),
    ],
)
def test_wrong_arguments_are_refused_and_change_nothing(
    fault: Callable[[ChaosProxy], object], error: type[Exception], says: str
) -> None:
    with target() as listener, ChaosProxy(*listener.getsockname()) as proxy:
        with pytest.raises(error, match=says):
            fault(proxy)
        with line(proxy, listener) as (client, server):
            client.sendall(b"data")
            assert take(server, 4) == b"data"
