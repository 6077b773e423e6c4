"""Reading protocol buffers."""

from __future__ import annotations

from typing import Any, Self

import pytest
from google.protobuf.wrappers_pb2 import StringValue

import cqrs
from cqrs.deserializers import DeserializeProtobufError, ProtobufValueDeserializer
from cqrs.exceptions import ConfigurationTypeError


class UserJoined(cqrs.NotificationEvent[str], frozen=True):
    @classmethod
    def from_proto(cls, proto: StringValue) -> Self:
        if not proto.value:
            raise ValueError("somebody must have joined")
        return cls(event_name="UserJoined", payload=proto.value)


BINARY = StringValue(value="Zoë").SerializeToString()


def test_the_model_is_built() -> None:
    deserialize = ProtobufValueDeserializer(UserJoined, StringValue)

    assert deserialize(BINARY).payload == "Zoë"
    assert deserialize(None) is None


@pytest.mark.parametrize(
    ("data", "why"), [(b"\xff\xff", "DecodeError"), (BINARY[:-1], "DecodeError"), (b"", "somebody")]
)
def test_what_cannot_be_read_is_told(data: bytes, why: str) -> None:
    with pytest.raises(DeserializeProtobufError, match=rf"UserJoined \(StringValue\): .*{why}"):
        ProtobufValueDeserializer(UserJoined, StringValue)(data)

    returned: Any = ProtobufValueDeserializer(UserJoined, StringValue, errors="return")(data)
    assert isinstance(returned, DeserializeProtobufError)


def test_a_model_that_is_not_finished_is_not_taken_for_bad_data() -> None:
    with pytest.raises(NotImplementedError, match="Method not implemented"):
        ProtobufValueDeserializer(cqrs.NotificationEvent[int], StringValue)(BINARY)


@pytest.mark.parametrize(("model", "proto"), [(int, StringValue), (UserJoined, int)])
def test_wrong_classes_are_refused(model: Any, proto: Any) -> None:
    with pytest.raises(ConfigurationTypeError):
        ProtobufValueDeserializer(model, proto)
