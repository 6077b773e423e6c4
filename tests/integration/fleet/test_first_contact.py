"""Servers that are not there, do not let us in, or hold what is not ours: a word, never a stuck circuit."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.integration.fleet import keys
from tests.integration.fleet.member import Member
from tests.integration.fleet.processes import Worker, until
from tests.integration.fleet.workers import Pool, Workers
from tests.servers.process import free_port
from tests.servers.redis_server import RedisServer

POLICY = "CircuitBreakerPolicy.consecutive(3, ttl=0.3, permit_lease=0.5)"


def check_it_protects_itself(worker: Worker, name: str = "pay") -> None:
    """A circuit of one process: opens, probes, closes; calls take no time."""
    began = time.monotonic()
    assert worker.call(name, outcome="fail", times=4) == ["failed"] * 3 + ["rejected"]
    assert time.monotonic() - began < 1.0
    until(lambda: worker.call(name) == ["ok"], "it probes")
    until(lambda: worker.call(name, times=3, kind="async") == ["ok"] * 3, "closed")


def start_and_fail(member: Member, timeout: float) -> str:
    try:
        member.store.start(timeout)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "started"


@pytest.fixture
def loner(worker_pool: Pool, workers: Callable[..., Workers]) -> Callable[..., Worker]:
    """One process with a store that may not be there."""

    def join(url: str, **store: object) -> Worker:
        worker: Worker = workers(1, url, POLICY, start=False, **store)[0]
        return worker

    return join


def unreachable_url() -> str:
    return f"redis://:s3cret@127.0.0.1:{free_port()}/0"


def unreachable(_: RedisServer) -> tuple[str, str]:
    return unreachable_url(), "connection refused"


def unknown_host(_: RedisServer) -> tuple[str, str]:
    return "redis://:s3cret@no-such-host.invalid:6379/0", "host name is not known"


def wrong_password(server: RedisServer) -> tuple[str, str]:
    server.set_user("ann", "on", ">right", "~*", "&*", "+@all")
    return server.url_for("ann", "s3cret"), "wrong user name or password"


def no_rights(server: RedisServer) -> tuple[str, str]:
    server.set_user("bob", "on", ">s3cret", "~other:*", "&*", "+@all")
    return server.url_for("bob", "s3cret"), "no permission"


@pytest.mark.parametrize("trouble", [unreachable, unknown_host, wrong_password, no_rights])
def test_a_store_that_cannot_be_used_says_why_and_leaves_circuits_to_the_process(
    server: RedisServer, loner: Callable[..., Worker], trouble: Callable[[RedisServer], tuple[str, str]]
) -> None:
    url, why = trouble(server)
    worker = loner(url)
    check_it_protects_itself(worker)
    began = time.monotonic()
    assert worker.start() is False
    assert time.monotonic() - began < 4.0
    told = until(lambda: worker.seen(kind="StoreDegraded"), "it is told")
    assert why in told[0]["reason"]
    check_it_protects_itself(worker)
    assert len(worker.seen(kind="StoreDegraded")) == 1
    said = str([worker.logged(), worker.seen(), worker.health()])
    assert why in said
    assert "s3cret" not in said


@pytest.mark.parametrize("trouble", [unreachable, wrong_password])
def test_a_store_that_must_be_there_fails_the_start(
    server: RedisServer, loner: Callable[..., Worker], trouble: Callable[[RedisServer], tuple[str, str]]
) -> None:
    url, why = trouble(server)
    worker = loner(url, startup="fail")
    said = worker.do(start_and_fail, timeout=2.0)
    assert said.startswith("StoreUnavailableError: ")
    assert why in said
    assert "s3cret" not in said
    check_it_protects_itself(worker)


def test_listeners_hear_of_a_lost_store_before_there_is_a_circuit(loner: Callable[..., Worker]) -> None:
    worker = loner(unreachable_url())
    worker.start()
    assert until(lambda: worker.seen(kind="StoreDegraded"), "told")


def test_a_server_that_comes_late_is_found(loner: Callable[..., Worker]) -> None:
    with RedisServer() as server:
        server.kill()
        worker = loner(server.url)
        check_it_protects_itself(worker)
        until(lambda: worker.health()["degraded"], "lost")
        server.start()
        until(lambda: not worker.health()["degraded"], "found")
        worker.call("pay", outcome="fail", times=3)
        until(lambda: keys.record(server, worker.health()["namespace"], "pay").get("st") == "open", "shared")


WRONG = {
    "the record is a text": lambda client, prefix: client.set(f"{prefix}s:pay", "hello"),
    "the record is a list": lambda client, prefix: client.rpush(f"{prefix}s:pay", "hello"),
    "the record says nonsense": lambda client, prefix: client.hset(f"{prefix}s:pay", "st", "ajar"),
    "the record has no numbers": lambda client, prefix: client.hset(
        f"{prefix}s:pay", mapping={"st": "open", "ep": "many", "until": "soon"}
    ),
    "the reports are a text": lambda client, prefix: client.set(f"{prefix}r:pay", "hello"),
    "the reports are nonsense": lambda client, prefix: client.hset(
        f"{prefix}r:pay", mapping={"#row": "x", "#t": "y", "#f": "", "#inc": "", "#ep": "0"}
    ),
    "the permits are a text": lambda client, prefix: client.set(f"{prefix}p:pay", "hello"),
    "the times of reports are a text": lambda client, prefix: client.set(f"{prefix}z:pay", "hello"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_foreign_value_under_a_circuits_key_leaves_that_circuit_local_and_the_others_shared(
    server: RedisServer, workers: Callable[..., Workers], wrong: str
) -> None:
    fleet = workers(2, server.url, POLICY)
    prefix = keys.prefix(fleet.namespace)
    WRONG[wrong](server.admin, prefix)
    for worker in fleet:
        check_it_protects_itself(worker)
    fleet.trip("mail")
    fleet.until_state("mail", "open", "half_open/probing")
    until(lambda: all(each["age"] < 0.3 for each in fleet.all("health")), "exchanges go on")
    refused = fleet.all("seen", kind="StoreRefused")
    for told in refused:
        reasons = [each["reason"] for each in told]
        assert len(reasons) == len(set(reasons)), "told again and again"
        assert all(each["name"] == "pay" and f"{prefix}" in each["reason"] for each in told)
    assert any(refused), "nobody was told"
    assert fleet.all("seen", kind="StoreDegraded") == [[], []]
    server.admin.delete(*[f"{prefix}{kind}:pay" for kind in "srpz"])
    # The circuit is shared again when the value is gone.
    until(lambda: fleet[0].state("pay") == "closed", "closed")
    fleet.trip("pay")
    until(lambda: fleet[1].call("pay") == ["ok"], "and recovers")


@pytest.mark.parametrize("key", ["m", "n", "log"])
def test_a_foreign_value_under_a_key_of_the_whole_namespace_is_told_as_a_store_that_is_lost(
    server: RedisServer, workers: Callable[..., Workers], key: str
) -> None:
    fleet = workers(1, server.url, POLICY)
    name = f"{keys.prefix(fleet.namespace)}{key}"
    server.admin.delete(name)
    server.admin.set(name, "hello")
    until(lambda: fleet[0].health()["degraded"], "lost")
    check_it_protects_itself(fleet[0])
    told = fleet[0].seen(kind="StoreDegraded")
    assert len(told) == 1
    server.admin.delete(name)
    until(lambda: not fleet[0].health()["degraded"], "found")
    fleet.trip("pay")


def test_a_foreign_value_that_comes_while_a_circuit_is_open_or_probing_sticks_nothing(
    server: RedisServer, workers: Callable[..., Workers]
) -> None:
    fleet = workers(2, server.url, POLICY)
    prefix = keys.prefix(fleet.namespace)
    for held in (False, True):
        fleet.trip("pay")
        if held:
            until(lambda: fleet[0].hold("pay") == "probe", "it probes")
        server.admin.delete(f"{prefix}s:pay")
        server.admin.set(f"{prefix}s:pay", "hello")
        for worker in fleet:
            until(lambda: worker.call("pay") == ["ok"], "it goes on alone")  # noqa: B023
        if held:
            fleet[0].settle(key="pay", verdict="success")
        server.admin.delete(f"{prefix}s:pay")
        until(lambda: fleet.all("call", name="pay") == [["ok"]] * 2, "closed")
        fleet.until_state("pay", "closed")


ODD = [
    "with space",
    "{braces}",
    "a:b:{c}",
    "*",
    "ключ",
    "😀",
    "line\nbreak",
    "nul\0",
    "%41",
    "x" * 500,
    "\ud800",
]


@pytest.mark.parametrize("namespace", ODD)
def test_odd_namespaces_and_names_are_shared_like_others(
    server: RedisServer, workers: Callable[..., Workers], namespace: str
) -> None:
    fleet = workers(2, server.url, POLICY, namespace=namespace)
    names = ODD if namespace == ODD[0] else ODD[:2]  # all of either, not each with each
    for name in names:
        fleet[0].call(name, outcome="fail", times=3)
    for name in names:
        fleet.until_state(name, "open", "half_open/probing", limit=5)
    assert fleet.all("seen", kind="StoreRefused") == [[], []]
    assert fleet.all("state", name="never used") == ["closed", "closed"]
