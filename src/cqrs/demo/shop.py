"""The shop, wired: the one place that says which handlers answer, and what guards them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cqrs
from cqrs.circuit_breaker import (
    Backoff,
    CircuitBreakerPolicy,
    CircuitBreakers,
    Ramp,
    State,
    StateChanged,
    TimeWindow,
    circuit_name,
)
from cqrs.container.builtin import BuiltinContainer
from cqrs.demo import handlers
from cqrs.demo.client import UPSTREAM_FAILURES, UpstreamClient
from cqrs.demo.messages import ExportCatalogue, GetPrice, GetRecommendations, OrderPlaced, PlaceOrder
from cqrs.demo.recorder import Recorder, Service
from cqrs.demo.schedule import Kind, Timing
from cqrs.demo.store import ShopStore
from cqrs.demo.upstream import HOST
from cqrs.requests.bootstrap import bootstrap, bootstrap_streaming

#: The primary handler of each kind, and the fallback that stands in for it.
PAIRS: dict[Kind, tuple[type[Any], type[Any]]] = {
    Kind.PRICE: (handlers.PriceFromUpstream, handlers.LastKnownPrice),
    Kind.RECOMMENDATIONS: (handlers.PersonalRecommendations, handlers.BestSellers),
    Kind.PAYMENT: (handlers.OrderWithPayment, handlers.OrderOnAccount),
    Kind.CATALOGUE: (handlers.LiveCatalogue, handlers.StoredCatalogue),
    Kind.SHIPMENT: (handlers.AnnounceShipment, handlers.ParkShipment),
}
_KINDS = {circuit_name(primary): kind for kind, (primary, _) in PAIRS.items()}


def breaker_policy(timing: Timing) -> CircuitBreakerPolicy:
    """The policy of the shop's circuits."""
    return CircuitBreakerPolicy(
        sliding_window=TimeWindow(timing.window, buckets=10),
        minimum_number_of_calls=4,
        failure_rate_threshold=0.5,
        slow_call_duration_threshold=timing.slow_call,
        slow_call_rate_threshold=0.5,
        wait_duration_in_open=Backoff(timing.max_wait / 2, 1.5, timing.max_wait, jitter=0.2),
        permitted_calls_in_half_open=2,
        recovery_ramp=Ramp(timing.ramp, 0.25),
        record=UPSTREAM_FAILURES,
    )


def _state_entered(event: StateChanged) -> str:
    """Name the state like ``Shop.states``: half-open is probing, and a change within it leads to ramping."""
    if event.to_state is not State.HALF_OPEN:
        return event.to_state.value
    return "ramping" if event.from_state is State.HALF_OPEN else "probing"


class Shop:
    """A shop service; an async context manager that closes what it opened.

    Args:
        service: with or without circuit breakers; nothing else differs.
        recorder: told of calls to the upstream and of changes of circuits.
        timing: the time constants of the run.
        port: the upstream's port.
        folder: where the shop keeps its database.
        without_fallback: a kind whose fallback is left out, so that a guarantee breaks.

    Attributes:
        mediator: takes commands and queries.
        streams: takes streaming queries.
        store: the shop's own data.
    """

    def __init__(
        self,
        service: Service,
        recorder: Recorder,
        timing: Timing,
        port: int,
        folder: Path,
        without_fallback: Kind | None = None,
    ) -> None:
        self.service = service
        self.store = ShopStore(folder / f"{service.name.lower()}.sqlite")
        self._recorder = recorder
        self._without_fallback = without_fallback
        self._upstream = UpstreamClient(HOST, port, timeout=timing.client_timeout, on_call=self._note_call)
        self._breakers: CircuitBreakers | None = None
        if service is Service.WITH:
            self._breakers = CircuitBreakers(breaker_policy(timing), listeners=[self._note_change])
        container = (
            BuiltinContainer()
            .register_instance(UpstreamClient, self._upstream)
            .register_instance(ShopStore, self.store)
        )
        self.mediator = bootstrap(
            container,
            commands_mapper=self._commands,
            queries_mapper=self._queries,
            domain_events_mapper=self._events,
        )
        self.streams = bootstrap_streaming(container, queries_mapper=self._streams)

    async def __aenter__(self) -> Shop:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.flush()
        await self._upstream.close()
        self.store.close()

    def states(self) -> dict[Kind, str]:
        """Return each circuit's state in one word: closed, open, probing or ramping."""
        if self._breakers is None:
            return {}
        circuits = {kind: self._breakers[primary] for kind, (primary, _) in PAIRS.items()}
        return {kind: circuit.phase or circuit.state.value for kind, circuit in circuits.items()}

    def flush(self) -> None:
        """Wait until the recorder has been told every change of a circuit."""
        if self._breakers is not None:
            self._breakers.flush_listeners()

    def _commands(self, mapper: cqrs.RequestMap) -> None:
        mapper.bind(PlaceOrder, self._guarded(Kind.PAYMENT))

    def _queries(self, mapper: cqrs.RequestMap) -> None:
        mapper.bind(GetPrice, self._guarded(Kind.PRICE))
        mapper.bind(GetRecommendations, self._guarded(Kind.RECOMMENDATIONS))

    def _streams(self, mapper: cqrs.RequestMap) -> None:
        mapper.bind(ExportCatalogue, self._guarded(Kind.CATALOGUE))

    def _events(self, mapper: cqrs.EventMap) -> None:
        mapper.bind(OrderPlaced, handlers.CountSale)
        primary, fallback = PAIRS[Kind.SHIPMENT]
        mapper.bind(
            OrderPlaced,
            cqrs.EventHandlerFallback(
                primary, fallback, failure_exceptions=UPSTREAM_FAILURES, circuit_breaker=self._breakers
            ),
        )

    def _guarded(self, kind: Kind) -> type[Any] | cqrs.RequestHandlerFallback:
        primary, fallback = PAIRS[kind]
        if kind is self._without_fallback:
            return primary
        return cqrs.RequestHandlerFallback(
            primary, fallback, failure_exceptions=UPSTREAM_FAILURES, circuit_breaker=self._breakers
        )

    def _note_call(self, path: str) -> None:
        self._recorder.call(self.service, Kind(path.split("/")[1]))

    def _note_change(self, event: object) -> None:
        if isinstance(event, StateChanged):
            self._recorder.switch(_KINDS[event.name], _state_entered(event), event.reason, event.at)
