"""What is said to the token endpoint of an OAuth 2.0 server, and what it answers (RFC 6749); pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple, cast
from urllib.parse import parse_qs, quote_plus, urlencode, urlsplit

from pydantic import SecretStr

from cqrs.exceptions import ConfigurationError
from cqrs.http.errors import HTTPClientError
from cqrs.http.messages import HTTPRequest, HTTPResponse
from cqrs.http.middleware.authorization import Secret, basic
from cqrs.http.wire import reveal

_FOR_EVER = 1e12


class OAuth2TokenError(HTTPClientError):
    """There is no access token: what the token endpoint said, or that it could not be asked.

    Args:
        message: what happened, without secrets.
        request: the request to the token endpoint, without its headers and body.
        status_code: of its answer, ``None`` when there was none.
        error: its error code, ``"invalid_grant"`` for a refresh token that is no longer good.
    """

    def __init__(
        self,
        message: str,
        request: HTTPRequest | None = None,
        status_code: int | None = None,
        error: str | None = None,
    ) -> None:
        super().__init__(message, request)
        self.status_code = status_code
        self.error = error

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message, self.request, self.status_code, self.error)

    def again(self) -> OAuth2TokenError:
        """Return a fresh error that says the same, for another caller."""
        return OAuth2TokenError(self.message, self.request, self.status_code, self.error)


class Token(NamedTuple):
    """An access token.

    Attributes:
        header: value of the ``Authorization`` header.
        since: monotonic second at which it was asked for.
        renew_from: from then on another should be had.
        until: from then on it is expired.
    """

    header: SecretStr
    since: float
    renew_from: float
    until: float


class TokenEndpoint:
    """Makes the requests to a token endpoint and reads its answers; keeps the present refresh token.

    Args: see ``OAuth2RefreshTokenMiddleware``.

    Raises:
        ConfigurationError: they do not fit together.
    """

    def __init__(
        self,
        url: str,
        refresh_token: Secret,
        client_id: str | None,
        client_secret: Secret | None,
        scope: str | Iterable[str] | None,
        auth: Literal["basic", "body"],
        leeway: float,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "{" in url:
            raise ConfigurationError("token_url must be an absolute http or https URL")
        if parts.username or parts.password or parts.fragment:
            raise ConfigurationError("token_url must have no user name, password or fragment")
        if auth not in ("basic", "body"):
            raise ConfigurationError(f"auth must be 'basic' or 'body', not {auth!r}")
        if client_secret is not None and not client_id:
            raise ConfigurationError("a client_secret needs a client_id")
        self.refresh_token = SecretStr(reveal(refresh_token))
        if not self.refresh_token:
            raise ConfigurationError("refresh_token must not be empty")
        self._url = parts._replace(query="").geturl()
        self._query: dict[str, Any] = dict(parse_qs(parts.query))
        self._client_id = client_id
        self._client_secret = None if client_secret is None else SecretStr(reveal(client_secret))
        self._scope = scope if scope is None or isinstance(scope, str) else " ".join(scope)
        self._basic = auth == "basic"
        self._leeway = leeway

    def request(self) -> HTTPRequest:
        """Return the request for an access token (RFC 6749, 6)."""
        form = {"grant_type": "refresh_token", "refresh_token": self.refresh_token.get_secret_value()}
        if self._scope is not None:
            form["scope"] = self._scope
        headers: dict[str, Any] = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        if self._client_id is not None:
            if self._client_secret is None:
                form["client_id"] = self._client_id  # a public client
            elif self._basic:
                # Both are form-encoded before they are joined (2.3.1).
                secret = quote_plus(self._client_secret.get_secret_value())
                headers["Authorization"] = SecretStr(f"Basic {basic(quote_plus(self._client_id), secret)}")
            else:
                form["client_id"] = self._client_id
                form["client_secret"] = self._client_secret.get_secret_value()
        return HTTPRequest("POST", self._url, {}, self._query, headers, urlencode(form))

    def shown(self) -> HTTPRequest:
        """Return the request as it may be shown."""
        return HTTPRequest("POST", self._url)

    def token(self, response: HTTPResponse, asked_at: float) -> Token:
        """Return the token of an answer, and keep the refresh token that came with it (10.4).

        Raises:
            OAuth2TokenError: the answer is an error, or of no use.
        """
        status = response.status_code
        said = _members(response)
        if status != 200:
            code, told = self._told(said)
            raise self._error(f"the token endpoint answered {status}{told}", status, code)
        access = said.get("access_token")
        if not isinstance(access, str) or not access or not access.isascii() or not access.isprintable():
            raise self._error("the token endpoint answered 200 without a usable access token", status)
        kind = said.get("token_type", "Bearer")
        if not isinstance(kind, str) or kind.lower() != "bearer":
            raise self._error("the token endpoint gave a token of a type other than Bearer", status)
        rotated = said.get("refresh_token")
        if isinstance(rotated, str) and rotated:
            self.refresh_token = SecretStr(rotated)
        seconds = _seconds(said.get("expires_in"))
        leeway = min(self._leeway, seconds / 2)  # a short-lived token is used all the same
        until = asked_at + seconds
        return Token(SecretStr(f"Bearer {access}"), asked_at, until - leeway, until)

    def unreachable(self, error: BaseException) -> OAuth2TokenError:
        """Return the error for an endpoint that could not be asked."""
        message = type(error).__qualname__
        if isinstance(error, HTTPClientError):
            message, error.request = error.message, self.shown()  # whose body was the refresh token
        return self._error(f"the token endpoint did not answer: {self._clean(message)}")

    def late(self) -> OAuth2TokenError:
        """Return the error for a call whose time was over before there was a token."""
        return self._error("the token endpoint did not answer within the time that the call had")

    def _told(self, said: Mapping[str, Any]) -> tuple[str | None, str]:
        """Return the error code of an answer, and what it says for people (5.2)."""
        code, more = said.get("error"), said.get("error_description")
        if not isinstance(code, str):
            return None, ""
        code = self._clean(code)[:100]
        return code, f" {code}: {self._clean(more)[:300]}" if isinstance(more, str) else f" {code}"

    def _clean(self, text: str) -> str:
        for secret in (self.refresh_token, self._client_secret):
            if secret is not None:
                plain = secret.get_secret_value()
                for form in {plain, quote_plus(plain)} - {""}:
                    text = text.replace(form, "***")
        return "".join(character if character.isprintable() else " " for character in text)

    def _error(self, message: str, status: int | None = None, code: str | None = None) -> OAuth2TokenError:
        return OAuth2TokenError(message, self.shown(), status, code)


def _members(response: HTTPResponse) -> Mapping[str, Any]:
    try:
        said: Any = response.json
    except ValueError:
        return {}
    return cast("Mapping[str, Any]", said) if isinstance(said, dict) else {}


def _seconds(said: object) -> float:
    """Return how long a token is good; without a usable figure for as long as it is accepted."""
    if isinstance(said, str) and said.strip().isdecimal():
        said = float(said)
    if isinstance(said, (int, float)) and not isinstance(said, bool) and 0 <= said < _FOR_EVER:
        return float(said)
    return math.inf
