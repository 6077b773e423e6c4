"""The shop's handlers: each primary calls the upstream, each fallback answers from the shop's own data."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence

import cqrs
from cqrs.demo.client import UpstreamClient
from cqrs.demo.messages import (
    CatalogueItem,
    ExportCatalogue,
    GetPrice,
    GetRecommendations,
    OrderAccepted,
    OrderPlaced,
    PlaceOrder,
    Price,
    Recommendations,
)
from cqrs.demo.store import ShopStore


class PriceFromUpstream(cqrs.RequestHandler[GetPrice, Price]):
    """Asks the upstream, and remembers what it said."""

    def __init__(self, upstream: UpstreamClient, store: ShopStore) -> None:
        self._upstream = upstream
        self._store = store

    async def handle(self, request: GetPrice) -> Price:
        """Return today's price."""
        document = await self._upstream.get(f"/price/{request.sku}")
        self._store.remember_price(request.sku, document["cents"])
        return Price(sku=request.sku, cents=document["cents"], source="primary")


class LastKnownPrice(cqrs.RequestHandler[GetPrice, Price]):
    """Answers with the last price that the upstream gave."""

    def __init__(self, store: ShopStore) -> None:
        self._store = store

    async def handle(self, request: GetPrice) -> Price:
        """Return the remembered price."""
        return Price(sku=request.sku, cents=self._store.last_price(request.sku), source="fallback")


class PersonalRecommendations(cqrs.RequestHandler[GetRecommendations, Recommendations]):
    """Asks the upstream what this customer may like."""

    def __init__(self, upstream: UpstreamClient) -> None:
        self._upstream = upstream

    async def handle(self, request: GetRecommendations) -> Recommendations:
        """Return three products chosen for the customer."""
        document = await self._upstream.get(f"/recommendations/{request.customer}")
        return Recommendations(skus=document["skus"], source="primary")


class BestSellers(cqrs.RequestHandler[GetRecommendations, Recommendations]):
    """Recommends what sells best."""

    def __init__(self, store: ShopStore) -> None:
        self._store = store

    async def handle(self, request: GetRecommendations) -> Recommendations:
        """Return the three best sellers."""
        return Recommendations(skus=self._store.best_sellers(3), source="fallback")


class _TakesOrders(cqrs.RequestHandler[PlaceOrder, OrderAccepted]):
    """Stores an order and tells of it."""

    def __init__(self, upstream: UpstreamClient, store: ShopStore) -> None:
        self._upstream = upstream
        self._store = store
        self._events: list[cqrs.IEvent] = []

    @property
    def events(self) -> Sequence[cqrs.IEvent]:
        """``OrderPlaced``, once the order is stored."""
        return self._events

    def _take(self, request: PlaceOrder, payment: str) -> None:
        self._store.add_order(request.order_id, request.sku, payment)
        self._events.append(
            OrderPlaced(order_id=request.order_id, sku=request.sku, placed_at=time.monotonic())
        )


class OrderWithPayment(_TakesOrders):
    """Charges the customer at the upstream, then takes the order."""

    async def handle(self, request: PlaceOrder) -> OrderAccepted:
        """Return the paid order."""
        await self._upstream.post("/payment", {"order": request.order_id})
        self._take(request, "paid")
        return OrderAccepted(order_id=request.order_id, payment="paid", source="primary")


class OrderOnAccount(_TakesOrders):
    """Takes the order now, to be charged later."""

    async def handle(self, request: PlaceOrder) -> OrderAccepted:
        """Return the order, accepted but not yet paid."""
        self._take(request, "to be charged")
        return OrderAccepted(order_id=request.order_id, payment="to be charged", source="fallback")


class LiveCatalogue(cqrs.StreamingRequestHandler[ExportCatalogue, CatalogueItem]):
    """Streams the catalogue as the upstream streams it."""

    def __init__(self, upstream: UpstreamClient) -> None:
        self._upstream = upstream

    async def handle(self, request: ExportCatalogue) -> AsyncIterator[CatalogueItem]:
        """Yield each product as it arrives."""
        async for line in self._upstream.lines("/catalogue"):
            yield CatalogueItem(sku=line["sku"], cents=line["cents"], source="primary")


class StoredCatalogue(cqrs.StreamingRequestHandler[ExportCatalogue, CatalogueItem]):
    """Streams the shop's own copy, from its start."""

    def __init__(self, store: ShopStore) -> None:
        self._store = store

    async def handle(self, request: ExportCatalogue) -> AsyncIterator[CatalogueItem]:
        """Yield each product with its last known price."""
        for sku, cents in self._store.catalogue():
            yield CatalogueItem(sku=sku, cents=cents, source="fallback")


class AnnounceShipment(cqrs.EventHandler[OrderPlaced]):
    """Tells the upstream to ship an order."""

    def __init__(self, upstream: UpstreamClient, store: ShopStore) -> None:
        self._upstream = upstream
        self._store = store

    async def handle(self, event: OrderPlaced) -> None:
        """Announce the shipment and note it."""
        await self._upstream.post("/shipment", {"order": event.order_id})
        self._store.add_shipment(event.order_id, "announced", time.monotonic() - event.placed_at)


class ParkShipment(cqrs.EventHandler[OrderPlaced]):
    """Notes a shipment that has to be announced later."""

    def __init__(self, store: ShopStore) -> None:
        self._store = store

    async def handle(self, event: OrderPlaced) -> None:
        """Park the shipment."""
        self._store.add_shipment(event.order_id, "parked", time.monotonic() - event.placed_at)


class CountSale(cqrs.EventHandler[OrderPlaced]):
    """Keeps the best sellers up to date; needs no upstream."""

    def __init__(self, store: ShopStore) -> None:
        self._store = store

    async def handle(self, event: OrderPlaced) -> None:
        """Count the sold product."""
        self._store.count_sale(event.sku)
