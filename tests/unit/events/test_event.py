"""Events: frozen, identified, told in UTC, and readable after a trip through JSON."""

from __future__ import annotations

import dataclasses
import datetime
import json
import pickle
import types
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pydantic
import pytest

from cqrs.events import event as events
from cqrs.events.event import (
    DCDomainEvent,
    DCEvent,
    DCNotificationEvent,
    DomainEvent,
    Event,
    IDomainEvent,
    IEvent,
    INotificationEvent,
    NotificationEvent,
    partition_key_of,
)
from cqrs.exceptions import ConfigurationTypeError

UTC = datetime.UTC


class Joined(pydantic.BaseModel, frozen=True):
    user_id: int


@dataclasses.dataclass(frozen=True)
class DCJoined:
    user_id: uuid.UUID
    joined_at: datetime.datetime
    fee: Decimal


class UserJoined(NotificationEvent[Joined], frozen=True):
    pass


@dataclasses.dataclass(frozen=True)
class DCUserJoined(DCNotificationEvent[DCJoined]):
    pass


class Renamed(DomainEvent):
    user_id: int


@dataclasses.dataclass(frozen=True)
class DCRenamed(DCDomainEvent):
    user_id: int
    old_names: tuple[str, ...] = ()


def pydantic_event(**fields: Any) -> Any:
    return UserJoined(event_name="UserJoined", payload=Joined(user_id=7), **fields)


def dataclass_event(**fields: Any) -> Any:
    payload = DCJoined(uuid.UUID(int=7), datetime.datetime(2026, 1, 2, tzinfo=UTC), Decimal("1.10"))
    return DCUserJoined(event_name="UserJoined", payload=payload, **fields)


FORMS = [pydantic_event, dataclass_event]


@pytest.fixture(autouse=True)
def fresh_default_topic() -> Iterator[None]:
    events.default_output_topic.cache_clear()
    yield
    events.default_output_topic.cache_clear()


@pytest.mark.parametrize(
    ("form", "markers"),
    [
        (Event, (IEvent,)),
        (DCEvent, (IEvent,)),
        (DomainEvent, (IEvent, Event, IDomainEvent)),
        (DCDomainEvent, (IEvent, DCEvent, IDomainEvent)),
        (NotificationEvent, (IEvent, Event, INotificationEvent)),
        (DCNotificationEvent, (IEvent, DCEvent, INotificationEvent)),
    ],
)
def test_markers(form: type[Any], markers: tuple[type[Any], ...]) -> None:
    assert all(issubclass(form, marker) for marker in markers)


def test_a_plain_event_is_neither_a_domain_nor_a_notification_event() -> None:
    for form in (Event, DCEvent):
        assert not issubclass(form, (IDomainEvent, INotificationEvent))


def test_pydantic_names() -> None:
    assert events.PydanticEvent is Event
    assert events.PydanticDomainEvent is DomainEvent
    assert events.PydanticNotificationEvent is NotificationEvent


def test_pydantic_events_are_frozen_also_when_a_subclass_does_not_say_so() -> None:
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        Renamed(user_id=1).user_id = 2  # type: ignore[misc]


def test_dataclass_events_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        DCRenamed(1).user_id = 2  # type: ignore[misc]


# ------------------------------------------------------------------------------ notification fields


def test_fields_come_in_the_documented_order() -> None:
    documented = ["event_name", "payload", "event_id", "event_timestamp", "topic", "headers"]

    assert list(NotificationEvent.model_fields) == documented
    assert [field.name for field in dataclasses.fields(DCNotificationEvent)] == documented


@pytest.mark.parametrize("make", FORMS)
def test_defaults(make: Any) -> None:
    before = datetime.datetime.now(UTC)
    event = make()

    assert event.event_id.version == 4
    assert event.event_id != make().event_id
    assert event.event_timestamp.tzinfo is not None
    assert before <= event.event_timestamp <= datetime.datetime.now(UTC)
    assert event.topic == "output_topic"
    assert event.headers == {}


