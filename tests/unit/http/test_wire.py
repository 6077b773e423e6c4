"""How values look on the wire, and which are refused."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime
from enum import Enum
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretBytes, SecretStr

from cqrs.http import HTTPRequest, HTTPRequestError, HTTPResponse, wire


class Colour(Enum):
    RED = "red"


def request(path: dict[str, Any] | None = None, **fields: Any) -> HTTPRequest:
    return HTTPRequest("GET", "http://user/v1/users/{name}/mail", path or {"name": "x"}, **fields)


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("alice", "alice"),
        ("a/b", "a%2Fb"),
        ("../admin", "..%2Fadmin"),
        ("..\\admin", "..%5Cadmin"),
        ("%2e%2e", "%252e%252e"),
        ("a?b#c", "a%3Fb%23c"),
        ("a;b=c&d", "a%3Bb%3Dc%26d"),
        ("a b", "a%20b"),
        ("a\r\nb", "a%0D%0Ab"),
        ("\x00", "%00"),
        ("..a", "..a"),
        ("é", "%C3%A9"),
        (7, "7"),
        (True, "true"),
        (Colour.RED, "red"),
        (SecretStr("s/1"), "s%2F1"),
        (SecretBytes(b"s"), "s"),
        (date(2026, 1, 2), "2026-01-02"),
        (datetime(2026, 1, 2, 3, tzinfo=UTC), "2026-01-02T03%3A00%3A00%2B00%3A00"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ],
)
def test_a_path_value_stays_in_its_segment(value: Any, sent: str) -> None:
    assert request({"name": value}).url == f"http://user/v1/users/{sent}/mail"


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_whatever_the_text_it_is_one_segment(value: str) -> None:
    try:
        url = request({"name": value}).url
    except HTTPRequestError:
        assert value in (".", "..")
        return
    parts = url.split("/")
    assert len(parts) == 7
    assert unquote(parts[5]) == value
    assert url.isascii()
    assert not set(url) & set(" \t\r\n?#\\")


@pytest.mark.parametrize("value", ["", ".", ".."])
@pytest.mark.parametrize("template", ["http://user/{name}", "http://user/{name}/a", "http://user/{name}?a=1"])
def test_a_dot_segment_is_refused(template: str, value: str) -> None:
    with pytest.raises(HTTPRequestError, match=r"'name' is .* which would leave its segment"):
        _ = HTTPRequest("GET", template, {"name": value}).url


@pytest.mark.parametrize(
    ("template", "values"),
    [
        ("http://user/.{a}", {"a": "."}),
        ("http://user/{a}.", {"a": "."}),
        ("http://user/x/{a}.{b}/y?q={c}", {"a": "", "b": ".", "c": ""}),
        ("http://user/{a}{b}", {"a": "", "b": ""}),
    ],
)
def test_values_that_make_a_dot_segment_together_are_refused(template: str, values: dict[str, str]) -> None:
    with pytest.raises(HTTPRequestError, match=r"'a'.* which would leave its segment"):
        _ = HTTPRequest("GET", template, values).url


def test_values_of_a_query_may_be_empty() -> None:
    assert HTTPRequest("GET", "http://user/x?q=/{name}", {"name": ""}).url == "http://user/x?q=/"
    assert HTTPRequest("GET", "http://user/v{name}", {"name": ""}).url == "http://user/v"


def test_dots_within_a_segment_are_fine() -> None:
    assert HTTPRequest("GET", "http://user/v{name}.json", {"name": ".."}).url == "http://user/v...json"


def test_a_lone_surrogate_cannot_be_sent() -> None:
    with pytest.raises(HTTPRequestError, match="'name' cannot be sent"):
        _ = request({"name": "\ud800"}).url


def test_a_lone_surrogate_in_a_query_cannot_be_sent() -> None:
    with pytest.raises(HTTPRequestError, match="the query string cannot be sent"):
        _ = request(querystring={"a": "\ud800"}).url


def test_a_missing_value_is_named() -> None:
    with pytest.raises(HTTPRequestError, match="the path value 'name' is missing"):
        _ = request({"nam": "x"}).url


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"a": "b"}, "a=b"),
        ({"a": ["x", 1, True]}, "a=x&a=1&a=true"),
        ({"a": []}, ""),
        ({"a": None}, "a="),
        ({"a b&": "c=d&e#"}, "a+b%26=c%3Dd%26e%23"),
        ({"a": SecretStr("s&t")}, "a=s%26t"),
        ({"a": "\r\n"}, "a=%0D%0A"),
    ],
)
def test_query_strings(given: dict[str, Any], sent: str) -> None:
    url = request(querystring=given).url
    assert url.partition("?")[2] == sent


def test_a_query_is_added_to_one_that_is_there() -> None:
    assert HTTPRequest("GET", "http://a/?x=1", querystring={"y": 2}).url == "http://a/?x=1&y=2"


@pytest.mark.parametrize("value", [{"a": SecretStr("s3cret")}, [["s3cret"]], [{"a": 1}]], ids=repr)
def test_values_that_have_parts_are_refused(value: Any) -> None:
    for place in ("path", "querystring", "headers"):
        made = HTTPRequest("GET", "http://user/{a}", **{"path": {"a": "x"}, place: {"a": value}})
        with pytest.raises(HTTPRequestError, match=r"there is no text for a (dict|list)") as raised:
            _ = made.url, made.wire_headers
        assert "s3cret" not in str(raised.value)


def test_headers_are_texts() -> None:
    given = {"X-A": 1, "X-B": ["a", True], "X-C": SecretStr("s"), "X-D": None, "X-E": "caf\xe9"}
    assert request(headers=given).wire_headers == {
        "X-A": "1",
        "X-B": "a, true",
        "X-C": "s",
        "X-D": "",
        "X-E": "caf\xe9",
    }


@pytest.mark.parametrize("value", ["a\nb", "a\r\nX-Evil: 1", "a\x00", "\x7f", "€", SecretStr("a\nb")])
def test_a_header_value_that_could_be_misread_is_refused_and_not_told(value: Any) -> None:
    with pytest.raises(HTTPRequestError, match="the value of the header 'X-A'") as raised:
        _ = request(headers={"X-A": value}).wire_headers
    assert "Evil" not in str(raised.value)


@pytest.mark.parametrize("name", ["", "X A", "X:A", "X\n", "é"])
def test_a_header_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(HTTPRequestError, match="is no header name"):
        _ = request(headers={name: "x"}).wire_headers


def test_secrets_do_not_show() -> None:
    secret = SecretStr("hunter2")
    shown = request({"name": secret}, headers={"A": "hunter2"}, querystring={"b": "hunter2"}, body=b"hunter2")
    assert "hunter2" not in repr(shown)
    assert str(shown) == "GET http://user/v1/users/{name}/mail"
    assert shown.replace(method="PUT") == HTTPRequest(
        "PUT", shown.url_pattern, shown.path, shown.querystring, shown.headers, shown.body
    )


@pytest.mark.parametrize("user", ["me:s3cret@", "s3cret@", "me:p@s3cret@", ":s3cret@"])
def test_a_password_in_a_url_does_not_show(user: str) -> None:
    made = HTTPRequest("GET", f"http://{user}user:8000/v1/users/{{name}}", {"name": "x"})
    for text in (str(made), repr(made), str(HTTPRequestError("no", made))):
        assert "s3cret" not in text
        assert "http://***@user:8000/v1/users/{name}" in text
    assert made.url == f"http://{user}user:8000/v1/users/x"


def test_headers_are_replaced_whatever_their_case() -> None:
    assert request(headers={"x-a": 1, "B": 2}).with_headers({"X-A": 3}).headers == {"B": 2, "X-A": 3}
    assert request(headers={"x-a": 1}).header("X-A") == 1
    assert request().header("X-A") is None


@pytest.mark.parametrize(
    ("header", "links"),
    [
        ("", {}),
        ("<http://a/>", {"http://a/": {"url": "http://a/"}}),
        ("</b>; rel=next", {"next": {"url": "/b", "rel": "next"}}),
        ("</b>; REL=Next; rel=last", {"next": {"url": "/b", "rel": "Next"}}),
        (
            '<http://a/?x=1,2>; rel="next last"; title="a, b", </c>; rel=prev',
            {
                "next": {"url": "http://a/?x=1,2", "rel": "next last", "title": "a, b"},
                "last": {"url": "http://a/?x=1,2", "rel": "next last", "title": "a, b"},
                "prev": {"url": "/c", "rel": "prev"},
            },
        ),
    ],
)
def test_links(header: str, links: dict[str, Any]) -> None:
    assert HTTPResponse(200, {"link": header}).links == links
    assert wire.links(header) == links


def test_links_that_never_end_take_no_time() -> None:
    assert wire.links("<" * 1_000_000) == {}
    assert wire.links("<a<b>; rel=next") == {"next": {"url": "b", "rel": "next"}}
