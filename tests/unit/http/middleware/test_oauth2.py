"""Access tokens by a refresh token."""

from __future__ import annotations

import asyncio
import base64
import logging
import pickle
import threading
from typing import Any
from urllib.parse import parse_qs

import pytest
from pydantic import SecretStr

from cqrs.exceptions import ConfigurationError
from cqrs.http.errors import HTTPConnectionError, HTTPError, HTTPTimeoutError
from cqrs.http.messages import HTTPRequest, HTTPResponse, HTTPTimeout
from cqrs.http.middleware import oauth2
from cqrs.http.oauth2 import OAuth2TokenError
from cqrs.testing import FakeClock
from tests.unit.http.middleware.sides import Server, Side

URL = "https://auth.test/token"


class Tokens(Server):
    """A token endpoint: hands out ``t1``, ``t2`` and so on."""

    def __init__(self, *answers: Any, **members: Any) -> None:
        super().__init__(*(answers or (self.give,)))
        self.members = {"token_type": "Bearer", "expires_in": 3600, **members}
        self.given = 0

    def give(self, request: HTTPRequest) -> HTTPResponse:
        self.given += 1
        members = {key: value for key, value in self.members.items() if value is not None}
        return HTTPResponse(200, {}, json={"access_token": f"t{self.given}", **members})

    def form(self, number: int = -1) -> dict[str, list[str]]:
        body = self.sent[number].body
        assert isinstance(body, str)
        return parse_qs(body)


def made(side: Side, tokens: Server, clock: FakeClock, *arguments: Any, **options: Any) -> Any:
    arguments = arguments or (URL, "r1", "app", "s3cret")
    return side.make(
        oauth2,
        "OAuth2RefreshTokenMiddleware",
        *arguments,
        transport=side.transport(tokens),
        clock=clock,
        **options,
    )


def bearer(server: Server, number: int = -1) -> str:
    return server.headers(number)["authorization"]


def denied(status: int = 400, **members: Any) -> HTTPResponse:
    return HTTPResponse(status, {}, json=members)


def test_a_token_is_fetched_once_and_sent_with_every_call(side: Side, clock: FakeClock) -> None:
    tokens, server = Tokens(), Server()
    middleware = made(side, tokens, clock)
    for _ in range(3):
        side.call(server, middleware)
    assert tokens.given == 1
    assert [bearer(server, number) for number in range(3)] == ["Bearer t1"] * 3


def test_the_request_is_that_of_the_rfc(side: Side, clock: FakeClock) -> None:
    tokens = Tokens()
    middleware = made(side, tokens, clock, URL + "?tenant=x", SecretStr("r 1"), "a:b", "s3 cret", ["x", "y"])
    side.call(Server(), middleware)
    (request,) = tokens.sent
    assert (request.method, str(request)) == ("POST", "POST https://auth.test/token")
    assert request.url == URL + "?tenant=x"
    assert tokens.form() == {"grant_type": ["refresh_token"], "refresh_token": ["r 1"], "scope": ["x y"]}
    scheme, value = tokens.headers()["authorization"].split()
    assert (scheme, base64.b64decode(value)) == ("Basic", b"a%3Ab:s3+cret")
    assert tokens.headers()["content-type"] == "application/x-www-form-urlencoded"


def test_a_client_may_show_its_secret_in_the_body_or_have_none(side: Side, clock: FakeClock) -> None:
    tokens = Tokens()
    side.call(Server(), made(side, tokens, clock, auth="body"))
    assert tokens.form()["client_secret"] == ["s3cret"]
    assert tokens.form()["client_id"] == ["app"]
    side.call(Server(), made(side, tokens, clock, URL, "r1", "app"))
    assert tokens.form()["client_id"] == ["app"]
    assert "authorization" not in tokens.headers()


# ---------------------------------------------------------------------- expiry


def test_a_token_is_renewed_ahead_of_its_expiry(side: Side, clock: FakeClock) -> None:
    tokens, server = Tokens(), Server()
    middleware = made(side, tokens, clock, leeway=30)
    side.call(server, middleware)
    clock.advance(3569)
    side.call(server, middleware)
    assert tokens.given == 1
    clock.advance(1)
    side.call(server, middleware)
    assert bearer(server) == "Bearer t2"


