"""A request as applications have them: a dependency, an event with a handler, default middleware."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.environments import CQRS_4, CQRS_5, HOLDFAST
from harness.model import Builder, Case, Prepared

from .mediator import CQRS, PEERS

TYPICAL = Case(
    key="send-typical",
    title="typical request: dependency, one event, default middleware",
    what=(
        "`await mediator.send(command)` through `bootstrap` with its default middleware (DEBUG off): the "
        "handler gets one dependency by its annotation, a singleton, and records one domain event, which "
        "has one handler. Containers: Holdfast's built-in one, and `di.Container()` bound as python-cqrs "
        "documents it, for all three. Floor: the same classes built and called by hand. The second Holdfast "
        "row is what a user of `di` sees."
    ),
    cannot="diator is not measured here: its events need a message broker.",
)
CASES = (TYPICAL,)


class Ledger:
    """The dependency."""

    def __init__(self) -> None:
        self.total = 0

    def add(self, amount: int) -> None:
        self.total += amount


class _Classes:
    """The application, for whichever library is imported as ``cqrs``."""

    def __init__(self) -> None:
        import cqrs

        @dataclass
        class Charge(cqrs.DCRequest):
            amount: int

        class Charged(cqrs.DCDomainEvent):
            amount: int

        # python-cqrs 5.3 makes a subclass a dataclass by itself and refuses to do it twice.
        if "__dataclass_fields__" not in vars(Charged):
            Charged = dataclass(frozen=True)(Charged)  # type: ignore[misc]
        charged = Charged(amount=1)

        class ChargeHandler(cqrs.RequestHandler[Charge, None]):
            def __init__(self, ledger: Ledger) -> None:
                self._ledger = ledger
                self._events: list[Any] = []

            @property
            def events(self) -> list[Any]:
                return self._events

            async def handle(self, request: Charge) -> None:
                self._events.append(charged)

        class ChargedHandler(cqrs.EventHandler[Charged]):
            def __init__(self, ledger: Ledger) -> None:
                self._ledger = ledger

            async def handle(self, event: Charged) -> None:
                self._ledger.add(event.amount)

        # A local class cannot be found by name when the containers read the annotation.
        for handler in (ChargeHandler, ChargedHandler):
            handler.__init__.__annotations__["ledger"] = Ledger
        self.command_type, self.command = Charge, Charge(amount=1)
        self.event_type = Charged
        self.handler, self.event_handler = ChargeHandler, ChargedHandler
        self.ledger = Ledger()

    def mediator(self, container: Any) -> Any:
        from .app import bootstrap

        return bootstrap.bootstrap(
            di_container=container,
            commands_mapper=lambda requests: requests.bind(self.command_type, self.handler),
            domain_events_mapper=lambda events: events.bind(self.event_type, self.event_handler),
        )


def _built_in(ledger: Ledger) -> Any:
    from cqrs.container import BuiltinContainer

    return BuiltinContainer().register_instance(Ledger, ledger)


def _di(ledger: Ledger) -> Any:
    import di
    from di.dependent import Dependent

    container = di.Container()
    container.bind(di.bind_by_type(Dependent(lambda: ledger, scope="request"), Ledger))
    return container


@TYPICAL.subject("floor: the same by hand", *CQRS, floor=True)
def _by_hand() -> Prepared:
    app = _Classes()

    async def loop(count: int) -> None:
        ledger, command = app.ledger, app.command
        for _ in range(count):
            handler = app.handler(ledger)
            await handler.handle(command)
            for event in handler.events:
                await app.event_handler(ledger).handle(event)

    def counted(operations: int) -> None:
        assert app.ledger.total == operations

    return Prepared(loop, verify=counted)


def _send(make_container: Callable[[Ledger], Any]) -> Builder:
    def build() -> Prepared:
        app = _Classes()
        mediator = app.mediator(make_container(app.ledger))

        async def loop(count: int) -> None:
            command = app.command
            for _ in range(count):
                await mediator.send(command)

        def counted(operations: int) -> None:
            assert app.ledger.total == operations, f"{app.ledger.total} events handled of {operations}"

        return Prepared(loop, verify=counted)

    return build


TYPICAL.add("Holdfast", _send(_built_in), [HOLDFAST])
TYPICAL.add("Holdfast, di container", _send(_di), [HOLDFAST])
for _environment in (CQRS_4, CQRS_5):
    TYPICAL.add(f"{PEERS[_environment]}, di container", _send(_di), [_environment])
