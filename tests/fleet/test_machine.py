"""The machine of a shared circuit by itself: views and answers come as the test says, to the microsecond."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from cqrs.circuit_breaker import (
    CircuitBreakerPolicy,
    CircuitOpenError,
    Mode,
    OverrideChanged,
    State,
    StateChanged,
    Verdict,
)
from cqrs.circuit_breaker.fleet.machine import EXPIRED, SPREAD, Ask, SharedMachine
from cqrs.circuit_breaker.fleet.modes import Order
from cqrs.circuit_breaker.fleet.view import FleetView
from cqrs.circuit_breaker.phases import Grant
from tests.fleet.support import NAME, ramp_policy, rate_policy, row_policy

START = 1024.0
OPEN = FleetView(State.OPEN, 1, "one", "shard", 1, until=START + 10, wait=10.0, streak=1, heard=START)
PROBING = replace(OPEN, state=State.HALF_OPEN, epoch=2, sequence=2, until=START)
RAMPING = replace(PROBING, state=State.CLOSED, epoch=3, sequence=3, ramp_from=START, ramp_for=8.0)
CLOSED = replace(RAMPING, epoch=4, sequence=4, ramp_from=None, ramp_for=0.0, streak=0)


def machine(policy: CircuitBreakerPolicy | None = None, *views: FleetView) -> SharedMachine:
    """Return a machine that has heard these views at the start."""
    made = SharedMachine(NAME, policy or rate_policy(), START, lambda: 0.0, itertools.count(1))
    for view in views:
        made.adopt(view, START, 0.0)
    return made


def ask(shared: SharedMachine, now: float) -> Ask | Grant | CircuitOpenError:
    return shared.ask(now, False, lambda: 0.0, 5.0)


def asking(shared: SharedMachine, now: float) -> Ask:
    """Ask for a probe; it must be time to."""
    asked = ask(shared, now)
    assert isinstance(asked, Ask)
    return asked


def wait_of(answer: object) -> float | None:
    """Return the wait of a rejection."""
    assert isinstance(answer, CircuitOpenError)
    return answer.retry_after


def fail(shared: SharedMachine, now: float, times: int = 1) -> None:
    for _ in range(times):
        grant = shared.admit(now)
        assert grant is not None
        assert shared.settle(now, grant, Verdict.FAILURE)


# ---------------------------------------------------------------------- a ramp of the fleet


@pytest.mark.parametrize(("initial", "every"), [(0.5, 2), (0.25, 4), (0.1, 10)])
def test_a_ramp_admits_exactly_each_nth_call(initial: float, every: int) -> None:
    shared = machine(ramp_policy(duration=8.0, initial=initial), RAMPING)
    admitted = [isinstance(shared.admit_ramping(START), Grant) for _ in range(3 * every)]
    assert admitted == ([False] * (every - 1) + [True]) * 3
    assert shared.totals.rejected == 3 * (every - 1)


def test_a_ramp_without_one_of_our_own_begins_with_a_tenth() -> None:
    shared = machine(rate_policy(), RAMPING)
    admitted = [isinstance(shared.admit_ramping(START), Grant) for _ in range(20)]
    assert admitted == ([False] * 9 + [True]) * 2


def test_a_ramp_ends_with_the_first_call_after_it() -> None:
    shared = machine(ramp_policy(duration=8.0), RAMPING)
    assert shared.effective(START + 7.875) == (State.HALF_OPEN, "ramping")
    assert shared.effective(START + 8) == (State.CLOSED, None)
    assert isinstance(shared.admit_ramping(START + 8), Grant)
    assert shared.barrier is None
    told = [event for event in shared.events or () if isinstance(event, StateChanged)]
    assert (told[-1].to_state, told[-1].reason) == (State.CLOSED, "all traffic has returned")
    assert all(isinstance(shared.admit_ramping(START + 8), Grant) for _ in range(20))


@pytest.mark.parametrize("view", [OPEN, PROBING], ids=["open", "probing"])
def test_a_call_that_saw_a_ramp_does_not_end_what_has_come_since(view: FleetView) -> None:
    shared = machine(ramp_policy(duration=8.0), RAMPING)
    shared.adopt(replace(view, epoch=4, sequence=4), START, 0.0)
    shared.admit_ramping(START)
    assert shared.effective(START) == machine(None, view).effective(START)


def test_a_circuit_that_opened_by_itself_in_the_ramp_still_probes_after_it() -> None:
    shared = machine(ramp_policy(minimum=1, duration=8.0, initial=0.5), RAMPING)
    while shared.effective(START)[0] is State.HALF_OPEN:
        grant = shared.admit_ramping(START)
        if isinstance(grant, Grant):
            shared.settle(START, grant, Verdict.FAILURE)
    assert shared.effective(START + 9.875) == (State.OPEN, None)
    assert shared.effective(START + 10) == (State.HALF_OPEN, "probing")


# ---------------------------------------------------------------------- asking and answers


def test_one_call_asks_and_the_others_wait_for_its_answer() -> None:
    shared = machine(None, PROBING)
    asked = asking(shared, START)
    assert asked.seen == PROBING.seen
    assert wait_of(ask(shared, START)) == 1.0  # 5 s, but nobody is told to wait for more than one
    assert wait_of(ask(shared, START + 4.5)) == 0.5
    shared.answer(START + 4.5, asked.barrier, asked.seen, START + 4.75)
    assert wait_of(ask(shared, START + 4.5)) == 0.25
    asking(shared, START + 4.75)


def test_an_answer_that_comes_after_its_own_deadline_lets_the_next_call_ask_at_once() -> None:
    shared = machine(None, PROBING)
    asked = asking(shared, START)
    shared.answer(START + 2, asked.barrier, asked.seen, START + 1)
    asking(shared, START + 2)


def test_the_answer_that_brought_another_stay_in_half_open_counts_for_it() -> None:
    shared = machine(None, PROBING)
    asked = asking(shared, START)
    again = replace(PROBING, epoch=6, sequence=6)
    shared.adopt(again, START + 1, 0.0)
    shared.answer(START + 1, asked.barrier, again.seen, START + 1.5)
    assert wait_of(ask(shared, START + 1)) == 0.5


def test_a_late_answer_says_nothing_of_another_stay_in_half_open() -> None:
    shared = machine(None, PROBING)
    late = asking(shared, START)
    shared.adopt(replace(PROBING, epoch=6, sequence=6), START + 1, 0.0)
    asking(shared, START + 1)
    shared.answer(START + 1, late.barrier, late.seen, START + 1)
    assert wait_of(ask(shared, START + 1)) == 1.0


def test_an_answer_does_not_move_the_deadline_of_an_open_circuit() -> None:
    shared = machine(None, PROBING)
    asked = asking(shared, START)
    reopened = replace(OPEN, epoch=3, sequence=3, until=START + 20, wait=20.0)
    shared.adopt(reopened, START, 0.0)
    shared.answer(START, asked.barrier, reopened.seen, START + 1)
    assert wait_of(ask(shared, START + 5)) == 15.0
    assert shared.effective(START + 19.875) == (State.OPEN, None)


def test_an_answer_after_which_all_is_closed_changes_nothing() -> None:
    shared = machine(None, PROBING)
    asked = asking(shared, START)
    shared.adopt(CLOSED, START, 0.0)
    shared.answer(START, asked.barrier, CLOSED.seen, START + 1)
    assert isinstance(ask(shared, START), Grant)


# ---------------------------------------------------------------------- views


def test_a_store_that_was_set_back_does_not_lower_the_highest_epoch_seen() -> None:
    """A permit of an epoch that is given out twice must not be taken for one of the first."""
    shared = machine(None, replace(PROBING, epoch=6))
    shared.adopt(replace(PROBING, epoch=4, shard="restored", sequence=1), START, 0.0)
    assert asking(shared, START).seen == ("one", 6)


def test_another_incarnation_begins_with_its_own_epochs() -> None:
    shared = machine(None, replace(PROBING, epoch=6))
    shared.adopt(replace(PROBING, epoch=2, incarnation="two", shard="new", sequence=1), START, 0.0)
    assert asking(shared, START).seen == ("two", 2)


def test_each_stay_of_the_fleet_in_a_state_is_an_era_of_this_process() -> None:
    shared = machine()
    first = shared.phase.era
    for number, view in enumerate([OPEN, PROBING, RAMPING, CLOSED], start=1):
        shared.adopt(view, START, 0.0)
        shared.adopt(view, START, 0.0)  # heard once more
        assert shared.phase.era == first + number


def test_an_older_view_is_not_taken() -> None:
    shared = machine(None, PROBING)
    shared.adopt(OPEN, START, 0.0)
    assert shared.effective(START) == (State.HALF_OPEN, "probing")


def test_a_newer_view_of_the_same_stay_lets_the_next_call_ask_soon() -> None:
    shared = machine(None, PROBING)
    asked = asking(shared, START)
    shared.answer(START, asked.barrier, asked.seen, START + 8)
    shared.adopt(PROBING, START, 0.5)  # only heard once more
    assert wait_of(ask(shared, START + 7.5)) == 0.5
    shared.adopt(replace(PROBING, sequence=3), START + 1, 0.5)
    assert wait_of(ask(shared, START + 1)) == pytest.approx(SPREAD / 2)


@pytest.mark.parametrize("openings", [1, 2, 3])
def test_f9_the_fleets_opening_takes_the_place_of_the_last_one_of_this_process(openings: int) -> None:
    shared = machine()
    fail(shared, START, 4)
    for again in range(1, openings):
        fail(shared, START + 10 * again, 2)
    assert shared.streak == openings
    now = START + 10 * (openings - 1)
    shared.adopt(replace(OPEN, until=now + 10, streak=openings), now, 0.0)
    assert shared.streak == openings - 1
    assert shared.effective(now + 9.875) == (State.OPEN, None)
    shared.adopt(CLOSED, now, 0.0)
    assert isinstance(ask(shared, now), Grant)


def test_f9_a_process_that_has_opened_by_itself_stays_so_while_the_fleet_is_closed() -> None:
    shared = machine()
    fail(shared, START, 4)
    shared.adopt(CLOSED, START + 1, 0.0)
    assert shared.effective(START + 9.875) == (State.OPEN, None)
    assert (wait_of(ask(shared, START + 1)), shared.streak) == (9.0, 1)


def test_f9_a_process_that_has_opened_more_often_than_the_fleet_waits_its_own_time() -> None:
    shared = machine()
    fail(shared, START, 4)
    fail(shared, START + 10, 2)
    shared.adopt(replace(OPEN, until=START + 11), START + 10, 0.0)
    assert shared.streak == 2
    shared.adopt(CLOSED, START + 11, 0.0)
    assert wait_of(ask(shared, START + 11)) == 9.0


def test_f9_a_success_is_told_while_others_have_failed_in_a_row() -> None:
    shared = machine(row_policy(3), CLOSED)
    for sequence, row, told in [(5, 2, True), (6, 2, True), (7, 0, False)]:
        shared.adopt(replace(CLOSED, sequence=sequence, row=row), START, 0.0)
        grant = shared.admit(START)
        assert grant is not None
        assert shared.settle(START, grant, Verdict.SUCCESS)
        assert shared.take_flags() is told


def test_f9_time_in_good_health_goes_on_through_the_fleets_changes() -> None:
    """Long enough of it makes the next opening a first one again (L9)."""
    shared = machine()
    fail(shared, START, 4)
    fail(shared, START + 10, 2)
    for _ in range(2):
        probe = shared.admit(START + 20)
        assert probe is not None
        assert shared.settle(START + 20, probe, Verdict.SUCCESS)
    assert (shared.effective(START + 20)[0], shared.streak) == (State.CLOSED, 1)
    shared.adopt(CLOSED, START + 25, 0.0)
    fail(shared, START + 30, 4)
    assert (shared.effective(START + 30)[0], shared.streak) == (State.OPEN, 1)


def test_a_newer_view_does_not_hurry_the_calls_that_wait_for_the_answer_of_one() -> None:
    shared = machine(None, PROBING)
    asking(shared, START)
    shared.adopt(replace(PROBING, sequence=3), START + 4.5, 0.5)
    assert wait_of(ask(shared, START + 4.5)) == 0.5


# ---------------------------------------------------------------------- without a store


def test_f7_a_ramp_of_the_fleet_goes_on_without_a_store() -> None:
    shared = machine(ramp_policy(duration=8.0, initial=0.5), RAMPING)
    shared.fall_back(START + 2, 0.5)
    assert shared.effective(START + 7.875) == (State.HALF_OPEN, "ramping")
    assert shared.effective(START + 8) == (State.CLOSED, None)


def test_f7_a_process_that_has_opened_by_itself_waits_its_own_time_without_a_store() -> None:
    shared = machine()
    fail(shared, START, 4)
    fail(shared, START + 10, 2)
    shared.adopt(replace(OPEN, until=START + 11), START + 10, 0.0)
    shared.fall_back(START + 10.5, 0.5)
    assert (wait_of(shared.admit_or_reject(START + 10.5)), shared.streak) == (9.5, 2)
    assert shared.effective(START + 20) == (State.HALF_OPEN, "probing")


def test_f7_a_closed_circuit_goes_on_without_a_store() -> None:
    shared = machine(None, CLOSED)
    fail(shared, START)
    shared.fall_back(START + 2, 0.5)
    assert shared.effective(START + 2) == (State.CLOSED, None)
    fail(shared, START + 2, 3)
    assert shared.effective(START + 2) == (State.OPEN, None)


def test_f7_alone_one_probe_runs_at_a_time_after_the_prolonged_wait() -> None:
    policy = rate_policy(permitted_calls_in_half_open=4, max_concurrent_probes=3)
    shared = machine(policy, OPEN)
    shared.fall_back(START + 2, 0.25)
    assert shared.streak == 1  # the fleet's opening counts as one of our own
    assert shared.effective(START + 12.375) == (State.OPEN, None)
    rejected = shared.admit_or_reject(START + 12)
    assert isinstance(rejected, CircuitOpenError)
    assert (rejected.retry_after, rejected.source) == (0.5, "fleet")
    probe = shared.admit(START + 12.5)
    assert probe is not None
    assert shared.admit(START + 12.5) is None
    assert shared.settle(START + 12.5, probe, Verdict.SUCCESS)
    assert shared.admit(START + 12.5) is not None


# ---------------------------------------------------------------------- overrides


def overridden(policy: CircuitBreakerPolicy | None = None, left: float | None = 8.0) -> SharedMachine:
    """Return a machine that the fleet has forced open, for ``left`` seconds."""
    order = replace(CLOSED, mode=Mode.FORCED_OPEN, mode_left=left, actor="ann", reason="INC-42")
    return machine(policy, order)


def ended(epoch: int = CLOSED.epoch + 1) -> FleetView:
    return replace(CLOSED, epoch=epoch, sequence=CLOSED.sequence + 1, reason=EXPIRED)


def test_f11_what_has_failed_since_the_very_end_of_an_override_is_kept() -> None:
    shared = overridden()
    assert shared.admit(START + 7.875) is None
    fail(shared, START + 8, 2)
    shared.adopt(ended(), START + 8, 0.0)
    report = shared.report(START + 8)
    assert report is not None
    assert (report["t"], report["f"]) == (2, 2)


@pytest.mark.parametrize("row", [0, 2])
def test_f11_a_success_after_its_end_is_told_if_others_have_failed_since(row: int) -> None:
    shared = overridden(row_policy(3))
    grant = shared.admit(START + 8)
    assert grant is not None
    shared.adopt(replace(ended(), row=row), START + 8, 0.0)
    assert shared.settle(START + 8, grant, Verdict.SUCCESS)
    assert shared.take_flags() is (row > 0)


def test_f11_what_a_process_of_another_mind_has_counted_is_forgotten_with_the_override() -> None:
    shared = overridden()
    shared.set_mode(Mode.ENABLED, START, None, None, None, True)
    fail(shared, START + 1, 2)
    shared.adopt(ended(), START + 8, 0.0)
    report = shared.report(START + 8)
    assert report is not None
    assert (report["t"], report["f"]) == (0, 0)


def test_f11_a_reset_returns_to_the_initial_mode_of_the_present_policy() -> None:
    shared = machine()
    shared.reload(rate_policy(initial_mode=Mode.METRICS_ONLY), START)
    assert shared.effective(START) == (State.CLOSED, None)
    shared.reset(START)
    assert shared.effective(START) == (State.METRICS_ONLY, None)


def test_f11_another_override_after_its_end_holds_whatever_its_reason_says() -> None:
    shared = overridden()
    fail(shared, START + 8)
    shared.adopt(replace(ended(), mode=Mode.DISABLED), START + 8, 0.0)
    assert shared.effective(START + 8) == (State.DISABLED, None)


def test_f11_a_later_transition_than_its_end_begins_anew() -> None:
    shared = overridden()
    fail(shared, START + 8, 2)
    shared.adopt(ended(CLOSED.epoch + 2), START + 8, 0.0)
    report = shared.report(START + 8)
    assert report is not None
    assert (report["t"], report["f"]) == (0, 0)


def test_f11_an_order_for_all_circuits_is_told_with_actor_and_reason() -> None:
    shared = machine()
    shared.adopt_everywhere(Order(Mode.FORCED_OPEN, None), START, "ann", "INC-42")
    told = [event for event in shared.events or () if isinstance(event, OverrideChanged)]
    assert [(event.mode, event.actor, event.reason) for event in told] == [
        (Mode.FORCED_OPEN, "ann", "INC-42")
    ]
    error = shared.admit_or_reject(START)
    assert isinstance(error, CircuitOpenError)
    assert (error.reason, error.source) == ("INC-42", "fleet")
    shared.adopt_everywhere(None, START, "", "")
    told = [event for event in shared.events or () if isinstance(event, OverrideChanged)]
    assert [(event.mode, event.actor, event.reason) for event in told[1:]] == [(Mode.ENABLED, None, None)]


@pytest.mark.parametrize(("actor", "reason"), [("ann", "INC-42"), ("", "")])
def test_f11_an_order_for_one_circuit_is_told_with_actor_and_reason_if_it_has_them(
    actor: str, reason: str
) -> None:
    shared = machine(None, replace(CLOSED, mode=Mode.DISABLED, actor=actor, reason=reason))
    told = [event for event in shared.events or () if isinstance(event, OverrideChanged)]
    assert [(event.actor, event.reason) for event in told] == [(actor or None, reason or None)]


def test_f11_an_order_for_all_circuits_that_is_heard_again_is_not_told_again() -> None:
    shared = machine()
    for _ in range(2):
        shared.adopt_everywhere(Order(Mode.DISABLED, START + 60), START, "ann", "")
    assert sum(isinstance(event, OverrideChanged) for event in shared.events or ()) == 1


def test_f11_a_local_order_does_not_insist_unless_it_says_so() -> None:
    shared = overridden()
    shared.set_mode(Mode.DISABLED, START, None, None, None)
    assert shared.effective(START) == (State.FORCED_OPEN, None)
    shared.set_mode(Mode.DISABLED, START, None, None, None, True)
    assert shared.effective(START) == (State.DISABLED, None)


def test_f11_a_reset_forgets_the_openings_of_this_process() -> None:
    shared = machine()
    fail(shared, START, 4)
    assert (shared.effective(START)[0], shared.streak) == (State.OPEN, 1)
    shared.reset(START)
    assert (shared.effective(START)[0], shared.streak) == (State.CLOSED, 0)
    fail(shared, START, 4)
    assert shared.streak == 1


def test_f11_after_a_local_override_a_probe_may_be_asked_for_at_once() -> None:
    shared = machine(None, PROBING)
    shared.set_mode(Mode.DISABLED, START, None, None, None)
    assert isinstance(ask(shared, START + 1), Grant)
    shared.clear_mode(START + 1, None, None)
    asking(shared, START + 1)


@pytest.mark.parametrize(
    ("view", "found"),
    [
        (OPEN, (State.OPEN, None)),
        (PROBING, (State.HALF_OPEN, "probing")),
        (replace(RAMPING, ramp_for=60.0), (State.HALF_OPEN, "ramping")),
        (CLOSED, (State.CLOSED, None)),
    ],
    ids=["open", "probing", "ramping", "closed"],
)
def test_f11_a_look_after_the_end_of_a_local_override_finds_the_state_of_the_fleet(
    view: FleetView, found: tuple[State, str | None]
) -> None:
    shared = machine(None, view)
    shared.set_mode(Mode.DISABLED, START, 2.0, None, None)
    assert shared.effective(START + 1.875) == (State.DISABLED, None)
    assert shared.effective(START + 2) == found
    assert shared.mode is Mode.DISABLED  # a look changes nothing


@pytest.mark.parametrize(
    ("reason", "told"), [("9 of 9 failed", "9 of 9 failed"), ("", "the fleet's view is in")]
)
def test_f11_what_is_in_force_after_a_local_override_is_told_with_its_reason(reason: str, told: str) -> None:
    shared = machine(None, replace(PROBING, reason=reason))
    shared.set_mode(Mode.DISABLED, START, None, None, None)
    shared.clear_mode(START + 1, None, None)
    last = [event for event in shared.events or () if isinstance(event, StateChanged)][-1]
    assert (last.to_state, last.phase) == (State.HALF_OPEN, "probing")
    assert last.reason.startswith(told)


def test_f11_a_look_after_the_end_of_a_local_override_finds_that_of_the_fleet() -> None:
    shared = overridden(left=60.0)
    shared.set_mode(Mode.DISABLED, START, 2.0, None, None, True)
    assert shared.effective(START + 1.875) == (State.DISABLED, None)
    assert shared.effective(START + 2) == (State.FORCED_OPEN, None)


# ---------------------------------------------------------------------- events


Told = tuple[State, State, str | None, str]


def told_by(shared: SharedMachine) -> list[Told]:
    changes = [event for event in shared.events or () if isinstance(event, StateChanged)]
    return [(each.from_state, each.to_state, each.phase, each.source) for each in changes]


def test_each_change_of_the_fleet_is_told_with_its_figures() -> None:
    shared = machine(None, OPEN, PROBING, RAMPING, CLOSED)
    assert told_by(shared) == [
        (State.CLOSED, State.OPEN, None, "fleet"),
        (State.OPEN, State.HALF_OPEN, "probing", "fleet"),
        (State.HALF_OPEN, State.HALF_OPEN, "ramping", "fleet"),
        (State.HALF_OPEN, State.CLOSED, None, "fleet"),
    ]
    changes = [event for event in shared.events or () if isinstance(event, StateChanged)]
    assert [change.evidence for change in changes] == [
        {"epoch": 1, "wait": 10.0, "streak": 1},
        {"epoch": 2, "wait": 10.0, "streak": 1},
        {"epoch": 3, "wait": 10.0, "streak": 1},
        {"epoch": 4, "wait": 10.0, "streak": 0},
    ]


def test_the_first_call_after_the_wait_tells_that_it_is_over() -> None:
    shared = machine(None, OPEN)
    assert wait_of(ask(shared, START + 9.5)) == 0.5
    assert len(told_by(shared)) == 1
    asking(shared, START + 10)
    assert told_by(shared)[1:] == [(State.OPEN, State.HALF_OPEN, "probing", "fleet")]
    last = [event for event in shared.events or () if isinstance(event, StateChanged)][-1]
    assert last.reason == "wait in open is over"


@pytest.mark.parametrize("view", [OPEN, PROBING], ids=["open", "probing"])
def test_f7_the_loss_of_the_store_begins_an_era_and_is_told_if_it_opens(view: FleetView) -> None:
    shared = machine(None, view)
    era = shared.phase.era
    shared.fall_back(START + 1, 0.5)
    assert shared.phase.era == era + 1
    assert shared.effective(START + 1) == (State.OPEN, None)
    changes = [event for event in shared.events or () if isinstance(event, StateChanged)]
    # An open circuit stays open: there is nothing to tell.
    assert [change.reason for change in changes[1:]] == (
        ["the store of the circuit is lost"] if view is PROBING else []
    )


def test_changes_of_this_process_alone_are_told_as_of_a_circuit_that_is_not_shared() -> None:
    shared = machine(ramp_policy(duration=8.0, initial=0.5))
    fail(shared, START, 4)
    probe = shared.admit(START + 10)
    assert probe is not None
    assert shared.settle(START + 10, probe, Verdict.SUCCESS)
    assert shared.admit(START + 18) is not None
    assert told_by(shared) == [
        (State.CLOSED, State.OPEN, None, "local"),
        (State.OPEN, State.HALF_OPEN, "probing", "local"),
        (State.HALF_OPEN, State.HALF_OPEN, "ramping", "local"),
        (State.HALF_OPEN, State.CLOSED, None, "local"),
    ]


def test_a_reset_of_a_closed_circuit_is_told() -> None:
    shared = machine()
    shared.reset(START)
    assert told_by(shared) == [(State.CLOSED, State.CLOSED, None, "local")]


# ---------------------------------------------------------------------- what waits to be told


def test_a_circuit_with_something_to_report_is_not_at_rest() -> None:
    shared = machine()
    assert shared.at_rest()
    fail(shared, START)
    assert not shared.at_rest()
    assert shared.take_flags() is False
    assert shared.at_rest()


def test_a_circuit_with_failures_in_a_row_is_at_rest_when_a_success_has_been_taken() -> None:
    shared = machine(row_policy(3))
    fail(shared, START)
    grant = shared.admit(START)
    assert grant is not None
    assert shared.settle(START, grant, Verdict.SUCCESS)
    assert shared.take_flags() is True
    assert not shared.at_rest()
    sent = shared.report(START)
    assert sent is not None
    assert [sent[name] for name in ("t", "f", "s", "d", "o")] == [0] * 5  # there is no window
    assert not shared.at_rest()
    assert shared.sent is not None
    shared.acknowledge(shared.sent.number)
    assert shared.at_rest()


@pytest.mark.parametrize("view", [OPEN, PROBING, RAMPING], ids=["open", "probing", "ramping"])
def test_a_circuit_behind_the_fleets_state_is_not_at_rest(view: FleetView) -> None:
    assert not machine(None, view).at_rest()


def test_a_circuit_in_which_nobody_has_failed_in_a_row_is_at_rest() -> None:
    assert machine(row_policy(3), CLOSED).at_rest()


def test_a_circuit_in_which_others_have_failed_in_a_row_is_not_at_rest() -> None:
    shared = machine(row_policy(3), replace(CLOSED, row=2))
    assert not shared.at_rest()
    shared.adopt(replace(CLOSED, sequence=5), START, 0.0)
    assert shared.at_rest()
