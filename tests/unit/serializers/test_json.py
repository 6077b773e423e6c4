"""JSON: the same from orjson and from the standard library, and readable again by the types it came from."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import json
import pathlib
import sys
import types
import uuid
from collections.abc import Iterator
from typing import Any

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cqrs
from cqrs.deserializers import JsonDeserializer
from cqrs.exceptions import SerializationError
from cqrs.serializers import JsonSerializer, Serializer, content_type_of, default_serializer
from cqrs.serializers import json as module

IDENTITY = uuid.UUID(int=7)
MOMENT = datetime.datetime(2026, 11, 27, 9, 30, 0, 250, tzinfo=datetime.UTC)


class Colour(enum.Enum):
    RED = "red"


class Size(enum.IntEnum):
    SMALL = 1


class Mood(enum.StrEnum):
    GOOD = "good"


class Name(str):
    """Text of the application's own."""


class Years(int):
    """A number of the application's own."""


@dataclasses.dataclass
class Line:
    unit_price: decimal.Decimal
    scan: bytes = b"\xff\x00"


class Model(pydantic.BaseModel):
    when: datetime.datetime = MOMENT


class Struct(msgspec.Struct):
    blob: bytes = b"\xff"


@attrs.define
class Attrs:
    identity: uuid.UUID = IDENTITY


class Own:
    def to_dict(self) -> dict[str, Any]:
        return {"own": IDENTITY}


@pytest.fixture(params=["orjson", "json"], autouse=True)
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if request.param == "orjson":
        pytest.importorskip("orjson")
    else:
        monkeypatch.setitem(sys.modules, "orjson", None)
    module._fast_dumps.cache_clear()
    yield request.param
    module._fast_dumps.cache_clear()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"name": "Zoë", "n": None, "f": 1.5, "b": True}, '{"name":"Zoë","n":null,"f":1.5,"b":true}'),
        (IDENTITY, f'"{IDENTITY}"'),
        (decimal.Decimal("9.90"), '"9.90"'),
        (MOMENT, '"2026-11-27T09:30:00.000250+00:00"'),
        (datetime.date(2026, 11, 27), '"2026-11-27"'),
        (datetime.time(9, 30), '"09:30:00"'),
        (datetime.time(9, 30, tzinfo=datetime.UTC), '"09:30:00+00:00"'),
        (datetime.timedelta(minutes=1.5), "90.0"),
        (Colour.RED, '"red"'),
        (Size.SMALL, "1"),
        (Mood.GOOD, '"good"'),
        ({Name("n"): Name("ada"), "years": Years(36)}, '{"n":"ada","years":36}'),
        ({Colour.RED: 1, IDENTITY: 2, 3: 4, None: 5}, f'{{"red":1,"{IDENTITY}":2,"3":4,"null":5}}'),
        ((1, 2), "[1,2]"),
        ({1}, "[1]"),
        (collections.deque([1]), "[1]"),
        (types.MappingProxyType({"a": 1}), '{"a":1}'),
        (pathlib.PurePosixPath("a/b"), '"a/b"'),
        (b"text", '"text"'),
        ([float("nan"), float("inf")], "[null,null]"),
        (10**30, "1" + "0" * 30),
        (Line(decimal.Decimal("9.90")), '{"unitPrice":"9.90","scan":"/wA="}'),
        ([Line(decimal.Decimal(1))], '[{"unitPrice":"1","scan":"/wA="}]'),
        ({"m": Model()}, '{"m":{"when":"2026-11-27T09:30:00.000250Z"}}'),
        (Struct(), '{"blob":"/w=="}'),
        (Attrs(), f'{{"identity":"{IDENTITY}"}}'),
        (Own(), f'{{"own":"{IDENTITY}"}}'),
        ([Own()], f'[{{"own":"{IDENTITY}"}}]'),
        (None, "null"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_what_is_written(value: object, text: str) -> None:
    assert default_serializer(value).decode() == text


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({"orders": [{"buyer": object()}]}, r"orders\.0\.buyer has no form in JSON.*to_dict\(\)"),
        ({"scan": b"\xff"}, r"scan has no form in JSON: bytes that are not UTF-8.*Base64Bytes"),
        ({(1, 2): 3}, "cannot be a key in JSON"),
        ("\ud800", "no form in JSON"),
        (object, "no form in JSON"),
    ],
    ids=["unknown", "binary", "key", "surrogate", "class"],
)
def test_what_has_no_form_is_refused_with_its_place(value: object, why: str) -> None:
    with pytest.raises(SerializationError, match=why):
        default_serializer(value)


def test_what_contains_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)

    with pytest.raises(SerializationError):
        default_serializer(endless)


def test_the_error_of_a_to_dict_that_fails_crosses_unchanged() -> None:
    class Broken:
        def to_dict(self) -> dict[str, Any]:
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        default_serializer(Broken())


def test_of_a_message_the_payload_is_written() -> None:
    assert default_serializer(cqrs.Message("UserJoined", "users", {"id": 1})) == b'{"id":1}'


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(value=JSON_VALUES)
def test_any_json_value_comes_back(value: Any) -> None:
    module._fast_dumps.cache_clear()
    assert json.loads(default_serializer(value)) == value
    assert JsonDeserializer[Any](object)(default_serializer(value)) == value


class Paid(cqrs.NotificationEvent[dict[str, decimal.Decimal]], frozen=True):
    receipt: bytes = "Zoë".encode()
    scan: pydantic.Base64Bytes = pydantic.Field(default=b"/wA=", validate_default=True)
    took: datetime.timedelta = datetime.timedelta(seconds=1.5)


@dataclasses.dataclass(frozen=True)
class Settled(cqrs.DCNotificationEvent[Line]):
    colours: tuple[Colour, ...] = (Colour.RED,)


def test_events_come_back_equal() -> None:
    paid = Paid(event_name="Paid", payload={"total": decimal.Decimal("9.90")}, headers={"a": "b"})
    settled = Settled("Settled", Line(decimal.Decimal("0.10")), headers={"a": "b"})

    assert paid.scan == b"\xff\x00"
    for event in (paid, settled):
        for sent in (event, event.to_dict(), cqrs.Message("x", "y", event.to_dict())):
            assert JsonDeserializer(type(event))(default_serializer(sent)) == event


def test_it_names_its_media_type() -> None:
    def plain(message: Any) -> bytes:
        return b""

    assert isinstance(default_serializer, JsonSerializer)
    assert isinstance(default_serializer, Serializer)
    assert content_type_of(default_serializer) == "application/json"
    assert content_type_of(plain) == "application/octet-stream"
