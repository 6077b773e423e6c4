from __future__ import annotations

from cqrs.outbox.suspicion import Suspicion


def outage(suspicion: Suspicion, *topics: str) -> bool:
    return suspicion.judge(set(topics), has_sent=False, is_outage=True)


def test_topics_of_which_nothing_was_sent_are_left_out_next_time() -> None:
    suspicion = Suspicion()
    assert outage(suspicion, "a")
    assert outage(suspicion, "b")
    assert suspicion.avoid == ("a", "b")
    suspicion.nothing_else()
    assert suspicion.avoid == ()
    assert outage(suspicion, "a", "b")


def test_what_is_sent_meanwhile_puts_the_blame_on_them_once() -> None:
    suspicion = Suspicion()
    outage(suspicion, "a")
    assert not suspicion.judge(set(), has_sent=True, is_outage=False)
    assert suspicion.avoid == ()
    assert not outage(suspicion, "a")
    assert outage(suspicion, "a")


def test_others_are_not_blamed() -> None:
    suspicion = Suspicion()
    outage(suspicion, "a")
    suspicion.judge(set(), has_sent=True, is_outage=False)
    assert outage(suspicion, "a", "b")
