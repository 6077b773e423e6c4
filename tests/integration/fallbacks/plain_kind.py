"""Requests whose handlers need nothing but the message: for them a shorter step is compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cqrs
from tests.integration.fallbacks.kinds import Answer, Ask, Container, RequestWorld, Role


class PlanningContainer(Container):
    """Says that handler classes are built by calling them; they count that themselves."""

    def factory_for(self, type_: type[Any]) -> Callable[[], Any]:
        if not self.keeps_instances:
            return type_
        kept = type_()
        return lambda: kept


class PlainRequestWorld(RequestWorld):
    """Its handlers record no events: the answer that is returned counts as delivered."""

    kind = "plain request"

    def _handler(self, role: Role) -> type[Any]:
        class Handler(cqrs.RequestHandler[Ask, Answer]):
            def __init__(self) -> None:
                if role.resolution_error is not None:
                    raise role.resolution_error
                role.built += 1

            async def handle(self, request: Ask) -> Answer:
                role.called += 1
                try:
                    await role.behave()
                finally:
                    role.closed += 1
                role.finished += 1
                return Answer(by=role.name)

        return Handler

    def _bind(self, declaration: Any) -> None:
        self.container = PlanningContainer(self.roles)
        super()._bind(declaration)

    async def send(self) -> str:
        answered_by = await super().send()
        self.delivered.append(answered_by)
        return answered_by
