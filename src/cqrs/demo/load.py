"""The load: a seeded, steady stream of requests, the same for both services, each followed to its end."""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from cqrs.demo.messages import ExportCatalogue, GetPrice, GetRecommendations, PlaceOrder
from cqrs.demo.recorder import Answer, Recorder, Trace, follow
from cqrs.demo.schedule import RATES, Kind
from cqrs.demo.shop import Shop
from cqrs.demo.upstream import PRODUCTS

#: Seconds after which a client goes away; far beyond what any answer takes.
PATIENCE = 10.0


@dataclass(frozen=True)
class Arrival:
    """A request that is due ``at`` seconds after the start; ``number`` and ``sku`` are its parameters."""

    at: float
    kind: Kind
    number: int
    sku: str


def arrivals(seed: int) -> Iterator[Arrival]:
    """Yield the requests of a run in order of time, without end; equal seeds give equal requests.

    >>> next(arrivals(1)) == next(arrivals(1))
    True
    """
    chooser = random.Random(seed)
    due = [(chooser.uniform(0, 1 / rate), kind) for kind, rate in RATES.items()]
    heapq.heapify(due)
    number = 0
    while True:
        at, kind = due[0]
        number += 1
        yield Arrival(at, kind, number, chooser.choice(PRODUCTS))
        heapq.heapreplace(due, (at + chooser.uniform(0.7, 1.3) / RATES[kind], kind))


async def drive(shops: tuple[Shop, ...], recorder: Recorder, seed: int, stop: asyncio.Event) -> None:
    """Send every arrival to every shop when it is due, whether or not earlier ones were answered.

    Returns when ``stop`` is set and every request that was sent has ended.
    """
    async with asyncio.TaskGroup() as group:
        for arrival in arrivals(seed):
            await _until(arrival.at - recorder.now(), stop)
            if stop.is_set():
                break
            for shop in shops:
                group.create_task(_serve(shop, recorder, arrival))
    recorder.end()


async def _until(seconds: float, stop: asyncio.Event) -> None:
    """Wait for some seconds, or until ``stop`` is set; an overdue arrival still lets others run."""
    if seconds <= 0:
        await asyncio.sleep(0)
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()


async def _serve(shop: Shop, recorder: Recorder, arrival: Arrival) -> None:
    trace = follow()
    sent = recorder.now()
    recorder.submit(shop.service)
    try:
        async with asyncio.timeout(PATIENCE):
            answered = await _ask(shop, arrival)
    except Exception as error:
        recorder.finish(shop.service, arrival.kind, sent, Answer.FAILED, f"{type(error).__name__}: {error}")
    else:
        recorder.finish(shop.service, arrival.kind, sent, _answer(answered, trace, arrival.kind))
    if arrival.kind is Kind.PAYMENT:
        _follow_event(shop, recorder, trace, _order_id(arrival))


async def _ask(shop: Shop, arrival: Arrival) -> str:
    """Send the request and tell who answered: ``"primary"`` or ``"fallback"``."""
    match arrival.kind:
        case Kind.PRICE:
            return (await shop.mediator.send(GetPrice(sku=arrival.sku))).source
        case Kind.RECOMMENDATIONS:
            return (await shop.mediator.send(GetRecommendations(customer=arrival.number))).source
        case Kind.PAYMENT:
            order = PlaceOrder(order_id=_order_id(arrival), sku=arrival.sku)
            return (await shop.mediator.send(order)).source
        case _:
            return await _read_catalogue(shop)


async def _read_catalogue(shop: Shop) -> str:
    """Read a whole catalogue; when the source changes on the way, the new one starts over."""
    source, skus = "", list[str]()
    async for item in shop.streams.stream(ExportCatalogue()):
        if item.source != source:
            source, skus = item.source, []
        skus.append(item.sku)
    if tuple(skus) != PRODUCTS:
        raise ValueError(f"the catalogue has {len(skus)} of {len(PRODUCTS)} products")
    return source


def _follow_event(shop: Shop, recorder: Recorder, trace: Trace, order_id: str) -> None:
    """Account for the event of an order: events are handled before the command's answer is returned."""
    if not shop.store.has_order(order_id):
        return  # no order, hence no event
    recorder.submit(shop.service)
    shipment = shop.store.shipment(order_id)
    if shipment is None:
        recorder.finish(shop.service, Kind.SHIPMENT, recorder.now(), Answer.FAILED, "the event was lost")
        return
    state, seconds = shipment
    source = "primary" if state == "announced" else "fallback"
    answer = _answer(source, trace, Kind.SHIPMENT)
    recorder.finish(shop.service, Kind.SHIPMENT, recorder.now() - seconds, answer)


def _answer(source: str, trace: Trace, kind: Kind) -> Answer:
    if source == "primary":
        return Answer.PRIMARY
    return Answer.FALLBACK if kind in trace.called else Answer.REJECTED


def _order_id(arrival: Arrival) -> str:
    return f"order-{arrival.number}"
