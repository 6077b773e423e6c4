"""A command whose follow-up, a mail, is queued while the mail server is down.

Run it: python examples/event_fallback.py
"""

from __future__ import annotations

import asyncio

import cqrs
from cqrs.circuit_breaker import CircuitBreakerPolicy, CircuitBreakers
from cqrs.container import BuiltinContainer
from cqrs.requests.bootstrap import bootstrap


class UserRegistered(cqrs.DomainEvent):
    name: str


class Register(cqrs.Request):
    name: str


class RegisterHandler(cqrs.RequestHandler[Register, None]):
    def __init__(self) -> None:
        self._events: list[cqrs.IEvent] = []

    @property
    def events(self) -> list[cqrs.IEvent]:
        return self._events

    async def handle(self, request: Register) -> None:
        print(f"{request.name} is registered")
        self._events.append(UserRegistered(name=request.name))


class SendWelcomeMail(cqrs.EventHandler[UserRegistered]):
    async def handle(self, event: UserRegistered) -> None:
        print("  asking the mail server ...")
        raise ConnectionError("mail server refused the connection")


class QueueWelcomeMail(cqrs.EventHandler[UserRegistered]):
    async def handle(self, event: UserRegistered) -> None:
        print(f"  the mail for {event.name} waits in the queue")


async def main() -> None:
    breakers = CircuitBreakers(CircuitBreakerPolicy.consecutive(threshold=2, ttl=30.0))
    mail = cqrs.EventHandlerFallback(
        primary=SendWelcomeMail,
        fallback=QueueWelcomeMail,
        failure_exceptions=(ConnectionError,),
        circuit_breaker=breakers,
    )
    mediator = bootstrap(
        di_container=BuiltinContainer(),
        commands_mapper=lambda mapper: mapper.bind(Register, RegisterHandler),
        domain_events_mapper=lambda mapper: mapper.bind(UserRegistered, mail),
    )
    for name in ("Ada", "Alan", "Barbara", "Edsger"):
        await mediator.send(Register(name=name))


if __name__ == "__main__":
    asyncio.run(main())
