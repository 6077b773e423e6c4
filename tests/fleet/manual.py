"""A transport whose answers come when, in which order and as the test says."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from cqrs.circuit_breaker import CircuitBreakerPolicy, CircuitBreakers, StoreUnavailableError
from cqrs.circuit_breaker.fleet.memory import MemoryServer
from cqrs.circuit_breaker.fleet.settings import StoreSettings
from cqrs.circuit_breaker.fleet.store import Store
from cqrs.circuit_breaker.fleet.transport import Done, Message, Ticker, Transport
from cqrs.testing import FakeClock


class Submission:
    """A request under way: has it arrived, and what was answered?"""

    def __init__(self, transport: ManualTransport, shard: int, request: Message, done: Done) -> None:
        self.request = request
        self.kinds = [operation["op"] for operation in request["ops"]]
        self.reply: Message | None = None
        self._transport = transport
        self._shard = shard
        self._done = done

    def carry(self) -> Submission:
        """Have it take effect; the answer stays under way."""
        transport = self._transport
        outcome = transport.server.exchange(transport.settings.prefix(self._shard), self.request)
        assert outcome is not None
        self.reply = outcome[0]
        return self

    def deliver(self) -> Submission:
        """Have the answer arrive."""
        assert self.reply is not None, "carry() first"
        self._finish(self.reply, None)
        return self

    def answer(self) -> Submission:
        """Do both."""
        return self.carry().deliver()

    def fail(self, error: Exception | None = None) -> None:
        """Have it fail, whether or not it has arrived."""
        self._finish(None, error or StoreUnavailableError("test", "connection reset"))

    def _finish(self, reply: Message | None, error: Exception | None) -> None:
        self._transport.requests.remove(self)
        self._done(reply, error)


class ManualTransport:
    """Keeps requests in ``requests`` and published messages in ``messages``, in order, for the test."""

    def __init__(self, server: MemoryServer, settings: StoreSettings, ticker: Ticker) -> None:
        self.server = server
        self.settings = settings
        self.ticker = ticker
        self.requests: list[Submission] = []
        self.messages: list[Message] = []
        self.woken = 0
        self.closed = False
        self.on_submit: Callable[[Submission], object] = lambda submission: None
        for shard in range(settings.shards):
            server.listeners.append((settings.prefix(shard), _Mailbox(self.messages)))

    def submit(self, shard: int, request: Message, timeout: float, done: Done) -> None:
        if self.closed:
            done(None, StoreUnavailableError("test", "it was closed"))
            return
        submission = Submission(self, shard, request, done)
        self.requests.append(submission)
        self.on_submit(submission)

    def wake(self) -> None:
        self.woken += 1

    def close(self, timeout: float) -> None:
        self.closed = True
        for submission in list(self.requests):
            submission.fail()

    def abandon(self) -> None:
        self.closed = True

    def only(self, kind: str | None = None) -> Submission:
        """Return the one request under way, or the one that carries an operation of this kind."""
        (found,) = [each for each in self.requests if kind is None or kind in each.kinds]
        return found


class _Mailbox:
    def __init__(self, messages: list[Message]) -> None:
        self._messages = messages

    def message(self, payload: Message) -> None:
        self._messages.append(payload)

    def tick(self) -> float:
        raise NotImplementedError

    def connected(self) -> None:
        raise NotImplementedError


class ManualStore(Store):
    """A store over a ``ManualTransport``; ticks are the test's business too."""

    def __init__(self, server: MemoryServer, clock: FakeClock, **settings: Any) -> None:
        self.server = server
        numbers = itertools.count()
        draws = (0.5, 0.25, 0.75)
        super().__init__(
            StoreSettings(**({"namespace": "test", "command_timeout": 5.0} | settings)),
            clock=clock,
            random=lambda: draws[next(numbers) % len(draws)],
        )

    def make_transport(self, ticker: Ticker) -> Transport:
        return ManualTransport(self.server, self.settings, ticker)

    @property
    def transport(self) -> ManualTransport:
        transport = self.session.transport
        assert isinstance(transport, ManualTransport)
        return transport

    def tick(self) -> float:
        return self.session.tick()

    def sync(self, clock: FakeClock | None = None) -> None:
        """Make one regular exchange, answered at once."""
        self.session.next_sync = self.session.clock()
        self.tick()
        self.transport.only().answer()


class Bench:
    """A process under the microscope, and the server that it shares with a fleet of others."""

    def __init__(self, policy: CircuitBreakerPolicy, server: MemoryServer, clock: FakeClock, **settings: Any):
        self.clock = clock
        self.store = ManualStore(server, clock, **settings)
        self.breakers = CircuitBreakers(policy, store=self.store, clock=clock, random=lambda: 0.5)
        self.store.open()
        self.store.tick()
        self.transport.only().answer()

    @property
    def transport(self) -> ManualTransport:
        return self.store.transport
