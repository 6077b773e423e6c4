"""The private brokers start, answer, and can be broken."""

from __future__ import annotations

import socket

import pytest

from tests.servers.kafka_mock import KafkaMock
from tests.servers.nats import NatsServer
from tests.servers.rabbitmq import GREETING, RabbitServer


def test_a_mock_cluster_can_be_down_for_a_while(kafka_mock: KafkaMock) -> None:
    socket.create_connection(kafka_mock.address, timeout=5).close()

    with kafka_mock.down(), pytest.raises(ConnectionRefusedError):
        socket.create_connection(kafka_mock.address, timeout=5)

    socket.create_connection(kafka_mock.address, timeout=5).close()


def test_a_mock_cluster_says_what_it_cannot_do(kafka_mock: KafkaMock) -> None:
    kafka_mock.create_topic("orders", 2)

    with pytest.raises(RuntimeError, match="error"):
        kafka_mock.create_topic("orders", 3)


def test_nats_starts_again_on_the_same_port(nats_server: NatsServer) -> None:
    nats_server.kill()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(nats_server.address, timeout=5)

    nats_server.start()

    with socket.create_connection(nats_server.address, timeout=5) as connection:
        assert connection.recv(4) == b"INFO"


def test_rabbit_greets(rabbit_server: RabbitServer) -> None:
    with socket.create_connection(rabbit_server.address, timeout=5) as connection:
        connection.sendall(GREETING)

        assert connection.recv(1) == b"\x01"
