"""The table of situations: chains, middlewares and follow-ups around the guarded step."""

from __future__ import annotations

from typing import Any

import pytest

import cqrs
from cqrs.container import BuiltinContainer
from tests.breakers import Rig
from tests.integration.fallbacks.kinds import (
    WORLDS,
    Answer,
    Ask,
    EventWorld,
    LinkWorld,
    RequestWorld,
    StreamWorld,
    Told,
    World,
)
from tests.integration.fallbacks.plain_kind import PlainRequestWorld


class TestChains:
    async def test_a_failure_further_down_is_neither_counted_nor_answered_by_the_links_before(
        self, guarded: Rig
    ) -> None:
        answered: list[str] = []

        class PassOn(cqrs.CORRequestHandler[Ask, Answer]):
            async def handle(self, request: Ask) -> Answer | None:
                return await self.next(request)

        class Fallback(cqrs.CORRequestHandler[Ask, Answer]):
            async def handle(self, request: Ask) -> Answer | None:
                answered.append("fallback")
                return Answer(by="fallback")

        class Fail(cqrs.CORRequestHandler[Ask, Answer]):
            async def handle(self, request: Ask) -> Answer | None:
                raise ConnectionError("further down")

        requests = cqrs.RequestMap()
        pair = cqrs.RequestHandlerFallback(PassOn, Fallback, circuit_breaker=guarded.breaker)
        requests.bind(Ask, [pair, Fail])
        mediator = cqrs.RequestMediator(requests, BuiltinContainer())
        for _ in range(guarded.threshold * 2):
            with pytest.raises(ConnectionError, match="further down"):
                await mediator.send(Ask())
        assert answered == []
        assert not await guarded.rejects(PassOn)

    async def test_a_fallback_link_may_pass_on(self, rig: Rig) -> None:
        class Fail(cqrs.CORRequestHandler[Ask, Answer]):
            async def handle(self, request: Ask) -> Answer | None:
                raise ConnectionError

        class PassOn(cqrs.CORRequestHandler[Ask, Answer]):
            async def handle(self, request: Ask) -> Answer | None:
                return await self.next(request)

        class Last(cqrs.CORRequestHandler[Ask, Answer]):
            async def handle(self, request: Ask) -> Answer | None:
                return Answer(by="last")

        requests = cqrs.RequestMap()
        requests.bind(Ask, [cqrs.RequestHandlerFallback(Fail, PassOn, circuit_breaker=rig.breaker), Last])
        mediator = cqrs.RequestMediator(requests, BuiltinContainer())
        for _ in range(rig.threshold * 2):
            assert (await mediator.send(Ask())).by == "last"


class Passing:
    """A middleware that counts."""

    def __init__(self) -> None:
        self.runs = 0

    async def __call__(self, request: Any, handle: Any) -> Any:
        self.runs += 1
        return await handle(request)


class Refusing(Passing):
    """An authorisation that says no."""

    async def __call__(self, request: Any, handle: Any) -> Any:
        self.runs += 1
        raise PermissionError("not you")


class TestMiddleware:
    @pytest.mark.parametrize("world_of", [RequestWorld, LinkWorld, StreamWorld, PlainRequestWorld])
    async def test_its_error_is_raised_and_neither_counted_nor_answered_by_a_fallback(
        self, guarded: Rig, world_of: type[World]
    ) -> None:
        refusing = Refusing()
        world = world_of(guarded, middlewares=[refusing])
        for _ in range(guarded.threshold * 2):
            with pytest.raises(PermissionError):
                await world.send()
        assert refusing.runs == guarded.threshold * 2
        assert (world.primary.built, world.fallback.built) == (0, 0)
        assert not await guarded.rejects(world.primary_class)

    @pytest.mark.parametrize("world_of", [RequestWorld, LinkWorld, StreamWorld, PlainRequestWorld])
    async def test_it_runs_once_when_a_fallback_answers(self, rig: Rig, world_of: type[World]) -> None:
        passing = Passing()
        world = world_of(rig, middlewares=[passing], depth=2)
        world.primary.error = ConnectionError()
        world.fallback.error = ConnectionError()
        assert await world.send() == "second"
        assert passing.runs == 1

    async def test_around_an_event_it_is_no_failure_either(self, guarded: Rig) -> None:
        world = EventWorld(guarded)
        refusing = Refusing()
        for _ in range(guarded.threshold * 2):
            with pytest.raises(PermissionError):
                await world.event_mediator(refusing).send(Told())
        assert refusing.runs == guarded.threshold * 2
        assert (world.primary.built, world.fallback.built) == (0, 0)
        assert not await guarded.rejects(world.primary_class)

    async def test_around_an_event_it_runs_once_when_a_fallback_answers(self, rig: Rig) -> None:
        world = EventWorld(rig)
        passing = Passing()
        world.primary.error = ConnectionError()
        await world.event_mediator(passing).send(Told())
        assert (world.fallback.called, passing.runs) == (1, 1)


class TestFollowUps:
    @pytest.mark.parametrize("world_of", WORLDS.values(), ids=WORLDS.keys())
    async def test_a_failing_follow_up_does_not_make_the_primary_fail(
        self, guarded: Rig, world_of: type[World]
    ) -> None:
        world = world_of(guarded)
        world.follow_up_error = RuntimeError("follow-up")
        for _ in range(guarded.threshold * 2):
            with pytest.raises(RuntimeError, match="follow-up"):
                await world.send()
        assert world.fallback.built == 0
        assert not await guarded.rejects(world.primary_class)
