"""Every transport against servers that misbehave: each call ends, in time, with the error that says why."""

from __future__ import annotations

import gzip
import socket
import ssl
import struct
import zlib
from collections.abc import Callable

import pytest
import trustme

from cqrs.http.errors import (
    HTTPConnectionError,
    HTTPRequestError,
    HTTPResponseError,
    HTTPTimeoutError,
)
from cqrs.http.messages import HTTPRequest, HTTPTimeout
from tests.integration.http.peer import OK, Caller, Exchange, Peer

pytestmark = pytest.mark.timeout(40)

Make = Callable[..., Caller]
HEAD = b"HTTP/1.1 200 OK\r\n"
SHORT = HTTPTimeout(read=20, connect=20, total=0.3)
"""The servers below would go on for ever, and each single read is quick."""


def get(url: str) -> HTTPRequest:
    return HTTPRequest("GET", url + "/secret-free")


def drip_headers(exchange: Exchange) -> None:
    exchange.send(HEAD)
    exchange.drip(b"X-Header: value\r\n")


def drip_body(exchange: Exchange) -> None:
    exchange.send(HEAD + b"Content-Length: 1000000000\r\n\r\n")
    exchange.drip(b"x")


def drip_chunks(exchange: Exchange) -> None:
    exchange.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    exchange.drip(b"1\r\nx\r\n")


def drip_status_line(exchange: Exchange) -> None:
    exchange.drip(HEAD[:-4] + b"OK" * 1000)


@pytest.mark.parametrize("script", [drip_headers, drip_body, drip_chunks, drip_status_line])
def test_dripping_ends_with_the_total_timeout(make_caller: Make, script: Callable[[Exchange], None]) -> None:
    with Peer(script) as peer:
        call = make_caller(max_body_size=2_000_000_000)
        with pytest.raises(HTTPTimeoutError, match=r"total timeout.* 0\.3 s") as caught:
            call(get(peer.url), SHORT)
        assert caught.value.request is not None
        assert peer.all_closed()  # nothing is kept of such a connection


def test_dripping_tls_handshake_ends_with_a_timeout(make_caller: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(HTTPTimeoutError):
            make_caller()(get(url), SHORT)


def hang_at_once(exchange: Exchange) -> bool:
    return exchange.hang()


def hang_after_headers(exchange: Exchange) -> bool:
    exchange.send(HEAD + b"Content-Length: 10\r\n\r\nabc")
    return exchange.hang()


@pytest.mark.parametrize("script", [hang_at_once, hang_after_headers])
def test_silence_ends_with_the_read_timeout(make_caller: Make, script: Callable[[Exchange], None]) -> None:
    with Peer(script) as peer:
        with pytest.raises(HTTPTimeoutError, match=r"read timeout.* 0\.2 s"):
            make_caller()(get(peer.url), HTTPTimeout(read=0.2, connect=20, total=40))
        assert peer.all_closed()


@pytest.mark.parametrize("script", [hang_at_once, hang_after_headers])
def test_silence_ends_with_the_total_timeout(make_caller: Make, script: Callable[[Exchange], None]) -> None:
    with Peer(script) as peer, pytest.raises(HTTPTimeoutError, match=r"total timeout.* 0\.3 s"):
        make_caller()(get(peer.url), SHORT)


def cut_short(exchange: Exchange) -> bool:
    exchange.send(HEAD + b"Content-Length: 10\r\n\r\nabc")
    return True


def cut_chunk(exchange: Exchange) -> bool:
    exchange.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab")
    return True


def cut_between_chunks(exchange: Exchange) -> bool:
    exchange.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
    return True


def cut_headers(exchange: Exchange) -> bool:
    exchange.send(HEAD + b"X-Header: va")
    return True


def close_at_once(exchange: Exchange) -> bool:
    return True


def garbage(exchange: Exchange) -> bool:
    exchange.send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    return True


def reset(exchange: Exchange) -> bool:
    exchange.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return True


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (cut_short, "no complete answer"),
        (cut_chunk, "no complete answer"),
        (cut_between_chunks, "no complete answer"),
        (cut_headers, "no complete answer|closed the connection"),
        (close_at_once, "no complete answer|closed the connection"),
        (garbage, "no complete answer"),
        (reset, "was reset"),
    ],
)
def test_a_lost_connection_is_a_connection_error(
    make_caller: Make, script: Callable[[Exchange], bool], said: str
) -> None:
    with Peer(script) as peer, pytest.raises(HTTPConnectionError, match=said) as caught:
        make_caller()(HTTPRequest("POST", peer.url, body=b"{}"))
    assert isinstance(caught.value, ConnectionError)


