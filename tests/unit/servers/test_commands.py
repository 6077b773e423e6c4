"""What clients ask for is counted once each, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import pytest

from tests.servers.redis_server import RedisServer


def test_commands_of_clients_are_counted_and_those_of_scripts_and_of_the_administrator_are_not(
    redis_server: RedisServer,
) -> None:
    with closing(redis_server.client()) as client:
        client.ping()  # connects
        with redis_server.commands() as commands:
            assert commands.total() == 0
            client.eval("redis.call('SET', 'a', 1) return redis.call('GET', 'a')", 0)
            redis_server.admin.get("a")
            assert commands.names() == {"eval": 1}
            with client.pipeline(transaction=False) as pipeline:
                pipeline.get("a").get("b").execute()
            assert commands.names() == {"eval": 1, "get": 2}
            with client.pipeline(transaction=True) as pipeline:
                pipeline.get("a").execute()
            assert commands.names() == {"eval": 1, "get": 3, "multi": 1, "exec": 1}
            assert sum(commands.clients().values()) == commands.total() == 6
        client.ping()
        assert commands.total() == 6, "counted after the end"
        assert commands.all()[1].text == '"GET" "a"'


def test_clients_of_a_unix_socket_are_counted(redis_servers: Callable[..., RedisServer]) -> None:
    import redis

    server = redis_servers(unix=True)
    with redis.Redis.from_url(server.unix_url) as client:
        client.ping()
        with server.commands() as commands:
            client.ping()
            assert commands.names() == {"ping": 1}
            assert list(commands.clients()) == [f"unix:{server.socket}"]


def test_a_killed_server_ends_the_count(redis_server: RedisServer) -> None:
    with closing(redis_server.client()) as client, redis_server.commands() as commands:
        client.ping()
        assert commands.names()["ping"] == 1
        redis_server.restart()
        client.ping()
        assert commands.names()["ping"] == 1


def test_scripts_are_counted_without_watching(redis_server: RedisServer) -> None:
    import redis

    with closing(redis_server.client()) as client:
        client.eval("return redis.call('SET', 'a', 1)", 0)
        client.eval_ro("return 1", 0)
        with pytest.raises(redis.exceptions.NoScriptError):
            client.evalsha("0" * 40, 0)
        client.get("a")
    assert redis_server.script_calls() == 3
