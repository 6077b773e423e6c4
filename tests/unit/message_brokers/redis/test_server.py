"""How messages lie in a stream, and what is refused before anything is asked."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("redis")

from cqrs.exceptions import ConfigurationError
from cqrs.message_brokers.redis import RedisMessageBroker, RedisMessageSource
from cqrs.message_brokers.redis.server import fields_of, read_fields


@pytest.mark.parametrize("body", [b"", b"\x00\xff", b"{}"])
def test_what_is_written_can_be_read(body: bytes) -> None:
    written = fields_of(body, {"näme": "wörld\n"})
    stored = {
        name.encode(): value.encode() if isinstance(value, str) else value for name, value in written.items()
    }

    assert read_fields(stored) == (body, {"näme": "wörld\n"})


def test_headers_of_others_become_text() -> None:
    deep = b"[" * 100_000
    assert read_fields({b"headers": deep}) == (b"", {"headers": deep.decode()})
    assert read_fields({b"headers": b'{"a": "\\ud800"}'}) == (b"", {"a": "?"})
    assert read_fields({b"headers": b'{"n": 1, "t": true}'}) == (b"", {"n": "1", "t": "True"})
    assert read_fields({b"headers": b"[1]"}) == (b"", {"headers": "[1]"})


@pytest.mark.parametrize("options", [{"max_length": 0}, {"max_body": 0}, {"timeout": 0}], ids=str)
def test_other_settings_of_a_broker_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        RedisMessageBroker("redis://localhost", **options)


@pytest.mark.parametrize(
    "options",
    [
        {"streams": "users"},
        {"streams": []},
        {"group": ""},
        {"prefetch": 0},
        {"min_idle": 0},
        {"dead_letter_suffix": ""},
    ],
    ids=str,
)
def test_other_settings_of_a_source_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        RedisMessageSource("redis://localhost", **({"streams": ["users"], "group": "group"} | options))
