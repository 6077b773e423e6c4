"""Responses: the given forms."""

from __future__ import annotations

import dataclasses
import decimal

import pydantic
import pytest

from cqrs.response import DCResponse, IResponse, PydanticResponse, Response


class UserProfile(Response):
    name: str


@dataclasses.dataclass
class Line:
    amount: decimal.Decimal


@dataclasses.dataclass
class Invoice(DCResponse):
    number: int
    lines: list[Line]


def test_a_pydantic_response_goes_to_a_dictionary_and_back() -> None:
    assert UserProfile.from_dict(name="Ada").to_dict() == {"name": "Ada"}
    with pytest.raises(pydantic.ValidationError):
        UserProfile.from_dict()


def test_a_dataclass_response_goes_to_a_dictionary_and_back() -> None:
    invoice = Invoice.from_dict(number=1, lines=[{"amount": "1.10"}])

    assert invoice == Invoice(1, [Line(decimal.Decimal("1.10"))])
    assert invoice.to_dict() == {"number": 1, "lines": [{"amount": decimal.Decimal("1.10")}]}


def test_the_abstract_response_cannot_be_instantiated() -> None:
    with pytest.raises(TypeError, match="abstract"):
        IResponse()  # type: ignore[abstract]


def test_pydantic_response_is_another_name_of_response() -> None:
    assert PydanticResponse is Response
