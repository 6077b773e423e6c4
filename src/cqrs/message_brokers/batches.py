"""Sending a batch over a connection that takes many messages at once, each with an answer of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from cqrs.exceptions import BrokerUnavailableError
from cqrs.message_brokers.protocol import Message

__all__ = ["send_each"]

AT_ONCE = 200
"""Messages that wait for their answers together."""


async def send_each(
    send: Callable[[Message], Awaitable[object]], messages: Sequence[Message], at_once: int = AT_ONCE
) -> list[Exception | None]:
    """Send messages in their order, ``at_once`` at a time; return what became of each: ``None`` or its error.

    When the broker turns out to be unavailable, those that were not begun fail in the same way: each would
    wait as long for the same answer.
    """
    results: list[Exception | None] = []
    for begin in range(0, len(messages), at_once):
        some = messages[begin : begin + at_once]
        async with asyncio.TaskGroup() as tasks:
            waiting = [tasks.create_task(_result(send, message)) for message in some]
        results += [task.result() for task in waiting]
        down = next((each for each in results[begin:] if isinstance(each, BrokerUnavailableError)), None)
        if down is not None:
            rest = messages[begin + at_once :]
            results += [BrokerUnavailableError(each.topic, f"not sent: {down.reason}") for each in rest]
            break
    return results


async def _result(send: Callable[[Message], Awaitable[object]], message: Message) -> Exception | None:
    try:
        await send(message)
    except Exception as error:
        return error
    return None
