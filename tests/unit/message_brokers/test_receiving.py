"""What is received."""

from __future__ import annotations

from typing import Any

from cqrs.message_brokers.memory import MemoryMessageBroker, MemorySource
from cqrs.message_brokers.receiving import (
    MessageSource,
    PausableSource,
    PostponingSource,
    ReceivedMessage,
    RevocableSource,
    offers,
)


def test_a_message_needs_little() -> None:
    message = ReceivedMessage(b"{}", {}, None, "users")

    assert message.attempt == 1
    assert message.message_id is message.key is message.ordering is None


def test_two_deliveries_are_never_equal() -> None:
    first, second = ReceivedMessage(b"", {}, None, "users"), ReceivedMessage(b"", {}, None, "users")

    assert first != second
    assert len({first, second}) == 2


class Wrapped:
    """A source in an object that passes everything on."""

    def __init__(self, source: Any) -> None:
        self._source = source

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)


def test_a_wrapped_source_offers_what_the_source_does() -> None:
    source = MemoryMessageBroker().source("users")
    for port in (MessageSource, RevocableSource, PostponingSource):
        assert offers(source, port)
        assert offers(Wrapped(source), port)
    assert not offers(source, PausableSource)
    assert not offers(Wrapped(source), PausableSource)


def test_a_class_and_an_object_that_lacks_a_method_offer_nothing() -> None:
    class Half:
        async def start(self) -> None: ...

    assert not offers(MemorySource, MessageSource)
    assert not offers(Half(), MessageSource)
