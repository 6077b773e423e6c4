from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from cqrs.demo.store import Books, ShopStore
from cqrs.demo.upstream import PRODUCTS, price_of


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ShopStore]:
    opened = ShopStore(tmp_path / "shop.sqlite")
    yield opened
    opened.close()


def test_prices_are_known_before_the_upstream_was_ever_asked(store: ShopStore) -> None:
    assert store.last_price("sku-01") == price_of("sku-01")
    assert [sku for sku, _ in store.catalogue()] == list(PRODUCTS)


def test_the_last_price_is_remembered(store: ShopStore) -> None:
    store.remember_price("sku-03", 42)
    assert store.last_price("sku-03") == 42
    assert ("sku-03", 42) in store.catalogue()


def test_best_sellers_follow_the_sales(store: ShopStore) -> None:
    for sku in ("sku-09", "sku-05", "sku-09"):
        store.count_sale(sku)
    assert store.best_sellers(2) == ["sku-09", "sku-05"]


def test_the_books_count_orders_and_shipments(store: ShopStore) -> None:
    store.add_order("1", "sku-01", "paid")
    store.add_order("2", "sku-01", "to be charged")
    store.add_shipment("1", "announced", 0.1)
    store.add_shipment("2", "parked", 0.2)
    assert store.books() == Books(orders=2, paid=1, announced=1, parked=1)
    assert store.shipment("2") == ("parked", 0.2)
    assert store.shipment("3") is None
    assert store.has_order("2")
    assert not store.has_order("3")


def test_an_order_handled_twice_does_not_go_unnoticed(store: ShopStore) -> None:
    store.add_order("1", "sku-01", "paid")
    with pytest.raises(sqlite3.IntegrityError):
        store.add_order("1", "sku-01", "paid")
