"""The shop's own data, in SQLite: what its fallbacks answer from, and what no outage may lose."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cqrs.demo.upstream import PRODUCTS, price_of

SCHEMA = """
CREATE TABLE products (sku TEXT PRIMARY KEY, cents INTEGER NOT NULL, sold INTEGER NOT NULL DEFAULT 0);
CREATE TABLE orders (id TEXT PRIMARY KEY, sku TEXT NOT NULL, payment TEXT NOT NULL);
CREATE TABLE shipments (order_id TEXT PRIMARY KEY, state TEXT NOT NULL, seconds REAL NOT NULL);
"""


@dataclass(frozen=True)
class Books:
    """What the tables hold at the end: orders, and shipments by state."""

    orders: int
    paid: int
    announced: int
    parked: int


class ShopStore:
    """The tables of one shop.

    Attributes:
        path: the database file; it must not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database = sqlite3.connect(path, isolation_level=None)
        # One writer, throw-away data: waiting for the disk would only measure the disk.
        self._database.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;" + SCHEMA)
        rows = [(sku, price_of(sku)) for sku in PRODUCTS]
        self._database.executemany("INSERT INTO products (sku, cents) VALUES (?, ?)", rows)

    def remember_price(self, sku: str, cents: int) -> None:
        """Keep the last price that the upstream gave."""
        self._database.execute("UPDATE products SET cents = ? WHERE sku = ?", (cents, sku))

    def last_price(self, sku: str) -> int:
        """Return the last known price."""
        (cents,) = self._database.execute("SELECT cents FROM products WHERE sku = ?", (sku,)).fetchone()
        return int(cents)

    def best_sellers(self, limit: int) -> list[str]:
        """Return the products that sold most."""
        query = "SELECT sku FROM products ORDER BY sold DESC, sku LIMIT ?"
        return [str(sku) for (sku,) in self._database.execute(query, (limit,))]

    def catalogue(self) -> Sequence[tuple[str, int]]:
        """Return every product with its last known price."""
        rows = self._database.execute("SELECT sku, cents FROM products ORDER BY sku").fetchall()
        return [(str(sku), int(cents)) for sku, cents in rows]

    def add_order(self, order_id: str, sku: str, payment: str) -> None:
        """Store an order; ``payment`` is ``"paid"`` or ``"to be charged"``."""
        self._database.execute("INSERT INTO orders VALUES (?, ?, ?)", (order_id, sku, payment))

    def count_sale(self, sku: str) -> None:
        """Count a sold product."""
        self._database.execute("UPDATE products SET sold = sold + 1 WHERE sku = ?", (sku,))

    def has_order(self, order_id: str) -> bool:
        """Tell whether the order was taken."""
        return self._database.execute("SELECT 1 FROM orders WHERE id = ?", (order_id,)).fetchone() is not None

    def add_shipment(self, order_id: str, state: str, seconds: float) -> None:
        """Store what became of an order's shipment, ``"announced"`` or ``"parked"``, and how long it took."""
        self._database.execute("INSERT INTO shipments VALUES (?, ?, ?)", (order_id, state, seconds))

    def shipment(self, order_id: str) -> tuple[str, float] | None:
        """Return the state of an order's shipment and how long it took, or ``None``."""
        query = "SELECT state, seconds FROM shipments WHERE order_id = ?"
        row = self._database.execute(query, (order_id,)).fetchone()
        return None if row is None else (str(row[0]), float(row[1]))

    def books(self) -> Books:
        """Count what the tables hold."""
        row = self._database.execute(
            "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM orders WHERE payment = 'paid'),"
            " (SELECT count(*) FROM shipments WHERE state = 'announced'),"
            " (SELECT count(*) FROM shipments WHERE state = 'parked')"
        ).fetchone()
        return Books(*row)

    def close(self) -> None:
        """Close the database file."""
        self._database.close()
