"""Who calls."""

from __future__ import annotations

import base64
import itertools

import pytest
from pydantic import SecretStr

from cqrs.exceptions import ConfigurationError
from cqrs.http.errors import HTTPRequestError
from cqrs.http.middleware import authorization
from tests.unit.http.middleware.sides import Server, Side


@pytest.mark.parametrize(
    "value",
    ["abc", SecretStr("abc"), lambda: "abc", lambda: SecretStr("abc")],
    ids=["text", "secret", "function", "function of secret"],
)
def test_scheme_and_value_are_sent(side: Side, value: object) -> None:
    server = Server()
    side.call(server, side.make(authorization, "HTTPAuthorizationMiddleware", "Token", value))
    assert server.headers() == {"authorization": "Token abc"}


def test_a_header_that_the_request_has_is_replaced(side: Side) -> None:
    server = Server()
    middleware = side.make(authorization, "HTTPBearerMiddleware", "abc")
    side.call(server, middleware, headers={"authorization": "Basic eDp5"})
    assert server.headers() == {"authorization": "Bearer abc"}
    assert len(server.sent[0].headers) == 1


def test_a_function_is_asked_for_every_call(side: Side) -> None:
    server, numbers = Server(), itertools.count(1)
    middleware = side.make(authorization, "HTTPBearerMiddleware", lambda: f"t{next(numbers)}")
    side.call(server, middleware)
    side.call(server, middleware)
    assert [server.headers(n)["authorization"] for n in (0, 1)] == ["Bearer t1", "Bearer t2"]


def test_an_asynchronous_function_needs_an_asynchronous_client(side: Side) -> None:
    async def token() -> str:
        return "abc"

    server = Server()
    middleware = side.make(authorization, "HTTPBearerMiddleware", token)
    if side.asynchronous:
        side.call(server, middleware)
        assert server.headers() == {"authorization": "Bearer abc"}
    else:
        with pytest.raises(ConfigurationError, match="asynchronous"):
            side.call(server, middleware)
        assert not server.sent


def test_what_a_function_raises_is_raised_and_nothing_is_sent(side: Side) -> None:
    def token() -> str:
        raise LookupError("no token")

    server = Server()
    with pytest.raises(LookupError, match="no token"):
        side.call(server, side.make(authorization, "HTTPBearerMiddleware", token))
    assert not server.sent


def test_basic_is_name_and_password(side: Side) -> None:
    server = Server()
    side.call(server, side.make(authorization, "HTTPBasicMiddleware", "alice", SecretStr("pä:ss")))
    scheme, value = server.headers()["authorization"].split()
    assert scheme == "Basic"
    assert base64.b64decode(value).decode() == "alice:pä:ss"


@pytest.mark.parametrize(("name", "password"), [("a:b", "c"), ("a", "s3cret\n"), ("a\x00", "c")])
def test_basic_refuses_what_it_cannot_carry(side: Side, name: str, password: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        side.make(authorization, "HTTPBasicMiddleware", name, password)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(("scheme", "value"), [("To ken", "abc"), ("", "abc"), ("Token", "s3cret\r\nX: y")])
def test_what_no_header_can_have_is_refused(side: Side, scheme: str, value: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        side.make(authorization, "HTTPAuthorizationMiddleware", scheme, value)
    assert "s3cret" not in str(caught.value)


def test_a_wrong_token_of_a_function_is_not_sent_and_not_shown(side: Side) -> None:
    server = Server(lambda request: request.wire_headers)
    with pytest.raises(HTTPRequestError) as caught:
        side.call(server, side.make(authorization, "HTTPBearerMiddleware", lambda: "s3cret\nX: y"))
    assert "s3cret" not in str(caught.value)


def test_nothing_shows_the_secret(side: Side) -> None:
    server = Server()
    middleware = side.make(authorization, "HTTPBasicMiddleware", "alice", "s3cret")
    side.call(server, middleware)
    request = server.sent[0]
    encoded = base64.b64encode(b"alice:s3cret").decode()
    shown = f"{request!r} {request} {request.headers} {middleware!r} {vars(middleware)}"
    assert "s3cret" not in shown
    assert encoded not in shown
