"""Servers that lose all they held, or the last of it (faults 9 and 10)."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.integration.fleet import keys
from tests.integration.fleet.processes import Worker, until
from tests.integration.fleet.workers import Workers
from tests.servers.redis_server import RedisServer
from tests.servers.sentinel import SentinelSet

WAIT = 0.6
POLICY = f"CircuitBreakerPolicy.consecutive(3, ttl={WAIT}, permit_lease=1)"
RAMP = f"CircuitBreakerPolicy.consecutive(3, ttl={WAIT}, recovery_ramp=Ramp(20, 0.5))"
LOSSES: dict[str, Callable[[RedisServer], object]] = {
    "restart": lambda server: server.restart(),
    "flush": lambda server: server.admin.flushall(),
}


def to_closed(fleet: Workers) -> None:
    assert fleet[0].call("pay") == ["ok"]


def to_open(fleet: Workers) -> None:
    fleet.trip("pay")


def to_probing(fleet: Workers) -> None:
    fleet.trip("pay")
    until(lambda: fleet[0].hold("pay") == "probe", "it probes")


def to_ramping(fleet: Workers) -> None:
    fleet.trip("pay")

    def ramping() -> bool:  # on a busy machine the lease of a probe may run out: then it takes another
        fleet[0].call("pay")
        return set(fleet.all("state", name="pay")) == {"half_open/ramping"}

    until(ramping, "the ramp")


def to_overridden(fleet: Workers) -> None:
    fleet[0].override("pay", mode="forced_open", ttl=60)
    fleet.until_state("pay", "forced_open")


SITUATIONS = [to_closed, to_open, to_probing, to_ramping, to_overridden]


def incarnation(worker: Worker) -> str:
    return str(worker.do(shard_of_member))


def shard_of_member(member) -> str:  # type: ignore[no-untyped-def]
    return str(member.store.session.shards[0].incarnation)


@pytest.mark.parametrize("loss", sorted(LOSSES))
@pytest.mark.parametrize("arrange", SITUATIONS, ids=lambda each: each.__name__)
def test_a_server_that_lost_everything_disturbs_no_call_and_forgets_no_opening(
    server: RedisServer, workers: Callable[..., Workers], loss: str, arrange: Callable[[Workers], None]
) -> None:
    fleet = workers(2, server.url, RAMP if arrange is to_ramping else POLICY)
    arrange(fleet)
    opened = time.monotonic()
    fleet.all("begin_traffic", name="pay")
    before = incarnation(fleet[1])
    LOSSES[loss](server)
    until(lambda: all(incarnation(each) not in ("", before) for each in fleet), "all know the new store")
    if arrange is to_probing:
        fleet[0].settle(key="pay", verdict="success")  # of a permit that nobody knows any more
    until(lambda: all("ok" in each["first"] for each in fleet.all("traffic_report")), "calls pass again")
    reports = fleet.all("traffic_report", stop=True)
    assert [report["strange"] for report in reports] == [[], []]
    if arrange is to_open:
        assert min(report["first"]["ok"] for report in reports) >= opened + WAIT - 0.35, "forgotten early"
    if arrange is to_closed:
        assert all("rejected" not in report["counts"] for report in reports)
    if arrange is to_ramping:
        fleet.until_state("pay", "half_open/ramping")
        return
    fleet.until_state("pay", "closed")
    # The fleet is one again: every failure counts, none is lost with what was known of the old store.
    fleet.trip("pay")
    until(lambda: fleet[1].call("pay") == ["ok"], "and recovers")
    fleet.until_state("pay", "closed")


def test_a_permit_of_a_lost_store_is_worth_nothing_in_the_next(
    server: RedisServer, workers: Callable[..., Workers]
) -> None:
    fleet = workers(2, server.url, "CircuitBreakerPolicy.consecutive(3, ttl=0.3, permit_lease=30)")
    to_probing(fleet)
    server.admin.flushall()
    # In the next life of the store the circuit opens again and is probed by another process.
    until(lambda: fleet[1].call("pay") == ["ok"], "the other has given up the store's opening", 5)
    fleet[1].call("pay", outcome="fail", times=3)
    until(lambda: keys.record(server, fleet.namespace, "pay").get("st") == "open", "open in the new store")
    until(lambda: fleet[1].hold("pay", key="second") == "probe", "the other probes")
    assert fleet[0].settle(key="pay", verdict="success") in (True, False)
    until(lambda: fleet[0].health()["age"] < 0.2, "an exchange")
    assert keys.record(server, fleet.namespace, "pay")["st"] == "half_open"
    assert fleet[1].settle(key="second", verdict="success")
    fleet.until_state("pay", "closed")


def test_a_store_that_is_set_back_gives_no_epoch_out_twice(
    server: RedisServer, workers: Callable[..., Workers]
) -> None:
    fleet = workers(3, server.url, POLICY)
    fleet.trip("pay")
    early = server.snapshot()
    until(lambda: fleet[1].call("pay") == ["ok"], "the probe")
    fleet.until_state("pay", "closed")
    fleet.trip("pay")
    highest = fleet[2].view("pay")["epoch"]
    server.rollback(early)
    until(lambda: all(each["age"] < 0.2 for each in fleet.all("health")), "all exchange again")
    seen = [fleet[2].view("pay")]
    until(lambda: fleet[1].call("pay") == ["ok"], "calls pass again")
    seen.append(fleet[2].view("pay"))
    assert len({view["incarnation"] for view in seen}) == 1
    assert seen[0]["epoch"] >= highest, "the epoch went back"
    assert seen[1]["epoch"] > highest
    fleet.until_state("pay", "closed")
    assert len({machine["epoch"] for machine in fleet.all("machine", name="pay")}) == 1


def test_an_override_after_a_store_was_set_back_gives_no_epoch_out_twice(
    server: RedisServer, workers: Callable[..., Workers]
) -> None:
    fleet = workers(1, server.url, "CircuitBreakerPolicy.consecutive(3, ttl=60)")
    fleet.trip("pay")
    early = server.snapshot()
    for mode in ("disabled", "metrics_only", "forced_open"):
        fleet[0].override("pay", mode=mode)
    until(lambda: fleet[0].machine("pay")["epoch"] == 4, "heard of")
    server.rollback(early)
    until(lambda: fleet[0].machine("pay")["epoch"] == 1, "heard of the store as it was")
    fleet[0].override("pay", mode="disabled")
    assert fleet[0].view("pay")["epoch"] == 5


def test_a_store_that_forgot_a_permit_grants_one_more_and_no_third(
    server: RedisServer, workers: Callable[..., Workers]
) -> None:
    policy = "CircuitBreakerPolicy.consecutive(3, ttl=0.2, permit_lease=30)"
    fleet = workers(4, server.url, policy, sync_interval=3.0)  # nobody takes the restart for a lost store
    fleet.trip("pay")
    early = server.snapshot()
    until(lambda: fleet[0].hold("pay") == "probe", "it probes")
    server.rollback(early)
    rest = fleet[1:]
    until(lambda: any(each.hold("pay") == "probe" for each in rest), "another probes")
    ends = time.monotonic() + 0.5
    held = 2
    while time.monotonic() < ends:
        held += sum(each.hold("pay", key="third") == "probe" for each in rest)
    assert held == 2, "at most twice the cap after a loss of writes (F2)"


def test_the_old_probe_has_no_say_after_its_permit_was_forgotten(
    server: RedisServer, workers: Callable[..., Workers]
) -> None:
    fleet = workers(2, server.url, "CircuitBreakerPolicy.consecutive(3, ttl=0.2, permit_lease=30)")
    fleet.trip("pay")
    early = server.snapshot()
    until(lambda: fleet[0].hold("pay") == "probe", "it probes")
    server.rollback(early)
    until(lambda: fleet[1].hold("pay") == "probe", "the other probes")
    fleet[0].settle(key="pay", verdict="success")
    until(lambda: fleet[0].health()["age"] < 0.2, "an exchange")
    assert fleet[1].view("pay")["state"] == "half_open"
    fleet[1].settle(key="pay", verdict="failure")
    until(lambda: fleet[1].view("pay")["state"] != "half_open", "the known probe decides")
    assert "probes failed" in fleet[1].view("pay")["reason"]


def test_a_promoted_replica_that_lost_writes_goes_on_with_higher_epochs(
    redis_sentinels: SentinelSet, workers: Callable[..., Workers]
) -> None:
    hosts = ",".join(f"{host}:{port}" for host, port in redis_sentinels.addresses)
    url = f"redis+sentinel://{hosts}/{redis_sentinels.name}/0"
    master, replica = redis_sentinels.master, redis_sentinels.replica
    fleet = workers(2, url, POLICY, command_timeout=0.2)
    fleet.trip("pay")
    replica.wait_until_in_step(master)
    fleet.all("begin_traffic", name="other")
    with replica.frozen():  # what is written now does not arrive
        until(lambda: fleet[1].call("pay") == ["ok"], "the probe")
        fleet.until_state("pay", "closed")
        fleet.trip("pay")
        highest = fleet[1].view("pay")["epoch"]
        master.kill()
    redis_sentinels.wait_for_new_master(master)
    until(lambda: fleet[0].health()["age"] < 0.3 and fleet[1].health()["age"] < 0.3, "all found it", 20)
    until(lambda: fleet[1].call("pay") == ["ok"], "calls pass again", 20)
    view = fleet[1].view("pay")
    assert view["epoch"] > highest
    fleet.trip("pay")
    reports = fleet.all("traffic_report", stop=True)
    assert [report["strange"] for report in reports] == [[], []]
    assert all("rejected" not in report["counts"] for report in reports), "a closed circuit does not care"
    told = fleet.all("seen", kind="StoreRecovered")
    assert all(len(each) <= 1 for each in told)
