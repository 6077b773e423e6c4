"""Processes that do not agree: other policies, another version of the script (fault 21)."""

from __future__ import annotations

from collections.abc import Callable

from cqrs.circuit_breaker.fleet import settings
from tests.integration.fleet.member import Member
from tests.integration.fleet.processes import until
from tests.integration.fleet.workers import Workers
from tests.servers.redis_server import RedisServer

OLD = "CircuitBreakerPolicy.consecutive(3, ttl=0.3, permitted_calls_in_half_open=2, max_concurrent_probes=2)"
NEW = "CircuitBreakerPolicy.consecutive(3, ttl=0.9, permitted_calls_in_half_open=4)"


def test_different_policies_are_told_once_and_the_stricter_applies(
    server: RedisServer, workers: Callable[..., Workers]
) -> None:
    fleet = workers(2, server.url, OLD)
    new = fleet.add(policy=NEW)
    fleet.trip("pay")
    until(lambda: new.seen(kind="SettingsDiffer"), "told")
    # The wait of this opening was decided by the first; probes are those of the stricter one.
    until(lambda: new.hold("pay") == "probe", "it probes")
    assert [each.hold("pay") for each in fleet] == ["rejected"] * 3, "one at a time, as the stricter says"
    new.settle(key="pay", verdict="failure")
    until(lambda: fleet[0].hold("pay") == "probe", "the next one")
    fleet[0].settle(key="pay", verdict="failure")
    until(lambda: fleet[0].view("pay")["streak"] == 2, "2 of 4 have failed")
    assert fleet[0].view("pay")["wait"] >= 0.9, "the longer wait"
    for worker in fleet:
        told = worker.seen(kind="SettingsDiffer")
        pairs = [(each["name"], each["ours"], each["theirs"]) for each in told]
        assert len(pairs) == len(set(pairs)), "told again"
        assert all(name == "pay" for name, _, _ in pairs)
    (told, *_) = new.seen(kind="SettingsDiffer")
    assert "waits 0.9 s" in told["ours"]
    assert "waits 0.3 s" in told["theirs"]
    for worker in (*fleet[:2], new):  # until it closes, whoever probes
        worker.begin_traffic("pay")
    fleet.until_state("pay", "closed")


def test_a_rolling_deployment_ends_with_the_new_policy_for_all(
    server: RedisServer, workers: Callable[..., Workers]
) -> None:
    fleet = workers(1, server.url, NEW)
    fleet.add(policy=OLD)
    fleet.trip("pay")
    fleet.all("begin_traffic", name="pay")
    fleet.until_state("pay", "closed")
    fleet[0].kill()  # the last one of the stricter policy
    (left,) = fleet[1:]
    left.traffic_report(stop=True)
    left.call("pay", outcome="fail", times=3)
    until(lambda: left.view("pay")["streak"] == 1 and left.view("pay")["state"] != "closed", "open")
    until(lambda: left.call("pay") == ["ok"], "it recovers")
    left.begin_traffic("pay")
    until(lambda: left.state("pay") == "closed", "closed")
    left.traffic_report(number=1, stop=True)
    left.call("pay", outcome="fail", times=3)
    view = until(lambda: (found := left.view("pay"))["state"] == "open" and found, "open again")
    assert view["wait"] < 0.9, "healed with the first recovery"


def another_version(member: Member, version: int) -> None:
    """Be a later release of the library, whose store keeps other fields."""
    settings.VERSION = version


def test_two_versions_of_the_script_never_read_each_other(
    server: RedisServer, workers: Callable[..., Workers]
) -> None:
    policy = "CircuitBreakerPolicy.consecutive(3, ttl=30)"
    old = workers(2, server.url, policy, namespace="rolling")
    new = workers(2, server.url, policy, namespace="rolling")
    new.all("leave")
    new.all(another_version, version=2)
    try:
        for worker in new:
            new.begin_join(worker, server.url).result()
        old.trip("pay")
        new.trip("mail")
        assert old.all("call", name="mail") == [["ok"]] * 2
        assert new.all("call", name="pay") == [["ok"]] * 2
        found = {key.decode().split(":")[1] for key in server.admin.keys("holdfast:*rolling*")}
        assert found == {"1", "2"}
    finally:
        new.all("leave")
        new.all(another_version, version=settings.VERSION)
