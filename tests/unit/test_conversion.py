"""Dataclasses survive a trip through JSON with their types."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import enum
import json
import pathlib
import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NewType, Optional, TypedDict, TypeVar, Union

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrs import _conversion
from cqrs.exceptions import ConfigurationError

T = TypeVar("T")
UTC = datetime.UTC
IDENTITY = uuid.UUID(int=7)
UserId = NewType("UserId", uuid.UUID)


class Colour(enum.Enum):
    RED = "red"
    PAIR = (1, 2)


class Level(enum.IntEnum):
    LOW = 1


class Weekday(enum.StrEnum):
    MONDAY = "mon"


@dataclasses.dataclass(frozen=True)
class Item:
    item_id: uuid.UUID
    unit_price: Decimal


@dataclasses.dataclass(frozen=True)
class Note:
    text_body: str
    item_id: str = ""


@dataclasses.dataclass(frozen=True)
class ShortNote:
    text_body: str


class Labels(TypedDict):
    made_at: datetime.date


class Model(pydantic.BaseModel):
    some_id: uuid.UUID


@dataclasses.dataclass
class Page(Generic[T]):
    first_item: T
    items: list[T]


@dataclasses.dataclass
class ItemPage(Page[Item]):
    total: int = 0


@dataclasses.dataclass
class Node:
    name: str
    children: list[Node] = dataclasses.field(default_factory=list)
    parent: Node | None = None


def field_type(annotation: Any) -> Any:
    return dataclasses.make_dataclass("Holder", [("some_value", annotation)])


VALUES: list[tuple[Any, Any, Any]] = [
    (int, 3, 3),
    (str, "a", "a"),
    (float, 1.5, 1.5),
    (bool, True, True),
    (Any, {"a_b": 1}, {"a_b": 1}),
    (uuid.UUID, IDENTITY, str(IDENTITY)),
    (UserId, IDENTITY, str(IDENTITY)),
    (Annotated[uuid.UUID, "x"], IDENTITY, str(IDENTITY)),
    (Decimal, Decimal("1.10"), "1.10"),
    (datetime.datetime, datetime.datetime(2026, 1, 2, 3, tzinfo=UTC), "2026-01-02T03:00:00+00:00"),
    (datetime.date, datetime.date(2026, 1, 2), "2026-01-02"),
    (datetime.time, datetime.time(3, 4), "03:04:00"),
    (datetime.timedelta, datetime.timedelta(seconds=1.5), 1.5),
    (bytes, b"\x00\xff", "AP8="),
    (pathlib.Path, pathlib.Path("a/b"), "a/b"),
    (Colour, Colour.RED, "red"),
    (Colour, Colour.PAIR, [1, 2]),
    (Level, Level.LOW, 1),
    (Weekday, Weekday.MONDAY, "mon"),
    (Item, Item(IDENTITY, Decimal(2)), {"itemId": str(IDENTITY), "unitPrice": "2"}),
    (Model, Model(some_id=IDENTITY), {"some_id": str(IDENTITY)}),
    (Labels, {"made_at": datetime.date(2026, 1, 2)}, {"made_at": "2026-01-02"}),
    (list[uuid.UUID], [IDENTITY], [str(IDENTITY)]),
    (Sequence[uuid.UUID], [IDENTITY], [str(IDENTITY)]),
    (set[Decimal], {Decimal(1)}, ["1"]),
    (frozenset[Decimal], frozenset({Decimal(1)}), ["1"]),
    (collections.deque[int], collections.deque([1]), [1]),
    (list, [1], [1]),
    (dict, {"a": 1}, {"a": 1}),
    (tuple, (1,), [1]),
    (tuple[uuid.UUID, ...], (IDENTITY,), [str(IDENTITY)]),
    (tuple[int, Decimal], (1, Decimal(2)), [1, "2"]),
    (dict[uuid.UUID, Item], {IDENTITY: Item(IDENTITY, Decimal(2))}, None),
    (Mapping[str, list[Decimal]], {"some_key": [Decimal(1)]}, {"some_key": ["1"]}),
    (Optional[uuid.UUID], IDENTITY, str(IDENTITY)),  # noqa: UP045 - the old spelling too
    (uuid.UUID | None, None, None),
    (Union[int, uuid.UUID], IDENTITY, str(IDENTITY)),  # noqa: UP007 - the old spelling too
    (int | uuid.UUID, 3, 3),
    (uuid.UUID | str, "text", "text"),
    (uuid.UUID | str, IDENTITY, str(IDENTITY)),
    (str | uuid.UUID, "00000000-0000-0000-0000-000000000007", "00000000-0000-0000-0000-000000000007"),
    (list[int] | int, 3, 3),
    (Item | Note, Note("x"), {"textBody": "x", "itemId": ""}),
    (Note | Item, Item(IDENTITY, Decimal(2)), {"itemId": str(IDENTITY), "unitPrice": "2"}),
    (Literal["a"] | Decimal, Decimal(2), "2"),
    (Literal["a"] | Decimal, "a", "a"),
    (datetime.datetime | datetime.date, datetime.date(2026, 1, 2), None),
    (Page[Item], Page(Item(IDENTITY, Decimal(2)), []), None),
    (float | str, 1, 1),
]


@pytest.mark.parametrize(("annotation", "value", "written"), VALUES)
def test_a_value_is_written_and_read_again(annotation: Any, value: Any, written: Any) -> None:
    holder = field_type(annotation)

    data = json.loads(json.dumps(_conversion.encode_fields(holder(value))))

    if written is not None or value is None:
        assert data == {"someValue": written}
    if (
        annotation != datetime.datetime | datetime.date
    ):  # midnight is told from a day by nothing but the order
        read = _conversion.decode(holder, data).some_value
        assert read == value
        assert type(read) is type(value)


@pytest.mark.parametrize(("annotation", "value", "_written"), VALUES)
def test_a_value_that_has_its_type_already_is_kept(annotation: Any, value: Any, _written: Any) -> None:
    holder = field_type(annotation)

    assert _conversion.decode(holder, {"some_value": value}) == holder(value)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (uuid.UUID, "not a uuid"),
        (uuid.UUID, 3),
        (Decimal, "x"),
        (datetime.datetime, "yesterday"),
        (datetime.datetime, 3),
        (datetime.timedelta, "x"),
        (bytes, "?"),
        (Colour, "green"),
        (Item, "x"),
        (list[int], "abc"),
        (dict[str, int], [1]),
        (tuple[int, int], [1]),
        (Labels, 3),
        (list[uuid.UUID], ["x"]),
    ],
)
def test_a_value_that_cannot_be_read_is_refused_with_the_field(annotation: Any, value: Any) -> None:
    with pytest.raises(ValueError, match=r"Holder\.some_value: cannot read a \w+ as "):
        _conversion.decode(field_type(annotation), {"someValue": value})


def test_the_message_of_a_nested_value_names_both_fields() -> None:
    with pytest.raises(ValueError, match=r"ItemPage\.first_item: .*Item\.unit_price: cannot read a str"):
        _conversion.decode(
            ItemPage, {"first_item": {"item_id": str(IDENTITY), "unit_price": "x"}, "items": []}
        )


def test_a_missing_field_is_told_by_the_constructor() -> None:
    with pytest.raises(TypeError, match="unit_price"):
        _conversion.decode(Item, {"item_id": str(IDENTITY)})


def test_type_variables_of_generic_bases_are_filled() -> None:
    item = {"itemId": str(IDENTITY), "unitPrice": "2"}

    page = _conversion.decode(ItemPage, {"firstItem": item, "items": [item], "total": 1})

    assert page == ItemPage(Item(IDENTITY, Decimal(2)), [Item(IDENTITY, Decimal(2))], 1)


def test_a_class_may_contain_itself() -> None:
    tree = Node("root", [Node("leaf", parent=Node("p"))])

    assert _conversion.decode(Node, _conversion.encode_fields(tree)) == tree


def test_fields_that_the_constructor_does_not_take_are_written_but_not_read() -> None:
    @dataclasses.dataclass
    class Sum:
        left: int
        total: int = dataclasses.field(init=False, default=0)

    assert _conversion.encode_fields(Sum(1)) == {"left": 1, "total": 0}
    assert _conversion.decode(Sum, {"left": 1, "total": 9}) == Sum(1)


def test_an_annotation_that_cannot_be_evaluated_is_a_configuration_error() -> None:
    @dataclasses.dataclass
    class Broken:
        value: NotDefinedAnywhere  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(ConfigurationError, match=r"Broken: name 'NotDefinedAnywhere'.*at run time"):
        _conversion.decode(Broken, {"value": 1})


def test_identifiers_written_without_dashes_are_read() -> None:
    assert _conversion.decode(field_type(uuid.UUID), {"someValue": IDENTITY.hex}).some_value == IDENTITY


def test_a_decimal_that_was_written_as_a_number_is_read_as_it_was_written() -> None:
    assert _conversion.decode(field_type(Decimal), {"someValue": 0.1}).some_value == Decimal("0.1")


def test_of_two_dataclasses_the_one_that_knows_all_keys_is_read() -> None:
    read = _conversion.decode(field_type(ShortNote | Note), {"someValue": {"textBody": "x", "itemId": "y"}})

    assert read.some_value == Note("x", "y")


def test_zulu_time_is_read() -> None:
    read = _conversion.decode(field_type(datetime.datetime), {"someValue": "2026-01-02T03:00:00Z"})

    assert read.some_value == datetime.datetime(2026, 1, 2, 3, tzinfo=UTC)


def test_camel_case_names_that_start_with_an_underscore() -> None:
    assert [_conversion.camel_case(name) for name in ("_a_b", "a", "aB", "a_b_c", "event_id_2")] == [
        "_aB",
        "a",
        "aB",
        "aBC",
        "eventId2",
    ]


SCALARS = (
    st.uuids()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.datetimes(timezones=st.just(UTC))
    | st.dates()
    | st.timedeltas(min_value=datetime.timedelta(), max_value=datetime.timedelta(days=1))
    | st.binary(max_size=8)
)


@given(st.lists(SCALARS, max_size=4))
def test_any_typed_tuple_comes_back_as_it_was(values: list[Any]) -> None:
    holder = field_type(tuple[tuple(type(value) for value in values)])  # type: ignore[misc]
    instance = holder(tuple(values))

    assert _conversion.decode(holder, json.loads(json.dumps(_conversion.encode_fields(instance)))) == instance
