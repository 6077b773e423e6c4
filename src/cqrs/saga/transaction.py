"""The execution of one saga: forward step by step, or backward to where it began.

=============================================  ====================================================
what happens                                   what the transaction does
=============================================  ====================================================
every step acts                                ``completed``; each is durable before it is yielded
a step raises (after its fallbacks)            compensates the steps before it, raises the same error
the body of ``async with`` raises              compensates all steps that have acted, same error
the iteration or the body is left early        the saga stays ``running``; it can be resumed at once
cancelled, or closed, anywhere                 the same; nothing is compensated
a step has acted, the storage or the context   compensates all steps, that one too; raises the error;
does not let that be stored                    nothing is done when this cannot be stored either
another run has taken over                     ``SagaConcurrencyError``; nothing is done
=============================================  ====================================================
"""

from __future__ import annotations

import contextlib
import enum
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, NoReturn, Self, cast

from cqrs.dispatcher.answers import announce, announced
from cqrs.dispatcher.models import FallbackAnswer, Outcome, make_tuple
from cqrs.dispatcher.scope import DispatchScope
from cqrs.exceptions import HandlerTypeError, SagaConcurrencyError, SagaNotFoundError
from cqrs.saga.compensation import Acted, Compensation, CompensationRetries
from cqrs.saga.context import ContextCodec, ContextReader
from cqrs.saga.doubts import log_failure
from cqrs.saga.errors import SagaCompensatedError, describe
from cqrs.saga.journal import Journal, Sleep
from cqrs.saga.models import ContextT, FailedCompensation, SagaStepResult
from cqrs.saga.plan import SagaPlan, StepPlan
from cqrs.saga.progress import Progress
from cqrs.saga.resumption import resume
from cqrs.saga.snapshot import Snapshot
from cqrs.saga.step import SagaStepHandler, StepCall
from cqrs.saga.storage.enums import SagaStatus, SagaStepStatus

__all__ = ["SagaTransaction"]


class _State(enum.Enum):
    NEW = "was not entered"
    READY = "is between two steps"
    BUSY = "is executing a step, or was interrupted while it did"
    COMPLETED = "is completed"
    ENDED = "has ended with an error"
    LEFT = "was left"


# Looking up a global costs less than looking up a member.
_READY, _BUSY, _COMPLETED = _State.READY, _State.BUSY, _State.COMPLETED
_STEP_STARTED, _STEP_COMPLETED = SagaStepStatus.STARTED, SagaStepStatus.COMPLETED
_SAGA_COMPLETED = SagaStatus.COMPLETED


def _no_context(_: Any) -> NoReturn:
    raise AssertionError("a saga has a context once it was entered")


