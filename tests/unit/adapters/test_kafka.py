"""What a connection to Kafka is told, and what it refuses to be told."""

from __future__ import annotations

import ssl
import sys
from typing import Any

import pytest

from cqrs.adapters.kafka import KafkaConnection, kafka_producer_factory
from cqrs.exceptions import ConfigurationError
from cqrs.message_brokers.kafka import KafkaMessageBroker, KafkaMessageSource


@pytest.mark.parametrize(
    ("fields", "protocol"),
    [
        ({}, "PLAINTEXT"),
        ({"user": "ann", "password": "secret"}, "SASL_PLAINTEXT"),
        ({"ssl_context": ssl.create_default_context()}, "SSL"),
        ({"user": "ann", "password": "secret", "security_protocol": "SASL_SSL"}, "SASL_SSL"),
    ],
    ids=str,
)
def test_the_protocol_follows_from_what_is_given(fields: dict[str, Any], protocol: str) -> None:
    options = KafkaConnection("one:9092", **fields).client_options()

    assert options["security_protocol"] == protocol
    assert ("ssl_context" in options) == protocol.endswith("SSL")
    assert options.get("sasl_plain_username") == fields.get("user")


def test_seconds_become_milliseconds() -> None:
    assert KafkaConnection("one:9092", timeout=2.5).client_options()["request_timeout_ms"] == 2500


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(KafkaConnection("one:9092", "ann", "secret"))


@pytest.mark.parametrize(
    "dsn",
    [
        "",
        ",",
        "http://one:9092",
        "ann:secret@one:9092",
        None,
        "one:many",
        "one:99999",
        "one:9092#secret",
        ":1",
    ],
)
def test_other_addresses_are_refused(dsn: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        KafkaConnection(dsn)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("dsn", ["one", "one:9092,two:9093", "[::1]:9092", "10.0.0.1:9092", "kafka://a_b:1"])
def test_addresses_are_taken(dsn: str) -> None:
    assert KafkaConnection(dsn).servers


@pytest.mark.parametrize(
    "fields",
    [
        {"security_protocol": "TLS"},
        {"security_protocol": "PLAINTEXT", "ssl_context": ssl.create_default_context()},
        {"security_protocol": "SASL_PLAINTEXT", "ssl_context": ssl.create_default_context()},
        {"security_protocol": "SSL", "user": "ann", "password": "secret"},
        {"user": "ann", "password": "secret", "sasl_mechanism": "DIGEST"},
        {"ssl_context": "/etc/ca.pem"},
        {"timeout": float("nan")},
    ],
    ids=str,
)
def test_security_that_would_not_be_what_it_seems_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        KafkaConnection("one:9092", **fields)
    assert "secret" not in str(caught.value)


def test_a_user_needs_a_password() -> None:
    with pytest.raises(ConfigurationError, match="password"):
        KafkaConnection("one:9092", user="ann")


@pytest.mark.parametrize(
    "options",
    [
        {"topics": "users"},
        {"linger": -1},
        {"timeout": 0},
        {"max_request_size": 0},
        {"max_batch_size": "many"},
        {"compression": "zip"},
    ],
    ids=str,
)
def test_other_settings_of_a_producer_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        kafka_producer_factory("one:9092", **options)


def test_a_broker_needs_a_producer_and_a_level() -> None:
    with pytest.raises(ConfigurationError, match="producer"):
        KafkaMessageBroker("one:9092")  # type: ignore[arg-type]  # the mistake
    with pytest.raises(ConfigurationError, match="LOUD"):
        KafkaMessageBroker(kafka_producer_factory("one:9092"), "LOUD")


@pytest.mark.parametrize("arguments", [(("users",), ""), ((), "group"), ("users", "group")], ids=str)
def test_a_source_needs_topics_and_a_group(arguments: tuple[Any, str]) -> None:
    with pytest.raises(ConfigurationError):
        KafkaMessageSource("one:9092", *arguments)


def test_a_missing_library_is_named_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiokafka", None)
    monkeypatch.setitem(sys.modules, "aiokafka.errors", None)

    with pytest.raises(ImportError, match=r'pip install "holdfast\[kafka\]"'):
        kafka_producer_factory("one:9092")
