"""A TCP proxy that puts faults between a client and a server."""

from __future__ import annotations

import asyncio
import os
import random as random_module
import socket
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Self, TypeVar, overload

from cqrs.testing.chaos_connection import Address
from cqrs.testing.chaos_faults import (
    ActiveFault,
    Bandwidth,
    BlackHole,
    CutAfter,
    Direction,
    DroppedReplies,
    LatencyFault,
    NetworkFault,
    Refusal,
    Slicing,
    Way,
    check_count,
    check_seconds,
    check_unix_path,
)
from cqrs.testing.chaos_switch import Switch
from cqrs.testing.chaos_thread import LoopThread
from cqrs.testing.clock import FakeClock

T = TypeVar("T")


class ChaosProxy:
    """A TCP proxy on a free loopback port that forwards to a server and misbehaves when told to.

    Use it as a context manager, ``with`` or ``async with``: both run the proxy in a thread of its own, so
    that blocking and asyncio clients can be tested alike. Every method may be called from any thread. Methods
    that set or heal a fault return when it is in force: not one more byte goes by the old rules.

    ``direction`` says which bytes are hit: ``"up"`` from the client to the server, ``"down"`` back, or
    ``"both"``. Faults of different kinds add up; of one kind and direction, the one set last counts. Faults
    hit open and new connections. Each returns an :class:`ActiveFault`: heal it, use it as a context
    manager, or leave it to :meth:`heal`.

    A connection that has lost bytes stays silent, and is reset when the fault that took them is healed.
    A reset or an orderly end by one side, in one direction or both, reaches the other side as what it is; a
    server that cannot be reached shows as a reset. Data is read no faster than it is taken, plus 256 KiB.

    Args:
        host: where the server is; with ``port``.
        port: port of the server, 1-65535.
        unix_path: path of the server's unix socket, instead of ``host`` and ``port``.
        clock: latency, bandwidth and pauses wait on this clock; default: real time.

    Raises:
        TypeError: the target is given in part, twice or not at all, or an argument is of the wrong kind.
        ValueError: ``port`` is out of range, or a name is empty or too long.

    >>> with socket.create_server(("127.0.0.1", 0)) as server:
    ...     with ChaosProxy(*server.getsockname()) as proxy, proxy.refuse():
    ...         socket.create_connection(proxy.address)  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    ConnectionRefusedError: ...
    """

    def __init__(
        self,
        host: str | None = None,
        port: int | None = None,
        *,
        unix_path: str | os.PathLike[str] | None = None,
        clock: FakeClock | None = None,
    ) -> None:
        if (host is None) != (port is None) or (host is None) == (unix_path is None):
            raise TypeError(
                "ChaosProxy needs either a host and a port or unix_path, to know where to forward"
            )
        if port is not None:
            check_count("port", port, at_least=1)
            if port > 65535:
                raise ValueError(f"port must be at most 65535, not {port}")
        if host is not None and not isinstance(host, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"host must be a name or an address, not {host!r}")
        if host == "":
            raise ValueError("host must not be empty")
        if unix_path is not None:
            check_unix_path(os.fspath(unix_path))
        if clock is not None and not isinstance(clock, FakeClock):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"clock must be a FakeClock, not {clock!r}; leave it out for real time")
        self._host = host
        self._target_port = port
        self._unix_path = None if unix_path is None else os.fspath(unix_path)
        self._clock = clock
        self._thread: LoopThread | None = None
        self._switch: Switch | None = None

    def __repr__(self) -> str:
        target = self._unix_path or f"{self._host}:{self._target_port}"
        running = self._thread is not None and self._thread.running
        state = f"on port {self.port}" if running else "closed" if self._switch else "not started"
        return f"<ChaosProxy to {target}, {state}>"

    def __enter__(self) -> Self:
        if self._thread is not None:
            raise RuntimeError("a ChaosProxy can be entered once; make another one")
        addresses = self._addresses()
        self._thread = thread = LoopThread()
        switch = None
        try:
            switch = Switch(thread.loop, addresses, self._clock)
            thread.start(f"chaos-proxy-{switch.address[1]}")
        except BaseException:
            if switch is not None:
                switch.close()
            thread.loop.close()
            raise
        self._switch = switch
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is None or self._switch is None:
            return
        self._thread.stop(self._switch.close)
        if self._thread.errors and error is None:
            raise RuntimeError("the proxy itself failed, not the code under test") from self._thread.errors[0]

    # Entering and leaving take a millisecond and wait for nothing in the caller's event loop. Without an
    # await, there is no place where a cancellation could leave the thread or a socket behind.
    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to connect to.

        Raises:
            RuntimeError: the proxy has not been entered.
        """
        return self._entered().address

    @property
    def port(self) -> int:
        """The port to connect to, on 127.0.0.1.

        Raises:
            RuntimeError: the proxy has not been entered.
        """
        return self.address[1]

    def url(self, scheme: str) -> str:
        """Return the address as a URL, such as ``redis://127.0.0.1:40123`` for ``"redis"``.

        Raises:
            RuntimeError: the proxy has not been entered.
        """
        host, port = self.address
        return f"{scheme}://{host}:{port}"

    @property
    def connections(self) -> int:
        """How many connections have been accepted since the start, open or not."""
        return self._read(self._entered().count_accepted)

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        switch = self._entered()
        return self._read(lambda: switch.open_connections)

    @property
    def bytes_up(self) -> int:
        """How many bytes have been passed on to the server; swallowed ones do not count."""
        return self._carried("up")

    @property
    def bytes_down(self) -> int:
        """How many bytes have been passed on to clients; swallowed ones do not count."""
        return self._carried("down")

    def wait_for_connections(self, count: int, *, timeout: float = 5.0) -> None:
        """Block until ``count`` connections have been accepted since the start.

        Args:
            count: how many, at least 0.
            timeout: how long to wait, in seconds of real time, at least 0. Default 5.

        Raises:
            TimeoutError: they did not come in time.
            RuntimeError: the proxy is not running, or is closed meanwhile.
            TypeError, ValueError: ``count`` or ``timeout`` is not such a number.
        """
        waiter = self._waiter(count, timeout)
        try:
            waiter.result(timeout)
        except TimeoutError:
            raise self._too_few(count, timeout) from None

    async def await_for_connections(self, count: int, *, timeout: float = 5.0) -> None:
        """Do what :meth:`wait_for_connections` does, without blocking the event loop."""
        waiter = asyncio.wrap_future(self._waiter(count, timeout))
        try:
            done, _ = await asyncio.wait([waiter], timeout=timeout)
            if not done:
                raise self._too_few(count, timeout)
            await waiter
        finally:
            waiter.cancel()

    def latency(
        self,
        seconds: float,
        *,
        jitter: float = 0.0,
        random: Callable[[], float] = random_module.random,
        direction: Direction = "both",
    ) -> ActiveFault:
        """Deliver everything later, the end of the stream included; the order stays, and the throughput.

        Args:
            seconds: delay in each direction, at least 0; with ``"both"``, a round trip takes twice as long.
            jitter: largest deviation from it, in seconds, between 0 and ``seconds``. Default 0.
            random: source of the deviation, from 0 to 1. Default: ``random.random``.
            direction: which bytes. Default ``"both"``.

        Raises:
            TypeError, ValueError: an argument is not in its range.
            RuntimeError: the proxy is not running.
        """
        return self._set(LatencyFault(seconds=seconds, jitter=jitter, random=random, direction=direction))

    def black_hole(self, *, direction: Direction = "both") -> ActiveFault:
        """Accept connections and bytes, and let nothing through: half-open TCP, which only a time-out ends.

        Neither the end of a connection nor its reset gets through. The server hears of a new
        connection after healing only, unless just the way ``"down"`` is hit.

        Raises:
            ValueError: ``direction`` is unknown.
            RuntimeError: the proxy is not running.
        """
        return self._set(BlackHole(direction=direction))

    def refuse(self) -> ActiveFault:
        """Refuse new connections, as a port does where no server listens; open ones stay: see :meth:`cut`.

        The port stays reserved, and is the same after healing.

        Raises:
            RuntimeError: the proxy is not running.
        """
        return self._set(Refusal())

    @overload
    def cut(self) -> None: ...

    @overload
    def cut(self, *, after_bytes: int, direction: Direction = "both") -> ActiveFault: ...

    def cut(self, *, after_bytes: int | None = None, direction: Direction = "both") -> ActiveFault | None:
        """Reset all connections now, once; or each connection after so many more bytes.

        Args:
            after_bytes: how many bytes pass in one direction of a connection from now on until it is reset,
                at least 0: none. Each direction counts by itself. Default: reset now.
            direction: which bytes count. Default ``"both"``.

        Raises:
            TypeError, ValueError: an argument is not in its range, or ``direction`` is given alone.
            RuntimeError: the proxy is not running.
        """
        if after_bytes is not None:
            return self._set(CutAfter(after_bytes=after_bytes, direction=direction))
        if direction != "both":
            raise ValueError("cut() resets connections as a whole; a direction needs after_bytes")
        self._call(self._entered().cut)
        return None

    def drop_replies(self, *, count: int | None = None) -> ActiveFault:
        """Let requests through and swallow what the server answers.

        A connection whose reply was swallowed stays silent: the client must give up on it.

        Args:
            count: how many replies are lost, each on a connection of its own, at least 1. Default: all.

        Raises:
            TypeError, ValueError: ``count`` is not such a number.
            RuntimeError: the proxy is not running.
        """
        return self._set(DroppedReplies(remaining=count))

    def bandwidth(self, bytes_per_second: float, *, direction: Direction = "both") -> ActiveFault:
        """Limit how many bytes per second each direction of each connection carries.

        Args:
            bytes_per_second: more than 0.
            direction: which bytes. Default ``"both"``.

        Raises:
            TypeError, ValueError: an argument is not in its range.
            RuntimeError: the proxy is not running.
        """
        return self._set(Bandwidth(bytes_per_second=bytes_per_second, direction=direction))

    def slice(self, size: int, *, pause: float = 0.001, direction: Direction = "both") -> ActiveFault:
        """Deliver data in small pieces, for clients that take one read for one message.

        Args:
            size: largest piece in bytes, at least 1.
            pause: time between two pieces in seconds, at least 0; with 0 the system may join them again.
                Default 0.001.
            direction: which bytes. Default ``"both"``.

        Raises:
            TypeError, ValueError: an argument is not in its range.
            RuntimeError: the proxy is not running.
        """
        return self._set(Slicing(size=size, pause=pause, direction=direction))

    def heal(self) -> None:
        """End all faults; data that waits goes on at once.

        Raises:
            RuntimeError: the proxy is not running.
        """
        self._call(self._entered().clear)

    def _carried(self, way: Way) -> int:
        carried = self._entered().network.carried
        return self._read(lambda: carried[way])

    def _read(self, count: Callable[[], int]) -> int:
        """Count in the loop, where nothing is half done; in a closed proxy nothing changes any more."""
        try:
            return self._call(count)
        except RuntimeError:
            if self._thread is not None and self._thread.running:
                raise
            return count()

    def _set(self, fault: NetworkFault) -> ActiveFault:
        switch = self._entered()
        self._call(lambda: switch.add(fault))
        return ActiveFault(lambda: self._remove(fault))

    def _remove(self, fault: NetworkFault) -> None:
        switch = self._entered()
        try:
            self._call(lambda: switch.remove(fault))
        except RuntimeError:
            if self._thread is not None and self._thread.running:
                raise
            # A closed proxy has no faults: with blocks may be left in any order.

    def _call(self, work: Callable[[], T]) -> T:
        self._entered()
        assert self._thread is not None
        return self._thread.call(work)

    def _entered(self) -> Switch:
        if self._switch is None:
            raise RuntimeError("the proxy is not running; enter it: with ChaosProxy(...) as proxy")
        return self._switch

    def _waiter(self, count: int, timeout: float) -> Future[None]:
        check_count("count", count, at_least=0)
        check_seconds("timeout", timeout)
        switch = self._entered()
        return self._call(lambda: switch.when_accepted(count))

    def _too_few(self, count: int, timeout: float) -> TimeoutError:
        return TimeoutError(f"{self.connections} of {count} connections came within {timeout} seconds")

    def _addresses(self) -> list[Address]:
        if self._unix_path is not None:
            return [(socket.AF_UNIX, self._unix_path)]
        found = socket.getaddrinfo(self._host, self._target_port, type=socket.SOCK_STREAM)
        return [(family, address) for family, _, _, _, address in found]
