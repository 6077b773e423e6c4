from __future__ import annotations

import uuid
from typing import Any

import pytest

from cqrs.outbox.attempts import Setback
from cqrs.outbox.codec import encode
from cqrs.outbox.delivery import Outgoing
from cqrs.outbox.preparation import Preparation
from cqrs.outbox.repository import EventStatus
from cqrs.outbox.rows import ClaimedRow
from tests.unit.outbox.events import joined, keyed


def row(event: Any, **changes: Any) -> ClaimedRow:
    made = encode(event)
    columns: dict[str, Any] = {
        "id": 7,
        "event_id": made.event_id,
        "event_name": made.event_name,
        "topic": made.topic,
        "payload": made.payload,
        "headers": made.headers,
        "message_key": made.message_key,
        "flush_counter": 2,
        "event_status": "new",
    }
    return ClaimedRow(**{**columns, **changes})


def test_the_message_is_the_event_as_it_was_stored() -> None:
    event = keyed("bob", headers={"tenant": "t"})
    outgoing = Preparation(None, True).message(row(event))
    assert isinstance(outgoing, Outgoing)
    assert (outgoing.id, outgoing.attempts) == (7, 2)
    message = outgoing.message
    assert (message.message_id, message.message_name, message.topic) == (
        event.event_id,
        "keyed",
        "output_topic",
    )
    assert (message.key, message.headers) == ("bob", {"tenant": "t"})
    assert message.payload["payload"] == {"name": "bob", "age": 0}


@pytest.mark.parametrize(
    "changes", [{"payload": b"["}, {"event_name": "gone"}, {"headers": "["}, {"payload": b"{}"}]
)
def test_what_cannot_be_read_is_a_dead_letter_with_its_attempts(changes: dict[str, Any]) -> None:
    found = Preparation(None, True).message(row(joined(), **changes))
    assert isinstance(found, Setback)
    assert (found.status, found.attempts) == (EventStatus.DEAD_LETTER, 2)
    assert found.reason


def test_each_name_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    preparation = Preparation(None, True)
    for name in ("gone", "gone", "lost", "gone"):
        preparation.message(row(joined(), event_name=name, event_id=uuid.uuid4()))
    assert [record.args[1] for record in caplog.records if isinstance(record.args, tuple)] == ["gone", "lost"]
