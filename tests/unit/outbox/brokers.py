"""Brokers that behave as a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from cqrs.message_brokers.protocol import Message

Behaviour = Callable[[Message], Exception | None]


class SingleBroker:
    """Takes one message at a time; ``behaviour`` says which error a message meets, if any."""

    def __init__(self, behaviour: Behaviour = lambda message: None) -> None:
        self.behaviour = behaviour
        self.sent: list[Message] = []
        self.calls = 0
        self.under_way = 0
        self.most_under_way = 0

    async def send_message(self, message: Message) -> None:
        self.calls += 1
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(0)
            error = self.behaviour(message)
            if error is not None:
                raise error
            self.sent.append(message)
        finally:
            self.under_way -= 1


class BatchBroker(SingleBroker):
    """Takes all messages of a batch at once."""

    def __init__(self, behaviour: Behaviour = lambda message: None) -> None:
        super().__init__(behaviour)
        self.batches: list[int] = []

    async def send_messages(self, messages: Sequence[Message]) -> list[Exception | None]:
        self.calls += 1
        self.batches.append(len(messages))
        await asyncio.sleep(0)
        results = [self.behaviour(message) for message in messages]
        self.sent += [message for message, error in zip(messages, results, strict=True) if error is None]
        return results


class HangingBroker(SingleBroker):
    """Never answers to some messages."""

    def __init__(self, hangs: Callable[[Message], bool] = lambda message: True) -> None:
        super().__init__()
        self._hangs = hangs
        self.asked = asyncio.Event()

    async def send_message(self, message: Message) -> None:
        self.calls += 1
        if self._hangs(message):
            self.asked.set()
            await asyncio.Event().wait()
        self.sent.append(message)
