"""A stream of responses as server-sent events."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from fastapi.encoders import jsonable_encoder
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

_logger = logging.getLogger(__name__)


def encode_json(item: Any) -> str:
    """Return ``item`` as one line of JSON: by its ``to_dict()`` when it has one."""
    plain = item.to_dict() if hasattr(item, "to_dict") else item
    return json.dumps(jsonable_encoder(plain), ensure_ascii=False, separators=(",", ":"))


class ServerSentEvents(Response):
    """Sends each item of ``mediator.stream(request)`` as one server-sent event.

    - Headers wait for the first item, so that a failure before it (an open circuit without a fallback, for
      example) is still answered by the application's exception handlers.
    - A failure later ends the stream with an ``error`` event that holds no details; it is logged.
    - A stream that came to its end closes with an ``end`` event; without it a browser's ``EventSource`` takes
      the end for a lost connection and starts over.
    - The stream is closed before the response returns: exhausted, failed, or because the client went away.

    Args:
        stream: the async iterator of items.
        event: name of the item events; ``None`` leaves it to the default, ``message``.
        encode: makes the text of an item; JSON by default.
        heartbeat: seconds between comments that keep idle connections open, > 0; ``None`` sends none.
        headers: further response headers.

    Source: HTML Living Standard, section "Server-sent events".
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        stream: AsyncIterator[Any],
        *,
        event: str | None = None,
        encode: Callable[[Any], str] = encode_json,
        heartbeat: float | None = 15.0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        if heartbeat is not None and not heartbeat > 0:
            raise ValueError(
                f"heartbeat={heartbeat!r} is not allowed: it must be a number of seconds > 0, or None"
            )
        if event is not None and ("\n" in event or "\r" in event):
            raise ValueError(f"event={event!r} is not allowed: the name of an event is one line")
        super().__init__(
            None, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no", **(headers or {})}
        )
        # The length of a stream is not known beforehand.
        del self.headers["content-length"]
        self._stream = stream
        self._event = event
        self._encode = encode
        self._heartbeat = heartbeat
        self._sending = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the whole stream, or stop when the client disconnects."""
        # The stream is iterated and closed in one task: its scopes and context variables demand that.
        pump = asyncio.create_task(self._pump(send))
        gone = asyncio.create_task(_client_gone(receive))
        try:
            await asyncio.wait({pump, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            pump.cancel()
            gone.cancel()
            await asyncio.wait({pump, gone})
        for task in (pump, gone):
            if not task.cancelled():
                task.result()
        if self.background is not None:
            await self.background()

    async def _pump(self, send: Send) -> None:
        beat: asyncio.Task[None] | None = None
        number = 0
        try:
            while (text := await self._next(number)) is not None:
                if number == 0:
                    await self._start(send)
                    if self._heartbeat is not None:
                        beat = asyncio.create_task(self._beat(send, self._heartbeat))
                number += 1
                await self._write(send, _render(text, self._event, number))
            if number == 0:
                await self._start(send)
            await self._write(send, _render("{}", "end"))
        except _StreamFailed:
            await self._write(send, _render('{"error":"stream_failed"}', "error"))
        finally:
            if beat is not None:
                beat.cancel()
                await asyncio.wait({beat})
            close = getattr(self._stream, "aclose", None)
            if close is not None:
                await close()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _next(self, number: int) -> str | None:
        """Return the text of the next item, ``None`` at the end."""
        try:
            return self._encode(await anext(self._stream))
        except StopAsyncIteration:
            return None
        except Exception as error:
            if number == 0:
                raise
            _logger.error("a stream failed after %d items", number, exc_info=error)
            raise _StreamFailed from error

    async def _start(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})

    async def _write(self, send: Send, text: str) -> None:
        async with self._sending:
            await send({"type": "http.response.body", "body": text.encode(), "more_body": True})

    async def _beat(self, send: Send, seconds: float) -> None:
        # Ends with an OSError when the client has gone away; the listener for disconnects deals with that.
        while True:
            await asyncio.sleep(seconds)
            await self._write(send, ": keep-alive\n\n")


class _StreamFailed(Exception):
    """The stream raised after items were sent: too late for another status."""


def _render(data: str, event: str | None, number: int | None = None) -> str:
    lines = [f"event: {event}"] if event is not None else []
    if number is not None:
        lines.append(f"id: {number}")
    # Not splitlines(): it also splits at U+2028 and the like, which end no line in an event stream.
    lines += [f"data: {line}" for line in re.split(r"\r\n|\r|\n", data)]
    return "\n".join(lines) + "\n\n"


async def _client_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
