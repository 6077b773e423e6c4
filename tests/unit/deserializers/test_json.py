"""Reading JSON: every kind of model, and what cannot be read."""

from __future__ import annotations

import dataclasses
import decimal
import pickle
import sys
import uuid
from typing import Any, TypedDict

import attrs
import msgspec
import pydantic
import pytest

import cqrs
from cqrs.deserializers import DeserializeJsonError, JsonDeserializer
from cqrs.exceptions import ConfigurationError, ConfigurationTypeError, DeserializationError, PolicyError

IDENTITY = uuid.UUID(int=7)


@dataclasses.dataclass
class Line:
    unit_price: decimal.Decimal


class Model(pydantic.BaseModel):
    id: uuid.UUID


class Struct(msgspec.Struct):
    id: uuid.UUID


@attrs.define
class Attrs:
    id: uuid.UUID


class Record(TypedDict):
    id: uuid.UUID


@pydantic.dataclasses.dataclass
class Checked:
    id: uuid.UUID


class Own:
    def __init__(self, id: str) -> None:
        self.id = id

    @classmethod
    def from_dict(cls, **fields: Any) -> Own:
        return cls(**fields)


class Joined(cqrs.NotificationEvent[dict[str, int]], frozen=True):
    pass


@pytest.mark.parametrize(
    ("model", "text", "expected"),
    [
        (Line, '{"unitPrice":"9.90"}', Line(decimal.Decimal("9.90"))),
        (Line, '{"unit_price":"9.90"}', Line(decimal.Decimal("9.90"))),
        (Model, f'{{"id":"{IDENTITY}"}}', Model(id=IDENTITY)),
        (Struct, f'{{"id":"{IDENTITY}"}}', Struct(IDENTITY)),
        (Attrs, f'{{"id":"{IDENTITY}"}}', Attrs(IDENTITY)),
        (Record, f'{{"id":"{IDENTITY}"}}', {"id": IDENTITY}),
        (Checked, f'{{"id":"{IDENTITY}"}}', Checked(IDENTITY)),
        (list[uuid.UUID], f'["{IDENTITY}"]', [IDENTITY]),
        (dict, '{"a":1}', {"a": 1}),
        (object, "[1,null]", [1, None]),
        (int, str(10**30), 10**30),
    ],
    ids=lambda value: getattr(value, "__name__", "") if isinstance(value, type) else "",
)
def test_every_kind_of_model_is_built(model: Any, text: str, expected: Any) -> None:
    for data in (text, text.encode(), bytearray(text.encode()), memoryview(text.encode())):
        assert JsonDeserializer[Any](model)(data) == expected


def test_a_class_with_from_dict_decides_itself() -> None:
    assert JsonDeserializer(Own)(b'{"id":"seven"}').id == "seven"


def test_the_payload_of_a_parameterised_event_is_built_too() -> None:
    event = JsonDeserializer(cqrs.DCNotificationEvent[Line])(
        b'{"eventName":"Sold","payload":{"unitPrice":"1.5"},"eventId":"00000000-0000-0000-0000-000000000007"}'
    )

    assert event.payload == Line(decimal.Decimal("1.5"))
    assert event.event_id == IDENTITY


def test_nothing_stays_nothing() -> None:
    assert JsonDeserializer(Line)(None) is None


@pytest.mark.parametrize(
    ("model", "data", "why"),
    [
        (Line, b"", "EOF"),
        (Line, b"{", "EOF"),
        (Line, b'{"unitPrice": NaN}', "expected value"),
        (Line, b'{"unitPrice":"\xff"}', "invalid"),
        (Line, b"{} {}", "trailing"),
        (Line, b"[1]", "expected the fields of an object, found a list"),
        (Line, b"null", "found a NoneType"),
        (Line, b"{}", "unit_price"),
        (Line, b'{"unitPrice":"many"}', "Line.unit_price"),
        (Line, "\ud800", "expected value"),
        (Record, b"{}", "missing: id"),
        (Record, b'{"id":"seven"}', "UUID"),
        (Joined, b'{"event_name":"Joined","payload":{"a":"secret"}}', "payload.a: Input should be"),
        (Own, b'{"id":1,"cls":2}', "multiple values"),
        (Struct, b'{"id":"seven"}', "UUID"),
        (Line, b"[" * 100_000, "recursion|EOF"),
    ],
)
def test_what_cannot_be_read_is_told(model: Any, data: Any, why: str) -> None:
    with pytest.raises(DeserializeJsonError, match=why) as caught:
        JsonDeserializer[Any](model)(data)

    assert isinstance(caught.value, DeserializationError)
    assert caught.value.model == model.__qualname__
    assert caught.value.__cause__ is not None
    assert "secret" not in str(caught.value)


def test_errors_can_be_returned() -> None:
    deserialize = JsonDeserializer(Line, errors="return")

    assert isinstance(deserialize(b"{"), DeserializeJsonError)
    assert deserialize(b'{"unitPrice":1}') == Line(decimal.Decimal(1))


def test_an_error_can_be_pickled() -> None:
    error = pickle.loads(pickle.dumps(DeserializeJsonError("Line", "not JSON")))

    assert (error.model, error.reason) == ("Line", "not JSON")


def test_a_fault_of_the_program_is_not_one_of_the_data() -> None:
    class Unfinished:
        @classmethod
        def from_dict(cls, **fields: Any) -> Unfinished:
            raise ConfigurationError("an annotation is missing")

    with pytest.raises(ConfigurationError, match="an annotation is missing"):
        JsonDeserializer(Unfinished, errors="return")(b"{}")


@pytest.mark.parametrize("model", ["Line", None, 7, type("Plain", (), {})])
def test_what_cannot_be_built_is_refused_early(model: Any) -> None:
    with pytest.raises(ConfigurationTypeError):
        JsonDeserializer(model)


def test_data_of_another_kind_is_refused() -> None:
    with pytest.raises(ConfigurationTypeError, match="bytes or text"):
        JsonDeserializer(Line)(7)  # type: ignore[call-overload]


def test_another_way_to_treat_errors_is_refused() -> None:
    with pytest.raises(PolicyError, match="errors"):
        JsonDeserializer(Line, errors="ignore")  # type: ignore[arg-type]


@pytest.mark.parametrize("model", [Struct, Attrs])
def test_without_msgspec_the_error_names_the_command(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "msgspec", None)

    with pytest.raises(ConfigurationError, match=r'pip install "holdfast\[msgspec\]"'):
        JsonDeserializer(model)
