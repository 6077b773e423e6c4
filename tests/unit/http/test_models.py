"""How parameters become what is sent."""

from __future__ import annotations

import json
import pickle
from collections import deque
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_serializer

from cqrs.exceptions import ConfigurationError
from cqrs.http import (
    AttachmentField,
    HeaderField,
    HTTPRequest,
    HTTPRequestError,
    PathInfoField,
    PostBodyField,
    QueryStringField,
    Request,
)
from cqrs.http.models import build


def sent(params: Request, path: str = "/") -> HTTPRequest:
    return build(params, "POST", f"http://a{path}")


class Everything(Request):
    name: str = PathInfoField()
    request_id: str = HeaderField(alias="X-Request-Id")
    accept_language: str = HeaderField("en")
    page: int = QueryStringField(1)
    tags: list[str] | None = QueryStringField(None, alias="tag")
    size: int = PostBodyField(alias="item-size")
    note: str | None = PostBodyField(None)


def test_each_field_goes_to_its_place_under_its_name_on_the_wire() -> None:
    request = sent(Everything(name="x", request_id="r1", size=3), "/{name}")
    assert request.url == "http://a/x?page=1"
    assert request.wire_headers == {
        "X-Request-Id": "r1",
        "accept-language": "en",
        "Content-Type": "application/json",
    }
    assert json.loads(request.body) == {"item-size": 3}


def test_aliases_may_be_given_as_well_as_names() -> None:
    given = Everything(**{"name": "x", "X-Request-Id": "r1", "item-size": 3, "tag": ["a", "b"]})
    assert sent(given, "/{name}").url == "http://a/x?page=1&tag=a&tag=b"


class Optional(Request):
    a: str | None = PostBodyField(None)
    b: str | None = PostBodyField("b")
    q: str | None = QueryStringField(None)
    h: str | None = HeaderField(None, alias="X-H")


def test_none_is_left_out_by_default_and_sent_when_it_was_given() -> None:
    request = sent(Optional())
    assert (json.loads(request.body), request.url) == ({"b": "b"}, "http://a/")
    assert "X-H" not in request.headers
    request = sent(Optional(a=None, b=None, q=None, h=None))
    assert (json.loads(request.body), request.url) == ({"a": None, "b": None}, "http://a/?q=")
    assert request.wire_headers["X-H"] == ""


class Inner(BaseModel):
    password: SecretStr
    count: int = 0


class Secret(Request):
    token: SecretStr = HeaderField(alias="X-Token")
    key: SecretStr = QueryStringField()
    password: SecretStr = PostBodyField()
    inner: Inner = PostBodyField()
    several: dict[str, list[SecretStr]] = PostBodyField()
    at: datetime = PostBodyField()


def test_secrets_are_unwrapped_only_when_they_are_sent() -> None:
    params = Secret(
        token=SecretStr("t1"),
        key=SecretStr("k1"),
        password=SecretStr("p1"),
        inner=Inner(password=SecretStr("p2"), count=2),
        several={"a": [SecretStr("p3"), SecretStr("**********")]},
        at=datetime(2026, 1, 2, tzinfo=UTC),
    )
    request = sent(params)
    for secret in ("t1", "k1", "p1", "p2", "p3"):
        assert secret not in repr(request)
        assert secret not in repr(request.headers)
        assert secret not in str(request)
    assert request.url == "http://a/?key=k1"
    assert request.wire_headers["X-Token"] == "t1"
    assert json.loads(request.body) == {
        "password": "p1",
        "inner": {"password": "p2", "count": 2},
        "several": {"a": ["p3", "**********"]},
        "at": "2026-01-02T00:00:00Z",
    }


class Odd(Request):
    secret: SecretStr = PostBodyField(SecretStr("s1"))
    queue: deque[SecretStr] = PostBodyField(deque([SecretStr("s2")]))
    names: dict[SecretStr, int] = PostBodyField({SecretStr("s3"): 1})
    wait: timedelta = PostBodyField(timedelta(1))
    share: float = PostBodyField(float("nan"))

    @field_serializer("wait", when_used="json")
    def _days(self, value: timedelta) -> dict[str, int]:
        return {"days": value.days}


def test_secrets_are_unwrapped_wherever_they_are() -> None:
    expected = {"secret": "s1", "queue": ["s2"], "names": {"s3": 1}, "wait": {"days": 1}, "share": None}
    assert json.loads(sent(Odd()).body) == expected


