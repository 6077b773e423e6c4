"""Kafka, for the table of situations."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from cqrs.adapters.kafka import KafkaConnection, kafka_producer_factory
from cqrs.message_brokers.kafka import KafkaMessageBroker, KafkaMessageSource
from cqrs.testing import ChaosProxy
from tests.integration.brokers.places import Place


class KafkaPlace(Place):
    name = "kafka"
    retries = False
    too_large = 1_048_577
    unroutable = False
    tells = False

    def broker(self, *, timeout: float = 5.0) -> KafkaMessageBroker:
        producer = kafka_producer_factory(self._connection(timeout / 2.5))
        return KafkaMessageBroker(producer, timeout=timeout)

    def source(self, *, timeout: float = 5.0) -> KafkaMessageSource:
        return self._source(self.topic, self.group, timeout)

    def dead_letters(self) -> KafkaMessageSource:
        return self._source(f"{self.topic}.dead", f"{self.group}-dead", 5.0)

    def _source(self, topic: str, group: str, timeout: float) -> KafkaMessageSource:
        soon: dict[str, Any] = {"session_timeout_ms": 1500, "heartbeat_interval_ms": 300}
        soon |= {"metadata_max_age_ms": 500, "retry_backoff_ms": 50}
        soon |= {"commit_interval": 0.0, "rebalance_timeout": 0.5}
        return KafkaMessageSource(self._connection(timeout / 2.5), [topic], group, **soon)

    def _connection(self, timeout: float) -> KafkaConnection:
        host, port = self.address
        return KafkaConnection(f"{host}:{port}", timeout=timeout, options={"retry_backoff_ms": 50})

    @contextlib.contextmanager
    def through_proxy(self) -> Iterator[ChaosProxy]:
        # A broker tells clients its own address, whatever they had asked: they have to be led to the proxy.
        from aiokafka import client

        connect, real = client.create_conn, self.address
        with super().through_proxy() as proxy:

            def redirected(host: str, port: int, *arguments: Any, **options: Any) -> Any:
                if port == real[1]:
                    host, port = proxy.address
                return connect(host, port, *arguments, **options)

            client.create_conn = redirected
            try:
                yield proxy
            finally:
                client.create_conn = connect
