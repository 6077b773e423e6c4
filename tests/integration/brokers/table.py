"""Which brokers the table of situations is about."""

from __future__ import annotations

from tests.integration.brokers.places import Place

BROKERS = {"kafka": "kafka_bootstrap"}
"""Name, and the fixture that tells where it is."""


def make_place(name: str, url: str) -> Place:
    """Return a place on the broker at ``url``."""
    from tests.integration.brokers.kafka_place import KafkaPlace

    return KafkaPlace(url)
