"""Forwarding: what comes through a proxy without faults, and how connections end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hashlib
import os
import socket
import threading
from pathlib import Path

import pytest

from cqrs.testing import ChaosProxy
from tests.unit.testing.chaos_line import (
    GUARD,
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


def test_a_blocking_client_and_a_server_talk_through_it() -> None:
    with (
        target() as listener,
        ChaosProxy(*listener.getsockname()) as proxy,
        line(proxy, listener) as (client, server),
    ):
        assert client.getpeername() == proxy.address == ("127.0.0.1", proxy.port)
        assert proxy.url("redis") == f"redis://127.0.0.1:{proxy.port}"
        client.sendall(b"request")
        assert take(server, 7) == b"request"
        server.sendall(b"reply")
        assert take(client, 5) == b"reply"


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def test_an_asyncio_client_and_a_server_of_the_same_loop_talk_through_it() -> None:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, ChaosProxy(*server.sockets[0].getsockname()) as proxy:
        reader, writer = await asyncio.open_connection(*proxy.address)
        writer.write(b"ping")
        assert await reader.readexactly(4) == b"ping"
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
        writer.close()
        reader, writer = await asyncio.open_connection(*proxy.address)
        writer.write(b"ping")
        writer.write_eof()
        assert await reader.read() == b"ping"
        writer.close()
        await writer.wait_closed()


def test_a_unix_socket_can_be_the_target(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(os.fspath(path))
        listener.listen()
        listener.settimeout(GUARD)
        with ChaosProxy(unix_path=path) as proxy, line(proxy, listener) as (client, server):
            client.sendall(b"request")
            assert take(server, 7) == b"request"
            server.close()
            assert client.recv(1) == b""


def test_a_name_with_several_addresses_is_tried_until_one_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    with target() as listener, contextlib.ExitStack() as stack:
        working = listener.getsockname()
        addresses = (stack.enter_context(deaf_target()), working)
        entries = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: entries)
        with ChaosProxy("payments.internal", 80) as proxy:
            monkeypatch.undo()
            with line(proxy, listener) as (client, server):
                client.sendall(b"request")
                assert take(server, 7) == b"request"


def test_a_server_that_does_not_listen_shows_as_a_reset() -> None:
    with deaf_target() as address, ChaosProxy(*address) as proxy:
        # The system may tell of the reset in connect already.
        with pytest.raises(ConnectionResetError), dial(proxy) as client:
            client.recv(1)
        settle(proxy)
        assert (proxy.connections, proxy.open_connections) == (1, 0)


def test_the_end_of_one_direction_leaves_the_other_open() -> None:
    with target() as listener, ChaosProxy(*listener.getsockname()) as proxy:
        with line(proxy, listener) as (client, server):
            client.sendall(b"all of the request")
            client.shutdown(socket.SHUT_WR)
            assert server.recv(100) == b"all of the request"
            assert server.recv(1) == b""
            server.sendall(b"reply")
            assert take(client, 5) == b"reply"
            assert proxy.open_connections == 1
            server.close()
            assert client.recv(1) == b""
            settle(proxy)
            assert proxy.open_connections == 0
        with line(proxy, listener) as (client, server):
            server.shutdown(socket.SHUT_WR)
            assert client.recv(1) == b""
            client.sendall(b"late")
            assert take(server, 4) == b"late"
            assert proxy.open_connections == 1


def test_a_reset_by_one_side_reaches_the_other_as_a_reset() -> None:
    with target() as listener, ChaosProxy(*listener.getsockname()) as proxy:
        with line(proxy, listener) as (client, server):
            reset(server)
            assert_reset(client)
        with line(proxy, listener) as (client, server):
            reset(client)
            assert_reset(server)
        assert proxy.open_connections == 0


def test_a_reply_that_is_read_after_the_end_of_the_connection_is_whole() -> None:
    with (
        target() as listener,
        ChaosProxy(*listener.getsockname()) as proxy,
        line(proxy, listener) as (client, server),
    ):
        client.shutdown(socket.SHUT_WR)
        assert server.recv(1) == b""
        server.sendall(bytes(1 << 20))
        server.close()
        settle(proxy)
        assert take(client, 1 << 20) == bytes(1 << 20)
        assert client.recv(1) == b""


def test_many_bytes_arrive_whole_and_are_counted() -> None:
    data = os.urandom(1024) * 4096
    with (
        target() as listener,
        ChaosProxy(*listener.getsockname()) as proxy,
        line(proxy, listener) as (client, server),
    ):

        def echo_all() -> None:
            for _ in range(len(data) // 65536):
                server.sendall(take(server, 65536))

        echoing = threading.Thread(target=echo_all)
        sending = threading.Thread(target=client.sendall, args=(data,))
        echoing.start()
        sending.start()
        received = take(client, len(data))
        echoing.join()
        sending.join()
        assert hashlib.sha256(received).digest() == hashlib.sha256(data).digest()
        assert proxy.bytes_up == proxy.bytes_down == len(data)
    assert proxy.bytes_up == len(data), "counters can be read after the test"


def test_a_server_that_does_not_read_slows_the_client_down() -> None:
    limit = 64 * 1024 * 1024
    with (
        target() as listener,
        ChaosProxy(*listener.getsockname()) as proxy,
        line(proxy, listener) as (client, server),
    ):
        client.setblocking(False)
        sent = blocked = 0
        # A client that still cannot send after the proxy has settled, again and again, is being held up.
        while blocked < 5 and sent < limit:
            try:
                sent += client.send(bytes(65536))
                blocked = 0
            except BlockingIOError:
                settle(proxy)
                blocked += 1
        assert sent < limit
        client.shutdown(socket.SHUT_WR)
        received = 0
        while data := server.recv(1 << 20):
            received += len(data)
        assert received == sent


def test_finished_connections_are_counted_and_open_ones_apart() -> None:
    with target() as listener, ChaosProxy(*listener.getsockname()) as proxy:
        assert (proxy.connections, proxy.open_connections) == (0, 0)
        for count in range(1, 21):
            with dial(proxy):
                assert proxy.connections == count, "whoever has connected is counted"
        proxy.cut()
        with dial(proxy), dial(proxy):
            assert (proxy.connections, proxy.open_connections) == (22, 2)
            proxy.cut()
            assert (proxy.connections, proxy.open_connections) == (22, 0)


def test_a_test_can_wait_for_connections() -> None:
    with target() as listener, ChaosProxy(*listener.getsockname()) as proxy:
        proxy.wait_for_connections(0)
        waiting = threading.Thread(target=proxy.wait_for_connections, args=(2,), kwargs={"timeout": GUARD})
        waiting.start()
        with dial(proxy):
            assert waiting.is_alive()
            with dial(proxy):
                waiting.join()
        proxy.wait_for_connections(1)
        with pytest.raises(TimeoutError, match="2 of 3 connections came within 0 seconds"):
            proxy.wait_for_connections(3, timeout=0)


async def test_a_test_can_wait_for_connections_without_blocking_its_loop() -> None:
    with target() as listener:
        async with ChaosProxy(*listener.getsockname()) as proxy:
            waiting = asyncio.create_task(proxy.await_for_connections(1))
            _, writer = await asyncio.open_connection(*proxy.address)
            await waiting
            with pytest.raises(TimeoutError, match="1 of 2 connections"):
                await proxy.await_for_connections(2, timeout=0)
            given_up = asyncio.create_task(proxy.await_for_connections(2))
            await asyncio.sleep(0)
            given_up.cancel()
            with pytest.raises(asyncio.CancelledError):
                await given_up
            with dial(proxy):
                await proxy.await_for_connections(2)
            writer.close()
            await writer.wait_closed()


async def test_who_waits_for_connections_is_told_that_the_proxy_was_closed() -> None:
    with target() as listener:
        async with ChaosProxy(*listener.getsockname()) as proxy:
            waiting = asyncio.create_task(proxy.await_for_connections(1))
            await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="closed while"):
            await waiting


def test_without_faults_an_idle_connection_stays_silent() -> None:
    with (
        target() as listener,
        ChaosProxy(*listener.getsockname()) as proxy,
        line(proxy, listener) as (client, server),
    ):
        assert_silent(proxy, client)
        assert_silent(proxy, server)


async def test_who_stopped_waiting_for_connections_causes_no_noise_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with target() as listener:
        async with ChaosProxy(*listener.getsockname()) as proxy:
            with pytest.raises(TimeoutError):
                await proxy.await_for_connections(1, timeout=0)
        for _ in range(3):
            await asyncio.sleep(0)
        gc.collect()
    assert caplog.records == []
