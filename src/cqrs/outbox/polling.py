"""When to look for rows again. Pure rules."""

from __future__ import annotations

from collections.abc import Callable

from cqrs.outbox.settings import RelaySettings
from cqrs.outbox.turn import TurnResult

__all__ = ["Polling"]

_GROWTH = 2.0


class Polling:
    """Decides how long to wait after a turn.

    A full batch is followed at once; a part of one after ``poll_interval``; none after twice the last wait,
    up to ``max_poll_interval``. While broker or database are not available, waits grow as ``pause`` says.

    Args:
        settings: of the relay.
        random: numbers in [0, 1) for the jitter of pauses.
    """

    def __init__(self, settings: RelaySettings, random: Callable[[], float]) -> None:
        self._settings = settings
        self._random = random
        self._empty = 0.0
        self._outages = 0
        self._errors = 0
        self.is_paused = False
        """Whether the last wait is a pause, which no notification shortens."""

    def after(self, result: TurnResult) -> float:
        """Return the seconds to wait after a turn."""
        settings = self._settings
        self._errors = 0
        self.is_paused = result.is_outage
        if result.is_outage:
            self._outages = 1 if result.published else self._outages + 1
            pause = self._pause(self._outages)
            return (
                pause
                if result.retry_after is None
                else min(max(result.retry_after, 0.05), settings.pause.max)
            )
        if result.claimed:
            self._outages = 0
            self._empty = settings.poll_interval
            return 0.0 if result.claimed >= settings.batch_size else settings.poll_interval
        self._empty = min(self._empty * _GROWTH or settings.poll_interval, settings.max_poll_interval)
        return self._empty

    def after_error(self) -> float:
        """Return the seconds to wait after an error of the database."""
        self._errors += 1
        self.is_paused = True
        return self._pause(self._errors)

    def woken(self) -> None:
        """Begin with short waits again."""
        self._empty = 0.0

    def _pause(self, streak: int) -> float:
        return self._settings.pause.duration(streak, self._random())
