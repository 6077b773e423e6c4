"""Access tokens that are had by a refresh token, and renewed before they expire."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Generator, Iterable
from typing import Any, Literal

from pydantic import SecretStr

from cqrs.circuit_breaker import validation
from cqrs.http.errors import HTTPClientError, HTTPError
from cqrs.http.flights import Flights, Landing
from cqrs.http.flow import AsyncFlow, Call, Flow, FlowMiddleware, Send, SyncFlow
from cqrs.http.messages import HTTPRequest, HTTPResponse, HTTPTimeout, TimeoutLike
from cqrs.http.middleware.authorization import Secret
from cqrs.http.middleware.retry import repeatable
from cqrs.http.oauth2 import OAuth2TokenError, Token, TokenEndpoint

logger = logging.getLogger(__name__)

PAUSE = 5.0
"""Seconds for which nothing more is renewed after a new token was refused, or an early renewal failed."""


class OAuth2RefreshTokenMiddleware(FlowMiddleware):
    """Puts an access token on every request (OAuth 2.0, RFC 6749 section 6, and RFC 6750).

    The first call fetches a token; calls that come meanwhile wait for it, and for its error if it fails. A
    token is renewed ``leeway`` seconds before it expires, by one call, while others go on using it; should
    that fail they do so until it has expired. A 401 leads to one more try with a new token. A refresh token
    that the server replaces is kept, in memory, and told to ``on_refresh_token``.

    Args:
        token_url: the token endpoint, absolute.
        refresh_token: the one to begin with.
        client_id, client_secret: of this application, if it is registered there.
        scope: scopes, a list or text with blanks between; ``None``: those of the refresh token.
        leeway: seconds before the expiry at which a token is renewed, at most half of its life; >= 0.
        timeout: for a call of the token endpoint. A call waits for it no longer than its own timeout allows.
        auth: how the client shows its secret: ``"basic"``, or ``"body"`` for servers that want it there.
        transport: sends the calls of the token endpoint; ``None``: one of its own.
        on_refresh_token: told each new refresh token, a ``SecretStr``, to store it for the next start.
        clock: monotonic seconds.

    Raises:
        ConfigurationError: the arguments do not fit together, or one is out of range.
    """

    def __init__(
        self,
        token_url: str,
        refresh_token: Secret,
        client_id: str | None = None,
        client_secret: Secret | None = None,
        scope: str | Iterable[str] | None = None,
        *,
        leeway: float = 30.0,
        timeout: TimeoutLike = (5.0, 5.0),
        auth: Literal["basic", "body"] = "basic",
        transport: Any = None,
        on_refresh_token: Callable[[SecretStr], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        seconds = validation.seconds("leeway", leeway, strict=False)
        self._endpoint = TokenEndpoint(
            token_url, refresh_token, client_id, client_secret, scope, auth, seconds
        )
        self._timeout = HTTPTimeout.of(timeout)
        self._transport = transport
        self._owns_transport = transport is None
        self._on_refresh_token = on_refresh_token
        self._clock = clock
        self._flights = Flights()
        self._token: Token | None = None
        self._failure: OAuth2TokenError | None = None  # of the last fetch
        self._renewing = False
        self._not_before = self._refused_until = -math.inf
        self._running: tuple[asyncio.AbstractEventLoop, asyncio.Task[Token]] | None = None

    def flow(self, request: HTTPRequest, client_name: str, path: str, timeout: HTTPTimeout) -> Flow:
        end = self._clock() + timeout.limit
        token = yield from self._present(end)
        try:
            response: HTTPResponse = yield self._send(request, token, timeout, end)
        except HTTPError as error:
            if error.status_code != 401 or not self._worth_another(token, request):
                raise
        else:
            if response.status_code != 401 or not self._worth_another(token, request):
                return response
        token = yield from self._renewed(token, end)
        try:
            response = yield self._send(request, token, timeout, end)
        except HTTPError as error:
            self._note(error.status_code)
            raise
        self._note(response.status_code)
        return response

    def _note(self, status: int) -> None:
        if status == 401:
            self._refused_until = self._clock() + PAUSE

    def _worth_another(self, token: Token, request: HTTPRequest) -> bool:
        renewed = token is not self._token  # by another call, meanwhile
        return repeatable(request) and (renewed or self._clock() >= self._refused_until)

    def _send(self, request: HTTPRequest, token: Token, timeout: HTTPTimeout, end: float) -> Send:
        left = max(end - self._clock(), 0.001)
        return Send(request.with_headers({"Authorization": token.header}), timeout.within(left))

    def _present(self, end: float) -> Generator[Any, Any, Token]:
        token, now = self._token, self._clock()
        if token is None or now >= token.until:
            return (yield from self._renewed(token, end))
        if now >= token.renew_from and not self._renewing and now >= self._not_before:
            self._renewing = True
            try:
                return (yield from self._renewed(token, now + (end - now) / 2))  # there is a call to make
            except OAuth2TokenError as error:
                self._not_before = self._clock() + PAUSE
                logger.warning("an access token could not be renewed early: %s", error)
            finally:
                self._renewing = False
        return token

    def _renewed(self, old: Token | None, end: float) -> Generator[Any, Any, Token]:
        """Return a token other than ``old``; whoever comes first fetches it, for all.

        Raises:
            OAuth2TokenError: it cannot be had, or not in time.
        """
        while True:
            token = self._token
            if token is not None and token is not old and self._clock() < token.until:
                return token
            flight, mine = self._flights.join("token")
            left = max(end - self._clock(), 0.001)
            if mine:
                break
            if not (yield Landing(flight, left)):
                raise self._endpoint.late()
            token, failure = self._token, self._failure
            if flight.abandoned:
                continue
            if token is not None and token is not old:
                return token  # even if it has expired meanwhile: it was fetched for this call as well
            if failure is not None:
                raise failure.again()
        try:
            fetched: Token | None = yield Call(self._fetch, self._fetch_async, left)
            if fetched is None:
                flight.abandoned = True
                raise self._endpoint.late()
            return fetched
        except Exception:
            raise
        except BaseException:
            flight.abandoned = True
            raise
        finally:
            self._flights.end("token")

    # ------------------------------------------------------------------ fetching; None: not in time

    def _fetch(self, seconds: float) -> Token | None:
        transport: Any = self._transport
        if transport is None:
            from cqrs.http.transports.httpx import SyncHttpxTransport

            transport = self._transport = SyncHttpxTransport()
        asked_at, timeout = self._clock(), self._timeout.within(seconds)
        try:
            answer = transport(self._endpoint.request(), "oauth2", "", timeout)
        except (HTTPClientError, OSError) as error:
            if timeout is not self._timeout and isinstance(error, TimeoutError):
                return None  # others may have more time
            raise self._failed(error) from error
        return self._received(answer, asked_at)

    async def _fetch_async(self, seconds: float) -> Token | None:
        # A task of its own: if the call that began it is cancelled, the next one waits for the same answer.
        # To ask again could be fatal, as the server may have replaced the refresh token already.
        loop, running = asyncio.get_running_loop(), self._running
        if running is None or running[0] is not loop or running[1].done():
            task = loop.create_task(self._ask())
            task.add_done_callback(_looked_at)
            self._running = running = loop, task
        await asyncio.wait([running[1]], timeout=seconds)
        return running[1].result() if running[1].done() else None

    async def _ask(self) -> Token:
        transport: Any = self._transport
        if transport is None:
            from cqrs.http.transports.httpx import AsyncHttpxTransport

            transport = self._transport = AsyncHttpxTransport()
        asked_at = self._clock()
        try:
            answer = await transport(self._endpoint.request(), "oauth2", "", self._timeout)
        except (HTTPClientError, OSError) as error:
            raise self._failed(error) from error
        return self._received(answer, asked_at)

    def _failed(self, error: HTTPClientError | OSError) -> OAuth2TokenError:
        failure = self._endpoint.unreachable(error)
        if isinstance(error, HTTPError):
            try:
                self._endpoint.token(error.response, 0.0)
            except OAuth2TokenError as said:
                failure = said
        self._failure = failure.again()
        return failure

    def _received(self, answer: HTTPResponse, asked_at: float) -> Token:
        known = self._endpoint.refresh_token
        try:
            token = self._token = self._endpoint.token(answer, asked_at)
        except OAuth2TokenError as failure:
            self._failure = failure.again()
            raise
        else:
            self._failure = None
        if self._endpoint.refresh_token is not known and self._on_refresh_token is not None:
            try:
                self._on_refresh_token(self._endpoint.refresh_token)
            except Exception:
                logger.exception("a new refresh token could not be told to %r", self._on_refresh_token)
        return token

    def ending(self) -> Generator[Any, Any, None]:
        transport: Any = self._transport
        if self._owns_transport and transport is not None:
            self._transport = None
            yield Call(getattr(transport, "close", None), getattr(transport, "aclose", None))


class AsyncOAuth2RefreshTokenMiddleware(AsyncFlow, OAuth2RefreshTokenMiddleware):
    __doc__ = OAuth2RefreshTokenMiddleware.__doc__


class SyncOAuth2RefreshTokenMiddleware(SyncFlow, OAuth2RefreshTokenMiddleware):
    __doc__ = OAuth2RefreshTokenMiddleware.__doc__


def _looked_at(task: asyncio.Task[Token]) -> None:
    if not task.cancelled():
        task.exception()  # or asyncio would complain if everybody who waited was cancelled
