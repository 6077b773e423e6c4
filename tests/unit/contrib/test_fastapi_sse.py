"""Streams as server-sent events, over the ASGI interface itself."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.background import BackgroundTask

from cqrs.contrib.fastapi import ServerSentEvents
from cqrs.contrib.fastapi.sse import encode_json


@dataclass
class Client:
    """An ASGI client that keeps what it was sent and disconnects when told to."""

    sent: list[Any] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    on_send: Callable[[Any], Awaitable[None]] | None = None

    async def receive(self) -> Any:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)
        if self.on_send is not None:
            await self.on_send(message)

    async def get(self, response: ServerSentEvents) -> None:
        await asyncio.wait_for(response({"type": "http"}, self.receive, self.send), 5)

    @property
    def text(self) -> str:
        return b"".join(m["body"] for m in self.sent if m["type"] == "http.response.body").decode()


class Stream:
    """Yields numbers, then fails or waits for ever when asked; records whether it was closed."""

    def __init__(self, count: int, then: Exception | str | None = None) -> None:
        self.count = count
        self.then = then
        self.closed = False

    async def items(self) -> AsyncIterator[Any]:
        try:
            for number in range(self.count):
                yield {"number": number}
            if isinstance(self.then, Exception):
                raise self.then
            if self.then == "wait":
                await asyncio.Event().wait()
        finally:
            self.closed = True


async def test_items_become_events_and_the_end_is_told() -> None:
    client, stream = Client(), Stream(2)
    await client.get(ServerSentEvents(stream.items(), event="price"))
    assert client.text == (
        'event: price\nid: 1\ndata: {"number":0}\n\n'
        'event: price\nid: 2\ndata: {"number":1}\n\n'
        "event: end\ndata: {}\n\n"
    )
    headers = dict(client.sent[0]["headers"])
    assert headers[b"content-type"].startswith(b"text/event-stream")
    assert headers[b"cache-control"] == b"no-store"
    assert b"content-length" not in headers
    assert client.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
    assert stream.closed


async def test_stream_without_items_is_an_empty_200() -> None:
    client = Client()
    await client.get(ServerSentEvents(Stream(0).items()))
    assert client.sent[0]["status"] == 200
    assert client.text == "event: end\ndata: {}\n\n"


async def test_failure_before_the_first_item_is_left_to_the_exception_handlers() -> None:
    client, stream = Client(), Stream(0, LookupError("nothing"))
    with pytest.raises(LookupError):
        await client.get(ServerSentEvents(stream.items()))
    assert client.sent == []
    assert stream.closed


async def test_failure_after_items_is_told_without_details_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    client, stream = Client(), Stream(1, ConnectionError("postgres://user:secret@db"))
    with caplog.at_level(logging.ERROR, "cqrs.contrib.fastapi.sse"):
        await client.get(ServerSentEvents(stream.items()))
    assert client.text.endswith('event: error\ndata: {"error":"stream_failed"}\n\n')
    assert "secret" not in client.text
    assert "event: end" not in client.text
    assert [record.getMessage() for record in caplog.records] == ["a stream failed after 1 items"]
    assert stream.closed


async def test_stream_is_closed_when_the_client_goes_away() -> None:
    client, stream = Client(), Stream(1, "wait")

    async def leave(message: Any) -> None:
        if b"number" in message.get("body", b""):
            client.gone.set()

    client.on_send = leave
    await client.get(ServerSentEvents(stream.items()))
    assert stream.closed
    assert "event: end" not in client.text


async def test_stream_is_closed_when_the_client_goes_away_in_the_middle_of_an_item() -> None:
    client, stream = Client(), Stream(2)

    async def never_taken(message: Any) -> None:
        if b"number" in message.get("body", b""):
            client.gone.set()
            await asyncio.Event().wait()

    client.on_send = never_taken
    await client.get(ServerSentEvents(stream.items()))
    assert stream.closed


async def test_stream_is_closed_when_an_item_cannot_be_encoded() -> None:
    client, stream = Client(), Stream(3)

    def encode(item: Any) -> str:
        return str(1 // (1 - item["number"]))

    await client.get(ServerSentEvents(stream.items(), encode=encode))
    assert "event: error" in client.text
    assert stream.closed


async def test_stream_is_closed_when_the_response_is_cancelled() -> None:
    client, stream, started = Client(), Stream(1, "wait"), asyncio.Event()

    async def tell(_message: Any) -> None:
        started.set()

    client.on_send = tell
    task = asyncio.create_task(client.get(ServerSentEvents(stream.items())))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stream.closed


async def test_stream_is_iterated_and_closed_in_one_task() -> None:
    tasks: set[Any] = set()

    async def items() -> AsyncIterator[int]:
        try:
            tasks.add(asyncio.current_task())
            yield 1
            tasks.add(asyncio.current_task())
            yield 2
        finally:
            tasks.add(asyncio.current_task())

    await Client().get(ServerSentEvents(items()))
    assert len(tasks) == 1


async def test_idle_connection_is_kept_open_by_comments() -> None:
    client, stream = Client(), Stream(1, "wait")

    async def leave(message: Any) -> None:
        if message.get("body") == b": keep-alive\n\n":
            client.gone.set()

    client.on_send = leave
    await client.get(ServerSentEvents(stream.items(), heartbeat=0.001))
    assert ": keep-alive\n\n" in client.text
    assert stream.closed


async def test_heartbeat_to_a_client_that_is_gone_does_no_harm() -> None:
    client, stream = Client(), Stream(1, "wait")

    async def broken_pipe(message: Any) -> None:
        if message.get("body") == b": keep-alive\n\n":
            client.gone.set()
            raise OSError

    client.on_send = broken_pipe
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
    await client.get(ServerSentEvents(stream.items(), heartbeat=0.001))
    gc.collect()
    assert stream.closed
    assert complaints == []


async def test_data_of_several_lines_stays_one_event() -> None:
    client = Client()
    await client.get(ServerSentEvents(Stream(1).items(), encode=lambda _item: "a\nb"))
    assert client.text.startswith("id: 1\ndata: a\ndata: b\n\n")


async def test_line_separators_inside_json_do_not_end_a_line() -> None:
    client = Client()
    await client.get(ServerSentEvents(Stream(1).items(), encode=lambda _item: encode_json("a\u2028b\x85c")))
    assert client.text.startswith('id: 1\ndata: "a\u2028b\x85c"\n\n')


async def test_background_tasks_run_after_the_stream() -> None:
    order: list[str] = []
    client, stream = Client(), Stream(1)
    response = ServerSentEvents(stream.items())
    response.background = BackgroundTask(lambda: order.append(f"closed: {stream.closed}"))
    await client.get(response)
    assert order == ["closed: True"]


@pytest.mark.parametrize("arguments", [{"heartbeat": 0}, {"heartbeat": -1.0}, {"event": "a\nb"}])
def test_wrong_arguments_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not allowed"):
        ServerSentEvents(Stream(0).items(), **arguments)
