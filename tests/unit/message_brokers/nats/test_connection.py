"""Headers as lines of text, errors, and what is refused before anything is asked."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("nats")

from nats import errors
from nats.js import errors as js_errors

from cqrs.exceptions import BrokerUnavailableError, ConfigurationError, MessageRefusedError
from cqrs.message_brokers.errors import MessageTooLargeError
from cqrs.message_brokers.nats import NatsConnection, NatsMessageBroker, NatsMessageSource
from cqrs.message_brokers.nats.connection import nats_error, read_headers, written_headers


@given(st.dictionaries(st.text(), st.text()))
def test_whatever_is_written_can_be_read(headers: dict[str, str]) -> None:
    headers.pop("Nats-Msg-Id", None)
    written = written_headers(headers)

    assert all(line.isascii() and line.isprintable() for line in [*written, *written.values()])
    assert read_headers(written) == headers


def test_what_others_have_written_can_be_read() -> None:
    deep = "[" * 100_000
    assert read_headers({"headers_json": deep}) == {"headers_json": deep}
    assert read_headers({"headers_json": '{"a": "\\ud800"}', "b": "\udcff"}) == {"a": "?", "b": "?"}


def test_no_headers_are_none() -> None:
    assert read_headers(None) == {}
    assert read_headers({"headers_json": "no JSON", "Nats-Msg-Id": "7"}) == {"headers_json": "no JSON"}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.MaxPayloadError(), MessageTooLargeError),
        (errors.BadSubjectError(), MessageRefusedError),
        (js_errors.APIError(code=400, err_code=10054, description="too large"), MessageTooLargeError),
        (js_errors.APIError(code=400, err_code=10077, description="full"), BrokerUnavailableError),
        (js_errors.APIError(code=503, err_code=10008, description="no leader"), BrokerUnavailableError),
        (errors.ConnectionClosedError(), BrokerUnavailableError),
        (errors.TimeoutError(), BrokerUnavailableError),
        (OSError("down"), BrokerUnavailableError),
    ],
    ids=repr,
)
def test_errors(error: Exception, kind: type[Exception]) -> None:
    assert type(nats_error("users", error)) is kind


@pytest.mark.parametrize(
    "servers",
    ["", "localhost:4222", "http://one", None, "nats://one,two", "nats://ann:12#x@one", "nats://one:many"],
)
def test_other_addresses_are_refused(servers: Any) -> None:
    with pytest.raises(ConfigurationError):
        NatsConnection(servers)


def test_a_password_is_not_shown() -> None:
    connection = NatsConnection("nats://ann:secret@one:4222")

    assert "secret" not in repr(connection)
    assert connection.shown == "one:4222"


@pytest.mark.parametrize("options", [{"durable": ""}, {"prefetch": 0}, {"ack_wait": 0}], ids=str)
def test_other_settings_of_a_source_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        NatsMessageSource("nats://one", "users", **({"durable": "group"} | options))


def test_a_missing_library_is_named_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nats", None)

    with pytest.raises(ImportError, match=r'pip install "holdfast\[nats\]"'):
        NatsMessageBroker("nats://one")
