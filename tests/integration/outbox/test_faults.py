"""What may go wrong in the middle: cancellations, a database that is killed, replies that are lost."""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Callable, Coroutine, Generator
from typing import Any

import pytest

from cqrs.message_brokers.protocol import Message
from cqrs.outbox.relay import OutboxRelay
from cqrs.testing import FakeClock
from tests.integration.outbox.support import add, create_table, execute, rows, statuses, until
from tests.servers.databases import Database
from tests.unit.outbox.brokers import BatchBroker, SingleBroker
from tests.unit.outbox.events import joined


@pytest.fixture(autouse=True)
async def table(database: Database) -> None:
    await create_table(database)


class _Steps:
    """Drives a coroutine and calls ``reached`` whenever it waits."""

    def __init__(self, work: Coroutine[Any, Any, Any], reached: Callable[[], None]) -> None:
        self._work = work
        self._reached = reached

    def __await__(self) -> Generator[Any, Any, Any]:
        value: Any = None
        while True:
            try:
                waits_for = self._work.send(value)
            except StopIteration as stop:
                return stop.value
            self._reached()
            try:
                value = yield waits_for
            except BaseException as error:
                try:
                    waits_for = self._work.throw(error)
                except StopIteration as stop:
                    return stop.value
                value = yield waits_for


async def cancelled_at(step: int, work: Coroutine[Any, Any, Any]) -> bool:
    """Run ``work``, cancelled when it waits for the ``step``-th time; return whether it came that far."""
    count = 0
    task: asyncio.Task[Any]

    def reached() -> None:
        nonlocal count
        count += 1
        if count == step:
            asyncio.get_running_loop().call_soon(task.cancel)

    async def run() -> Any:
        return await _Steps(work, reached)

    task = asyncio.ensure_future(run())
    await asyncio.wait({task})
    if not task.cancelled():
        task.result()
    return count >= step


@pytest.mark.parametrize("broker_class", [SingleBroker, BatchBroker])
async def test_a_cancellation_anywhere_loses_nothing_and_leaves_no_lease(
    database: Database, broker_class: type[SingleBroker]
) -> None:
    step = 0
    came_so_far = True
    while came_so_far:
        step += 1
        await execute(database, "DELETE FROM outbox")
        events = [joined() for _ in range(3)]
        await add(database, *events)
        broker = broker_class()
        made = OutboxRelay(database.session_factory, broker, concurrency=1)
        came_so_far = await cancelled_at(step, made.run_once())
        left = await rows(database)
        assert {row.lease_owner for row in left} == {None}, f"step {step}"
        produced = {row.event_id for row in left if row.event_status == "produced"}
        assert produced == {message.message_id for message in broker.sent}, f"step {step}"
        await made.run_once()
        assert set(await statuses(database)) == {"produced"}
        assert {message.message_id for message in broker.sent} == {event.event_id for event in events}
        assert len(broker.sent) == 3, f"step {step}"
    assert step >= 4  # the claim, the broker and the settlement were interrupted


