"""What every transport does with its connections, and with what it sends."""

from __future__ import annotations

import asyncio
import gc
import io
import threading
from collections.abc import Callable
from typing import Any

import httpx
import httpx2
import pytest

from cqrs.circuit_breaker import Verdict
from cqrs.exceptions import ConfigurationError
from cqrs.http.errors import (
    HTTPClosedError,
    HTTPConnectionError,
    HTTPPoolTimeoutError,
    HTTPResponseError,
    HTTPTimeoutError,
)
from cqrs.http.messages import HTTPRequest, HTTPResponse, HTTPTimeout
from cqrs.http.models import FormValue
from cqrs.http.outcomes import Outcomes
from cqrs.http.transports.httpx import AsyncHttpxTransport, SyncHttpxTransport
from tests.integration.http.peer import ALL, ASYNCHRONOUS, OK, Caller, Exchange, Peer, caller

pytestmark = pytest.mark.timeout(60)

Make = Callable[..., Caller]
LIBRARIES = {"httpx2": httpx2, "httpx": httpx}
LONG = HTTPTimeout(30, 30)


def answer(exchange: Exchange) -> None:
    exchange.send(OK)


def echo(exchange: Exchange) -> None:
    body = exchange.head + b"\n\n" + exchange.body
    exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def test_a_thousand_calls_use_one_connection(make_caller: Make) -> None:
    with Peer(answer) as peer:
        call = make_caller()
        request = HTTPRequest("GET", peer.url)
        for _ in range(1000):
            assert call(request).status_code == 200
        assert (peer.requests, peer.connections) == (1000, 1)


def test_a_connection_that_the_server_closed_is_replaced(make_caller: Make) -> None:
    def once(exchange: Exchange) -> bool:
        exchange.send(OK)
        return True

    with Peer(once) as peer:
        call = make_caller()
        for _ in range(3):
            assert call(HTTPRequest("GET", peer.url)).json == {}
            assert peer.all_closed()
        assert peer.connections == 3


def test_what_is_sent(make_caller: Make) -> None:
    with Peer(echo) as peer:
        head, _, body = make_caller()(
            HTTPRequest(
                "PUT",
                peer.url + "/users/{name}",
                path={"name": "a/b ü"},
                querystring={"q": ["1 2", "é"]},
                headers={"X-Tag": "one", "content-type": "application/json"},
                body='{"ü": 1}',
            )
        ).content.partition(b"\n\n")
    lines = head.lower().split(b"\r\n")
    assert head.startswith(b"PUT /users/a%2Fb%20%C3%BC?q=1+2&q=%C3%A9 HTTP/1.1\r\n")
    assert body == '{"ü": 1}'.encode()
    for line in (
        b"x-tag: one",
        b"content-type: application/json",
        b"content-length: 9",
        f"host: 127.0.0.1:{peer.port}".encode(),
        b"accept-encoding: gzip, deflate",
    ):
        assert lines.count(line) == 1, line
    assert [line for line in lines if line.startswith(b"user-agent: holdfast/")]
    assert len({line.partition(b":")[0] for line in lines}) == len(lines)  # none twice


def test_credentials_of_a_url_become_a_header(make_caller: Make) -> None:
    with Peer(echo) as peer:
        url = peer.url.replace("//", "//us%20er:pass@")
        assert (
            b"authorization: basic dxmgzxi6cgfzcw==" in make_caller()(HTTPRequest("GET", url)).content.lower()
        )


def test_an_empty_post_has_a_length(make_caller: Make) -> None:
    with Peer(echo) as peer:
        assert b"content-length: 0" in make_caller()(HTTPRequest("POST", peer.url)).content.lower()


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_answers_without_a_body(make_caller: Make, method: str) -> None:
    def bare(exchange: Exchange) -> None:
        length = b"Content-Length: 99999999999\r\n" if method == "HEAD" else b""
        status = b"200 OK" if method == "HEAD" else b"204 No Content"
        exchange.send(b"HTTP/1.1 " + status + b"\r\n" + length + b"Content-Encoding: gzip\r\n\r\n")

    with Peer(bare) as peer:
        call = make_caller()
        for _ in range(2):
            assert call(HTTPRequest(method, peer.url)).content == b""
        assert peer.connections == 1


