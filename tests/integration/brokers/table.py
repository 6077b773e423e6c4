"""Which brokers the table of situations is about."""

from __future__ import annotations

from importlib import import_module

from tests.integration.brokers.places import Place

BROKERS = {"kafka": "kafka_bootstrap", "rabbitmq": "amqp_url", "redis": "streams_url", "nats": "nats_url"}
"""Name, and the fixture that tells where it is."""

PLACES = {
    "kafka": "kafka_place.KafkaPlace",
    "rabbitmq": "rabbit_place.RabbitPlace",
    "redis": "redis_place.RedisPlace",
    "nats": "nats_place.NatsPlace",
}


def make_place(name: str, url: str) -> Place:
    """Return a place on the broker at ``url``."""
    module, _, kind = PLACES[name].partition(".")
    made = getattr(import_module(f"tests.integration.brokers.{module}"), kind)(url)
    assert isinstance(made, Place)
    return made
