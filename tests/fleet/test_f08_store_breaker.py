"""F8: the connection has a breaker of its own, and an old success does not make the store healthy."""

from __future__ import annotations

from cqrs.testing import Fleet
from tests.fleet.manual import Bench
from tests.fleet.support import attempt, circuit, half_opened, rate_policy, touch


def test_f8_a_store_that_is_away_is_asked_less_often_than_one_that_answers() -> None:
    """What it costs at most, and how soon a process is back: tests of F6."""
    fleet = Fleet(1, rate_policy(), sync_interval=0.05)
    touch(fleet)
    fleet.advance(1.0)
    node = fleet.nodes[0]
    asked = [0]
    original = node.store.in_force

    def counted(kind: str) -> object:
        asked[0] += kind == "partition"
        return original(kind)

    node.store.in_force = counted  # type: ignore[method-assign, assignment]
    node.store.partition()
    seconds: list[int] = []
    for _ in range(6):
        asked[0] = 0
        fleet.advance(1.0)
        seconds.append(asked[0])
    assert seconds[0] > max(seconds[1:])
    assert max(seconds[1:]) <= 5


def test_f8_calls_of_a_half_open_circuit_do_not_hammer_a_store_that_is_away() -> None:
    fleet = half_opened(Fleet(1, rate_policy()))
    with fleet.nodes[0].store.error():
        for _ in range(300):
            attempt(fleet.nodes[0])
            fleet.advance(0.01)
    assert fleet.operations["acquire"] <= 1


def test_f8_a_late_success_of_an_old_command_does_not_make_the_store_healthy() -> None:
    """api7/aisix#1147."""
    fleet = Fleet(1, rate_policy())
    bench = Bench(rate_policy(), fleet.server, fleet.clock)
    bench.breakers["payments"].call(lambda: None)
    fleet.clock.advance(1.2)
    bench.store.tick()
    old = bench.transport.only().carry()
    bench.transport.requests.remove(old)
    bench.store.session.shards[0].sending = None
    for _ in range(6):
        fleet.clock.advance(1.2)
        bench.store.tick()
        for each in list(bench.transport.requests):
            each.fail()
    assert bench.store.health().degraded
    bench.transport.requests.append(old)
    old.deliver()
    assert bench.store.health().degraded


def test_f8_one_exchange_at_a_time() -> None:
    fleet = Fleet(1, rate_policy())
    bench = Bench(rate_policy(), fleet.server, fleet.clock)
    for _ in range(5):
        fleet.clock.advance(1.2)
        bench.store.tick()
    assert len(bench.transport.requests) == 1
    bench.transport.only().answer()
    fleet.clock.advance(1.2)
    bench.store.tick()
    assert len(bench.transport.requests) == 1


def test_f8_an_exchange_under_way_does_not_make_the_process_busy() -> None:
    fleet = half_opened(Fleet(1, rate_policy(permit_lease=3.0)))
    bench = Bench(rate_policy(permit_lease=3.0), fleet.server, fleet.clock)
    bench.transport.on_submit = lambda submission: "acquire" in submission.kinds and submission.answer()
    permit = None
    for _ in range(5):
        permit = permit or bench.breakers["payments"].try_acquire()
        fleet.clock.advance(0.051)
    assert permit is not None
    fleet.clock.advance(1.2)
    bench.store.tick()  # and this exchange takes its time
    fleet.clock.advance(1.0)
    assert bench.store.tick() > 0.0
    fleet.clock.advance(1.2)
    bench.store.tick()
    assert bench.store.tick() > 0.0


def test_f8_a_request_that_fails_does_not_lose_what_it_carried() -> None:
    fleet = Fleet(1, rate_policy())
    bench = Bench(rate_policy(), fleet.server, fleet.clock)
    for _ in range(3):
        _ignore(bench)
    bench.store.session.next_sync = fleet.clock()
    bench.store.tick()
    first = bench.transport.only("report")
    first.fail()
    fleet.clock.advance(1.2)
    bench.store.tick()
    assert bench.transport.only("report").request["ops"][0]["f"] == 3
    assert circuit(fleet.nodes[0]).state == "closed"


def _ignore(bench: Bench) -> None:
    try:
        bench.breakers["payments"].call(lambda: 1 // 0)
    except ZeroDivisionError:
        pass
