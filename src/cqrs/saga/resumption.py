"""Taking a saga over from the storage: its lease, its context, and how far it has come."""

from __future__ import annotations

from typing import Any, NamedTuple

from cqrs.saga.context import ContextCodec, ContextReader, codec_of
from cqrs.saga.history import History, replay
from cqrs.saga.journal import Journal
from cqrs.saga.plan import SagaPlan
from cqrs.saga.storage.enums import SagaStatus


class Resumed(NamedTuple):
    """A saga that was taken over.

    Attributes:
        status: its status when it was.
        history: how far it has come.
        context: what its steps are given.
        codec: how that is stored.
    """

    status: SagaStatus
    history: History
    context: Any
    codec: ContextCodec | None


async def resume(
    journal: Journal, plan: SagaPlan, saga_name: str, context: Any, reader: ContextReader | None
) -> Resumed:
    """Acquire a saga and read what is stored of it.

    Args:
        journal: of the saga.
        plan: its steps.
        saga_name: its name.
        context: takes the stored fields, if ``reader`` is ``None``.
        reader: builds the context instead; given when the saga is being recovered.

    Raises:
        SagaNotFoundError: the storage has no such saga.
        SagaConcurrencyError: somebody else executes it.
        SagaDefinitionError: its log does not fit the steps.
        SagaContextError: its context cannot be read.
    """
    run, saga_id = journal.run, journal.saga_id
    journal.must_release = True  # also if this is interrupted when the lease is taken already
    began = journal.clock()
    status, stored, _ = await run.acquire(saga_id, recovering=reader is not None)
    if status is SagaStatus.FAILED and reader is None:
        # Compensations that were given up are tried again: that needs the lease.
        status, stored, _ = await run.acquire(saga_id, recovering=True)
    if status is not SagaStatus.COMPLETED:
        journal.hold(began)
    else:
        journal.is_over()
    if status is SagaStatus.COMPLETED and reader is not None:
        return Resumed(status, History([], 0, {}, set(), {}), context, None)  # nothing is asked of its steps
    history = replay(saga_id, await run.get_step_history(saga_id), plan.declared)
    if reader is None:
        codec = codec_of(context.__class__)
        codec.read_into(context, saga_id, saga_name, stored)
    else:
        context = reader.read(saga_id, saga_name, stored)
        codec = codec_of(context.__class__)
    return Resumed(status, history, context, codec)