def test_the_age_counts_from_the_question(side: Side, clock: FakeClock) -> None:
    tokens, server = Tokens(expires_in=100), Server()
    tokens.then = lambda _: clock.advance(50)
    middleware = made(side, tokens, clock, leeway=10)
    side.call(server, middleware)
    clock.advance(40)
    side.call(server, middleware)
    assert tokens.given == 2


@pytest.mark.parametrize("life", [20, "20"])
def test_a_token_that_lives_shorter_than_the_leeway_is_used(
    side: Side, clock: FakeClock, life: object
) -> None:
    tokens, server = Tokens(expires_in=life), Server()
    middleware = made(side, tokens, clock, leeway=30)
    side.call(server, middleware)
    clock.advance(9)
    side.call(server, middleware)
    assert tokens.given == 1
    clock.advance(1)
    side.call(server, middleware)
    assert tokens.given == 2


@pytest.mark.parametrize(
    "life", [None, "soon", -1, True, 10**400, "9" * 5000, float("nan")], ids=lambda life: str(life)[:5]
)
def test_a_token_without_a_life_is_good_until_it_is_refused(
    side: Side, clock: FakeClock, life: object
) -> None:
    tokens, server = Tokens(expires_in=life), Server()
    middleware = made(side, tokens, clock)
    side.call(server, middleware)
    clock.advance(10**9)
    side.call(server, middleware)
    assert tokens.given == 1


def test_a_renewal_that_fails_early_harms_nobody(
    side: Side, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    tokens, server = Tokens(), Server()
    tokens.answers = [
        tokens.give,
        HTTPConnectionError("refused"),
        HTTPConnectionError("refused"),
        tokens.give,
    ]
    middleware = made(side, tokens, clock)
    side.call(server, middleware)
    clock.advance(3580)
    for _ in range(3):
        side.call(server, middleware)
    assert len(tokens.sent) == 2, "it is not tried again at once"
    assert bearer(server) == "Bearer t1"
    assert len(caplog.records) == 1
    clock.advance(5)
    side.call(server, middleware)
    assert len(tokens.sent) == 3
    clock.advance(15)
    side.call(server, middleware)
    assert bearer(server) == "Bearer t2"


# ---------------------------------------------------------------------- refusals


def http_error(status: int) -> HTTPError:
    return HTTPError.of(HTTPRequest("GET", "http://user"), HTTPResponse(status, {}))


@pytest.mark.parametrize("refusal", [401, http_error(401)], ids=repr)
def test_a_refused_token_is_renewed_and_the_call_made_once_more(
    side: Side, clock: FakeClock, refusal: Any
) -> None:
    tokens, server = Tokens(), Server(200, refusal, 200)
    middleware = made(side, tokens, clock)
    side.call(server, middleware)
    assert side.call(server, middleware, method="POST").status_code == 200
    assert [bearer(server, number) for number in range(3)] == ["Bearer t1", "Bearer t1", "Bearer t2"]


def test_a_server_that_refuses_every_token_does_not_make_us_ask_for_more_and_more(
    side: Side, clock: FakeClock
) -> None:
    tokens, server = Tokens(), Server(401)
    middleware = made(side, tokens, clock)
    for _ in range(5):
        assert side.call(server, middleware).status_code == 401
    assert tokens.given == 2
    clock.advance(5)
    side.call(server, middleware)
    assert tokens.given == 3


def test_other_statuses_are_passed_on(side: Side, clock: FakeClock) -> None:
    tokens, server = Tokens(), Server(403)
    assert side.call(server, made(side, tokens, clock)).status_code == 403
    with pytest.raises(HTTPError):
        side.call(Server(http_error(500)), made(side, tokens, clock))
    assert len(server.sent) == 1


def test_the_second_try_has_the_time_that_is_left(side: Side, clock: FakeClock) -> None:
    tokens, server = Tokens(), Server(401, 200)
    server.then = lambda _: clock.advance(3)
    side.call(server, made(side, tokens, clock), timeout=HTTPTimeout(5, 5))
    assert [timeout.limit for timeout in server.timeouts] == [10, 7]


# ---------------------------------------------------------------------- rotation


def test_a_refresh_token_that_was_replaced_is_kept_and_told(side: Side, clock: FakeClock) -> None:
    told: list[str] = []
    tokens, server = Tokens(refresh_token="r2", expires_in=10), Server()
    middleware = made(
        side, tokens, clock, on_refresh_token=lambda token: told.append(token.get_secret_value())
    )
    side.call(server, middleware)
    assert told == ["r2"]
    clock.advance(10)
    side.call(server, middleware)
    assert [tokens.form(number)["refresh_token"] for number in (0, 1)] == [["r1"], ["r2"]]


def test_a_storage_that_raises_harms_no_call(
    side: Side, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    def store(token: SecretStr) -> None:
        raise OSError("full disk")

    middleware = made(side, Tokens(refresh_token="r2"), clock, on_refresh_token=store)
    assert side.call(Server(), middleware).status_code == 200
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "r2" not in caplog.text


# ---------------------------------------------------------------------- errors


def failure(side: Side, clock: FakeClock, answer: Any) -> OAuth2TokenError:
    server = Server()
    with pytest.raises(OAuth2TokenError) as caught:
        side.call(server, made(side, Tokens(answer), clock))
    assert not server.sent
    return caught.value


def test_what_the_endpoint_says_is_said(side: Side, clock: FakeClock) -> None:
    error = failure(side, clock, denied(error="invalid_grant", error_description="It has\nexpired."))
    assert str(error) == (
        "POST https://auth.test/token: the token endpoint answered 400 invalid_grant: It has expired."
    )
    assert (error.status_code, error.error) == (400, "invalid_grant")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.status_code, copy.error) == (str(error), 400, "invalid_grant")


@pytest.mark.parametrize("answer", [denied(error="bad r1", error_description="s3cret, r1"), http_error(503)])
def test_secrets_are_never_said(side: Side, clock: FakeClock, answer: Any) -> None:
    error = failure(side, clock, answer)
    assert "r1" not in str(error).replace("Server1", "")
    assert "s3cret" not in str(error)
    assert error.request is not None
    assert error.request.body == b""
    assert error.request.headers == {}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (HTTPResponse(502, {}, content=b"<html>"), "answered 502"),
        (http_error(503), "answered 503"),
        (denied(401, error=7), "answered 401"),
        (denied(200, token_type="Bearer"), "without a usable access token"),
        (denied(200, access_token="a\nb"), "without a usable access token"),
        (HTTPResponse(200, {}, json=["t1"]), "without a usable access token"),
        (denied(200, access_token="abc", token_type="mac"), "other than Bearer"),
        (HTTPTimeoutError("total timeout"), "did not answer: total timeout"),
        (HTTPConnectionError("refused"), "did not answer: refused"),
        (ConnectionResetError("peer"), "did not answer: ConnectionResetError"),
    ],
    ids=repr,
)
def test_answers_of_no_use(side: Side, clock: FakeClock, answer: Any, said: str) -> None:
    error = failure(side, clock, answer)
    assert said in str(error)
    assert error.__cause__ is (answer if isinstance(answer, Exception) else None)


