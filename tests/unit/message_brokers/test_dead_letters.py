"""A message that leaves no room for a reason is put aside as far as the broker takes it, and no further."""

from __future__ import annotations

import logging
import uuid

import pytest

from cqrs.exceptions import BrokerUnavailableError, MessageRefusedError
from cqrs.message_brokers.dead_letters import put_aside
from cqrs.message_brokers.errors import MessageTooLargeError
from cqrs.message_brokers.receiving import ReceivedMessage

IDENTITY = {"message_id": str(uuid.UUID(int=7)), "message_name": "Counted", "content_type": "text/plain"}
LARGE = {"tenant": "n" * 700, "message_key": "k" * 200}
MESSAGE = ReceivedMessage(b"x" * 5000, IDENTITY | LARGE, "Counted", "users", position="users/7")
NAMES = {"dead_letter_at", "dead_letter_attempts", "dead_letter_reason", "dead_letter_topic"}


class Small:
    """A broker with a limit, for bodies and headers together."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.tries = 0
        self.taken: list[tuple[bytes, dict[str, str]]] = []

    async def publish(self, body: bytes, headers: dict[str, str]) -> None:
        self.tries += 1
        size = len(body) + sum(len(name) + len(value) for name, value in headers.items())
        if size > self.limit:
            raise MessageTooLargeError("users.dead", f"{size} bytes")
        self.taken.append((body, headers))


async def left(limit: int) -> tuple[bytes, dict[str, str]]:
    broker = Small(limit)
    await put_aside(MESSAGE, "r" * 1500, 3, broker.publish)
    (taken,) = broker.taken
    return taken


async def test_where_there_is_room_nothing_is_left_out() -> None:
    body, headers = await left(10_000)

    assert body == MESSAGE.body
    assert headers.keys() == MESSAGE.headers.keys() | NAMES
    assert headers["dead_letter_reason"] == "r" * 1500


async def test_the_end_of_the_reason_goes_first() -> None:
    body, headers = await left(6500)

    assert body == MESSAGE.body
    assert headers.keys() == MESSAGE.headers.keys() | NAMES
    assert headers["dead_letter_reason"] == "r" * 100


async def test_then_go_the_headers_save_short_ones_that_identify_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    body, headers = await left(5700)

    assert body == MESSAGE.body
    assert headers.keys() == IDENTITY.keys() | NAMES | {"dead_letter_omitted"}
    assert headers["dead_letter_omitted"] == "its headers, at users/7"
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "Counted at users/7 is put aside without its headers" in caplog.text


async def test_else_goes_the_body() -> None:
    body, headers = await left(2000)

    assert body == b""
    assert headers.keys() == MESSAGE.headers.keys() | NAMES | {"dead_letter_omitted"}
    assert headers["dead_letter_omitted"] == "its body of 5000 bytes, at users/7"


async def test_else_go_both() -> None:
    body, headers = await left(700)

    assert body == b""
    assert headers.keys() == IDENTITY.keys() | NAMES | {"dead_letter_omitted"}
    assert headers["dead_letter_omitted"] == "its headers and its body of 5000 bytes, at users/7"


async def test_what_is_always_too_large_is_told() -> None:
    broker = Small(10)
    with pytest.raises(MessageTooLargeError, match="bytes"):
        await put_aside(MESSAGE, "because", 3, broker.publish)
    assert broker.taken == []


@pytest.mark.parametrize(
    "error", [MessageRefusedError("users.dead", "no"), BrokerUnavailableError("", "down")]
)
async def test_what_is_not_refused_for_its_size_is_not_made_smaller(error: Exception) -> None:
    tries: list[bytes] = []

    async def publish(body: bytes, headers: dict[str, str]) -> None:
        tries.append(body)
        raise error

    with pytest.raises(type(error)) as caught:
        await put_aside(MESSAGE, "because", 3, publish)

    assert caught.value is error
    assert tries == [MESSAGE.body]