class SagaTransaction(Generic[ContextT]):
    """One execution of a saga: ``async with`` it, and iterate it for the results of its steps.

    Made by ``Saga.transaction``.

    Attributes:
        saga_id: the saga.
        context: what the steps are given.
        events: what the step of the latest result recorded, for whoever iterates to process.
        fallbacks: the fallback that acted for the latest result, if one did.
        failed_compensations: the compensations that were given up.
        scope: resolves steps, where the container has scopes.
    """

    # What most transactions never change is not set for each of them.
    events: tuple[object, ...] = ()
    fallbacks: tuple[FallbackAnswer, ...] = ()
    failed_compensations: tuple[FailedCompensation, ...] = ()
    scope: DispatchScope | None = None
    _state: _State = _State.NEW
    _status: SagaStatus | None = None
    _begun = False

    def __init__(
        self,
        saga_name: str,
        plan: SagaPlan,
        journal: Journal,
        context: Any,
        retries: CompensationRetries,
        sleep: Sleep,
        *,
        resumes: bool,
        codec: ContextCodec | None = None,
        reader: ContextReader | None = None,
    ) -> None:
        self.context: ContextT = context
        self.saga_id: uuid.UUID = journal.saga_id
        self._saga_name = saga_name
        self._plan = plan
        self._journal = journal
        # Of a saga that is to be recovered, it is known when the context is.
        self._encode: Callable[[Any], dict[str, Any]] = _no_context if codec is None else codec.encode
        self._retries = retries
        self._sleep = sleep
        self._resumes = resumes
        self._reader = reader
        self._progress = Progress()

    @property
    def completed_steps(self) -> tuple[type[SagaStepHandler[Any, Any]], ...]:
        """The step classes that have acted, in order; also those that did before the saga was resumed."""
        return tuple(self._plan.steps[step.position].class_of(step.name) for step in self._progress.acted)

    # ------------------------------------------------------------ beginning

    async def __aenter__(self) -> Self:
        if self._state is not _State.NEW:
            raise RuntimeError(
                f"saga {self.saga_id}: a transaction is entered once; make another to resume it"
            )
        self._state = _State.LEFT
        run = self._journal.create_run()
        self._journal.use(await run.__aenter__(), run)
        if self._resumes:
            try:
                await self._resume()
            except BaseException as error:
                await self._journal.close(error)
                raise
        if self._plan.needs_scope:
            self.scope = DispatchScope(self._plan.container)
        self._state = _COMPLETED if self._status is SagaStatus.COMPLETED else _READY
        return self

    async def _resume(self) -> None:
        try:
            resumed = await resume(self._journal, self._plan, self._saga_name, self.context, self._reader)
        except (SagaNotFoundError, SagaConcurrencyError) as error:
            self._journal.is_over()  # nothing was leased
            if self._reader is not None or isinstance(error, SagaConcurrencyError):
                raise
            return
        self._status, history, self.context, codec = resumed
        if codec is not None:
            self._encode = codec.encode
        goes_forward = self._status is SagaStatus.RUNNING
        self._progress.take_over(history, self._plan, goes_forward=goes_forward)

    async def _begin(self) -> bool:
        """Make it durable that the next step is about to act; return whether there is one."""
        run, saga_id, position = self._journal.run, self.saga_id, len(self._progress.acted)
        if self._status is SagaStatus.COMPENSATING or self._status is SagaStatus.FAILED:
            await self._finish_compensation(self._status)
        if self._status is None:
            await run.create_saga(saga_id, self._saga_name, self._encode(self.context))
            self._journal.must_release = True
        if self._status is not SagaStatus.RUNNING:
            await run.update_status(saga_id, SagaStatus.RUNNING)
        goes_on = position < len(self._plan.steps)
        if goes_on:
            name = self._plan.steps[position].name
            await run.log_step(saga_id, name, "act", _STEP_STARTED, position=position)
        else:  # a storage without runs was interrupted in the last commit
            await run.update_status(saga_id, SagaStatus.COMPLETED)
        await self._journal.commit()
        self._begun = True
        if not goes_on:
            self._journal.is_over()
            self._state = _COMPLETED
        return goes_on

    # ------------------------------------------------------------ forward

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SagaStepResult[ContextT, Any]:
        if self._state is not _READY:
            self._refuse()
        self._state = _BUSY  # and so it stays when what is not an ``Exception`` leaves this method
        try:
            if self._begun or await self._begin():
                return await self._advance()
        except Exception as error:
            self._state = _State.ENDED
            if not isinstance(error, StopAsyncIteration):
                raise
            what = f"saga {self.saga_id} ({self._saga_name}): a step or its storage raised StopAsyncIteration"
            raise RuntimeError(what) from error  # as it is, it would pass for the end of the saga
        raise StopAsyncIteration

    async def _advance(self) -> SagaStepResult[ContextT, Any]:
        """Let the next step act, and make that durable."""
        journal, steps, progress = self._journal, self._plan.steps, self._progress
        position = len(progress.acted)
        step = steps[position]
        lease = journal.lease
        if lease is not None and lease.is_doubtful:
            await lease.ensure()
        attempt = 1
        if progress.starts:
            attempt, progress.starts = progress.starts + 1, 0
        call = StepCall(self.saga_id, self._saga_name, position, attempt, self.context, None, lease)
        try:
            if step.has_fallbacks:
                call.snapshot = Snapshot(self.context)
            if step.direct is not None:
                outcome: Any = await step.direct().handle(call)
            else:
                outcome = await step.step(call, self.scope)
        except Exception as error:
            await self._act_failed(step, call, error)
            raise
        if type(outcome) is Outcome or self.events or self.fallbacks or announced() is not None:
            outcome = self._take(outcome)
        handler, result = outcome
        name = self.fallbacks[-1].handler.__name__ if self.fallbacks else step.name
        acted = make_tuple(Acted, (position, name, handler, None))
        if call.earlier or progress.interrupted:
            progress.doubt(step, call.earlier, name)
        try:
            if not isinstance(result, SagaStepResult):
                self._refuse_result(name, result)
            context = self._encode(self.context)
            run, saga_id, following = journal.run, self.saga_id, position + 1
            if progress.doubtful:
                await progress.log_doubts(run, saga_id, position)
            await run.log_step(saga_id, name, "act", _STEP_COMPLETED, position=position)
            await run.update_context(saga_id, context)
            if following == len(steps):
                await run.update_status(saga_id, _SAGA_COMPLETED)
            else:
                await run.log_step(saga_id, steps[following].name, "act", _STEP_STARTED, position=following)
            began = journal.clock()
            try:
                await run.commit()
            except Exception as error:
                await journal.commit_again(error)
            if lease is not None:
                lease.touched = began
        except Exception as error:
            await self._recording_failed(acted, error)
            raise
        progress.acted.append(acted)
        if following == len(steps):
            journal.must_release = False
        self._state = _COMPLETED if following == len(steps) else _READY
        if result.saga_id is None:
            result.saga_id = saga_id
        return cast("SagaStepResult[ContextT, Any]", result)

    def _take(self, outcome: Any) -> Any:
        """Note events and fallbacks of the step that has acted, if there are any; return the rest."""
        self.events = self.fallbacks = ()
        if type(outcome) is Outcome:
            outcome, self.events, self.fallbacks = outcome
        announce(self.fallbacks[-1] if self.fallbacks else None)
        return outcome

    def _refuse(self) -> NoReturn:
        if self._state is _COMPLETED:
            raise StopAsyncIteration
        raise RuntimeError(f"saga {self.saga_id} ({self._saga_name}) cannot go on: it {self._state.value}")

    def _refuse_result(self, name: str, result: Any) -> NoReturn:
        raise HandlerTypeError(
            f"{name}.act returned an object of type {type(result).__qualname__}: it must return "
            "self._generate_step_result(response)"
        )

    # ------------------------------------------------------------ backward

    async def _act_failed(self, step: StepPlan, call: StepCall, error: Exception) -> None:
        if call.handler is not None and call.failure is None:  # it has acted; what came after it failed
            name = step.name_of(call.handler)
            await self._recording_failed(Acted(step.position, name, call.handler), error)
            return
        run, saga_id = self._journal.run, self.saga_id
        doubtful = self._progress.doubt(step, call.asked(), None)
        await self._progress.log_doubts(run, saga_id, step.position)
        await log_failure(run, saga_id, step, doubtful, error)
        if doubtful:
            with contextlib.suppress(Exception):  # what is stored serves as well; there is an error already
                await run.update_context(saga_id, self._encode(self.context))
        await self._compensate(error)

    async def _recording_failed(self, acted: Acted, error: Exception) -> None:
        """Compensate a step that has acted without that being durable, and those before it."""
        if isinstance(error, SagaConcurrencyError):
            return
        run = self._journal.run
        compensation = self._compensation()
        try:
            await run.rollback()
            await self._progress.log_doubts(run, self.saga_id, acted.position)
            await run.log_step(
                self.saga_id, acted.name, "act", SagaStepStatus.COMPLETED, position=acted.position
            )
            self._progress.acted.append(acted)
            await run.update_status(self.saga_id, SagaStatus.COMPENSATING)
            await compensation.begin(self._progress.to_compensate())
        except Exception as second:
            error.add_note(
                f"saga {self.saga_id} ({self._saga_name}): {acted.name} has acted, which could not be "
                f"stored; nothing is compensated, a recovery goes on ({describe(second)})"
            )
            return
        await self._finish(compensation, error)

    async def _compensate(self, error: Exception) -> None:
        compensation, run, progress = self._compensation(), self._journal.run, self._progress
        if progress.interrupted:
            position = len(progress.acted)
            progress.doubt(self._plan.steps[position], (), None)
            await progress.log_doubts(run, self.saga_id, position)
        await run.update_status(self.saga_id, SagaStatus.COMPENSATING)
        await compensation.begin(self._progress.to_compensate())
        await self._finish(compensation, error)

    async def _finish(self, compensation: Compensation, error: Exception | None) -> None:
        try:
            await compensation.finish()
        finally:
            self.failed_compensations = tuple(compensation.failures)
            if error is not None:
                compensation.note_failures(error)

    async def _finish_compensation(self, status: SagaStatus) -> NoReturn:
        """Compensate what is left of a saga that was resumed in one of the two backward states."""
        compensation = self._compensation()
        if status is SagaStatus.COMPENSATING or self._progress.to_compensate():
            await self._journal.run.update_status(self.saga_id, SagaStatus.COMPENSATING)
            await compensation.begin(self._progress.to_compensate())
            await self._finish(compensation, None)
        raise SagaCompensatedError(self.saga_id, self._saga_name, status, self.failed_compensations)

    def _compensation(self) -> Compensation:
        return Compensation(
            self._journal, self._plan, self._saga_name, self.context, self.scope, self._retries, self._sleep
        )

    # ------------------------------------------------------------ ending

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        state, self._state = self._state, _State.LEFT
        try:
            try:
                if state is _READY and isinstance(exc, Exception) and self._exists():
                    await self._compensate(exc)
            finally:
                if self.scope is not None:
                    await self.scope.__aexit__(exc_type, exc, traceback)
        except BaseException as error:
            await self._journal.close(error)
            raise
        await self._journal.close(exc)

    def _exists(self) -> bool:
        """Tell whether there is a saga that goes forward."""
        return self._begun or self._status in (SagaStatus.PENDING, SagaStatus.RUNNING)
