"""Requests: the given forms, and any class at all."""

from __future__ import annotations

import dataclasses
import datetime
import pickle
import uuid
from typing import Any, Generic, TypeVar

import attrs
import msgspec
import pydantic
import pytest

from cqrs.generic_utils import get_generic_args_for_origin
from cqrs.requests.request import DCRequest, IRequest, PydanticRequest, Request
from cqrs.types import Returns

T = TypeVar("T")
RESPONSE_OF = (Returns,)


class UserProfile(pydantic.BaseModel):
    name: str


class GetUser(Request[UserProfile]):
    user_id: int


class GetAnything(Request):
    user_id: int


class GetPage(Request[list[T]], Generic[T]):
    after: T


@dataclasses.dataclass
class GetInvoice(DCRequest[UserProfile]):
    invoice_id: uuid.UUID
    since: datetime.date | None = None


def test_a_pydantic_request_goes_to_a_dictionary_and_back() -> None:
    request = GetUser.from_dict(user_id="7")

    assert request == GetUser(user_id=7)
    assert request.to_dict() == {"user_id": 7}


def test_a_dataclass_request_goes_to_a_dictionary_and_back() -> None:
    identity = uuid.uuid4()

    request = GetInvoice.from_dict(invoice_id=str(identity), since="2026-01-31")

    assert request == GetInvoice(identity, datetime.date(2026, 1, 31))
    assert request.to_dict() == {"invoice_id": identity, "since": datetime.date(2026, 1, 31)}


def test_the_abstract_request_cannot_be_instantiated() -> None:
    with pytest.raises(TypeError, match="abstract"):
        IRequest()  # type: ignore[abstract]


def test_pydantic_request_is_another_name_of_request() -> None:
    assert PydanticRequest is Request


def test_parameterising_makes_no_new_model() -> None:
    assert GetUser.__bases__ == (Request,)
    assert Request[int]().__class__ is Request
    before = len(Request.__subclasses__())
    _ = Request[bytes], Request[UserProfile], Request[bytes]
    assert len(Request.__subclasses__()) == before


@pytest.mark.parametrize("request_", [GetUser(user_id=1), GetAnything(user_id=1), GetPage[int](after=1)])
def test_parameterised_requests_are_requests(request_: Any) -> None:
    assert isinstance(request_, Request)
    assert isinstance(request_, IRequest)
    assert isinstance(request_, Returns)


@pytest.mark.parametrize(
    ("request_type", "response"),
    [
        (GetUser, (UserProfile,)),
        (GetAnything, (Any,)),
        (GetInvoice, (UserProfile,)),
        (GetPage[int], (list[int],)),
        (int, None),
    ],
)
def test_the_declared_response_can_be_read(request_type: Any, response: Any) -> None:
    assert get_generic_args_for_origin(request_type, RESPONSE_OF) == response


def test_a_generic_request_of_ones_own_validates_its_fields() -> None:
    assert GetPage[int](after="3").after == 3  # type: ignore[arg-type]
    with pytest.raises(pydantic.ValidationError):
        GetPage[int](after="x")  # type: ignore[arg-type]


def test_requests_serialise_and_pickle_like_any_model() -> None:
    request = GetUser(user_id=1)

    assert GetUser.model_validate_json(request.model_dump_json()) == request
    assert pickle.loads(pickle.dumps(request)) == request


def test_requests_are_fields_of_other_models() -> None:
    class Envelope(pydantic.BaseModel):
        request: GetUser
        any_request: Request[UserProfile]

    envelope = Envelope(request={"user_id": 1}, any_request=GetUser(user_id=2))  # type: ignore[arg-type]

    assert envelope.request == GetUser(user_id=1)
    assert isinstance(envelope.any_request, GetUser)


# ------------------------------------------------------------------------- no base class is needed


class StructRequest(msgspec.Struct, Returns[UserProfile], frozen=True):
    user_id: int


@attrs.frozen
class AttrsRequest(Returns[UserProfile]):
    user_id: int


@dataclasses.dataclass(slots=True)
class SlotsRequest(Returns[UserProfile]):
    user_id: int


class PlainRequest(Returns[UserProfile]):
    def __init__(self, user_id: int) -> None:
        self.user_id = user_id


@pytest.mark.parametrize("request_type", [StructRequest, AttrsRequest, SlotsRequest, PlainRequest])
def test_any_class_may_say_what_it_returns(request_type: Any) -> None:
    assert request_type(7).user_id == 7
    assert get_generic_args_for_origin(request_type, RESPONSE_OF) == (UserProfile,)


@pytest.mark.parametrize("request_type", [StructRequest, AttrsRequest, SlotsRequest])
def test_the_marker_adds_no_instance_dictionary(request_type: Any) -> None:
    assert not hasattr(request_type(7), "__dict__")
