from __future__ import annotations

from dataclasses import replace

import pytest

from cqrs.demo.recorder import Answer, Service
from cqrs.demo.schedule import Kind, Timing
from cqrs.demo.store import Books
from cqrs.demo.summary import Summary
from cqrs.demo.verdict import judge, opening_limit, recovery_limit
from tests.unit.demo.support import Script, a_good_run

TIMING = Timing(24.0)


def broken(summary: Summary) -> list[str]:
    return [guarantee.name for guarantee in judge(summary, TIMING) if not guarantee.kept]


def test_a_good_run_keeps_every_guarantee() -> None:
    guarantees = judge(a_good_run().summary(), TIMING)
    assert len(guarantees) == 7
    assert all(guarantee.kept for guarantee in guarantees)


def test_a_failed_request_breaks_the_first_guarantee_only() -> None:
    script = a_good_run()
    script.request(Service.WITH, Kind.PRICE, Answer.FAILED, error="ConnectionError: refused")
    assert broken(script.summary()) == ["Every request answered"]


def test_a_failure_of_the_control_breaks_nothing() -> None:
    script = a_good_run()
    script.request(Service.WITHOUT, Kind.PRICE, Answer.FAILED)
    assert broken(script.summary()) == []


def test_a_request_that_never_ended_is_lost() -> None:
    script = a_good_run()
    script.recorder.submit(Service.WITHOUT)
    assert broken(script.summary()) == ["Nothing lost"]


def test_an_order_without_its_event_is_lost() -> None:
    books = Books(orders=3, paid=3, announced=1, parked=1)
    assert broken(a_good_run().summary(books)) == ["Nothing lost"]


def test_calling_as_often_as_the_control_does_not_spare_the_upstream() -> None:
    summary = a_good_run().summary()
    guarded = replace(summary.services[Service.WITH], calls_in_trouble=8)
    services = {**summary.services, Service.WITH: guarded}
    assert broken(replace(summary, services=services)) == ["Upstream in trouble spared"]


@pytest.mark.parametrize("seconds", [None, 60.0])
def test_one_circuit_that_opens_late_or_never_breaks_the_guarantee(seconds: float | None) -> None:
    summary = a_good_run().summary()
    circuits = [replace(summary.circuits[0], opened_after=seconds), *summary.circuits[1:]]
    assert broken(replace(summary, circuits=circuits)) == ["Circuits opened in time"]


@pytest.mark.parametrize("seconds", [None, 60.0])
def test_one_primary_that_comes_back_late_or_never_breaks_the_guarantee(seconds: float | None) -> None:
    summary = a_good_run().summary()
    circuits = [replace(summary.circuits[0], recovered_after=seconds), *summary.circuits[1:]]
    assert broken(replace(summary, circuits=circuits)) == ["Primaries back in time"]


@pytest.mark.parametrize("seconds", [None, 0.4])
def test_answers_at_open_circuits_that_take_as_long_as_slow_calls_are_not_fast(seconds: float | None) -> None:
    summary = a_good_run().summary()
    guarded = replace(summary.services[Service.WITH], rejected_median=seconds)
    services = {**summary.services, Service.WITH: guarded}
    assert broken(replace(summary, services=services)) == ["Fast while circuits were open"]


def test_a_process_that_is_left_breaks_the_guarantee() -> None:
    assert broken(replace(a_good_run().summary(), orphans=[4711])) == ["No process left behind"]


def test_an_empty_run_keeps_nothing_but_what_needs_no_request() -> None:
    assert broken(Script().summary()) == [
        "Every request answered",
        "Upstream in trouble spared",
        "Circuits opened in time",
        "Primaries back in time",
        "Fast while circuits were open",
    ]


def test_a_busy_machine_gets_more_time() -> None:
    assert opening_limit(TIMING, lag=1.0) > opening_limit(TIMING, lag=0.0)
    assert recovery_limit(TIMING, lag=1.0) > recovery_limit(TIMING, lag=0.0)


def test_measurements_are_told_with_the_verdict() -> None:
    measured = {guarantee.name: guarantee.measured for guarantee in judge(a_good_run().summary(), TIMING)}
    assert measured["Every request answered"] == "100 % (25 of 25)"
    assert measured["Upstream in trouble spared"] == "100 % (0 calls, not 15)"
    assert measured["Circuits opened in time"] == "0.6 s at most"
