"""A private server can be broken in every way that the fault tests need, and be put right again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.servers.base import wait_until
from tests.servers.redis_server import RedisServer

ROOT = Path(__file__).parents[3]
WRITE = "return redis.call('SET', 'key', ARGV[1])"


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[Any]:
    with closing(redis_server.client(socket_timeout=2.0)) as client:
        yield client


@pytest.fixture
def impatient(redis_server: RedisServer) -> Iterator[Any]:
    with closing(redis_server.client(socket_timeout=0.1)) as client:
        yield client


def error_of(call: Callable[..., Any], *arguments: Any) -> str:
    import redis

    with pytest.raises(redis.exceptions.RedisError) as raised:
        call(*arguments)
    return f"{type(raised.value).__name__}: {raised.value}"


def test_only_the_loopback_address_is_served(redis_server: RedisServer) -> None:
    assert redis_server.admin.config_get("bind") == {"bind": "127.0.0.1"}
    assert redis_server.url == f"redis://127.0.0.1:{redis_server.port}/0"


def test_a_server_may_listen_on_a_unix_socket_too(redis_servers: Callable[..., RedisServer]) -> None:
    import redis

    server = redis_servers(unix=True, password="pass/word")
    with redis.Redis.from_url(server.url) as one, redis.Redis.from_url(server.unix_url) as two:
        one.set("key", "value")
        assert two.get("key") == b"value"


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_an_ended_server_starts_empty_on_the_same_port(
    redis_server: RedisServer, client: Any, end: str
) -> None:
    client.set("key", "value")
    port = redis_server.port
    getattr(redis_server, end)()
    assert not redis_server.running
    assert "ConnectionError" in error_of(client.ping)
    redis_server.start()
    assert redis_server.port == port
    assert client.get("key") is None


def test_a_restart_is_empty_unless_told_to_keep(redis_server: RedisServer, client: Any) -> None:
    client.set("key", "value")
    redis_server.restart(keep=True)
    assert client.get("key") == b"value"
    redis_server.restart()
    assert client.get("key") is None


def test_a_rollback_brings_an_earlier_moment_back(redis_server: RedisServer, client: Any) -> None:
    client.set("key", "early")
    early = redis_server.snapshot()
    client.set("key", "late")
    redis_server.rollback(early)
    assert client.get("key") == b"early"


def test_a_server_that_ends_by_itself_is_not_running(redis_server: RedisServer) -> None:
    os.kill(redis_server.pid, signal.SIGKILL)
    wait_until(lambda: not redis_server.running, "the end")
    redis_server.start()


def test_a_frozen_server_executes_later_what_it_was_sent(redis_server: RedisServer, impatient: Any) -> None:
    impatient.ping()  # connects
    with redis_server.frozen():
        assert "TimeoutError" in error_of(impatient.set, "key", "value")
    wait_until(lambda: redis_server.admin.get("key") == b"value", "the write")


def test_a_frozen_server_can_be_killed_and_stopped(redis_servers: Callable[..., RedisServer]) -> None:
    for end in ("kill", "stop"):
        server = redis_servers()
        server.freeze()
        getattr(server, end)()
        assert not server.running


@pytest.mark.parametrize("state", ["freeze", "busy"])
def test_a_stuck_server_ends_and_leaves_no_folder_when_the_tests_are_killed(
    redis_server: RedisServer, tmp_path: Path, state: str
) -> None:
    script = tmp_path / "killed.py"
    script.write_text(
        "import signal\n"
        "from tests.servers.redis_server import RedisServer\n"
        "server = RedisServer().start()\n"
        f"held = server.{state}()\n"
        "held and held.__enter__()\n"
        "print(server.pid, server.folder, flush=True)\n"
        "signal.pause()\n"
    )
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    process = subprocess.Popen([sys.executable, script], env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    pid, folder = process.stdout.readline().split()
    process.kill()
    process.wait(30)
    process.stdout.close()
    wait_until(lambda: not Path(f"/proc/{pid}").exists() and not Path(folder).exists(), "the end")


def test_a_port_that_was_taken_is_replaced_at_the_first_start(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = iter([redis_server.port, redis_server.port])
    real = sys.modules["tests.servers.process"].free_port
    monkeypatch.setattr("tests.servers.base.free_port", lambda: next(ports, None) or real())
    with RedisServer() as other:
        assert other.port != redis_server.port
        assert other.admin.ping()


def test_a_port_that_was_asked_for_is_not_replaced(redis_server: RedisServer) -> None:
    with (
        pytest.raises(RuntimeError, match=r"(?s)did not start.*in use"),
        RedisServer(port=redis_server.port),
    ):
        pass


def test_a_promoted_replica_has_lost_what_came_after_the_cut(
    redis_server: RedisServer, redis_servers: Callable[..., RedisServer], client: Any
) -> None:
    master = redis_servers()
    with closing(master.client()) as writer:
        writer.set("key", "arrived")
        redis_server.replicate(master)
        writer.set("key", "arrived too")
        redis_server.wait_until_in_step(master)
        redis_server.cut_off()
        writer.set("key", "lost")
    assert client.get("key") == b"arrived too"
    assert error_of(client.set, "key", "value").startswith("ReadOnlyError")
    redis_server.promote()
    client.set("other", "value")
    assert client.get("key") == b"arrived too"


@pytest.mark.parametrize(
    ("fault", "reads", "writes", "scripts"),
    [
        ("out_of_memory", "", "OutOfMemoryError", "OutOfMemoryError"),
        ("read_only", "", "ReadOnlyError", "ReadOnlyError"),
        ("master_down", "MasterDownError", "", "MasterDownError"),
        ("no_replicas", "", "ResponseError: NOREPLICAS", "ResponseError: NOREPLICAS"),
        ("busy", "ResponseError: BUSY", "ResponseError: BUSY", "ResponseError: BUSY"),
        ("loading", "BusyLoadingError", "BusyLoadingError", "BusyLoadingError"),
    ],
)
def test_a_fault_answers_with_its_error_and_leaves_nothing_behind(
    redis_server: RedisServer, client: Any, fault: str, reads: str, writes: str, scripts: str
) -> None:
    client.set("key", "before")
    with getattr(redis_server, fault)():
        if reads:
            assert error_of(client.get, "key").startswith(reads)
        else:
            assert client.get("key") == b"before"
        if writes:
            assert error_of(client.set, "key", "value").startswith(writes)
        assert error_of(client.eval, WRITE, 0, "value").startswith(scripts)
    assert client.get("key") == b"before"
    assert client.eval(WRITE, 0, "after") in (b"OK", "OK")
    assert client.dbsize() == 1


@pytest.mark.parametrize("fault", ["out_of_memory", "read_only", "busy", "loading", "paused"])
def test_a_server_may_be_killed_within_a_fault(redis_server: RedisServer, fault: str, client: Any) -> None:
    with getattr(redis_server, fault)():
        redis_server.kill()
    redis_server.start()
    assert client.set("key", "value")
    assert client.dbsize() == 1, "it starts empty"


def test_the_wall_clock_of_a_server_can_be_set(redis_servers: Callable[..., RedisServer]) -> None:
    server = redis_servers(stepped_clock=True)
    with closing(server.client()) as client:
        true = client.time()[0]
        client.set("key", "value", ex=600)
        server.set_clock(-3600)
        assert int(client.eval("return redis.call('TIME')[1]", 0)) - true < -3500
        assert client.get("key") == b"value"
        server.set_clock(3600)
        assert client.time()[0] - true > 3500
        assert client.get("key") is None
        server.restart()
        assert client.time()[0] - true > 3500


def test_a_kind_of_server_that_cannot_be_had_is_told(
    redis_servers: Callable[..., RedisServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(pytest.skip.Exception, match=r"server missing: .*a C compiler"):
        redis_servers(stepped_clock=True)


def test_a_pause_delays_everything_or_writes_only(redis_server: RedisServer, impatient: Any) -> None:
    with redis_server.paused():
        assert "TimeoutError" in error_of(impatient.ping)
    with redis_server.paused(writes_only=True):
        assert impatient.ping()
        assert "TimeoutError" in error_of(impatient.set, "key", "value")
    assert impatient.set("key", "value")


def test_a_revoked_user_is_disconnected_and_refused(
    redis_servers: Callable[..., RedisServer], redis_server: RedisServer
) -> None:
    import redis

    redis_server.set_user("ann", "on", ">secret", "~*", "&*", "+@all")
    with redis.Redis.from_url(redis_server.url_for("ann", "secret"), retry=None) as ann:
        assert ann.ping()
        redis_server.revoke("ann")
        assert "AuthenticationError" in error_of(ann.ping)
    server = redis_servers(password="secret")
    with redis.Redis.from_url(server.url, retry=None) as default:
        assert default.ping()
        server.revoke()
        assert "Error" in error_of(default.ping)
        server.set_user("default", "on", "-evalsha")
        assert "NoPermissionError" in error_of(default.evalsha, "0" * 40, 0)
