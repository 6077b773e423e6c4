"""What listeners are told by a process of a fleet: every change of state, once, and who decided it."""

from __future__ import annotations

from typing import Any

from cqrs.circuit_breaker import StateChanged
from cqrs.testing import Fleet, TransitionRecorder, assert_trace
from tests.fleet.support import Boom, acquired, attempt, half_opened, opened, ramp_policy, row_policy, touch


def recorders(fleet: Fleet) -> list[TransitionRecorder]:
    touch(fleet)
    found = [TransitionRecorder() for _ in fleet.nodes]
    for node, recorder in zip(fleet.nodes, found, strict=True):
        node.breakers.add_listener(recorder, inline=True)
    return found


def test_a_whole_outage_as_each_process_tells_it() -> None:
    fleet = Fleet(3, row_policy(3, 10.0))
    told = recorders(fleet)
    half_opened(fleet)
    acquired(fleet, 1).success()
    for recorder in told:
        assert_trace(recorder, ["closed -> open", "open -> half_open", "half_open -> closed"])
        assert [change.source for change in recorder.changes][1:] == ["fleet", "fleet"]


def test_a_process_that_hears_nothing_in_between_tells_what_it_has_heard() -> None:
    fleet = Fleet(2, row_policy(3, 10.0), push=False)
    told = recorders(fleet)
    half_opened(fleet)
    acquired(fleet, 1).success()
    fleet.advance(1.2)
    assert_trace(told[0], ["closed -> open", "open -> closed"])
    assert_trace(told[1], ["closed -> open", "open -> half_open", "half_open -> closed"])


def test_a_failed_probe_as_each_process_tells_it() -> None:
    fleet = Fleet(2, row_policy(3, 10.0))
    told = recorders(fleet)
    half_opened(fleet)
    acquired(fleet, 1).failure(Boom())
    for recorder in told:
        assert_trace(recorder, ["closed -> open", "open -> half_open", "half_open -> open"])


def test_a_ramp_as_each_process_tells_it() -> None:
    fleet = Fleet(2, ramp_policy(duration=5.0))
    told = recorders(fleet)
    half_opened(fleet)
    acquired(fleet, 1).success()
    fleet.advance(6.0)
    for node in fleet.nodes:
        attempt(node)
    for recorder in told:
        phases = [(change.to_state.value, change.phase) for change in recorder.changes]
        assert phases == [
            ("open", None),
            ("half_open", "probing"),
            ("half_open", "ramping"),
            ("closed", None),
        ]


def test_evidence_names_the_epoch_and_the_wait() -> None:
    fleet = Fleet(2, row_policy(3, 10.0))
    told = recorders(fleet)
    opened(fleet)
    change: Any = told[0].changes[0]
    assert isinstance(change, StateChanged)
    assert change.evidence["wait"] == 10.0
    assert change.reason == "3 failures in a row"


def test_explain_says_what_the_fleet_says() -> None:
    fleet = opened(Fleet(2, row_policy(3, 10.0)))
    text = str(fleet.nodes[1].breakers["payments"].explain())
    assert "open" in text
    assert "3 failures in a row" in text