def test_the_cause_does_not_hold_the_secrets_either(side: Side, clock: FakeClock) -> None:
    def late(request: HTTPRequest) -> Exception:
        return HTTPTimeoutError("late", request)

    cause = failure(side, clock, late).__cause__
    assert isinstance(cause, HTTPTimeoutError)
    assert cause.request is not None
    assert cause.request.body == b""


def test_the_next_call_after_an_error_asks_again(side: Side, clock: FakeClock) -> None:
    tokens, server = Tokens(), Server()
    tokens.answers = [denied(503), tokens.give]
    middleware = made(side, tokens, clock)
    with pytest.raises(OAuth2TokenError):
        side.call(server, middleware)
    assert side.call(server, middleware).status_code == 200


def test_a_mistake_of_the_program_is_not_dressed_up(side: Side, clock: FakeClock) -> None:
    with pytest.raises(ZeroDivisionError):
        side.call(Server(), made(side, Tokens(ZeroDivisionError()), clock))


# ---------------------------------------------------------------------- many at once


class Slow:
    """An asynchronous token endpoint that answers when it is told to."""

    def __init__(self, clock: FakeClock, **members: Any) -> None:
        self.tokens = Tokens(**members)
        self.count = 0
        self.asked = asyncio.Event()
        self.answer = asyncio.Event()
        self.middleware = oauth2.AsyncOAuth2RefreshTokenMiddleware(
            URL, "r1", "app", "s3cret", transport=self.transport, clock=clock
        )

    async def transport(self, *arguments: Any) -> HTTPResponse:
        self.count += 1
        self.asked.set()
        await self.answer.wait()
        return self.tokens.answer(*arguments)

    def call(self, server: Server, timeout: float = 30) -> asyncio.Task[HTTPResponse]:
        handle = self.middleware(server.answer_async)

        async def call() -> HTTPResponse:
            limit = HTTPTimeout(timeout, timeout, timeout)
            return await handle(HTTPRequest("GET", "http://user:8000"), "user", "/", limit)

        return asyncio.create_task(call())


