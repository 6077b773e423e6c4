"""Events for the tests of the outbox."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pydantic

import cqrs
from cqrs.outbox.map import OutboxedEventMap


class Joined(pydantic.BaseModel):
    name: str
    age: int = 0


UserJoined = cqrs.NotificationEvent[Joined]


@dataclasses.dataclass(frozen=True)
class Paid:
    order: int
    amount: str


PaidEvent = cqrs.DCNotificationEvent[Paid]


class Keyed(cqrs.NotificationEvent[Joined]):
    """An event whose messages keep their order per user."""

    @property
    def partition_key(self) -> str:
        return self.payload.name


NAMES: dict[str, Any] = {"user_joined": UserJoined, "paid": PaidEvent, "keyed": Keyed}


def joined(name: str = "ada", **fields: Any) -> Any:
    return UserJoined(event_name="user_joined", payload=Joined(name=name), **fields)


def paid(order: int = 1, **fields: Any) -> Any:
    return cqrs.DCNotificationEvent("paid", Paid(order, "9.90"), **fields)


def keyed(name: str = "ada", **fields: Any) -> Any:
    return Keyed(event_name="keyed", payload=Joined(name=name), **fields)


@contextmanager
def registered(**types: Any) -> Iterator[None]:
    """Register event types, and forget them afterwards."""
    for name, event_type in types.items():
        OutboxedEventMap.register(name, event_type)
    try:
        yield
    finally:
        for name in types:
            OutboxedEventMap.unregister(name)
