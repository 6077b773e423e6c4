"""A query whose database goes down: the fallback answers, and the circuit spares the database.

Run it: python examples/request_fallback.py
"""

from __future__ import annotations

import asyncio

import cqrs
from cqrs.circuit_breaker import CircuitBreakerPolicy, CircuitBreakers
from cqrs.container import BuiltinContainer
from cqrs.requests.bootstrap import bootstrap


class Profile(cqrs.Response):
    user_id: str
    name: str
    source: str


class GetProfile(cqrs.Request[Profile]):
    user_id: str


class Database:
    def __init__(self) -> None:
        self.up = True
        self.calls = 0

    async def name_of(self, user_id: str) -> str:
        self.calls += 1
        if not self.up:
            raise ConnectionError("database unavailable")
        return "Grace"


class ProfileFromDatabase(cqrs.RequestHandler[GetProfile, Profile]):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def handle(self, request: GetProfile) -> Profile:
        name = await self._database.name_of(request.user_id)
        return Profile(user_id=request.user_id, name=name, source="database")


class ProfilePlaceholder(cqrs.RequestHandler[GetProfile, Profile]):
    async def handle(self, request: GetProfile) -> Profile:
        return Profile(user_id=request.user_id, name="Unknown", source="fallback")


async def main() -> None:
    breakers = CircuitBreakers(CircuitBreakerPolicy.consecutive(threshold=3, ttl=30.0))
    database, container = Database(), BuiltinContainer()
    container.register_instance(Database, database)
    pair = cqrs.RequestHandlerFallback(
        primary=ProfileFromDatabase,
        fallback=ProfilePlaceholder,
        failure_exceptions=(ConnectionError, TimeoutError),
        circuit_breaker=breakers,
    )
    mediator = bootstrap(di_container=container, queries_mapper=lambda mapper: mapper.bind(GetProfile, pair))
    circuit = breakers[ProfileFromDatabase]

    print("request  answered by  database calls  circuit")
    for number in range(1, 8):
        database.up = number == 1
        profile = await mediator.send(GetProfile(user_id="7"))
        print(f"{number:7}  {profile.source:11}  {database.calls:14}  {circuit.state}")


if __name__ == "__main__":
    asyncio.run(main())
