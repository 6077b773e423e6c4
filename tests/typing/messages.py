"""What type checkers infer about messages; read by mypy and pyright, never run."""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any, TypeVar, assert_type

import attrs
import msgspec
import pydantic

import cqrs
from cqrs.types import Returns

ResponseT = TypeVar("ResponseT")


class UserProfile(cqrs.Response):
    name: str


class GetUser(cqrs.Request[UserProfile]):
    user_id: int


class GetAnything(cqrs.Request):
    user_id: int


@dataclasses.dataclass
class GetInvoice(cqrs.DCRequest[list[UserProfile]]):
    invoice_id: uuid.UUID


@dataclasses.dataclass(frozen=True)
class CountUsers(Returns[int]):
    active: bool = True


class StructRequest(msgspec.Struct, Returns[UserProfile]):
    user_id: int


@attrs.frozen
class AttrsRequest(Returns[UserProfile]):
    user_id: int


class Joined(pydantic.BaseModel):
    user_id: int


class UserJoined(cqrs.NotificationEvent[Joined]):
    """Frozen without saying so."""


class UserRenamed(cqrs.DomainEvent, frozen=True):
    user_id: int


class UserMoved(cqrs.DomainEvent):
    user_id: int


@dataclasses.dataclass(frozen=True)
class UserLeft(cqrs.DCNotificationEvent[Joined]):
    pass


def response_of(request: Returns[ResponseT]) -> ResponseT:
    raise NotImplementedError


def requests_tell_their_response(identity: uuid.UUID) -> None:
    assert_type(response_of(GetUser(user_id=1)), UserProfile)
    assert_type(response_of(GetAnything(user_id=1)), Any)
    assert_type(response_of(GetInvoice(identity)), list[UserProfile])
    assert_type(response_of(CountUsers()), int)
    assert_type(response_of(StructRequest(1)), UserProfile)
    assert_type(response_of(AttrsRequest(1)), UserProfile)


def a_narrower_response_serves_where_a_wider_one_is_wanted() -> Returns[object]:
    return GetUser(user_id=1)


def messages_are_built_as_what_they_are(data: dict[str, Any]) -> None:
    assert_type(GetUser.from_dict(**data), GetUser)
    assert_type(UserProfile.from_dict(**data), UserProfile)
    assert_type(UserLeft.from_dict(**data), UserLeft)
    assert_type(GetUser(user_id=1).to_dict(), dict[str, Any])


def events_know_their_payload(pydantic_event: UserJoined, dataclass_event: UserLeft) -> None:
    assert_type(pydantic_event.payload, Joined)
    assert_type(dataclass_event.payload, Joined)
    assert_type(cqrs.NotificationEvent[int](event_name="Counted", payload=1).payload, int)
    assert_type(cqrs.DCNotificationEvent("Counted", 1).payload, int)
    assert_type(UserRenamed(user_id=1).user_id, int)
    assert_type(UserMoved(user_id=1).user_id, int)
    marker: cqrs.INotificationEvent[Joined] = pydantic_event
    assert_type(marker.event_id, uuid.UUID)