def test_a_refused_connection_is_a_connection_error(make_caller: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(HTTPConnectionError, match="was refused"):
        make_caller()(get(f"http://127.0.0.1:{port}"))


def test_an_unknown_host_is_a_connection_error(make_caller: Make) -> None:
    with pytest.raises(HTTPConnectionError, match="cannot be resolved"):
        make_caller()(get("http://no-such-host.invalid"))


@pytest.mark.parametrize("url", ["ftp://host/x", "host/x", "http:///x", "http://host:port/x"])
def test_a_url_of_no_use_is_a_request_error(make_caller: Make, url: str) -> None:
    with pytest.raises(HTTPRequestError):
        make_caller()(HTTPRequest("GET", url))


def large_and_announced(exchange: Exchange) -> None:
    exchange.send(HEAD + b"Content-Length: 5000\r\n\r\n" + b"x" * 5000)


def large_and_slow(exchange: Exchange) -> bool:
    exchange.send(HEAD + b"Content-Length: 5000\r\n\r\n" + b"x" * 10)
    return exchange.hang()


def large_in_chunks(exchange: Exchange) -> None:
    exchange.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        exchange.send(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")


def large_until_closed(exchange: Exchange) -> None:
    exchange.send(HEAD + b"Connection: close\r\n\r\n")
    while True:
        exchange.send(b"x" * 4096)


def bomb(exchange: Exchange) -> bool:
    packed = gzip.compress(b"\0" * 50_000_000)
    exchange.send(HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed)
    return True


def endless_headers(exchange: Exchange) -> None:
    exchange.send(HEAD)
    while True:
        exchange.send(b"X-Header: value\r\n" * 100)


@pytest.mark.parametrize("script", [large_and_slow, large_in_chunks, large_until_closed])
def test_a_large_body_is_refused(make_caller: Make, script: Callable[[Exchange], object]) -> None:
    with Peer(script) as peer:
        call = make_caller(max_body_size=4999)
        with pytest.raises(HTTPResponseError, match="max_body_size=4999"):
            call(get(peer.url))
        assert peer.all_closed()


def test_a_bomb_is_refused(make_caller: Make) -> None:
    with Peer(bomb) as peer, pytest.raises(HTTPResponseError, match="max_body_size=100000"):
        make_caller(max_body_size=100_000)(get(peer.url))


def test_headers_without_end_are_refused(make_caller: Make) -> None:
    with Peer(endless_headers) as peer, pytest.raises(HTTPConnectionError):
        make_caller()(get(peer.url))


def test_a_body_of_exactly_the_limit_is_taken(make_caller: Make) -> None:
    with Peer(large_and_announced) as peer:
        assert make_caller(max_body_size=5000)(get(peer.url)).content == b"x" * 5000


def _encoded(name: bytes, packed: bytes) -> Callable[[Exchange], None]:
    return lambda exchange: exchange.send(
        HEAD + b"Content-Encoding: %s\r\nContent-Length: %d\r\n\r\n" % (name, len(packed)) + packed
    )


TEXT = b'{"a": "' + b"long " * 5000 + b'"}'


@pytest.mark.parametrize(
    ("name", "packed"),
    [
        (b"gzip", gzip.compress(TEXT)),
        (b"gzip", gzip.compress(TEXT[:100]) + gzip.compress(TEXT[100:]) + b"\0\0"),
        (b"deflate", zlib.compress(TEXT)),
        (b"deflate", zlib.compress(TEXT)[2:-4]),
        (b"deflate, gzip", gzip.compress(zlib.compress(TEXT))),
        (b"identity", TEXT),
    ],
)
def test_compressed_bodies_are_decoded(make_caller: Make, name: bytes, packed: bytes) -> None:
    with Peer(_encoded(name, packed)) as peer:
        assert make_caller()(get(peer.url)).content == TEXT


@pytest.mark.parametrize(
    ("name", "packed"),
    [(b"gzip", gzip.compress(TEXT)[:-20]), (b"gzip", TEXT), (b"deflate", TEXT), (b"rot13", TEXT)],
)
def test_what_cannot_be_decoded_is_a_response_error(make_caller: Make, name: bytes, packed: bytes) -> None:
    with Peer(_encoded(name, packed)) as peer, pytest.raises(HTTPResponseError, match="decoded"):
        make_caller()(get(peer.url))


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def serve(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def answer(exchange: Exchange) -> None:
    exchange.send(OK)


def test_certificates_are_verified(make_caller: Make, authority: trustme.CA) -> None:
    with Peer(answer, serve(authority, "127.0.0.1")) as peer:
        with pytest.raises(HTTPConnectionError, match="the certificate is not accepted"):
            make_caller()(get(peer.url))
        assert peer.requests == 0


def test_certificates_of_another_host_are_refused(make_caller: Make, authority: trustme.CA) -> None:
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with Peer(answer, serve(authority, "other.example")) as peer:
        with pytest.raises(HTTPConnectionError, match="the certificate is not accepted"):
            make_caller(verify_certificate=trusting)(get(peer.url))
        assert peer.requests == 0


def test_certificates_can_be_trusted_or_ignored(make_caller: Make, authority: trustme.CA) -> None:
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with authority.cert_pem.tempfile() as path, Peer(answer, serve(authority, "127.0.0.1")) as peer:
        for verify in (trusting, path, False):
            assert make_caller(verify_certificate=verify)(get(peer.url)).json == {}


def test_tls_to_a_plain_server_fails(make_caller: Make) -> None:
    with (
        Peer(garbage, greeting=b"SSH-2.0-OpenSSH_9.2\r\n") as peer,
        pytest.raises(HTTPConnectionError, match=r"TLS failed|was reset"),
    ):
        make_caller()(get(peer.url.replace("http:", "https:")))


def test_dripping_over_tls_ends_with_the_total_timeout(make_caller: Make, authority: trustme.CA) -> None:
    with (
        Peer(drip_body, serve(authority, "127.0.0.1")) as peer,
        pytest.raises(HTTPTimeoutError, match="total timeout"),
    ):
        make_caller(verify_certificate=False, max_body_size=2_000_000_000)(get(peer.url), SHORT)


def test_a_server_that_does_not_read_ends_with_a_timeout(make_caller: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        request = HTTPRequest("POST", f"http://127.0.0.1:{deaf.getsockname()[1]}", body=b"x" * 50_000_000)
        with pytest.raises(HTTPTimeoutError, match="total timeout"):
            make_caller()(request, SHORT)


@pytest.mark.parametrize("script", [close_at_once, garbage, cut_short, reset])
def test_no_error_shows_the_values_of_the_request(
    make_caller: Make, script: Callable[[Exchange], bool]
) -> None:
    with Peer(script) as peer:
        request = HTTPRequest(
            "POST",
            peer.url + "/{token}",
            path={"token": "s3cret"},
            querystring={"key": "s3cret"},
            headers={"Authorization": "s3cret"},
            body=b"s3cret",
        )
        with pytest.raises(HTTPConnectionError) as caught:
            make_caller()(request)
    assert "s3cret" not in str(caught.value)
