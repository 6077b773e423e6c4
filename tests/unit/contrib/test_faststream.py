"""The bridge to FastStream, over its own brokers in memory."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import sys
import uuid
from typing import Any

import pytest

pytest.importorskip("faststream")

from cqrs.consumers import current_message
from cqrs.contrib.faststream import FastStreamMessageBroker, bridge
from cqrs.exceptions import BrokerUnavailableError, ConfigurationError, MessageRefusedError
from cqrs.message_brokers.protocol import Message, MessageBroker
from cqrs.message_brokers.receiving import ReceivedMessage


@dataclasses.dataclass
class Counted:
    number: int


class Mediator:
    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.seen: list[tuple[int, ReceivedMessage | None]] = []

    async def send(self, event: Any) -> None:
        self.seen.append((event.number, current_message()))
        if self.error is not None:
            raise self.error


KINDS = {"kafka": "Kafka", "rabbit": "Rabbit", "nats": "Nats", "redis": "Redis"}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def make(kind: str) -> tuple[Any, Any, dict[str, Any]]:
    """Return a broker, what connects it in memory, and the options that a subscriber needs."""
    module = importlib.import_module(f"faststream.{kind}")
    broker = getattr(module, f"{KINDS[kind]}Broker")()
    options = {"group_id": "mail"} if kind == "kafka" else {}
    return broker, getattr(module, f"Test{KINDS[kind]}Broker")(broker), options


async def test_what_is_published_reaches_the_mediator(kind: str) -> None:
    broker, connected, options = make(kind)
    mediator = Mediator()
    bridge(broker, mediator, {"Counted": Counted}, "numbers", **options)
    sent = Message("Counted", "numbers", {"number": 7}, uuid.UUID(int=7), {"tenant": "a"}, "k")

    async with connected:
        await FastStreamMessageBroker(broker).send_message(sent)

    ((number, received),) = mediator.seen
    assert number == 7
    assert received is not None
    assert (received.message_id, received.message_name, received.topic) == (
        uuid.UUID(int=7),
        "Counted",
        "numbers",
    )
    assert (received.headers["tenant"], received.key) == ("a", "k")
    assert current_message() is None


async def test_a_router_will_do() -> None:
    from faststream.rabbit import RabbitRouter

    broker, connected, _ = make("rabbit")
    router, mediator = RabbitRouter(), Mediator()
    bridge(router, mediator, {"Counted": Counted}, "numbers")
    broker.include_router(router)

    async with connected:
        await FastStreamMessageBroker(broker).send_message(Message("Counted", "numbers", {"number": 1}))

    assert [number for number, _ in mediator.seen] == [1]


async def test_the_error_of_a_handler_crosses_into_faststream(kind: str) -> None:
    broker, connected, options = make(kind)
    error = LookupError("mine")
    bridge(broker, Mediator(error), {"Counted": Counted}, "numbers", **options)

    async with connected:
        with pytest.raises(Exception, match="mine") as caught:
            await broker.publish(b'{"number":1}', "numbers", headers={"message_name": "Counted"})

    assert caught.value is error


@pytest.mark.parametrize(
    ("body", "name"), [(b"{", "Counted"), (b"\xff", "Counted"), (b'{"number":1}', "Lost")]
)
async def test_what_cannot_be_read_is_rejected(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, body: bytes, name: str
) -> None:
    from faststream.rabbit.message import RabbitMessage

    rejected: list[bytes] = []

    async def reject(self: Any, **_: Any) -> None:
        rejected.append(self.body)

    monkeypatch.setattr(RabbitMessage, "reject", reject)
    broker, connected, _ = make("rabbit")
    mediator = Mediator()
    bridge(broker, mediator, {"Counted": Counted}, "numbers")

    async with connected:
        await broker.publish(body, "numbers", headers={"message_name": name})

    assert mediator.seen == []
    assert rejected == [body]
    assert "is rejected" in caplog.text


async def test_a_failure_is_to_be_delivered_again_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from faststream import AckPolicy
    from faststream.rabbit.message import RabbitMessage

    calls: list[str] = []

    async def note_nack(self: Any, **_: Any) -> None:
        calls.append("nack")

    async def note_reject(self: Any, **_: Any) -> None:
        calls.append("reject")

    monkeypatch.setattr(RabbitMessage, "nack", note_nack)
    monkeypatch.setattr(RabbitMessage, "reject", note_reject)
    options: list[dict[str, Any]] = [{}, {"ack_policy": AckPolicy.REJECT_ON_ERROR}]
    for given in options:
        broker, connected, _ = make("rabbit")
        bridge(broker, Mediator(LookupError()), {"Counted": Counted}, "numbers", **given)
        async with connected:
            with pytest.raises(LookupError):
                await broker.publish(b'{"number":1}', "numbers", headers={"message_name": "Counted"})

    assert calls == ["nack", "reject"]


async def test_unknown_names_can_be_ignored(kind: str) -> None:
    broker, connected, options = make(kind)
    mediator = Mediator()
    bridge(broker, mediator, {"Counted": Counted}, "numbers", unknown="ignore", **options)

    async with connected:
        await broker.publish(b"{}", "numbers", headers={"message_name": "Lost"})

    assert mediator.seen == []


async def test_an_inbox_is_asked() -> None:
    asked: list[uuid.UUID] = []

    class Inbox:
        async def process(self, message_id: uuid.UUID, handler: Any, /, **_: Any) -> None:
            asked.append(message_id)

    broker, connected, _ = make("rabbit")
    mediator = Mediator()
    bridge(broker, mediator, {"Counted": Counted}, "numbers", inbox=Inbox())
    async with connected:
        await FastStreamMessageBroker(broker).send_message(
            Message("Counted", "numbers", {"number": 1}, uuid.UUID(int=7))
        )

    assert asked == [uuid.UUID(int=7)]
    assert mediator.seen == []


async def test_where_a_message_goes_can_be_said() -> None:
    published: list[Any] = []

    class Streams:
        async def publish(self, message: Any, channel: Any = None, *, stream: Any = None, **_: Any) -> None:
            published.append((message, channel, stream))

    sender = FastStreamMessageBroker(Streams(), destination=lambda message: {"stream": message.topic})
    await sender.send_message(Message("Counted", "numbers", {"number": 1}))

    assert published == [(b'{"number":1}', None, "numbers")]
    assert isinstance(sender, MessageBroker)


async def test_what_could_not_be_published_may_be_sent_again() -> None:
    class Down:
        async def publish(self, *_: Any, **__: Any) -> None:
            raise OSError("refused")

    sender = FastStreamMessageBroker(Down())

    with pytest.raises(BrokerUnavailableError, match="refused") as caught:
        await sender.send_message(Message("Counted", "numbers", 1))
    assert isinstance(caught.value.__cause__, OSError)
    with pytest.raises(MessageRefusedError, match="serialised"):
        await sender.send_message(Message("Counted", "numbers", object()))


@pytest.mark.parametrize(
    "arguments", [{"broker": 7}, {"events": 7}, {"unknown": "perhaps"}, {"handler_timeout": 0}]
)
def test_bad_arguments_are_refused(arguments: dict[str, Any]) -> None:
    given: dict[str, Any] = {"broker": make("rabbit")[0], "mediator": Mediator(), "events": {}, **arguments}

    with pytest.raises(ConfigurationError):
        bridge(**given)
    with pytest.raises(ConfigurationError):
        FastStreamMessageBroker(7)


def test_without_the_library_the_error_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faststream", None)

    with pytest.raises(ImportError, match=r'pip install "holdfast\[faststream\]"'):
        bridge(object(), Mediator(), {})


async def test_a_broker_that_does_not_answer_is_not_waited_for_for_ever() -> None:
    class Silent:
        async def publish(self, body: bytes, topic: str, **options: Any) -> None:
            await asyncio.Event().wait()

    with pytest.raises(BrokerUnavailableError, match="may have been published"):
        await FastStreamMessageBroker(Silent(), timeout=0.01).send_message(Message("Counted", "numbers", {}))
    with pytest.raises(ConfigurationError, match="timeout"):
        FastStreamMessageBroker(Silent(), timeout=0)
