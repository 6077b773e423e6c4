"""Steps: each does one thing, and knows how to undo it."""

from __future__ import annotations

import abc
import contextvars
import uuid
from typing import Any, ClassVar, Generic, Self, TypeAlias

from cqrs.dispatcher.handlers import RecordsEvents
from cqrs.dispatcher.models import Carrier
from cqrs.saga.errors import describe
from cqrs.saga.leases import Lease
from cqrs.saga.models import ContextT, Resp, SagaStepInfo, SagaStepResult
from cqrs.saga.snapshot import Snapshot

__all__ = ["Resp", "SagaStepHandler", "SagaStepInfo", "SagaStepResult", "StepCall", "current_step"]

_current: contextvars.ContextVar[SagaStepInfo | StepCall | None] = contextvars.ContextVar(
    "cqrs_saga_step", default=None
)

set_current = _current.set
_reset = _current.reset


def leave(token: contextvars.Token[Any]) -> None:
    """Undo ``set_current``."""
    try:
        _reset(token)
    except ValueError:
        # A forgotten coroutine is closed in another context. Raised here, this would replace the
        # ``GeneratorExit``, and pass for a failure of the step.
        pass


def current_step() -> SagaStepInfo | None:
    """Return which step runs in this context; ``None`` outside of ``act`` and ``compensate``.

    A step that a crash has interrupted acts again: pass its ``idempotency_key`` to whom it calls.
    """
    running = _current.get()
    return running.info() if isinstance(running, StepCall) else running


Asked: TypeAlias = "tuple[SagaStepHandler[Any, Any], str | None]"
"""A step whose ``act`` was called in vain, and what it raised, if that is known."""


class StepCall(Carrier):
    """One position of a saga while it is acted: what the guarded step hands to the step that acts.

    Attributes:
        snapshot: what the context was before anybody acted, where there is a fallback.
        lease: of the saga; a fallback acts only while it is held.
        handler: who acts, or did last; ``None`` before.
        failure: what its ``act`` raised; ``None``: nothing so far.
        earlier: who has acted in vain before it, and what they raised.
    """

    __slots__ = (
        "attempt",
        "context",
        "earlier",
        "failure",
        "handler",
        "lease",
        "position",
        "saga_id",
        "saga_name",
        "snapshot",
    )

    def __init__(
        self,
        saga_id: uuid.UUID,
        saga_name: str,
        position: int,
        attempt: int,
        context: Any,
        snapshot: Snapshot | None,
        lease: Lease | None,
    ) -> None:
        self.saga_id = saga_id
        self.saga_name = saga_name
        self.position = position
        self.attempt = attempt
        self.context = context
        self.snapshot = snapshot
        self.lease = lease
        self.handler: SagaStepHandler[Any, Any] | None = None
        self.failure: str | None = None
        self.earlier: tuple[Asked, ...] = ()

    @property
    def message_type(self) -> type[Any]:
        """What the step is about: the context."""
        return self.context.__class__  # type: ignore[no-any-return]  # a class

    def asked(self) -> tuple[Asked, ...]:
        """Return all who have acted in vain, in order."""
        return self.earlier if self.handler is None else (*self.earlier, (self.handler, self.failure))

    def info(self) -> SagaStepInfo:
        """Return which step acts; made for those who ask."""
        name = type(self.handler).__name__
        return SagaStepInfo(self.saga_id, self.saga_name, name, self.position, "act", self.attempt)


class SagaStepHandler(RecordsEvents, abc.ABC, Generic[ContextT, Resp]):
    """One step of a saga. Its ``events`` are read once it is durable that it has acted.

    >>> class Reserve(SagaStepHandler[dict[str, str], str]):
    ...     async def act(self, context):
    ...         context["reservation"] = "r-1"
    ...         return self._generate_step_result("reserved")
    ...     async def compensate(self, context):
    ...         del context["reservation"]
    >>> Reserve().events
    ()
    """

    compensate_on_failure: ClassVar[bool] = False
    """Whether ``compensate`` is also called when ``act`` itself did not succeed: it raised, say a timeout, or
    was interrupted, and another class acted in its place. It must then cope with an ``act`` that has done
    nothing; ``current_step().act_failed`` tells."""

    @abc.abstractmethod
    async def act(self, context: ContextT) -> SagaStepResult[ContextT, Resp]:
        """Do the work, note in ``context`` what later steps and ``compensate`` need, and return the result.

        Interrupted by a crash it is called again, so it should be idempotent: see ``current_step``.
        """

    @abc.abstractmethod
    async def compensate(self, context: ContextT) -> None:
        """Undo what ``act`` has done; possibly called more than once.

        Called only after ``act`` has succeeded, unless the class declares ``compensate_on_failure``.
        """

    def _generate_step_result(
        self,
        response: Resp,
        with_error: bool = False,
        error_message: str | None = None,
        error_traceback: list[str] | None = None,
        error_type: type[BaseException] | None = None,
    ) -> SagaStepResult[ContextT, Resp]:
        """Return what ``act`` has to return."""
        return SagaStepResult(response, type(self), with_error, error_message, error_traceback, error_type)

    async def handle(self, call: StepCall) -> tuple[Self, SagaStepResult[ContextT, Resp]]:
        """Act as one attempt of a guarded step: called by the framework, not to be overridden."""
        if call.handler is not None:
            if call.lease is not None:
                await call.lease.ensure()
            if call.snapshot is not None:
                call.snapshot.restore(call.context)
            call.earlier = call.asked()
            call.failure = None
        call.handler = self
        token = set_current(call)
        try:
            return self, await self.act(call.context)
        except BaseException as error:
            call.failure = describe(error)  # the error itself would lead back to here
            raise
        finally:
            try:
                _reset(token)
            except ValueError:
                pass  # see ``leave``