@pytest.mark.parametrize("make", FORMS)
def test_the_default_topic_is_read_from_the_environment_when_first_needed(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEFAULT_OUTPUT_TOPIC", "audit")

    assert make().topic == "audit"
    assert events.DEFAULT_OUTPUT_TOPIC == "audit"
    assert make(topic="other").topic == "other"


def test_the_module_has_no_other_magic_names() -> None:
    with pytest.raises(AttributeError, match="DEFAULT_INPUT_TOPIC"):
        events.DEFAULT_INPUT_TOPIC  # type: ignore[attr-defined]


@pytest.mark.parametrize("make", FORMS)
def test_a_naive_timestamp_is_taken_as_utc(make: Any) -> None:
    event = make(event_timestamp=datetime.datetime(2026, 1, 2, 3, 4))  # noqa: DTZ001 - the naive case

    assert event.event_timestamp == datetime.datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


@pytest.mark.parametrize("make", FORMS)
def test_another_time_zone_is_kept(make: Any) -> None:
    zone = datetime.timezone(datetime.timedelta(hours=2))
    moment = datetime.datetime(2026, 1, 2, tzinfo=zone)

    assert make(event_timestamp=moment).event_timestamp.utcoffset() == datetime.timedelta(hours=2)


def test_naive_timestamps_are_also_taken_as_utc_when_read() -> None:
    text = "2026-01-02T03:04:05"
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    assert (
        UserJoined.from_dict(**{**pydantic_event().to_dict(), "event_timestamp": text}).event_timestamp
        == moment
    )
    assert (
        DCUserJoined.from_dict(**{**dataclass_event().to_dict(), "eventTimestamp": text}).event_timestamp
        == moment
    )


@pytest.mark.parametrize("make", FORMS)
def test_the_hash_is_the_hash_of_the_identity(make: Any) -> None:
    event = make(headers={"a": "b"})

    assert hash(event) == hash(event.event_id) == hash(make(event_id=event.event_id))


@pytest.mark.parametrize("make", FORMS)
def test_an_event_equals_its_copy_and_not_another(make: Any) -> None:
    event = make()

    assert pickle.loads(pickle.dumps(event)) == event
    assert make() != event


def test_a_subclass_with_an_unhashable_payload_is_hashable() -> None:
    @dataclasses.dataclass(frozen=True)
    class ListEvent(DCNotificationEvent[list[int]]):
        extra: int = 0

    event = ListEvent("Listed", [1])

    assert hash(event) == hash(event.event_id)
    assert hash(NotificationEvent[list[int]](event_name="Listed", payload=[1])) is not None


def test_a_subclass_may_choose_another_hash() -> None:
    @dataclasses.dataclass(frozen=True)
    class Constant(DCNotificationEvent[int]):
        def __hash__(self) -> int:
            return 7

    assert hash(Constant("a", 1)) == 7


@pytest.mark.parametrize("make", FORMS)
def test_protobuf_is_left_to_subclasses(make: Any) -> None:
    with pytest.raises(NotImplementedError, match=r"^Method not implemented$"):
        make().proto()
    with pytest.raises(NotImplementedError, match=r"^Method not implemented$"):
        type(make()).from_proto(object())


# ------------------------------------------------------------------------------ dictionaries


def test_pydantic_events_use_field_names() -> None:
    event = pydantic_event()

    assert event.to_dict() == {
        "event_name": "UserJoined",
        "payload": {"user_id": 7},
        "event_id": event.event_id,
        "event_timestamp": event.event_timestamp,
        "topic": "output_topic",
    }
    assert UserJoined.from_dict(**event.to_dict()) == event


def test_dataclass_events_use_camel_case_and_are_ready_for_json() -> None:
    event = dataclass_event(event_timestamp=datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))

    assert event.to_dict() == {
        "eventName": "UserJoined",
        "payload": {
            "userId": "00000000-0000-0000-0000-000000000007",
            "joinedAt": "2026-01-02T00:00:00+00:00",
            "fee": "1.10",
        },
        "eventId": str(event.event_id),
        "eventTimestamp": "2026-01-02T03:04:05+00:00",
        "topic": "output_topic",
    }
    assert DCUserJoined.from_dict(**json.loads(json.dumps(event.to_dict()))) == event


@pytest.mark.parametrize("make", FORMS)
def test_headers_travel_with_the_event(make: Any) -> None:
    event = make(headers={"traceparent": "00-ab-cd-01"})

    assert event.to_dict()["headers"] == {"traceparent": "00-ab-cd-01"}
    assert type(event).from_dict(**event.to_dict()).headers == {"traceparent": "00-ab-cd-01"}


def test_dataclass_events_read_field_names_too() -> None:
    assert DCRenamed.from_dict(user_id=1, old_names=["a", "b"]) == DCRenamed(1, ("a", "b"))
    assert DCRenamed.from_dict(userId=1, oldNames=["a", "b"]) == DCRenamed(1, ("a", "b"))
    assert DCRenamed(1, ("a",)).to_dict() == {"userId": 1, "oldNames": ["a"]}


def test_the_parameterised_dataclass_form_reads_its_payload() -> None:
    event = dataclass_event()

    read = DCNotificationEvent[DCJoined].from_dict(**event.to_dict())

    assert type(read) is DCNotificationEvent
    assert read.payload == event.payload


def test_the_parameterised_dataclass_form_is_callable_and_a_base() -> None:
    event = DCNotificationEvent[int]("Counted", 3)

    assert type(event) is DCNotificationEvent
    assert DCUserJoined.__mro__[1] is DCNotificationEvent


def test_the_parameterised_pydantic_form_validates_its_payload() -> None:
    assert NotificationEvent[Joined](event_name="a", payload={"user_id": "7"}).payload == Joined(user_id=7)  # type: ignore[arg-type]
    with pytest.raises(pydantic.ValidationError):
        NotificationEvent[Joined](event_name="a", payload={})  # type: ignore[arg-type]


def test_unknown_keys_of_a_newer_writer_are_ignored() -> None:
    assert DCRenamed.from_dict(userId=1, addedLater=True) == DCRenamed(1)


@pytest.mark.parametrize(
    ("given", "key"),
    [("a", "a"), ("", ""), (0, "0"), (uuid.UUID(int=1), str(uuid.UUID(int=1))), (None, None)],
)
def test_the_key_of_an_event_is_text(given: Any, key: str | None) -> None:
    assert partition_key_of(types.SimpleNamespace(partition_key=given)) == key


@pytest.mark.parametrize("given", [True, 1.5, b"a", ["a"], lambda: "a"])
def test_what_is_no_key_is_refused(given: Any) -> None:
    with pytest.raises(ConfigurationTypeError, match="partition_key must be"):
        partition_key_of(types.SimpleNamespace(partition_key=given))
