"""What a transport makes of servers and networks that misbehave."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from cqrs.circuit_breaker.redis import subscriber
from cqrs.testing import ChaosProxy
from tests.integration.redis.support import REPORT
from tests.integration.redis.transports import PATIENCE, Link, link, operation, override, request


@pytest.fixture
def proxy(redis_server: Any) -> Iterator[ChaosProxy]:
    with ChaosProxy(redis_server.host, redis_server.port) as made:
        yield made


@pytest.fixture
def quick_push(monkeypatch: pytest.MonkeyPatch) -> None:
    """Subscribers come back at once and are impatient."""
    monkeypatch.setattr(subscriber, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(subscriber, "LONGEST_WAIT", 0.02)


def hear(store: Link, circuit: str = "pay") -> None:
    """Publish changes until one is heard."""
    before = len(store.ticker.messages)
    deadline = time.monotonic() + PATIENCE
    while len(store.ticker.messages) == before:
        store.ask(override(circuit=circuit))
        assert time.monotonic() < deadline


# ---------------------------------------------------------------------- connections


def test_a_refused_connection_is_an_error_at_once_and_later_forgotten(proxy: ChaosProxy) -> None:
    with link(proxy.url("redis")) as store:
        with proxy.refuse():
            assert store.fails() == "the store: connection refused"
        assert store.ask()["live"] == 1
        assert store.ticker.connections == 1


def test_a_missing_socket(redis_server: Any) -> None:
    with link(f"unix://{redis_server.folder}/none") as store:
        assert store.fails() == "the store: there is no such socket"


def test_an_unknown_host(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def fail(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with link("redis://cache.example") as store:
        assert store.fails() == "the store: the host name is not known"


def test_a_server_that_hangs_costs_the_timeout_and_the_connection(redis_server: Any) -> None:
    with link(redis_server.url) as store:
        store.ask()
        with redis_server.frozen():
            assert store.fails(timeout=0.05) == "the store: timed out after 0.05 s"
        assert store.ask()["live"] == 1
        assert store.ticker.connections == 2  # the late reply is not taken for that of another request


def test_a_lost_reply_does_not_become_the_next_one(proxy: ChaosProxy) -> None:
    with link(proxy.url("redis")) as store:
        first = store.ask(operation("view", "first"))
        assert first["results"][0]["id"] == "first"
        with proxy.drop_replies(count=1):
            assert "timed out" in store.fails(operation("view", "lost"), timeout=0.05)
            assert store.ask(operation("view", "next"))["results"][0]["id"] == "next"


def test_a_request_that_times_out_leaves_others_alone(proxy: ChaosProxy) -> None:
    with link(proxy.url("redis")) as store:
        store.ask()
        with proxy.drop_replies(count=1):
            lost = store.submit(request(operation("view", "lost")), timeout=0.2)
            proxy_saw = proxy.connections
            others = [store.submit(request(operation("view", f"c{number}"))) for number in range(5)]
            assert [answer.result(20)["results"][0]["id"] for answer in others] == [f"c{n}" for n in range(5)]
            assert lost.exception(20) is not None
        assert proxy_saw >= 1


def test_a_slow_connection_is_made_although_each_request_gives_up_before(proxy: ChaosProxy) -> None:
    with link(proxy.url("redis"), connect_timeout=PATIENCE) as store, proxy.latency(0.06):
        attempts = 0
        while True:
            attempts += 1
            answer = store.submit(request(), timeout=0.2)
            if answer.exception(20) is None:
                break
            assert attempts < 20
        assert proxy.connections <= 2  # the script, unknown at first, takes another round trip


def test_a_connection_takes_no_longer_than_it_may(proxy: ChaosProxy) -> None:
    with link(proxy.url("redis"), connect_timeout=0.1) as store, proxy.black_hole():
        assert store.fails() == "the store: no connection within 0.1 s"


def test_a_cut_connection_is_replaced_and_told(proxy: ChaosProxy) -> None:
    with link(proxy.url("redis")) as store:
        store.ask()
        proxy.cut()
        answer = store.submit(request())
        if answer.exception(20) is not None:  # the reset may come before or after the request is sent
            assert "connection lost" in str(answer.exception())
            store.ask()
        assert store.ticker.connections == 2


def test_a_restart_is_noticed(redis_server: Any) -> None:
    with link(redis_server.url) as store:
        before = store.ask()["inc"]
        redis_server.restart()
        assert store.ask()["inc"] != before
        assert store.ticker.connections == 2


def test_replies_in_small_pieces(proxy: ChaosProxy) -> None:
    with link(proxy.url("redis")) as store, proxy.slice(7, pause=0.0):
        assert store.ask(operation("view"), operation("view", "mail"))["live"] == 1


# ---------------------------------------------------------------------- servers that refuse


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("out_of_memory", "the server is out of memory (OOM)"),
        ("read_only", "the server is a replica and takes no writes (READONLY)"),
        ("master_down", "the server has lost its primary (MASTERDOWN)"),
        ("no_replicas", "the server takes no writes for want of replicas (NOREPLICAS)"),
        ("busy", "the server is busy with somebody's script (BUSY)"),
        ("loading", "the server is still loading its data (LOADING)"),
    ],
)
def test_a_server_that_refuses(redis_server: Any, fault: str, text: str) -> None:
    with link(redis_server.url) as store:
        store.ask()
        with getattr(redis_server, fault)():
            assert store.fails() == f"the store: {text}"
        assert store.ask()["live"] == 1


def test_a_server_that_takes_no_writes_refuses_the_whole_request(redis_server: Any) -> None:
    with link(redis_server.url) as store:
        store.ask()
        with redis_server.out_of_memory():
            failing = operation("report", **(REPORT | {"t": 1, "f": 1}))
            silent = request(failing) | {"beat": 0}
            assert "OOM" in str(store.submit(silent).exception(20))


def test_a_demoted_primary_is_looked_for_again(redis_server: Any) -> None:
    with link(redis_server.url) as store:
        store.ask()
        with redis_server.read_only():
            store.fails()
            assert "READONLY" in store.fails()
        store.ask()
        assert store.ticker.connections == 3  # each refusal costs the connection


def test_a_wrong_password_is_not_shown(redis_servers: Callable[..., Any]) -> None:
    server = redis_servers(password="right-secret")
    with link(f"redis://:wrong-secret@{server.host}:{server.port}") as store:
        assert store.fails() == "the store: wrong user name or password"
    with link(f"redis://{server.host}:{server.port}") as store:
        assert store.fails() == "the store: the server wants a password"
    with link(server.url) as store:
        assert store.ask()["live"] == 1


def test_a_user_without_rights(redis_server: Any) -> None:
    redis_server.set_user("limited", "on", ">pw", "~*", "+@all", "-evalsha", "-eval")
    with link(redis_server.url_for("limited", "pw")) as store:
        assert "no permission" in store.fails()
    redis_server.set_user("keyless", "on", ">pw", "~other:*", "+@all")
    with link(redis_server.url_for("keyless", "pw")) as store:
        assert "no permission" in store.fails()


def test_a_user_that_may_not_publish_shares_circuits_all_the_same(redis_server: Any) -> None:
    redis_server.set_user("quiet", "on", ">pw", "~*", "resetchannels", "+@all", "-xadd")
    with link(redis_server.url_for("quiet", "pw"), push=True) as store:
        view = store.ask(override())["results"][0]["view"]
        assert view["ov"] == "forced_open"


def test_revoked_credentials(redis_server: Any) -> None:
    redis_server.set_user("app", "on", ">pw", "~*", "&*", "+@all")
    with link(redis_server.url_for("app", "pw")) as store:
        store.ask()
        redis_server.revoke("app")
        redis_server.disconnect_clients("app")
        assert store.fails() == "the store: wrong user name or password"


# ---------------------------------------------------------------------- push


def test_changes_of_all_shards_are_heard(redis_server: Any) -> None:
    with link(redis_server.url, push=True, shards=3) as store:
        for shard in range(3):
            channel = store.settings.channel(shard)
            while not redis_server.admin.publish(channel, json.dumps({"shard": shard})):
                pass
        store.ticker.wait(lambda: len(store.ticker.messages) == 3)
        assert [message["shard"] for message in store.ticker.messages] == [0, 1, 2]
        assert store.ticker.connections == 0  # the subscriber's own does not count


def test_what_is_published_is_what_others_see(redis_url: str) -> None:
    with link(redis_url, push=True) as store, link(redis_url, namespace=store.settings.namespace) as other:
        hear(store)
        view = other.ask(operation("view"))["results"][0]["view"]
        store.ticker.wait(lambda: store.ticker.messages[-1]["view"]["ep"] == view["ep"])
        assert store.ticker.messages[-1]["view"] == view | {"age_us": 0}  # told when it happened


def test_foreign_messages_are_ignored(redis_server: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger=subscriber.logger.name)
    with link(redis_server.url, push=True) as store:
        hear(store)
        for payload in (b"\xff\xfe", b"not json", b"[1]", b"null", b'{"x":1}'):
            redis_server.admin.publish(store.settings.channel(0), payload)
        store.ticker.wait(lambda: store.ticker.messages[-1] == {"x": 1})
        assert all(message.keys() == {"inc", "view"} for message in store.ticker.messages[:-1])
    assert len([record for record in caplog.records if "somebody publishes" in record.message]) == 1


@pytest.mark.usefixtures("quick_push")
def test_a_subscriber_comes_back_and_says_so(proxy: ChaosProxy, redis_server: Any) -> None:
    with link(proxy.url("redis"), push=True) as store:
        hear(store)
        before = store.ticker.connections
        redis_server.admin.client_kill_filter(_type="pubsub")
        store.ticker.wait(lambda: store.ticker.connections == before + 1)
        hear(store)


@pytest.mark.usefixtures("quick_push")
def test_a_subscriber_gets_through_to_a_server_that_was_down(proxy: ChaosProxy) -> None:
    with proxy.refuse(), link(proxy.url("redis"), push=True) as store:
        assert "refused" in store.fails()
        proxy.heal()
        hear(store)


def test_a_silent_connection_is_asked_whether_it_lives(
    proxy: ChaosProxy, redis_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriber, "SILENCE", 0.05)
    with redis_server.commands() as commands, link(proxy.url("redis"), push=True) as store:
        hear(store)
        deadline = time.monotonic() + PATIENCE
        while commands.names()["ping"] < 2:  # answered, so asked again
            assert time.monotonic() < deadline
        assert commands.names()["subscribe"] == 1


@pytest.mark.usefixtures("quick_push")
def test_a_connection_that_is_dead_without_a_word_is_replaced(
    proxy: ChaosProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriber, "SILENCE", 0.05)
    with link(proxy.url("redis"), push=True, connect_timeout=0.2) as store:
        hear(store)
        before = store.ticker.connections
        with proxy.drop_replies(count=1):  # of the next PING, which is the only thing that is sent
            store.ticker.wait(lambda: store.ticker.connections == before + 1)
        hear(store)


# ---------------------------------------------------------------------- all at once


def test_every_request_ends_whatever_happens(proxy: ChaosProxy) -> None:
    with link(proxy.url("redis"), push=True, connect_timeout=0.1) as store:
        answers: list[Future[dict[str, Any]]] = []

        def ask() -> None:
            for number in range(60):
                answers.append(store.submit(request(operation("view", f"c{number}")), timeout=0.05))
                threading.Event().wait(0.002)

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(5):
            proxy.cut()
            with proxy.black_hole():
                answers[-1].exception(20) if answers else None
            with proxy.refuse():
                proxy.cut()
        for thread in threads:
            thread.join()
        assert len(answers) == 180
        for answer in answers:
            answer.exception(20)
        while store.submit(request()).exception(20) is not None:
            pass  # a connection that was cut while it was made
