"""Headers that every call has."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from cqrs.exceptions import ConfigurationError
from cqrs.http.middleware import headers
from tests.unit.http.middleware.sides import Server, Side


def test_headers_are_added(side: Side) -> None:
    server = Server()
    middleware = side.make(headers, "HTTPAddHeadersMiddleware", {"X-Tenant": "a", "X-Number": 7})
    side.call(server, middleware, headers={"Accept": "text/plain"})
    assert server.headers() == {"accept": "text/plain", "x-tenant": "a", "x-number": "7"}


def test_headers_of_the_same_name_are_replaced(side: Side) -> None:
    server = Server()
    middleware = side.make(headers, "HTTPAddHeadersMiddleware", {"X-Tenant": "a"})
    side.call(server, middleware, headers={"x-tenant": "b"})
    assert server.sent[0].headers == {"X-Tenant": "a"}


def test_secrets_stay_wrapped(side: Side) -> None:
    server = Server()
    middleware = side.make(headers, "HTTPAddHeadersMiddleware", {"X-Key": SecretStr("s3cret")})
    side.call(server, middleware)
    assert isinstance(server.sent[0].headers["X-Key"], SecretStr)
    assert server.headers() == {"x-key": "s3cret"}


def test_later_changes_of_the_mapping_are_not_seen(side: Side) -> None:
    given = {"X-Tenant": "a"}
    middleware = side.make(headers, "HTTPAddHeadersMiddleware", given)
    given["X-Tenant"] = "b"
    server = Server()
    side.call(server, middleware)
    assert server.headers() == {"x-tenant": "a"}


@pytest.mark.parametrize("given", [{"X Tenant": "a"}, {"X-Key": SecretStr("s3cret\nX: y")}, {"": "a"}])
def test_headers_that_cannot_be_sent_are_refused_without_being_shown(
    side: Side, given: dict[str, object]
) -> None:
    with pytest.raises(ConfigurationError, match="header") as caught:
        side.make(headers, "HTTPAddHeadersMiddleware", given)
    assert "s3cret" not in str(caught.value)
