"""Every guarantee is kept by a good run, and each is broken by what it is about."""

from __future__ import annotations

import pytest

from cqrs.demo.fleet.facts import Asked, Facts
from cqrs.demo.fleet.verdict import judge
from cqrs.demo.recorder import Answer
from tests.unit.demo.fleet.support import ALONE, FAILING, KILLED, PLAN, a_good_run, call, judged, result


def test_a_good_run_keeps_every_guarantee() -> None:
    kept = {guarantee.name: guarantee.kept for guarantee in result(a_good_run()).guarantees}
    assert kept == dict.fromkeys(kept, True)
    assert result(a_good_run()).kept


def broken(facts: Facts, name: str) -> str:
    """What was measured, of a guarantee that must be broken, and be the only one that is."""
    run = result(facts)
    assert [guarantee.name for guarantee in run.guarantees if not guarantee.kept] == [name]
    assert not run.kept
    return judged(facts, name).measured


def test_an_error_is_a_lost_caller() -> None:
    facts = a_good_run()
    facts.asked[3] = Asked(3.0, 0.01, Answer.FAILED, 1, "OSError: no")
    assert broken(facts, "Every caller answered") == "95.2 % (20 of 21)"


def test_a_request_that_never_ended_is_a_lost_caller() -> None:
    facts = a_good_run()
    facts.sent += 1
    assert broken(facts, "Every caller answered").startswith("95.4 % (21 of 22")


def test_no_caller_at_all_proves_nothing() -> None:
    facts = a_good_run()
    facts.sent, facts.asked = 0, []
    assert not judged(facts, "Every caller answered").kept
    assert not judged(facts, "Slowest answer").kept


def test_a_caller_who_waited_for_the_dead_process() -> None:
    facts = a_good_run()
    facts.asked[3] = Asked(3.0, 1.2, Answer.REJECTED, 2)
    assert broken(facts, "Slowest answer") == "1.2 s"


def test_a_process_that_opened_late() -> None:
    facts = a_good_run()
    late = facts.processes[2]
    first = late.switches[0]
    late.switches[0] = type(first)(FAILING + 0.9, "open", "", "local")
    assert broken(facts, "Opened together") == "700 ms from first to last of 3"


def test_a_process_that_never_opened() -> None:
    facts = a_good_run()
    del facts.processes[2].switches[:]
    assert judged(facts, "Opened together").measured == "1 never did"
    assert not judged(facts, "Failures until all open").kept


def test_processes_that_each_needed_their_own_failures() -> None:
    facts = a_good_run()
    for process in facts.processes[:3]:
        for attempt in range(4):
            call(process, FAILING + 0.15 + 0.001 * attempt, 0.01)
    assert broken(facts, "Failures until all open") == "18 in all"


def test_a_call_that_slips_through_an_open_circuit() -> None:
    facts = a_good_run()
    call(facts.processes[2], 3.0, 0.01)
    measured = broken(facts, "Probes while Redis lived")
    assert measured == "5 calls: 3 permits, 1 killed"


def test_two_probes_at_the_same_time() -> None:
    facts = a_good_run()
    first = next(c for c in facts.processes[0].calls if c.started == 3.5)
    assert first.ended is not None
    call(facts.processes[2], first.ended - 0.001, 0.01)
    assert judged(facts, "Two probes at once").measured == "2 at a time at most"
    assert not judged(facts, "Two probes at once").kept


def test_probes_that_touch_do_not_overlap() -> None:
    facts = a_good_run()
    first = next(c for c in facts.processes[0].calls if c.started == 3.5)
    assert first.ended is not None
    call(facts.processes[2], first.ended, 0.01)
    assert judged(facts, "Two probes at once").kept


def test_a_permit_that_outlives_its_lease() -> None:
    facts = a_good_run()
    for process in facts.processes:
        for probe in process.calls:
            if probe.started > KILLED and probe.started < KILLED + 2:
                probe.started += 0.8
                probe.received += 0.8
        for index, switched in enumerate(process.switches):
            if KILLED + 1.5 < switched.at < KILLED + 2.1:
                process.switches[index] = type(switched)(
                    switched.at + 0.8, switched.to_state, "", switched.source
                )
    assert judged(facts, "Probe after the kill").measured == "2.30 s (lease 1.5 s), by process 3"
    assert not judged(facts, "Probe after the kill").kept


def test_nobody_probes_after_the_kill() -> None:
    facts = a_good_run()
    for process in facts.processes:
        process.calls = [c for c in process.calls if not KILLED < c.started < KILLED + 2]
    assert judged(facts, "Probe after the kill").measured == "there was none"
    assert not judged(facts, "Probes while Redis lived").kept


@pytest.mark.parametrize("told", [[], [10.0, 10.1]], ids=["never", "twice"])
def test_a_process_that_tells_of_the_loss_not_exactly_once(told: list[float]) -> None:
    facts = a_good_run()
    facts.processes[0].degraded = told
    assert f"lost {len(told)} × and 1 × and 1 ×" in judged(facts, "Loss of Redis told once").measured
    assert not judged(facts, "Loss of Redis told once").kept


def test_a_caller_who_noticed_that_redis_died() -> None:
    facts = a_good_run()
    facts.asked[10] = Asked(10.0, 0.01, Answer.REJECTED, 1)
    measured = broken(facts, "Redis dead, unnoticed")
    assert measured.startswith("2 of 3; the slowest")


def test_a_process_that_does_not_protect_itself() -> None:
    facts = a_good_run()
    facts.processes[0].switches = [s for s in facts.processes[0].switches if s.at < ALONE]
    assert broken(facts, "Outage without Redis").startswith("2 of 3 opened")


@pytest.mark.parametrize("how", ["open", "alone"])
def test_a_process_that_does_not_come_back(how: str) -> None:
    facts = a_good_run()
    process = facts.processes[0]
    if how == "open":
        del process.switches[-1]
    else:
        del process.recovered[:]
    assert judged(facts, "Closed again, and shared").measured.startswith("2 of 3")
    assert not judged(facts, "Closed again, and shared").kept


def test_a_process_that_is_left() -> None:
    last = judge(a_good_run(), PLAN, 7, [4711])[-1]
    assert (last.measured, last.kept) == ("1 of 7 left", False)


def test_a_busy_machine_is_granted_time() -> None:
    facts = a_good_run()
    facts.asked[3] = Asked(3.0, 1.2, Answer.REJECTED, 2)
    facts.note_lag(0.1)
    assert result(facts).kept


def test_a_run_without_any_event_breaks_guarantees_and_raises_nothing() -> None:
    facts = Facts()
    kept = [g.name for g in judge(facts, PLAN, 0, []) if g.kept]
    assert kept == ["No process left behind"]
