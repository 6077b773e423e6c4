from __future__ import annotations

import pytest

import cqrs
from cqrs.exceptions import ConfigurationError, ConfigurationTypeError
from cqrs.outbox.map import OutboxedEventMap
from tests.unit.outbox.events import Joined, Paid, UserJoined, joined, paid


def test_a_registered_type_is_found_by_its_name() -> None:
    assert OutboxedEventMap.get("user_joined") is UserJoined
    assert OutboxedEventMap.types()["user_joined"] is UserJoined
    assert OutboxedEventMap.get("nobody") is None


@pytest.mark.parametrize(
    ("name", "event_type"), [("user_joined", UserJoined), ("paid", cqrs.DCNotificationEvent[Paid])]
)
def test_registering_the_same_type_again_changes_nothing(name: str, event_type: type) -> None:
    OutboxedEventMap.register(name, event_type)
    assert OutboxedEventMap.get(name) == event_type


def test_a_second_type_for_a_name_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"'user_joined' is registered for .*Joined.* already.*int"):
        OutboxedEventMap.register("user_joined", cqrs.NotificationEvent[int])
    assert OutboxedEventMap.get("user_joined") is UserJoined


@pytest.mark.parametrize("event_type", [int, Joined, cqrs.DomainEvent, "text", None, joined, list[int]])
def test_what_is_no_notification_event_is_refused(event_type: object) -> None:
    with pytest.raises(ConfigurationTypeError, match="only notification events"):
        OutboxedEventMap.register("other", event_type)
    assert OutboxedEventMap.get("other") is None


@pytest.mark.parametrize("name", ["", None, 7, "x" * 256])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationTypeError, match="1 to 255"):
        OutboxedEventMap.register(name, UserJoined)


def test_events_of_registered_types_pass_the_check() -> None:
    OutboxedEventMap.check(joined())
    OutboxedEventMap.check(paid())


def test_an_unknown_name_says_what_to_call() -> None:
    event = UserJoined(event_name="gone", payload=Joined(name="ada"))
    with pytest.raises(ConfigurationTypeError, match=r"OutboxedEventMap.register\('gone'"):
        OutboxedEventMap.check(event)


def test_an_event_of_another_type_is_refused() -> None:
    event = cqrs.NotificationEvent[int](event_name="user_joined", payload=7)
    with pytest.raises(ConfigurationTypeError, match="'user_joined' is registered for"):
        OutboxedEventMap.check(event)


def test_a_subclass_is_another_type_as_it_may_have_more_fields() -> None:
    class More(UserJoined):  # type: ignore[valid-type, misc]
        more: int = 1

    with pytest.raises(ConfigurationTypeError, match="but this event is a"):
        OutboxedEventMap.check(More(event_name="user_joined", payload=Joined(name="ada")))


def test_what_is_no_event_fails_the_check() -> None:
    with pytest.raises(ConfigurationTypeError, match="int is not a notification event"):
        OutboxedEventMap.check(7)  # type: ignore[arg-type]
