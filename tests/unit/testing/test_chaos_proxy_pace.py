"""Faults that slow connections down, on a clock that stands still until a test moves it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from cqrs.testing import ChaosProxy, FakeClock
from cqrs.testing.chaos_network import Network
from tests.unit.testing.chaos_line import assert_reset, assert_silent, line, settle, take, target

Line = tuple[socket.socket, socket.socket]


@pytest.fixture
def proxy(clock: FakeClock) -> Iterator[ChaosProxy]:
    with target() as listener, ChaosProxy(*listener.getsockname(), clock=clock) as running:
        running_listeners[running] = listener
        yield running
        del running_listeners[running]


running_listeners: dict[ChaosProxy, socket.socket] = {}


@pytest.fixture
def ends(proxy: ChaosProxy) -> Iterator[Line]:
    with line(proxy, running_listeners[proxy]) as both:
        yield both


def test_data_comes_late_in_both_directions(proxy: ChaosProxy, clock: FakeClock, ends: Line) -> None:
    client, server = ends
    proxy.latency(0.5)
    for sender, receiver in ((client, server), (server, client)):
        sender.sendall(b"data")
        assert_silent(proxy, receiver)
        clock.advance(0.4)
        assert_silent(proxy, receiver)
        clock.advance(0.1)
        assert take(receiver, 4) == b"data"


def test_latency_of_one_direction_leaves_the_other_alone(
    proxy: ChaosProxy, clock: FakeClock, ends: Line
) -> None:
    client, server = ends
    proxy.latency(0.5, direction="down")
    client.sendall(b"request")
    assert take(server, 7) == b"request"
    server.sendall(b"reply")
    assert_silent(proxy, client)
    clock.advance(0.5)
    assert take(client, 5) == b"reply"


def test_pieces_on_their_way_do_not_add_up_their_latency(
    proxy: ChaosProxy, clock: FakeClock, ends: Line
) -> None:
    client, server = ends
    proxy.latency(1.0)
    for piece in (b"one", b"two", b"six"):
        client.sendall(piece)
        assert_silent(proxy, server)
    clock.advance(1.0)
    assert take(server, 9) == b"onetwosix"


def test_the_end_of_the_stream_comes_late_too(proxy: ChaosProxy, clock: FakeClock, ends: Line) -> None:
    client, server = ends
    proxy.latency(1.0)
    client.sendall(b"data")
    client.shutdown(socket.SHUT_WR)
    assert_silent(proxy, server)
    clock.advance(1.0)
    assert take(server, 4) == b"data"
    assert server.recv(1) == b""


def test_jitter_moves_both_ways_and_keeps_the_order(proxy: ChaosProxy, clock: FakeClock, ends: Line) -> None:
    client, server = ends
    draws = iter([0.0, 1.0])
    proxy.latency(2.0, jitter=1.0, random=lambda: next(draws, 0.0))
    client.sendall(b"soon")
    assert_silent(proxy, server)
    clock.advance(1.0)
    assert take(server, 4) == b"soon"
    client.sendall(b"late")
    assert_silent(proxy, server)
    clock.advance(1.0)
    client.sendall(b"overtakes nobody")
    assert_silent(proxy, server)
    clock.advance(1.9)
    assert_silent(proxy, server)
    clock.advance(0.1)
    assert take(server, 20) == b"lateovertakes nobody"


def test_changing_or_healing_latency_reaches_data_on_its_way(
    proxy: ChaosProxy, clock: FakeClock, ends: Line
) -> None:
    client, server = ends
    with proxy.latency(10.0):
        client.sendall(b"one")
        assert_silent(proxy, server)
        with proxy.latency(1.0):
            clock.advance(1.0)
            assert take(server, 3) == b"one"
        client.sendall(b"two")
        assert_silent(proxy, server)
        clock.advance(1.0)
        assert_silent(proxy, server)
    assert take(server, 3) == b"two"


def test_a_black_hole_swallows_data_on_its_way(proxy: ChaosProxy, clock: FakeClock, ends: Line) -> None:
    client, server = ends
    proxy.latency(1.0)
    client.sendall(b"data")
    assert_silent(proxy, server)
    with proxy.black_hole():
        clock.advance(1.0)
        assert_silent(proxy, server)
    assert_reset(server)


def test_a_cut_takes_data_on_its_way_along(proxy: ChaosProxy, ends: Line) -> None:
    client, server = ends
    proxy.latency(1.0)
    client.sendall(b"data")
    assert_silent(proxy, server)
    proxy.cut()
    assert_reset(server)
    assert_reset(client)


def test_bandwidth_limits_bytes_per_second(proxy: ChaosProxy, clock: FakeClock, ends: Line) -> None:
    client, server = ends
    proxy.bandwidth(100)
    data = bytes(range(256)) * 4
    client.sendall(data)
    assert_silent(proxy, server)
    clock.advance(1.0)
    assert take(server, 100) == data[:100]
    assert_silent(proxy, server)
    clock.advance(9.0)
    assert take(server, 900) == data[100:1000]
    assert_silent(proxy, server)
    proxy.heal()
    assert take(server, 24) == data[1000:]


def test_time_without_data_earns_no_bandwidth(proxy: ChaosProxy, clock: FakeClock, ends: Line) -> None:
    client, server = ends
    proxy.bandwidth(10)
    client.sendall(b"a")
    assert_silent(proxy, server)
    clock.advance(0.1)
    assert take(server, 1) == b"a"
    clock.advance(3600.0)
    client.sendall(b"bcd")
    assert_silent(proxy, server)
    clock.advance(0.2)
    assert take(server, 2) == b"bc"
    assert_silent(proxy, server)


def test_bandwidth_of_one_direction_leaves_the_other_alone(proxy: ChaosProxy, ends: Line) -> None:
    client, server = ends
    proxy.bandwidth(1, direction="up")
    server.sendall(b"reply")
    assert take(client, 5) == b"reply"
    client.sendall(b"request")
    assert_silent(proxy, server)


def test_slices_come_one_by_one(proxy: ChaosProxy, clock: FakeClock, ends: Line) -> None:
    client, server = ends
    proxy.slice(3, pause=1.0, direction="down")
    client.sendall(b"request")
    assert take(server, 7) == b"request"
    server.sendall(b"abcdefgh")
    for piece in (b"abc", b"def", b"gh"):
        settle(proxy)
        assert client.recv(100) == piece
        assert_silent(proxy, client)
        clock.advance(1.0)


def test_healing_slices_releases_the_rest(proxy: ChaosProxy, ends: Line) -> None:
    client, server = ends
    with proxy.slice(1, pause=1.0):
        client.sendall(b"abc")
        assert take(server, 1) == b"a"
        assert_silent(proxy, server)
    assert take(server, 2) == b"bc"


def test_slow_faults_add_up(proxy: ChaosProxy, clock: FakeClock, ends: Line) -> None:
    client, server = ends
    proxy.latency(1.0)
    proxy.bandwidth(10)
    proxy.slice(4, pause=0.0)
    client.sendall(b"0123456789")
    assert_silent(proxy, server)
    clock.advance(1.0)
    assert_silent(proxy, server)
    clock.advance(0.5)
    assert take(server, 5) == b"01234"
    assert_silent(proxy, server)
    clock.advance(0.5)
    assert take(server, 5) == b"56789"


def test_in_real_time_slow_data_arrives_whole() -> None:
    with (
        target() as listener,
        ChaosProxy(*listener.getsockname()) as proxy,
        line(proxy, listener) as (client, server),
    ):
        proxy.latency(0.001, jitter=0.001)
        proxy.bandwidth(1_000_000)
        proxy.slice(1000, pause=0.0001)
        data = bytes(range(256)) * 40
        client.sendall(data)
        assert take(server, len(data)) == data


async def test_a_clock_that_moves_while_a_wait_begins_does_not_prolong_it(clock: FakeClock) -> None:
    woken = asyncio.Event()
    Network(asyncio.get_running_loop(), clock).call_at(clock() + 1.0, woken.set)
    await asyncio.sleep(0)
    clock.advance(0.5)  # the wait has been computed and has not begun yet
    for _ in range(5):
        await asyncio.sleep(0)
    assert not woken.is_set()
    clock.advance(0.5)
    for _ in range(10):
        await asyncio.sleep(0)
    assert woken.is_set()
