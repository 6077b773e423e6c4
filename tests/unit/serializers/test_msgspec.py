"""JSON and MessagePack by msgspec."""

from __future__ import annotations

import decimal
import sys
import uuid
from typing import Any, Literal

import msgspec
import pytest

import cqrs
from cqrs.deserializers import MsgspecDeserializer
from cqrs.exceptions import PolicyError, SerializationError
from cqrs.serializers import MsgspecSerializer, content_type_of, default_serializer

FORMATS: list[Literal["json", "msgpack"]] = ["json", "msgpack"]


class Paid(msgspec.Struct):
    order: uuid.UUID
    total: decimal.Decimal
    scan: bytes = b"\xff\x00"


class Joined(cqrs.NotificationEvent[dict[str, decimal.Decimal]], frozen=True):
    pass


PAID = Paid(uuid.UUID(int=7), decimal.Decimal("9.90"))
JOINED = Joined(event_name="Joined", payload={"fee": decimal.Decimal("0.10")}, headers={"a": "b"})


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("sent", [PAID, JOINED, JOINED.to_dict()], ids=["struct", "event", "dict"])
def test_what_is_written_can_be_read(format: Literal["json", "msgpack"], sent: Any) -> None:
    expected = PAID if sent is PAID else JOINED
    serialize, deserialize = MsgspecSerializer(format), MsgspecDeserializer(type(expected), format)

    assert deserialize(serialize(sent)) == expected
    assert deserialize(serialize(cqrs.Message("x", "y", sent))) == expected


def test_json_is_that_of_the_default_but_for_structs() -> None:
    value = {"a": {1}, "paid": decimal.Decimal("1.0")}

    assert MsgspecSerializer()(value) == default_serializer(value)
    assert MsgspecSerializer()(PAID) == msgspec.json.encode(PAID)


def test_bytes_stay_bytes_in_messagepack() -> None:
    assert msgspec.msgpack.decode(MsgspecSerializer("msgpack")({"scan": b"\xff"})) == {"scan": b"\xff"}


@pytest.mark.parametrize("format", FORMATS)
def test_what_has_no_form_is_refused(format: Literal["json", "msgpack"]) -> None:
    with pytest.raises(SerializationError, match="no form in"):
        MsgspecSerializer(format)({"a": object()})
    with pytest.raises(SerializationError, match="Holder has no form"):
        MsgspecSerializer(format)(msgspec.defstruct("Holder", ["a"])(object()))


def test_another_format_is_refused() -> None:
    with pytest.raises(PolicyError, match="format"):
        MsgspecSerializer("yaml")  # type: ignore[arg-type]


def test_without_the_library_the_error_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "msgspec", None)

    with pytest.raises(ImportError, match=r'pip install "holdfast\[msgspec\]"'):
        MsgspecSerializer()
    with pytest.raises(ImportError, match=r'pip install "holdfast\[msgspec\]"'):
        MsgspecDeserializer(Paid)


def test_it_names_its_media_type() -> None:
    assert content_type_of(MsgspecSerializer()) == "application/json"
    assert content_type_of(MsgspecSerializer("msgpack")) == "application/msgpack"
