"""The shop's messages: two queries, a command, a stream and an event."""

from __future__ import annotations

from typing import Literal

import cqrs

Source = Literal["primary", "fallback"]


class Price(cqrs.Response):
    """The price of a product, in cents."""

    sku: str
    cents: int
    source: Source


class GetPrice(cqrs.Request[Price]):
    """What does this product cost now?"""

    sku: str


class Recommendations(cqrs.Response):
    """Products that a customer may like."""

    skus: list[str]
    source: Source


class GetRecommendations(cqrs.Request[Recommendations]):
    """What may this customer like?"""

    customer: int


class OrderAccepted(cqrs.Response):
    """The shop took the order; ``payment`` is ``"paid"`` or ``"to be charged"``."""

    order_id: str
    payment: str
    source: Source


class PlaceOrder(cqrs.Request[OrderAccepted]):
    """Buy a product."""

    order_id: str
    sku: str


class CatalogueItem(cqrs.Response):
    """One line of the catalogue."""

    sku: str
    cents: int
    source: Source


class ExportCatalogue(cqrs.Request[CatalogueItem]):
    """Stream the whole catalogue."""


class OrderPlaced(cqrs.DomainEvent, frozen=True):
    """An order was taken; ``placed_at`` is monotonic time in seconds."""

    order_id: str
    sku: str
    placed_at: float
