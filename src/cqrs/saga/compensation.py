"""Undoing what the steps of a saga have done, last step first."""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Iterable
from typing import Any, NamedTuple

from cqrs.circuit_breaker import validation
from cqrs.dispatcher.scope import DispatchScope
from cqrs.exceptions import PolicyError
from cqrs.saga.errors import describe
from cqrs.saga.journal import Journal, Sleep
from cqrs.saga.models import FailedCompensation, SagaStepInfo
from cqrs.saga.plan import SagaPlan
from cqrs.saga.step import SagaStepHandler, leave, set_current
from cqrs.saga.storage.enums import SagaStatus, SagaStepStatus

__all__ = ["Compensation", "CompensationRetries"]

_logger = logging.getLogger(__name__)

_LARGEST = sys.float_info.max


class CompensationRetries(NamedTuple):
    """How often a compensation is tried; between the tries it waits ``delay * backoff ** (n - 1)`` seconds.

    Attributes:
        attempts: attempts in all, at least 1.
        delay: seconds before the second attempt, at least 0.
        backoff: factor from one wait to the next, at least 1.
    """

    attempts: int
    delay: float
    backoff: float


@functools.lru_cache(maxsize=256, typed=True)
def checked_retries(count: int, delay: float, backoff: float) -> CompensationRetries:
    """Return the retries of compensations.

    Raises:
        PolicyError: a number is out of range.
    """
    return CompensationRetries(
        validation.count("compensation_retry_count", count),
        validation.seconds("compensation_retry_delay", delay, strict=False),
        _factor("compensation_retry_backoff", backoff),
    )


def _factor(field: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= _LARGEST:
        raise PolicyError(field, value, "a finite number >= 1")
    return float(value)


class Acted(NamedTuple):
    """A step that has acted, or may have.

    Attributes:
        position: where.
        name: of its class, as the log has it.
        handler: its instance, if it acted here.
        failure: why nobody knows whether it has acted (see ``SagaStepHandler.compensate_on_failure``);
            ``None``: it has.
    """

    position: int
    name: str
    handler: SagaStepHandler[Any, Any] | None
    failure: str | None = None


class Compensation:
    """Compensates steps; each is durably begun before, and durably ended after it ran.

    Args:
        journal: takes the writes.
        plan: builds the steps that acted elsewhere.
        saga_name: name of the saga.
        context: what the steps are given.
        scope: resolves steps, where the container has scopes.
        retries: how often each compensation is tried.
        sleep: waits between the attempts.

    Attributes:
        failures: the compensations that were given up.
    """

    def __init__(
        self,
        journal: Journal,
        plan: SagaPlan,
        saga_name: str,
        context: Any,
        scope: DispatchScope | None,
        retries: CompensationRetries,
        sleep: Sleep,
    ) -> None:
        self._journal = journal
        self._plan = plan
        self._saga_name = saga_name
        self._context = context
        self._scope = scope
        self._retries = retries
        self._sleep = sleep
        self._steps: list[tuple[Acted, SagaStepHandler[Any, Any]]] = []
        self.failures: list[FailedCompensation] = []

    async def begin(self, acted: Iterable[Acted]) -> None:
        """Commit what was collected, and that the first of ``acted`` is about to be compensated.

        Raises:
            ResolutionError: the container cannot build a step; nothing is committed.
            SagaConcurrencyError: another run has taken over.
            Exception: what the storage raised.
        """
        for step in acted:
            handler = step.handler
            if handler is None:
                handler = await self._plan.steps[step.position].build(step.name, self._scope)
            self._steps.append((step, handler))
        await self._announce(0)
        await self._journal.commit()

    async def finish(self) -> None:
        """Compensate one step after the other, past those that fail; then the saga is ``failed``.

        Raises:
            SagaConcurrencyError: another run has taken over.
            Exception: what the storage raised; what is left is for a recovery.
        """
        run, saga_id = self._journal.run, self._journal.saga_id
        for place, (step, handler) in enumerate(self._steps):
            await self._journal.ensure_lease()
            error = await self._compensate(step, handler)
            status, details = SagaStepStatus.COMPLETED, None
            if error is not None:
                status, details = SagaStepStatus.FAILED, describe(error)
                step_type = self._plan.steps[step.position].class_of(step.name)
                self.failures.append(FailedCompensation(step.position, step_type, error))
            await run.log_step(saga_id, step.name, "compensate", status, details, position=step.position)
            await self._announce(place + 1)
            await self._journal.commit()
        self._journal.is_over()

    def note_failures(self, error: Exception) -> None:
        """Add to ``error`` which compensations were given up."""
        for position, step, failure in self.failures:
            error.add_note(
                f"saga {self._journal.saga_id} ({self._saga_name}): the compensation of {step.__qualname__} "
                f"(position {position}) was given up: {describe(failure)}"
            )

    async def _announce(self, place: int) -> None:
        """Collect what comes next: the start of a compensation, or the end of the saga."""
        run, saga_id = self._journal.run, self._journal.saga_id
        if place == len(self._steps):
            await run.update_status(saga_id, SagaStatus.FAILED)
        else:
            step = self._steps[place][0]
            await run.log_step(
                saga_id, step.name, "compensate", SagaStepStatus.STARTED, position=step.position
            )

    async def _compensate(self, step: Acted, handler: SagaStepHandler[Any, Any]) -> Exception | None:
        saga_id = self._journal.saga_id
        count, wait, backoff = self._retries
        attempt = 1
        while True:
            info = SagaStepInfo(
                saga_id,
                self._saga_name,
                step.name,
                step.position,
                "compensate",
                attempt,
                step.failure is not None,
            )
            token = set_current(info)
            try:
                await handler.compensate(self._context)
                return None
            except Exception as error:
                if attempt == count:
                    self._log(logging.ERROR, "was given up", info, error)
                    return error
                self._log(logging.WARNING, "failed, and is tried again", info, error)
            finally:
                leave(token)
            await self._sleep(wait)
            wait *= backoff  # a power would be too large for a float, some day
            await self._journal.ensure_lease()
            attempt += 1

    def _log(self, level: int, what: str, info: SagaStepInfo, error: Exception) -> None:
        _logger.log(
            level,
            "saga %s (%s): the compensation of %s (position %d) %s",
            info.saga_id,
            info.saga_name,
            info.step_name,
            info.position,
            what,
            exc_info=error,
            extra={
                "saga_id": str(info.saga_id),
                "saga_name": info.saga_name,
                "saga_step": info.step_name,
                "saga_position": info.position,
                "attempt": info.attempt,
            },
        )