@pytest.mark.parametrize("status", [301, 404, 429, 500, 503, 599])
def test_every_status_is_an_answer(make_caller: Make, status: int) -> None:
    def refuse(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 %d No\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n" % status)

    with Peer(refuse) as peer:
        response = make_caller()(HTTPRequest("GET", peer.url))
    assert (response.status_code, response.headers["retry-after"]) == (status, "7")


def test_whole_seconds_are_taken(make_caller: Make) -> None:
    with Peer(answer) as peer:
        for timeout in (HTTPTimeout(5), HTTPTimeout(5, 5, 5), HTTPTimeout.of(3), HTTPTimeout.of((3, 2))):
            assert make_caller()(HTTPRequest("GET", peer.url), timeout).status_code == 200


def test_attachments_are_a_multipart_form(make_caller: Make) -> None:
    with Peer(echo) as peer:
        attachments = {
            "title": [FormValue("über"), FormValue("two")],
            "raw": b"bytes",
            "text": "täxt",
            "file": io.BytesIO(b"from a file"),
            "named": ("report.csv", b"1,2", "text/csv"),
            "large": io.BytesIO(b"x" * 3_000_000),
        }
        request = HTTPRequest(
            "POST", peer.url, headers={"Content-Type": "multipart/form-data"}, attachments=attachments
        )
        content = make_caller()(request).content
    head, _, body = content.partition(b"\n\n")
    assert head.lower().count(b"content-type: multipart/form-data; boundary=") == 1
    for text in ("über", "two", "bytes", "täxt", "from a file", "1,2", 'filename="report.csv"', "text/csv"):
        assert text.encode() in body, text
    assert body.count(b'name="title"') == 2
    assert body.count(b"filename=") == 5
    assert b"x" * 3_000_000 in body


# ---------------------------------------------------------------------- redirections


def redirecting(status: int, location: str) -> Callable[[Exchange], None]:
    def script(exchange: Exchange) -> None:
        if exchange.head.split(b" ")[1] == b"/there":
            exchange.send(OK.removesuffix(b"{}") if exchange.head.startswith(b"HEAD") else OK)
            return
        exchange.send(
            b"HTTP/1.1 %d Go\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % (status, location.encode())
        )

    return script


def test_redirections_are_not_followed(make_caller: Make) -> None:
    with Peer(redirecting(302, "/there")) as peer:
        assert make_caller()(HTTPRequest("GET", peer.url)).status_code == 302
        assert peer.requests == 1


@pytest.mark.parametrize(
    ("method", "status", "location", "expected"),
    [
        ("GET", 301, "/there", 200),
        ("GET", 302, "there", 200),
        ("HEAD", 303, "/there", 200),
        ("POST", 307, "/there", 200),
        ("DELETE", 308, "/there", 200),
        ("POST", 302, "/there", 302),
        ("POST", 303, "/there", 303),
        ("GET", 302, "/again", 302),
        ("GET", 302, "http://user@{host}/there", 302),
        ("GET", 302, "https://{host}/there", 302),
        ("GET", 302, "ftp://{host}/there", 302),
        ("GET", 304, "/there", 304),
    ],
)
def test_redirections_within_the_origin_are_followed_if_asked(
    make_caller: Make, method: str, status: int, location: str, expected: int
) -> None:
    with Peer(answer) as peer:
        host = f"127.0.0.1:{peer.port}"
        peer.script = redirecting(status, location.format(host=host))
        response = make_caller(follow_redirects=2)(HTTPRequest(method, peer.url + "/x"))
        assert response.status_code == expected
        assert peer.requests == (3 if location == "/again" else 2 if expected == 200 else 1)


def test_redirections_never_leave_the_origin(make_caller: Make) -> None:
    with Peer(answer) as other, Peer(answer) as peer:
        for location in (
            other.url + "/there",
            f"//127.0.0.1:{other.port}/",
            f"http://localhost:{peer.port}/",
        ):
            peer.script = redirecting(302, location)
            request = HTTPRequest("GET", peer.url, headers={"Authorization": "secret"})
            assert make_caller(follow_redirects=5)(request).status_code == 302
        assert other.requests == 0


# ---------------------------------------------------------------------- tasks, threads and loops


@pytest.mark.parametrize("name", ASYNCHRONOUS)
async def test_a_cancelled_call_gives_its_connection_back(name: str) -> None:
    arrived = threading.Event()

    def script(exchange: Exchange) -> object:
        if b"/hang" in exchange.head:
            if b"/hang-in-body" in exchange.head:
                exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
            arrived.set()
            return exchange.hang()
        exchange.send(OK)
        return False

    transport = ASYNCHRONOUS[name](max_connections=1)
    with Peer(script) as peer:
        for path in ("/hang", "/hang-in-body", "/hang"):
            arrived.clear()
            task = asyncio.create_task(transport(HTTPRequest("GET", peer.url + path), "", "", LONG))
            await asyncio.to_thread(arrived.wait, 20)
            waiting = asyncio.create_task(transport(HTTPRequest("GET", peer.url), "", "", LONG))
            await asyncio.sleep(0)  # it waits for the only connection
            waiting.cancel()
            task.cancel()
            for each in (task, waiting):
                with pytest.raises(asyncio.CancelledError):
                    await each
            answer: HTTPResponse = await transport(HTTPRequest("GET", peer.url), "", "", LONG)
            assert answer.status_code == 200
        await transport.aclose()
        assert await asyncio.to_thread(peer.all_closed)


@pytest.mark.parametrize("name", ASYNCHRONOUS)
async def test_a_pool_that_is_used_up_is_told_apart(name: str) -> None:
    transport = ASYNCHRONOUS[name](max_connections=1)
    arrived = threading.Event()

    def script(exchange: Exchange) -> object:
        arrived.set()
        return exchange.hang()

    with Peer(script) as peer:
        request = HTTPRequest("GET", peer.url)
        task = asyncio.create_task(transport(request, "", "", LONG))
        await asyncio.to_thread(arrived.wait, 20)
        with pytest.raises(HTTPPoolTimeoutError, match="none of our own connections"):
            await transport(request, "", "", HTTPTimeout(read=20, connect=0.1))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await transport.aclose()


@pytest.mark.parametrize("name", ASYNCHRONOUS)
def test_use_from_two_event_loops_in_turn(name: str) -> None:
    transport = ASYNCHRONOUS[name]()
    with Peer(answer) as peer, asyncio.Runner() as one, asyncio.Runner() as two:
        request = HTTPRequest("GET", peer.url)
        for _ in range(3):
            for runner in (one, two):
                assert runner.run(transport(request, "", "", LONG)).status_code == 200
        assert peer.connections == 2
        for runner in (one, two):
            runner.run(transport.aclose())


@pytest.mark.parametrize("name", ASYNCHRONOUS)
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_use_after_the_loop_of_the_last_call_was_closed(name: str) -> None:
    transport = ASYNCHRONOUS[name]()
    with Peer(answer) as peer:
        for _ in range(3):
            assert asyncio.run(transport(HTTPRequest("GET", peer.url), "", "", LONG)).status_code == 200
    del transport
    gc.collect()


@pytest.mark.parametrize("name", ALL)
def test_use_after_closing_makes_new_connections(name: str) -> None:
    call = caller(name)
    with Peer(answer) as peer:
        for _ in range(2):
            assert call(HTTPRequest("GET", peer.url)).status_code == 200
            if name in ASYNCHRONOUS:
                call._run(call.transport.aclose())
            else:
                call.transport.close()
        assert peer.connections == 2
    call.close()


@pytest.mark.parametrize("library", LIBRARIES)
def test_threads_share_a_transport_and_keep_their_own_deadlines(library: str) -> None:
    transport = SyncHttpxTransport(library=library, max_keepalive=8)

    def script(exchange: Exchange) -> None:
        if b"/drip" in exchange.head:
            exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            exchange.drip(b"x")
        exchange.send(OK)

    outcomes: list[object] = []

    def work(url: str, timeout: HTTPTimeout) -> None:
        for _ in range(3):
            try:
                outcomes.append(transport(HTTPRequest("GET", url), "", "", timeout).status_code)
            except HTTPTimeoutError as error:
                outcomes.append(type(error))

    with Peer(script) as peer:
        jobs = [(peer.url, LONG)] * 4 + [(peer.url + "/drip", HTTPTimeout(20, 20, 0.2))] * 4
        threads = [threading.Thread(target=work, args=job) for job in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        transport.close()
    assert outcomes.count(200) == 12
    assert outcomes.count(HTTPTimeoutError) == 12


# ---------------------------------------------------------------------- clients and transports of one's own


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_transport_of_ones_own(library: str) -> None:
    module: Any = LIBRARIES[library]
    seen: list[Any] = []

    def handler(request: Any) -> Any:
        seen.append(request)
        if request.url.path == "/refused":
            raise module.ConnectError("no")
        if request.url.path == "/bug":
            raise KeyError("a bug")
        return module.Response(201, json={"a": 1}, headers={"X-A": "1"})

    transport = SyncHttpxTransport(transport=module.MockTransport(handler))
    response = transport(HTTPRequest("POST", "http://h/x", body=b"{}"), "", "", HTTPTimeout(5, 4))
    assert (response.status_code, response.json, response.headers["x-a"]) == (201, {"a": 1}, "1")
    assert isinstance(seen[0], module.Request)
    assert seen[0].extensions["timeout"] == {"connect": 4, "read": 5, "write": 5, "pool": 4}
    with pytest.raises(HTTPConnectionError):
        transport(HTTPRequest("GET", "http://h/refused"), "", "", LONG)
    with pytest.raises(KeyError):
        transport(HTTPRequest("GET", "http://h/bug"), "", "", LONG)
    small = SyncHttpxTransport(transport=module.MockTransport(handler), max_body_size=3)
    with pytest.raises(HTTPResponseError, match="max_body_size=3"):
        small(HTTPRequest("GET", "http://h/x"), "", "", LONG)


@pytest.mark.parametrize("library", LIBRARIES)
async def test_an_asynchronous_transport_of_ones_own(library: str) -> None:
    module: Any = LIBRARIES[library]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-a", b"1")]})
        await send({"type": "http.response.body", "body": scope["path"].encode()})

    transport = AsyncHttpxTransport(transport=module.ASGITransport(app))
    response = await transport(HTTPRequest("GET", "http://h/path"), "", "", LONG)
    assert (response.content, response.headers["x-a"]) == (b"/path", "1")
    await transport.aclose()


@pytest.mark.parametrize("library", LIBRARIES)
async def test_a_client_of_ones_own_is_used_as_it_is_and_left_open(library: str) -> None:
    module: Any = LIBRARIES[library]
    with Peer(echo) as peer:
        async with module.AsyncClient(headers={"X-Own": "1"}, trust_env=False) as client:
            transport = AsyncHttpxTransport(client)
            response = await transport(HTTPRequest("GET", peer.url), "", "", LONG)
            assert b"x-own: 1" in response.content.lower()
            await transport.aclose()
            assert not client.is_closed
        with module.Client(headers={"X-Own": "1"}, trust_env=False) as client:
            response = SyncHttpxTransport(client)(HTTPRequest("GET", peer.url), "", "", LONG)
            assert b"x-own: 1" in response.content.lower()


def test_proxies_are_asked(make_caller: Make) -> None:
    with Peer(echo) as proxy:
        call = make_caller(proxies={"http": proxy.url.replace("//", "//me:pw@")})
        content = call(HTTPRequest("GET", "http://far.invalid/x")).content
    assert content.startswith(b"GET http://far.invalid/x HTTP/1.1")
    assert b"proxy-authorization: basic bwu6chc=" in content.lower()


@pytest.mark.parametrize(
    "options",
    [
        {"max_connections": 0},
        {"max_body_size": 0},
        {"follow_redirects": -1},
        {"proxies": {"gopher": "http://p"}},
        {"proxies": {"http": "p"}},
        {"client": object()},
    ],
)
def test_wrong_arguments_are_refused(make_caller: Make, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        make_caller(**options)


@pytest.mark.parametrize("name", ALL)
def test_closing_a_transport_ends_its_calls_and_says_so(name: str) -> None:
    """A shutdown must not look like an outage of the server: a circuit that a fleet shares would open."""
    arrived = threading.Event()

    def hang(exchange: Exchange) -> bool:
        arrived.set()
        return exchange.hang()

    with Peer(hang) as peer:
        call = caller(name)
        found: list[BaseException] = []

        def ask() -> None:
            try:
                call(HTTPRequest("GET", peer.url), LONG)
            except Exception as error:
                found.append(error)

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        assert arrived.wait(20)
        call.close_transport()
        thread.join(20)
        assert not thread.is_alive()
        call.close()
    assert [type(error) for error in found] == [HTTPClosedError]
    assert Outcomes().of_error(found[0]) is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("name", ASYNCHRONOUS)
def test_closing_in_one_event_loop_explains_nothing_in_another(name: str) -> None:
    arrived, cut = threading.Event(), threading.Event()

    def break_off(exchange: Exchange) -> bool:
        arrived.set()
        return cut.wait(20)

    with Peer(break_off) as peer:
        call = caller(name)
        found: list[BaseException] = []

        def ask() -> None:
            try:
                call(HTTPRequest("GET", peer.url), LONG)
            except Exception as error:
                found.append(error)

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        assert arrived.wait(20)
        asyncio.run(call.transport.aclose())  # of a loop that has no connections
        cut.set()
        thread.join(20)
        assert not thread.is_alive()
        call.close()
    assert [type(error) for error in found] == [HTTPConnectionError], "the server did that"
