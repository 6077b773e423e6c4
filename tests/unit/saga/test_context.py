"""Contexts: written by JSON rules, read back, also when an older version wrote them."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import http
import json
import pathlib
import uuid
from typing import Any, Generic, Self, TypeVar

import pydantic
import pytest

from cqrs.exceptions import ConfigurationTypeError, SagaContextError
from cqrs.saga.context import codec_of, context_reader
from cqrs.saga.models import SagaContext

SAGA = uuid.uuid4()
T = TypeVar("T")


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Line:
    unit_price: decimal.Decimal
    paid_at: datetime.datetime | None = None


@dataclasses.dataclass
class Order(SagaContext):
    order_id: uuid.UUID
    colour: Colour = Colour.RED
    order_lines: list[Line] = dataclasses.field(default_factory=list)
    by_name: dict[str, Any] = dataclasses.field(default_factory=dict)
    steps_done: int = dataclasses.field(default=0, init=False)


def read(context_type: type[Any], data: dict[str, Any]) -> Any:
    return codec_of(context_type).decode(SAGA, "OrderSaga", data)


def test_a_dataclass_comes_back_as_it_was() -> None:
    order = Order(
        uuid.uuid4(), order_lines=[Line(decimal.Decimal("0.10"), datetime.datetime.now(datetime.UTC))]
    )
    order.steps_done = 3
    data = codec_of(Order).encode(order)
    assert data["orderLines"][0]["unitPrice"] == "0.10"
    assert read(Order, json.loads(json.dumps(data))) == order
    assert Order.from_dict(order.to_dict()) == order


def test_rows_of_an_older_version_can_be_read() -> None:
    order_id = uuid.uuid4()
    assert read(Order, {"orderId": str(order_id), "gone": 1}) == Order(order_id)
    with pytest.raises(
        SagaContextError, match=rf"saga {SAGA} \(OrderSaga\).*no value for the field order_id"
    ):
        read(Order, {"colour": "red"})
    with pytest.raises(SagaContextError, match=r"OrderSaga.*Order.order_id: cannot read a int"):
        read(Order, {"orderId": 1})


class Circle(list[Any]):
    def __init__(self) -> None:
        super().__init__([self])


@pytest.mark.parametrize(
    ("value", "part"),
    [
        (object(), r"Order.by_name\['a'\]\[1\] .* an object of type object"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        ({(1, 2): 3}, "a dictionary key of type tuple"),
        ({True: 3}, "a dictionary key of type bool"),
        ({1: 1, "1": 2}, "two keys become '1'"),
        (Circle(), "contains itself"),
        (Order, "type"),
    ],
)
def test_what_has_no_json_form_is_refused_by_name(value: Any, part: str) -> None:
    order = Order(uuid.uuid4(), by_name={"a": [1, value]})
    with pytest.raises(SagaContextError, match=part):
        codec_of(Order).encode(order)


class Name(str):
    __slots__ = ()


class Note(pydantic.BaseModel):
    at: datetime.date


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (Name("Ada"), "Ada"),
        (enum.IntEnum("Level", {"HIGH": 3}).HIGH, 3),
        (http.HTTPStatus.OK, 200),
        (datetime.timedelta(minutes=1.5), 90.0),
        (datetime.time(1, 2), "01:02:00"),
        (b"\x00\xff", "AP8="),
        (pathlib.PurePosixPath("a/b"), "a/b"),
        (Note(at=datetime.date(2024, 1, 2)), {"at": "2024-01-02"}),
    ],
)
def test_the_form_of_each_kind(value: Any, stored: Any) -> None:
    data = codec_of(Order).encode(Order(uuid.uuid4(), by_name={"a": value}))
    assert data["byName"] == {"a": stored}
    assert json.loads(json.dumps(data)) == data


@pytest.mark.parametrize("value", [1.5, {1: 2}, (1, 2), {"a": None}, True, 10**30, "text"])
def test_what_has_a_json_form_is_written_in_it(value: Any) -> None:
    data = codec_of(Order).encode(Order(uuid.uuid4(), by_name={"a": value}))
    assert json.loads(json.dumps(data, allow_nan=False)) == data


class Model(pydantic.BaseModel):
    order_id: uuid.UUID
    colour: Colour = pydantic.Field(default=Colour.RED, alias="color")

    @pydantic.computed_field
    def text(self) -> str:
        return str(self.order_id)


def test_a_pydantic_model_comes_back_as_it_was() -> None:
    model = Model(order_id=uuid.uuid4())
    data = codec_of(Model).encode(model)
    assert data == {"order_id": str(model.order_id), "color": "red"}
    assert read(Model, data) == model
    with pytest.raises(SagaContextError, match="order_id"):
        read(Model, {})


class ByHand:
    def __init__(self, order_id: Any) -> None:
        self.order_id = order_id

    def to_dict(self) -> dict[str, Any]:
        return {"id": self.order_id}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        return cls(data["id"])


class ByKeywords(ByHand):
    @classmethod
    def from_dict(cls, **data: Any) -> Self:  # type: ignore[override]  # as requests have it
        return cls(data["id"])


class OneWay:
    def to_dict(self) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize("kind", [ByHand, ByKeywords])
def test_a_class_may_write_and_read_itself(kind: type[ByHand]) -> None:
    order_id = uuid.uuid4()
    assert codec_of(kind).encode(kind(order_id)) == {"id": str(order_id)}
    assert read(kind, {"id": "o"}).order_id == "o"
    with pytest.raises(SagaContextError, match=r"OrderSaga.*'id'"):
        read(kind, {})


def test_a_class_that_writes_itself_alone_cannot_be_resumed() -> None:
    assert codec_of(OneWay).encode(OneWay()) == {}
    with pytest.raises(SagaContextError, match=r"has no from_dict"):
        read(OneWay, {})

    with pytest.raises(ConfigurationTypeError, match=r"OneWay has no from_dict.*can be recovered"):
        context_reader(OneWay)


def test_a_class_that_writes_something_else_than_a_dictionary() -> None:
    context = ByHand("o")
    context.to_dict = lambda: ["o"]  # type: ignore[assignment,method-assign,return-value]  # what is tested
    with pytest.raises(SagaContextError, match=r"ByHand cannot be stored .* a list: it must be a dictionary"):
        codec_of(ByHand).encode(context)


def test_a_context_tells_of_its_fields_by_itself() -> None:
    with pytest.raises(SagaContextError, match=r"Order.by_name\['a'\] cannot be stored"):
        Order(uuid.uuid4(), by_name={"a": object()}).to_dict()
    with pytest.raises(SagaContextError, match="no value for the field order_id of Order"):
        Order.from_dict({})


def test_what_cannot_be_stored_at_all_is_refused() -> None:
    with pytest.raises(ConfigurationTypeError, match="int cannot be the context of a saga"):
        codec_of(int)


def test_a_forgotten_decorator_is_noticed() -> None:
    class Forgotten(SagaContext):
        order_id: str = ""

    with pytest.raises(ConfigurationTypeError, match="order_id would be lost"):
        codec_of(Forgotten)


Needed = dataclasses.make_dataclass("Needed", [("order_id", str), ("extra", dataclasses.InitVar[int])])
Unknown = dataclasses.make_dataclass("Unknown", [("order_id", "list[Nowhere] | None")])
Nested = dataclasses.make_dataclass("Nested", [("inner", list[Unknown])])  # type: ignore[valid-type]


@dataclasses.dataclass
class Open(SagaContext, Generic[T]):
    price: T


@dataclasses.dataclass
class Closed(Open[decimal.Decimal]):
    pass


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Needed, r"constructor needs extra, which is no field"),
        (Unknown, r"an annotation of Unknown cannot be evaluated \(name 'Nowhere'"),
        (Nested, r"^Nested could be stored.*an annotation of Unknown cannot be evaluated"),
        (Open, r"^Open.price could be stored.*its type is open"),
    ],
)
def test_what_could_never_be_read_again_is_refused_at_once(kind: Any, message: str) -> None:
    with pytest.raises(ConfigurationTypeError, match=message):
        codec_of(kind)


def test_a_generic_context_of_known_types_comes_back_as_it_was() -> None:
    context = Closed(decimal.Decimal("1.50"))
    codec = codec_of(Closed)
    assert codec.decode(SAGA, "Order", codec.encode(context)) == context


def test_two_fields_of_one_stored_name_are_refused() -> None:
    @dataclasses.dataclass
    class Twice:
        order_id: str
        orderId: str

    with pytest.raises(ConfigurationTypeError, match="order_id and orderId would both be stored as orderId"):
        codec_of(Twice)


def test_reading_into_an_object_keeps_it() -> None:
    order = Order(uuid.uuid4())
    codec_of(Order).read_into(order, SAGA, "OrderSaga", {"orderId": str(SAGA), "stepsDone": 2})
    assert (order.order_id, order.steps_done) == (SAGA, 2)
