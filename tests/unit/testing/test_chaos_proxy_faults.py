"""Faults that end connections, lose bytes or keep clients out."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from cqrs.testing import ChaosProxy
from tests.unit.testing.chaos_line import (
    assert_reset,
    assert_silent,
    deaf_target,
    dial,
    line,
    reset,
    settle,
    take,
    target,
)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with target() as listening:
        yield listening


@pytest.fixture
def proxy(listener: socket.socket) -> Iterator[ChaosProxy]:
    with ChaosProxy(*listener.getsockname()) as running:
        yield running


def assert_works(proxy: ChaosProxy, listener: socket.socket) -> None:
    with line(proxy, listener) as (client, server):
        client.sendall(b"request")
        assert take(server, 7) == b"request"
        server.sendall(b"reply")
        assert take(client, 5) == b"reply"


def test_a_refusing_port_is_the_same_after_healing(proxy: ChaosProxy, listener: socket.socket) -> None:
    for _ in range(3):
        with proxy.refuse(), pytest.raises(ConnectionRefusedError):
            dial(proxy)
        assert_works(proxy, listener)


async def test_asyncio_clients_are_refused(proxy: ChaosProxy) -> None:
    with proxy.refuse(), pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*proxy.address)


def test_a_refusing_port_cannot_be_taken_by_others(proxy: ChaosProxy) -> None:
    with proxy.refuse(), socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(proxy.address)


def test_refusing_leaves_open_connections_alone(proxy: ChaosProxy, listener: socket.socket) -> None:
    with line(proxy, listener) as (client, server), proxy.refuse():
        client.sendall(b"request")
        assert take(server, 7) == b"request"


def test_a_cut_resets_both_ends_of_all_connections_and_no_later_one(
    proxy: ChaosProxy, listener: socket.socket
) -> None:
    with line(proxy, listener) as one, line(proxy, listener) as other:
        proxy.cut()
        for end in (*one, *other):
            assert_reset(end)
    assert_works(proxy, listener)


def test_a_cut_hits_connections_that_were_made_a_moment_ago(proxy: ChaosProxy) -> None:
    for _ in range(20):
        with dial(proxy) as client:
            proxy.cut()
            assert_reset(client)


def test_a_reply_is_cut_after_so_many_bytes(proxy: ChaosProxy, listener: socket.socket) -> None:
    with line(proxy, listener) as (open_client, open_server), proxy.cut(after_bytes=5, direction="down"):
        with line(proxy, listener) as (client, server):
            client.sendall(b"a long request")
            assert take(server, 14) == b"a long request"
            server.sendall(b"a ")
            assert take(client, 2) == b"a "
            server.sendall(b"long reply")
            assert take(client, 3) == b"lon"
            assert_reset(client)
            assert_reset(server)
        open_server.sendall(b"an open connection too")
        assert take(open_client, 5) == b"an op"
        assert_reset(open_client)
    assert_works(proxy, listener)


def test_a_cut_after_exactly_the_last_byte_comes_at_once(proxy: ChaosProxy, listener: socket.socket) -> None:
    with proxy.cut(after_bytes=7, direction="up"), line(proxy, listener) as (client, server):
        client.sendall(b"request")
        assert take(server, 7) == b"request"
        assert_reset(server)
        assert_reset(client)


def test_a_cut_after_no_bytes_lets_none_through(proxy: ChaosProxy, listener: socket.socket) -> None:
    with proxy.cut(after_bytes=0), line(proxy, listener) as (client, server):
        assert_silent(proxy, client)
        client.sendall(b"request")
        assert_reset(server)
        assert_reset(client)


def test_each_direction_counts_its_bytes_until_the_cut_by_itself(
    proxy: ChaosProxy, listener: socket.socket
) -> None:
    with line(proxy, listener) as (client, server), proxy.cut(after_bytes=5):
        client.sendall(b"four")
        assert take(server, 4) == b"four"
        server.sendall(b"four")
        assert take(client, 4) == b"four"
        server.sendall(b"four")
        assert take(client, 1) == b"f"
        assert_reset(client)


def test_a_black_hole_swallows_bytes_both_ways_and_healing_resets_the_torn_connection(
    proxy: ChaosProxy, listener: socket.socket
) -> None:
    with line(proxy, listener) as (client, server):
        with proxy.black_hole():
            client.sendall(b"request")
            server.sendall(b"news")
            assert_silent(proxy, client)
            assert_silent(proxy, server)
            assert (proxy.bytes_up, proxy.bytes_down) == (0, 0)
        assert_reset(client)
        assert_reset(server)
    assert_works(proxy, listener)


def test_a_black_hole_takes_more_than_any_buffer_holds(proxy: ChaosProxy, listener: socket.socket) -> None:
    with line(proxy, listener) as (client, server), proxy.black_hole():
        client.sendall(bytes(32 * 1024 * 1024))
        assert_silent(proxy, server)
    with proxy.black_hole(), dial(proxy) as client:
        client.sendall(bytes(32 * 1024 * 1024))


def test_an_idle_connection_survives_a_black_hole(proxy: ChaosProxy, listener: socket.socket) -> None:
    with line(proxy, listener) as (client, server):
        with proxy.black_hole():
            assert_silent(proxy, client)
        client.sendall(b"request")
        assert take(server, 7) == b"request"


def test_the_server_hears_of_a_connection_through_a_black_hole_after_healing_only(
    proxy: ChaosProxy, listener: socket.socket
) -> None:
    fault = proxy.black_hole()
    with dial(proxy) as idle, dial(proxy) as torn:
        torn.sendall(b"request")
        assert_silent(proxy, torn)
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
        listener.settimeout(20)
        fault.heal()
        assert_reset(torn)
        server, _ = listener.accept()
        with server:
            idle.sendall(b"later")
            assert take(server, 5) == b"later"
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_a_black_hole_for_replies_lets_requests_through(proxy: ChaosProxy, listener: socket.socket) -> None:
    with proxy.black_hole(direction="down"), line(proxy, listener) as (client, server):
        client.sendall(b"request")
        assert take(server, 7) == b"request"
        server.sendall(b"reply")
        assert_silent(proxy, client)


@pytest.mark.parametrize("end_with", [socket.socket.close, reset])
def test_no_end_of_a_connection_is_seen_through_a_black_hole(
    proxy: ChaosProxy, listener: socket.socket, end_with: object
) -> None:
    assert callable(end_with)
    with line(proxy, listener) as (client, server):
        with proxy.black_hole():
            end_with(server)
            assert_silent(proxy, client)
        assert_reset(client)
    with line(proxy, listener) as (client, server):
        with proxy.black_hole():
            end_with(client)
            assert_silent(proxy, server)
        assert_reset(server)


def test_a_refusal_by_the_server_is_not_seen_through_a_black_hole() -> None:
    with deaf_target() as address, ChaosProxy(*address) as proxy:
        proxy.black_hole(direction="down")
        with dial(proxy) as client:
            client.sendall(b"request")
            assert_silent(proxy, client)
            proxy.latency(1.0)
            assert_silent(proxy, client)
            proxy.heal()
            assert_reset(client)


def test_a_client_that_leaves_before_the_server_heard_of_it_is_forgotten(
    proxy: ChaosProxy, listener: socket.socket
) -> None:
    for end_with in (socket.socket.close, reset):
        with proxy.black_hole():
            end_with(dial(proxy))
            settle(proxy)
            assert proxy.open_connections == 1
        assert proxy.open_connections == 0
    assert_works(proxy, listener)


def test_a_dropped_reply_leaves_its_connection_silent_and_others_alone(
    proxy: ChaosProxy, listener: socket.socket
) -> None:
    with line(proxy, listener) as (client, server):
        proxy.drop_replies(count=1)
        for reply in (b"first", b"second"):
            client.sendall(b"request")
            assert take(server, 7) == b"request"
            server.sendall(reply)
            assert_silent(proxy, client)
        assert_works(proxy, listener)
        assert proxy.bytes_down == len(b"reply")
        proxy.heal()
        assert_reset(client)


def test_as_many_replies_are_dropped_as_were_asked_for(proxy: ChaosProxy, listener: socket.socket) -> None:
    with proxy.drop_replies(count=2):
        for _ in range(2):
            with line(proxy, listener) as (client, server):
                server.sendall(b"reply")
                assert_silent(proxy, client)
        assert_works(proxy, listener)
    with proxy.drop_replies():
        for _ in range(5):
            with line(proxy, listener) as (client, server):
                server.sendall(b"reply")
                assert_silent(proxy, client)


def test_a_server_that_hangs_up_without_a_reply_costs_no_dropped_reply(
    proxy: ChaosProxy, listener: socket.socket
) -> None:
    with proxy.drop_replies(count=1):
        with line(proxy, listener) as (client, server):
            server.close()
            assert client.recv(1) == b""
        with line(proxy, listener) as (client, server):
            server.sendall(b"reply")
            assert_silent(proxy, client)


def test_healing_one_fault_leaves_the_others(proxy: ChaosProxy, listener: socket.socket) -> None:
    outer = proxy.black_hole(direction="down")
    with proxy.black_hole(), proxy.refuse():
        pass
    with line(proxy, listener) as (client, server):
        client.sendall(b"request")
        assert take(server, 7) == b"request"
        server.sendall(b"reply")
        assert_silent(proxy, client)
    outer.heal()
    outer.heal()
    assert_works(proxy, listener)


def test_healing_ends_all_faults_of_all_kinds(proxy: ChaosProxy, listener: socket.socket) -> None:
    faults = [
        proxy.refuse(),
        proxy.black_hole(),
        proxy.latency(3600),
        proxy.bandwidth(1),
        proxy.slice(1, pause=3600),
    ]
    faults += [proxy.cut(after_bytes=0), proxy.drop_replies()]
    proxy.heal()
    assert_works(proxy, listener)
    for fault in faults:
        fault.heal()


def test_a_fault_ends_with_its_block_also_on_errors(proxy: ChaosProxy, listener: socket.socket) -> None:
    with pytest.raises(ZeroDivisionError), proxy.refuse():
        raise ZeroDivisionError
    assert_works(proxy, listener)