@pytest.mark.parametrize("database", ["postgres", "mariadb"], indirect=True)
async def test_a_database_killed_while_messages_are_sent_costs_nothing(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """What was sent is marked as soon as the database is back."""
    await add(database, *[joined() for _ in range(10)])
    begun, may_end = asyncio.Event(), asyncio.Event()

    class Slow(SingleBroker):
        async def send_message(self, message: Message) -> None:
            begun.set()
            await may_end.wait()
            await super().send_message(message)

    broker = Slow()
    made = OutboxRelay(database.session_factory, broker, listen=False)
    task = asyncio.ensure_future(made.run_once())
    await begun.wait()
    server = database.server
    await asyncio.to_thread(server.kill)
    may_end.set()
    await until(lambda: made.statistics.errors > 0)
    await asyncio.to_thread(server.start)
    await task
    assert set(await statuses(database)) == {"produced"}
    assert len(broker.sent) == 10
    assert "will write again what became of a batch" in caplog.text


@pytest.mark.parametrize("database", ["postgres", "mariadb"], indirect=True)
async def test_a_running_relay_survives_restarts_of_the_database(database: Database) -> None:
    broker = SingleBroker()
    engine = database.create_engine()
    from sqlalchemy.ext.asyncio import async_sessionmaker

    from cqrs.circuit_breaker.timing import Backoff

    made = OutboxRelay(
        async_sessionmaker(engine),
        broker,
        poll_interval=0.02,
        max_poll_interval=0.05,
        pause=Backoff(0.05, 1, 0.05, 0),
        batch_size=5,
    )
    events = [joined() for _ in range(30)]
    async with made:
        await add(database, *events[:15])
        await until(lambda: bool(broker.sent))
        await asyncio.to_thread(database.server.restart)
        await engine_is_back(database)
        await add(database, *events[15:])
        expected = {event.event_id for event in events}
        # Rows whose claim was lost with the connection are given back at the next turn.
        await until(lambda: {message.message_id for message in broker.sent} == expected)
    assert set(await statuses(database)) == {"produced"}


async def engine_is_back(database: Database) -> None:
    await database.engine.dispose()
    async with asyncio.timeout(30):
        while True:
            try:
                await rows(database)
                return
            except Exception:
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
async def test_a_frozen_database_does_not_hold_a_relay_up_for_ever(database: Database) -> None:
    await rows(database)
    made = OutboxRelay(database.session_factory, SingleBroker(), lease_seconds=0.5, listen=False)
    database.server.freeze()
    try:
        with pytest.raises(Exception) as caught:
            async with asyncio.timeout(60):
                await made.run_once()
    finally:
        database.server.thaw()
    assert isinstance(caught.value, Exception)


async def test_an_unwritten_settlement_is_written_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add(database, joined(), joined())
    broker = SingleBroker()

    async def at_once(seconds: float) -> None:
        await asyncio.sleep(0)

    made = OutboxRelay(database.session_factory, broker, sleep=at_once)
    settle = made._store.settle
    failures = iter([OSError("lost"), OSError("lost")])

    async def lossy(*arguments: Any) -> int:
        missing = await settle(*arguments)  # written, but nobody hears of it
        for failure in failures:
            raise failure
        return missing

    monkeypatch.setattr(made._store, "settle", lossy)
    await made.run_once()
    assert await statuses(database) == ["produced", "produced"]
    assert made.statistics.errors == 2
    assert made.statistics.overtaken == 0


async def test_what_could_not_be_marked_within_the_lease_is_sent_again_with_the_same_id(
    database: Database, monkeypatch: pytest.MonkeyPatch, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    await add(database, joined())
    broker = SingleBroker()
    made = OutboxRelay(database.session_factory, broker, clock=clock, sleep=clock.sleep)

    async def broken(*_: Any) -> int:
        clock.advance(10)
        raise OSError("no disk")

    with monkeypatch.context() as patch:
        patch.setattr(made._store, "settle", broken)
        task = asyncio.ensure_future(made.run_once())
        while not task.done():
            await until(lambda: task.done() or clock.sleepers > 0)
            clock.advance(10)
    assert "they will be sent again: OSError: no disk" in caplog.text
    assert await statuses(database) == ["new"]
    other = OutboxRelay(database.session_factory, broker)
    assert (await other.run_once()).claimed == 0  # the lease of the first one
    await execute(database, "UPDATE outbox SET lease_expires_at = 1")
    assert (await other.run_once()).published == 1
    assert len(broker.sent) == 2
    assert len({message.message_id for message in broker.sent}) == 1


async def test_a_claim_whose_reply_was_lost_is_given_back(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add(database, joined())
    broker = SingleBroker()
    made = OutboxRelay(database.session_factory, broker)
    claim = made._store.claim

    async def lossy(*arguments: Any) -> Any:
        await claim(*arguments)
        raise OSError("lost")

    monkeypatch.setattr(made._store, "claim", lossy)
    with pytest.raises(OSError, match="lost"):
        await made.run_once()
    monkeypatch.setattr(made._store, "claim", claim)
    assert (await made.run_once()).published == 1


async def test_many_relays_and_cancellations_publish_everything(database: Database) -> None:
    """Relays come and go; whoever is cancelled has given back what it had not sent."""
    events = [joined() for _ in range(120)]
    await add(database, *events)
    broker = SingleBroker()
    for turn in range(200):
        if set(await statuses(database)) == {"produced"}:
            break
        made = OutboxRelay(database.session_factory, broker, batch_size=20, concurrency=2, listen=False)
        await cancelled_at(3 + turn % 25, made.run_once())
    counts = collections.Counter(message.message_id for message in broker.sent)
    assert len(counts) == 120
    assert set(counts.values()) == {1}


async def test_an_error_with_any_text_spoils_no_settlement(database: Database) -> None:
    await add(database, joined(), joined("bad"))

    def behaviour(message: Message) -> Exception | None:
        is_bad = message.payload["payload"]["name"] == "bad"
        return ValueError("\0 \udcff \N{GRINNING FACE}") if is_bad else None

    await OutboxRelay(database.session_factory, SingleBroker(behaviour)).run_once()
    assert await statuses(database) == ["produced", "not_produced"]
    assert (await rows(database))[1].error == r"ValueError: \x00 \udcff \U0001f600"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("part", ["claim", "settle"])
async def test_a_cancellation_that_nobody_asked_for_ends_no_relay(
    database: Database, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    from cqrs.circuit_breaker.timing import Backoff

    await add(database, joined())
    broker = SingleBroker()
    made = OutboxRelay(database.session_factory, broker, lease_seconds=1, pause=Backoff(0.01, 1, 0.01, 0))
    original = getattr(made._store, part)

    async def closed(*_: Any) -> None:
        monkeypatch.setattr(made._store, part, original)
        raise asyncio.CancelledError

    monkeypatch.setattr(made._store, part, closed)
    async with made:
        await until(lambda: made.statistics.errors == 1)
        await until(lambda: bool(broker.sent))
        assert made.is_running


async def test_a_session_without_transactions_is_refused(database: Database) -> None:
    from sqlalchemy.ext.asyncio import async_sessionmaker

    from cqrs.exceptions import ConfigurationError

    await add(database, joined())
    engine = database.create_engine(isolation_level="AUTOCOMMIT")
    with pytest.raises(ConfigurationError, match="AUTOCOMMIT"):
        await OutboxRelay(async_sessionmaker(engine), SingleBroker()).run_once()
    assert [row.lease_owner for row in await rows(database)] == [None]


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        ("ALTER TABLE outbox DROP COLUMN lease_expires_at", "upgrade_outbox"),
        ("DROP TABLE outbox", "create_all"),
    ],
)
async def test_a_table_that_is_not_right_is_told_with_what_to_do(
    database: Database, caplog: pytest.LogCaptureFixture, change: str, advice: str
) -> None:
    await execute(database, change)
    made = OutboxRelay(database.session_factory, SingleBroker(), listen=False)
    async with made:
        await until(lambda: made.statistics.errors > 0)
    assert advice in caplog.text
    assert "[SQL:" not in caplog.text
    with pytest.raises(Exception) as caught:
        await made.run_once()
    assert advice in "".join(caught.value.__notes__)
