"""What opens a fleet and what does not (faults 16 and 17), and who shares with whom."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

import pytest

from tests.integration.fleet import keys
from tests.integration.fleet.forking import poll
from tests.integration.fleet.member import Member
from tests.integration.fleet.processes import until
from tests.integration.fleet.workers import Workers
from tests.servers.redis_server import RedisServer

IN_A_ROW = "CircuitBreakerPolicy.consecutive(5, ttl=30)"
BY_RATE = "CircuitBreakerPolicy(minimum_number_of_calls=20, wait_duration_in_open=30)"


def fail_at_once(member: Member, name: str, threads: int) -> dict[str, int]:
    """Make failing calls from threads that all begin before any ends, here and in other processes."""
    barrier = threading.Barrier(threads + 1)
    member.kept["all have begun"], member.kept["go"] = barrier, threading.Event()
    results: Counter[str] = Counter()

    def act() -> None:
        barrier.wait(10)
        member.kept["go"].wait(10)
        raise LookupError

    def call() -> None:
        try:
            member.breakers[name].call(act)
        except Exception as error:
            results[type(error).__name__] += 1

    workers = [threading.Thread(target=call) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return dict(results)


def wait_until_all_have_begun(member: Member) -> None:
    poll(lambda: "all have begun" in member.kept)
    member.kept["all have begun"].wait(10)


def go(member: Member) -> None:
    member.kept["go"].set()


def test_200_concurrent_failures_in_4_processes_open_the_circuit_for_all(
    server: RedisServer, workers: Callable[..., Workers]
) -> None:
    fleet = workers(4, server.url, IN_A_ROW)
    answers = [worker.begin(fail_at_once, apart=True, name="pay", threads=50) for worker in fleet]
    fleet.all(wait_until_all_have_begun)
    idle = fleet.add()
    for worker in fleet[:4]:
        worker.begin(go)
    assert [answer.result() for answer in answers] == [{"LookupError": 50}] * 4
    fleet.until_state("pay", "open")
    assert idle.machine("pay")["fleet"] == "open", "also for the one that made no call"


def test_failures_in_a_row_are_counted_across_processes(
    server: RedisServer, workers: Callable[..., Workers]
) -> None:
    fleet = workers(5, server.url, IN_A_ROW)
    for worker in fleet:
        assert worker.call("pay", outcome="fail") == ["failed"]
    fleet.until_state("pay", "open", limit=3)
    assert fleet.all("call", name="pay") == [["rejected"]] * 5
    assert fleet[0].view("pay")["reason"] == "5 failures in a row"


def test_a_success_of_another_process_ends_a_row(
    server: RedisServer, workers: Callable[..., Workers]
) -> None:
    fleet = workers(2, server.url, IN_A_ROW)
    for _ in range(3):
        fleet[0].call("pay", outcome="fail", times=3)
        until(lambda: fleet[1].view("pay")["row"] == 3, "the row is known")
        until(lambda: fleet[1].machine("pay")["epoch"] == 0 and _knows_row(fleet), "and heard of")
        assert fleet[1].call("pay") == ["ok"]
        until(lambda: fleet[1].view("pay")["row"] == 0, "it is over")
        assert fleet[0].call("pay") == ["ok"]
        until(lambda: fleet[0].view("pay")["row"] == 0, "for all")
    assert fleet.all("state", name="pay") == ["closed"] * 2


def _knows_row(fleet: Workers) -> bool:
    return bool(fleet[1].do(row_as_heard, name="pay"))


def row_as_heard(member: Member, name: str) -> int:
    return int(member.breakers[name].gate.shared.view.row)  # type: ignore[attr-defined]


def test_360_failures_over_20_processes_open_the_circuit_for_all(
    server: RedisServer, workers: Callable[..., Workers]
) -> None:
    policy = "CircuitBreakerPolicy(minimum_number_of_calls=100, wait_duration_in_open=30)"
    fleet = workers(20, server.url, policy)
    fleet.all("call", name="pay", outcome="fail", times=18)
    until(lambda: all(each["fleet"] == "open" for each in fleet.all("machine", name="pay")), "open", 20)
    assert {each["local"] for each in fleet.all("machine", name="pay")} == {"closed"}, "nobody knew alone"


def test_a_fleet_of_little_traffic_detects_an_outage_that_no_process_sees(
    server: RedisServer, workers: Callable[..., Workers]
) -> None:
    fleet = workers(10, server.url, BY_RATE)
    for _ in range(2):  # two calls of each: 20 of the fleet
        fleet.all("call", name="pay", outcome="fail")
    until(lambda: all(each["fleet"] == "open" for each in fleet.all("machine", name="pay")), "open", 20)
    assert "calls of the fleet failed" in fleet[3].view("pay")["reason"]


def test_one_sick_process_of_ten_opens_for_itself_and_not_for_the_fleet(
    server: RedisServer, workers: Callable[..., Workers]
) -> None:
    fleet = workers(10, server.url, BY_RATE)
    sick, well = fleet[0], fleet[1:]
    for worker in well:
        worker.begin_traffic("pay", pause=0.02)
    sick.begin_traffic("pay", pause=0.002, outcome="fail")
    until(lambda: sick.state("pay") == "open", "it opens for itself")

    def reported() -> bool:
        found = server.admin.hgetall(f"{keys.prefix(fleet.namespace)}r:pay")
        return int(found.get(b"#u", 0)) >= 1 and int(found.get(b"#n", 0)) >= 8

    until(reported, "the sick one and the others have reported")
    asked = server.script_calls()
    until(lambda: server.script_calls() > asked + 60, "more reports")
    assert [worker.state("pay") for worker in well] == ["closed"] * 9
    reports = [worker.traffic_report(stop=True) for worker in well]
    assert [set(report["counts"]) for report in reports] == [{"ok"}] * 9
    assert sick.traffic_report(stop=True)["counts"]["rejected"] > 0
    assert fleet[1].view("pay")["state"] == "closed"


def test_six_sick_processes_of_ten_open_the_fleet(
    server: RedisServer, workers: Callable[..., Workers]
) -> None:
    fleet = workers(10, server.url, BY_RATE)
    for worker in fleet:
        worker.begin_traffic("pay", pause=0.01, outcome="ok" if worker in fleet[6:] else "fail")
    until(lambda: all(each["fleet"] != "closed" for each in fleet.all("machine", name="pay")), "open", 20)


@pytest.mark.parametrize("push", [True, False], ids=["push", "poll"])
def test_a_process_that_starts_finds_an_open_circuit_open(
    server: RedisServer, workers: Callable[..., Workers], push: bool
) -> None:
    fleet = workers(2, server.url, IN_A_ROW, push=push)
    fleet.trip("pay", times=5)
    epoch = fleet[1].view("pay")["epoch"]
    for _ in range(3):
        late = fleet.add()
        assert late.call("pay") == ["rejected"], "blind in its first moment"
        assert late.call("other") == ["ok"]
    assert fleet[1].view("pay")["epoch"] == epoch, "a start has reset it"
    fleet.until_state("pay", "open")


def test_sync_and_async_callers_share_one_circuit(
    server: RedisServer, workers: Callable[..., Workers]
) -> None:
    fleet = workers(2, server.url, IN_A_ROW)
    near, far = fleet
    for name, first, second in (("one", near, near), ("two", near, far)):
        first.call(name, outcome="fail", times=3, kind="async")
        second.call(name, outcome="fail", times=2, kind="sync")
        fleet.until_state(name, "open", limit=3)
        assert far.call(name, kind="async") == ["rejected"]
        assert near.call(name, kind="sync") == ["rejected"]


def test_a_sync_and_an_async_process_share_the_probes(
    server: RedisServer, workers: Callable[..., Workers]
) -> None:
    policy = "CircuitBreakerPolicy.consecutive(5, ttl=0.3, permitted_calls_in_half_open=3, permit_lease=30)"
    fleet = workers(2, server.url, policy)
    fleet.trip("pay", times=5)
    until(lambda: fleet[0].call("pay", kind="async") == ["ok"], "the first probe")
    until(lambda: fleet[1].call("pay", kind="sync") == ["ok"], "the second probe")
    fleet.until_state("pay", "closed")
    assert fleet[0].view("pay")["reason"] == "2 of 3 probes succeeded"


def test_two_namespaces_share_nothing(server: RedisServer, workers: Callable[..., Workers]) -> None:
    shop = workers(2, server.url, IN_A_ROW, namespace="shop")
    bank = workers(2, server.url, IN_A_ROW, namespace="shop:0")
    shop.trip("pay", times=5)
    shop[0].override("mail", mode="forced_open")
    shop.until_state("mail", "forced_open")
    assert bank.all("call", name="pay") == [["ok"]] * 2
    assert bank.all("call", name="mail") == [["ok"]] * 2
    assert bank[0].view("pay")["state"] == "closed"
    assert bank[0].health()["living"] <= 2