class Lost(Request):
    given: Any = PostBodyField()


@pytest.mark.parametrize(
    "given",
    [
        iter([SecretStr("s1")]),
        {1: SecretStr("s1"), "1": SecretStr("s2")},
        [(each for each in [SecretStr("s1")])],
    ],
    ids=["iterator", "keys that are one in JSON", "generator"],
)
def test_a_secret_is_never_sent_as_its_mask(given: Any) -> None:
    with pytest.raises(HTTPRequestError, match="the body cannot be sent"):
        sent(Lost(given=given))


def test_bodies_are_written_as_pydantic_writes_json() -> None:
    class Item(Request):
        price: Decimal = PostBodyField()
        at: datetime = PostBodyField()
        inner: dict[str, Any] = PostBodyField()

    body = sent(Item(price=Decimal("1.10"), at=datetime(2026, 1, 2, tzinfo=UTC), inner={"é": None})).body
    assert json.loads(body) == {"price": "1.10", "at": "2026-01-02T00:00:00Z", "inner": {"é": None}}


def test_forms() -> None:
    class Form(Request):
        kind: str = HeaderField("application/x-www-form-urlencoded", alias="content-type")
        name: str = PostBodyField()
        tags: list[str] = PostBodyField()
        password: SecretStr = PostBodyField()

    request = sent(Form(name="a b&c", tags=["x", "y"], password=SecretStr("s")))
    assert request.body == b"name=a+b%26c&tags=x&tags=y&password=s"
    assert request.wire_headers == {"content-type": "application/x-www-form-urlencoded"}


def test_a_form_has_no_members_of_members() -> None:
    class Form(Request):
        kind: str = HeaderField("application/x-www-form-urlencoded", alias="content-type")
        inner: Inner = PostBodyField()

    with pytest.raises(HTTPRequestError, match="the form cannot be sent: there is no text for a dict"):
        sent(Form(inner=Inner(password=SecretStr("s"))))


def test_attachments_make_the_body_a_multipart_form() -> None:
    class Upload(Request):
        title: str = PostBodyField()
        file: bytes = AttachmentField(alias="upload")

    request = sent(Upload(title="t", file=b"content"))
    assert request.attachments == {"title": ["t"], "upload": b"content"}
    assert request.body == b""


def test_a_type_of_content_that_was_given_stays() -> None:
    class Patch(Request):
        kind: str = HeaderField("application/merge-patch+json", alias="Content-Type")
        name: str = PostBodyField()

    request = sent(Patch(name="x"))
    assert request.wire_headers == {"Content-Type": "application/merge-patch+json"}
    assert request.body == b'{"name":"x"}'


def test_a_request_without_a_body_has_none() -> None:
    request = sent(Request())
    assert (request.body, request.headers, request.url) == (b"", {}, "http://a/")


def test_a_field_without_a_place_is_refused() -> None:
    class Wrong(Request):
        name: str
        other: int = Field(3)

    with pytest.raises(ConfigurationError, match=r"Wrong\.name does not say where it goes"):
        sent(Wrong(name="x"))


def test_extras_that_a_model_allows_are_not_sent() -> None:
    class Loose(Request):
        model_config = ConfigDict(extra="allow")
        name: str = PostBodyField()

    assert json.loads(sent(Loose(name="x", other=1)).body) == {"name": "x"}


def test_inherited_fields_go_where_they_went() -> None:
    class More(Optional):
        c: int = PostBodyField(3)

    assert json.loads(sent(More(b=None)).body) == {"b": None, "c": 3}


def test_what_cannot_be_sent_is_refused_when_the_request_is_made() -> None:
    class Header(Request):
        value: str = HeaderField(alias="X-A")

    with pytest.raises(HTTPRequestError, match="the value of the header 'X-A'"):
        sent(Header(value="a\nb"))


def test_requests_can_be_pickled() -> None:
    request = sent(Everything(name="x", request_id="r", size=1), "/{name}")
    assert pickle.loads(pickle.dumps(request)) == request


def test_a_body_that_is_no_text_is_refused() -> None:
    class Item(Request):
        name: str = PostBodyField()

    with pytest.raises(HTTPRequestError, match="the body cannot be sent"):
        sent(Item.model_construct(name="\ud800"))
