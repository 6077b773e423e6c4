from __future__ import annotations

import pytest

from cqrs.demo.recorder import Answer, Service
from cqrs.demo.schedule import Kind
from cqrs.demo.summary import opened_after, recovered_after
from tests.unit.demo.support import DEAD, HEALTHY, RECOVERED, SLOW, Script, a_good_run


def test_the_good_run_adds_up() -> None:
    summary = a_good_run().summary()
    guarded, control = summary.services[Service.WITH], summary.services[Service.WITHOUT]
    assert (guarded.submitted, guarded.figures.total) == (25, 25)
    assert (guarded.figures.primary, guarded.figures.rejected) == (10, 15)
    assert (guarded.calls_in_trouble, control.calls_in_trouble) == (0, 15)
    assert summary.spared_percent == 100.0
    assert control.slow_median == pytest.approx(0.05)
    assert summary.seconds == pytest.approx(4.0)


def test_phases_are_as_long_as_they_really_were() -> None:
    phases = a_good_run().summary().phases
    assert [(p.phase.name, round(p.start, 3), round(p.end, 3)) for p in phases] == [
        ("healthy", 0, 1),
        ("slow", 1, 2),
        ("dead", 2, 3),
        ("recovered", 3, 4),
    ]
    assert phases[1].calls == {Service.WITH: 0, Service.WITHOUT: 10}


def test_opening_is_counted_from_the_beginning_of_the_trouble() -> None:
    script = Script()
    script.recorder.enter(HEALTHY)
    script.wait(1.0)
    script.recorder.enter(SLOW)
    script.wait(0.7)
    script.switch(Kind.PRICE, "open")
    assert opened_after(script.recorder, Kind.PRICE) == pytest.approx(0.7)
    assert opened_after(script.recorder, Kind.PAYMENT) is None


def test_a_circuit_that_was_already_open_took_no_time() -> None:
    script = Script()
    script.recorder.enter(HEALTHY)
    script.switch(Kind.PRICE, "open")
    script.wait(1.0)
    script.recorder.enter(SLOW)
    assert opened_after(script.recorder, Kind.PRICE) == 0.0


def test_a_circuit_that_opened_and_closed_before_the_trouble_has_to_open_again() -> None:
    script = Script()
    script.recorder.enter(HEALTHY)
    script.switch(Kind.PRICE, "open")
    script.switch(Kind.PRICE, "closed")
    script.wait(1.0)
    script.recorder.enter(SLOW)
    assert opened_after(script.recorder, Kind.PRICE) is None
    script.wait(0.25)
    script.switch(Kind.PRICE, "open")
    assert opened_after(script.recorder, Kind.PRICE) == pytest.approx(0.25)


def test_recovery_is_the_first_primary_answer_after_the_return_to_health() -> None:
    script = Script()
    for phase in (HEALTHY, DEAD):
        script.recorder.enter(phase)
        script.request(Service.WITH, Kind.PRICE, Answer.PRIMARY)
        script.wait(1.0)
    script.recorder.enter(RECOVERED)
    assert recovered_after(script.recorder, Service.WITH, Kind.PRICE) is None
    script.request(Service.WITH, Kind.PRICE, Answer.REJECTED)
    script.wait(0.4)
    script.request(Service.WITH, Kind.PRICE, Answer.PRIMARY, 0.1)
    script.request(Service.WITH, Kind.PRICE, Answer.PRIMARY, 0.1)
    assert recovered_after(script.recorder, Service.WITH, Kind.PRICE) == pytest.approx(0.5)
    assert recovered_after(script.recorder, Service.WITHOUT, Kind.PRICE) is None


def test_before_the_return_to_health_nothing_has_recovered() -> None:
    script = Script()
    script.recorder.enter(HEALTHY)
    script.request(Service.WITH, Kind.PRICE, Answer.PRIMARY)
    assert recovered_after(script.recorder, Service.WITH, Kind.PRICE) is None


def test_without_calls_of_the_control_nothing_was_spared() -> None:
    script = Script()
    script.recorder.enter(HEALTHY)
    assert script.summary().spared_percent is None
