"""What a ``RecoveryWorker`` asks now and then, beside the sagas to recover: what nobody recovers."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Collection

from cqrs.saga.storage.protocol import ISagaStorage
from cqrs.saga.worker_reports import RecoveryResult, Telling

__all__ = ["Surveys"]

POLLS_PER_SURVEY = 12
"""So many polls come between two surveys, once each of the surveys was made."""


class Surveys:
    """Finds what somebody must look at, and tells of it once.

    Args:
        storage: keeps the sagas.
        names: of the sagas that the worker knows.
        limit: how many sagas are asked for at once.
        max_recovery_attempts: how often a saga is recovered in vain before it is left alone.
        telling: tells what was found.
    """

    def __init__(
        self,
        storage: ISagaStorage,
        names: Collection[str],
        limit: int,
        max_recovery_attempts: int,
        telling: Telling,
    ) -> None:
        self._storage = storage
        self._names = list(names)
        self._limit = limit
        self._attempts = max_recovery_attempts
        self._telling = telling
        self._all: tuple[Callable[[], Awaitable[object]], ...] = (
            self._unknown_names,
            self._exhausted,
            self._failed_compensations,
        )

    def of_turn(self, turn: int) -> Callable[[], Awaitable[object]] | None:
        """Return the survey to make in a turn, counted from 0; ``None``: the turn is a poll's."""
        number = _survey_of(turn, len(self._all))
        return None if number is None else self._all[number]

    async def make_all(self, result: RecoveryResult) -> None:
        """Make every survey, and note what is new."""
        result.unknown_names = await self._unknown_names()
        result.exhausted = await self._exhausted()
        result.failed_compensations = await self._failed_compensations()

    async def _unknown_names(self) -> list[str]:
        names = await self._storage.get_unfinished_names()
        return self._telling.unknown([name for name in names if name not in self._names])

    async def _exhausted(self) -> list[uuid.UUID]:
        ids = await self._storage.get_exhausted_sagas(self._limit, self._attempts, self._names)
        return self._telling.exhausted(ids, self._attempts)

    async def _failed_compensations(self) -> list[uuid.UUID]:
        try:
            ids = await self._storage.get_sagas_with_failed_compensation(self._limit, self._names)
        except NotImplementedError:  # a storage that cannot tell
            return []
        return self._telling.given_up(ids)


def _survey_of(turn: int, surveys: int) -> int | None:
    """Return which survey is made in a turn; polls come between: soon at first, then rarely.

    >>> [_survey_of(turn, 3) for turn in range(7)]
    [None, 0, None, 1, None, 2, None]
    >>> [(turn, _survey_of(turn, 3)) for turn in range(6, 60) if _survey_of(turn, 3) is not None]
    [(18, 0), (31, 1), (44, 2), (57, 0)]
    """
    if turn < 2 * surveys:
        return turn // 2 if turn % 2 else None
    later = turn - 2 * surveys
    period = POLLS_PER_SURVEY + 1
    return later // period % surveys if later % period == POLLS_PER_SURVEY else None
