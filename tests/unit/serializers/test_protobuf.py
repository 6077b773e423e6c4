"""Protocol buffers: messages, events that have one, and the dictionaries of such events."""

from __future__ import annotations

from typing import Any, Self

import pytest
from google.protobuf.descriptor_pb2 import UninterpretedOption
from google.protobuf.wrappers_pb2 import StringValue

import cqrs
from cqrs.exceptions import ConfigurationTypeError, SerializationError
from cqrs.serializers import ProtobufSerializer, content_type_of


class UserJoined(cqrs.NotificationEvent[str], frozen=True):
    def proto(self) -> StringValue:
        return StringValue(value=self.payload)

    @classmethod
    def from_proto(cls, proto: StringValue) -> Self:
        return cls(event_name="UserJoined", payload=proto.value)


EVENT = UserJoined(event_name="UserJoined", payload="Zoë")
BINARY = StringValue(value="Zoë").SerializeToString()


@pytest.mark.parametrize(
    "sent",
    [
        StringValue(value="Zoë"),
        EVENT,
        EVENT.to_dict(),
        cqrs.Message("UserJoined", "users", EVENT),
        cqrs.Message("UserJoined", "users", EVENT.to_dict()),
        {"eventName": "UserJoined", **EVENT.to_dict()},
    ],
    ids=["proto", "event", "dict", "message", "message of a dict", "camel case"],
)
def test_the_binary_form_is_made(sent: Any) -> None:
    assert ProtobufSerializer({"UserJoined": UserJoined})(sent) == BINARY


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        ({"event_name": "UserLeft"}, r"'UserLeft'.*ProtobufSerializer\(events="),
        ({"event_name": "UserJoined", "payload": 7}, "no UserJoined can be built"),
        (cqrs.NotificationEvent[int](event_name="Counted", payload=1), "Method not implemented"),
        (7, "int has no form in protobuf"),
        (UninterpretedOption.NamePart(), "missing required fields"),
    ],
    ids=["unknown name", "not that event", "no proto", "no event", "incomplete"],
)
def test_what_has_no_form_is_refused(sent: Any, why: str) -> None:
    with pytest.raises(SerializationError, match=why):
        ProtobufSerializer({"UserJoined": UserJoined})(sent)


def test_what_is_no_mapping_of_events_is_refused() -> None:
    with pytest.raises(ConfigurationTypeError, match="event names"):
        ProtobufSerializer([UserJoined])  # type: ignore[arg-type]


def test_it_names_its_media_type() -> None:
    assert content_type_of(ProtobufSerializer()) == "application/x-protobuf"
