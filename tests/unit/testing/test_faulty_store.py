"""A store that misbehaves, as a tool."""

from __future__ import annotations

import pytest

from cqrs.circuit_breaker import (
    CircuitBreakerPolicy,
    CircuitBreakers,
    CircuitOpenError,
    Mode,
    StoreUnavailableError,
)
from cqrs.testing import FakeClock, FaultyStore, MemoryServer, MemoryStore

POLICY = CircuitBreakerPolicy.consecutive(threshold=1, ttl=10.0)


class Two:
    """A process with a bad store, and one with a good one, on the same server."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.server = MemoryServer(self.clock)
        self.store = FaultyStore(self.server, random=lambda: 0.5)
        self.bad = CircuitBreakers(POLICY, store=self.store, clock=self.clock, random=lambda: 0.5)
        good = MemoryStore(self.server, random=lambda: 0.5)
        self.good = CircuitBreakers(POLICY, store=good, clock=self.clock, random=lambda: 0.5)
        assert self.bad["payments"].state == self.good["payments"].state == "closed"

    def tick(self, seconds: float = 0.0) -> None:
        self.clock.advance(seconds)
        self.store.tick()


@pytest.fixture
def two() -> Two:
    return Two()


def fail(breakers: CircuitBreakers) -> None:
    with pytest.raises(ZeroDivisionError):
        breakers["payments"].call(lambda: 1 // 0)


def test_partition_cuts_requests_and_messages_off_until_it_ends(two: Two) -> None:
    before = two.server.commands
    with two.store.partition():
        fail(two.good)
        two.tick(1.2)
        assert two.bad["payments"].state == "closed"
        assert "cannot be reached" in two.store.health().last_error
    assert two.server.commands == before + 1
    two.tick(1.2)
    assert two.bad["payments"].state == "open"


def test_drop_reply_lets_the_request_take_effect(two: Two) -> None:
    with two.store.drop_reply():
        fail(two.bad)
    assert two.good["payments"].state == "open"
    assert two.store.health().last_error.endswith("the answer was lost")


def test_drop_reply_may_be_limited(two: Two) -> None:
    two.store.drop_reply(2)
    for _ in range(2):
        with pytest.raises(StoreUnavailableError, match="the answer was lost"):
            two.bad.override("payments", Mode.DISABLED)
    two.bad.clear_override("payments")


def test_error_refuses_and_says_what_the_server_said(two: Two) -> None:
    said = "READONLY You can't write against a read only replica."
    with two.store.error(said), pytest.raises(StoreUnavailableError, match="READONLY"):
        two.bad.override("payments", Mode.DISABLED)
    assert two.good["payments"].state == "closed"


def test_latency_delays_answers_and_messages(two: Two) -> None:
    with two.store.latency(0.2):
        fail(two.good)
        assert two.bad["payments"].state == "closed"
        two.tick(0.1)
        assert two.bad["payments"].state == "closed"
        two.tick(0.1)
        assert two.bad["payments"].state == "open"


def test_an_answer_later_than_the_timeout_is_none(two: Two) -> None:
    with two.store.latency(5.0):
        two.tick(1.2)
        assert two.store.health().last_error == ""
        two.tick(0.25)
        assert "no answer within 0.25 s" in two.store.health().last_error


def test_faults_end_one_by_one_or_all_at_once(two: Two) -> None:
    first, second = two.store.partition(), two.store.partition()
    first.heal()
    first.heal()
    with pytest.raises(StoreUnavailableError):
        two.bad.override("payments", Mode.DISABLED)
    second.heal()
    two.bad.override("payments", Mode.DISABLED)
    two.store.error()
    two.store.partition()
    two.store.heal()
    two.bad.clear_override("payments")


def test_flush_and_rollback(two: Two) -> None:
    kept = two.store.snapshot()
    fail(two.bad)
    two.store.rollback(kept)
    two.tick(1.2)
    with pytest.raises(CircuitOpenError):
        two.bad["payments"].acquire()  # what was known to be open is not forgotten for that
    two.store.flush()
    assert two.server.coordinators == {}


@pytest.mark.parametrize(
    ("wrong", "kind"), [(-1.0, ValueError), (float("inf"), ValueError), ("1", TypeError)]
)
def test_latency_refuses_what_is_no_duration(two: Two, wrong: float, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="seconds"):
        two.store.latency(wrong)
    with pytest.raises(ValueError, match="count"):
        two.store.drop_reply(0)


def test_a_closed_store_answers_nothing_and_what_was_late_fails(two: Two) -> None:
    two.store.latency(0.2)
    two.tick(1.2)
    two.store.close(0.01)
    with pytest.raises(StoreUnavailableError, match="closed"):
        two.bad.override("payments", Mode.DISABLED)
    assert two.bad["payments"].call(lambda: "ok") == "ok"