@pytest.mark.parametrize("life", [3600, 0])
async def test_thirty_first_calls_fetch_one_token(clock: FakeClock, life: int) -> None:
    slow, server = Slow(clock, expires_in=life), Server()
    calls = [slow.call(server) for _ in range(30)]
    await slow.asked.wait()
    slow.answer.set()
    assert {response.status_code for response in await asyncio.gather(*calls)} == {200}
    assert slow.tokens.given == 1


async def test_when_the_fetch_fails_all_get_the_error_and_the_next_call_tries_again(clock: FakeClock) -> None:
    slow, server = Slow(clock), Server()
    slow.tokens.answers = [denied(error="invalid_client"), slow.tokens.give]
    calls = [slow.call(server) for _ in range(30)]
    await slow.asked.wait()
    slow.answer.set()
    errors = await asyncio.gather(*calls, return_exceptions=True)
    assert [getattr(error, "error", None) for error in errors] == ["invalid_client"] * 30
    assert len({id(error) for error in errors}) == 30
    assert len(slow.tokens.sent) == 1
    assert (await slow.call(server)).status_code == 200


async def test_a_cancelled_first_call_does_not_fail_the_others_and_its_answer_is_used(
    clock: FakeClock,
) -> None:
    slow, server = Slow(clock, refresh_token="r2"), Server()
    calls = [slow.call(server) for _ in range(3)]
    await slow.asked.wait()
    calls[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await calls[0]
    slow.answer.set()
    assert [response.status_code for response in await asyncio.gather(*calls[1:])] == [200, 200]
    assert slow.count == 1, "a second use of the refresh token could be fatal"


async def test_an_old_error_is_not_that_of_a_cancelled_fetch(clock: FakeClock) -> None:
    slow, server = Slow(clock), Server()
    slow.tokens.answers = [denied(503), slow.tokens.give]
    slow.answer.set()
    with pytest.raises(OAuth2TokenError):
        await slow.call(server)
    slow.answer.clear()
    slow.asked.clear()
    calls = [slow.call(server) for _ in range(3)]
    await slow.asked.wait()
    calls[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await calls[0]
    slow.answer.set()
    assert [response.status_code for response in await asyncio.gather(*calls[1:])] == [200, 200]


async def test_a_fetch_that_nobody_waits_for_ends_quietly(clock: FakeClock) -> None:
    slow, server = Slow(clock), Server()
    slow.tokens.answers = [denied(error="invalid_client"), slow.tokens.give]
    call = slow.call(server)
    await slow.asked.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    slow.answer.set()
    assert (await asyncio.gather(slow.call(server), return_exceptions=True))[0] is not None
    assert (await slow.call(server)).status_code == 200


async def test_others_use_the_old_token_while_one_renews_it(clock: FakeClock) -> None:
    slow, server = Slow(clock), Server()
    slow.answer.set()
    await slow.call(server)
    slow.answer.clear()
    slow.asked.clear()
    clock.advance(3590)
    renewing = slow.call(server)
    await slow.asked.wait()
    await slow.call(server)
    assert bearer(server) == "Bearer t1"
    slow.answer.set()
    await renewing
    assert bearer(server) == "Bearer t2"


async def test_nobody_waits_longer_than_the_own_timeout_whoever_was_first(clock: FakeClock) -> None:
    slow, server = Slow(clock), Server()
    first = slow.call(server, timeout=0.01)
    await slow.asked.wait()
    calls = [slow.call(server), slow.call(server, timeout=0.01), slow.call(server)]
    for call in (first, calls[1]):
        with pytest.raises(OAuth2TokenError, match="within the time that the call had"):
            await call
    slow.answer.set()
    assert [(await call).status_code for call in (calls[0], calls[2])] == [200, 200]
    assert slow.count == 1


async def test_an_early_renewal_leaves_time_for_the_call(clock: FakeClock) -> None:
    slow, server = Slow(clock), Server()
    slow.answer.set()
    await slow.call(server)
    slow.answer.clear()
    clock.advance(3590)
    assert (await slow.call(server, timeout=0.02)).status_code == 200
    assert bearer(server) == "Bearer t1"
    slow.answer.set()


def test_an_early_renewal_has_half_of_the_time(clock: FakeClock) -> None:
    tokens, side = Tokens(), Side("sync")
    middleware = made(side, tokens, clock)
    side.call(Server(), middleware)
    clock.advance(3590)
    side.call(Server(), middleware, timeout=HTTPTimeout(3, 3))
    assert [timeout.limit for timeout in tokens.timeouts] == [10, 3]


def test_a_thread_asks_no_longer_than_its_own_timeout(clock: FakeClock) -> None:
    side, server = Side("sync"), Server()
    tokens = Tokens()
    tokens.answers = [HTTPTimeoutError("late"), tokens.give]
    middleware = made(side, tokens, clock)
    with pytest.raises(OAuth2TokenError, match="within the time that the call had"):
        side.call(server, middleware, timeout=HTTPTimeout(1, 1))
    assert tokens.timeouts[0].limit == 2
    assert side.call(server, middleware).status_code == 200
    assert tokens.timeouts[1].limit == 10


def test_the_time_for_the_token_is_part_of_the_call(side: Side, clock: FakeClock) -> None:
    tokens, server = Tokens(), Server()
    tokens.then = lambda _: clock.advance(4)
    side.call(server, made(side, tokens, clock), timeout=HTTPTimeout(5, 5))
    assert server.timeouts[0].limit == 6


def test_thirty_threads_fetch_one_token(clock: FakeClock) -> None:
    tokens, server, barrier = Tokens(), Server(), threading.Barrier(30)
    middleware = made(Side("sync"), tokens, clock)

    def call() -> None:
        barrier.wait()
        Side("sync").call(server, middleware)

    threads = [threading.Thread(target=call) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.sent) == 30
    assert tokens.given == 1


# ---------------------------------------------------------------------- the rest


def test_its_own_transport_is_closed_and_one_that_was_given_is_not(
    side: Side, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[str] = []
    tokens = Tokens()

    class Own:
        def __call__(self, *arguments: Any) -> Any:
            return side.transport(tokens)(*arguments)

        def close(self) -> None:
            closed.append("own")

        async def aclose(self) -> None:
            self.close()

    name = ("Async" if side.asynchronous else "Sync") + "HttpxTransport"
    monkeypatch.setattr(f"cqrs.http.transports.httpx.{name}", Own)
    middleware = side.make(oauth2, "OAuth2RefreshTokenMiddleware", URL, "r1", clock=clock)
    assert side.call(Server(), middleware).status_code == 200
    side.run(middleware.aclose() if side.asynchronous else middleware.close())
    assert closed == ["own"]
    given = side.make(oauth2, "OAuth2RefreshTokenMiddleware", URL, "r1", transport=Own())
    side.run(given.aclose() if side.asynchronous else given.close())
    assert closed == ["own"]


def test_nothing_shows_a_secret(side: Side, clock: FakeClock) -> None:
    server, tokens = Server(), Tokens()
    middleware = made(side, tokens, clock, URL, "r3fresh", "app", "s3cret")
    side.call(server, middleware)
    shown = f"{vars(middleware)} {vars(middleware._endpoint)} {server.sent} {tokens.sent}"
    shown += str(server.sent[0].headers)
    assert "t1" not in shown
    assert "r3fresh" not in shown
    assert "s3cret" not in shown


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (("auth.test/token", "r1"), {}),
        (("https://a:b@auth.test/token", "r1"), {}),
        (("https://auth.test/{x}", "r1"), {}),
        ((URL, ""), {}),
        ((URL, "r1", None, "s3cret"), {}),
        ((URL, "r1"), {"auth": "digest"}),
        ((URL, "r1"), {"leeway": -1}),
        ((URL, "r1"), {"timeout": 0}),
    ],
)
def test_wrong_arguments_are_refused(side: Side, arguments: Any, options: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        side.make(oauth2, "OAuth2RefreshTokenMiddleware", *arguments, **options)
    assert "s3cret" not in str(caught.value)
