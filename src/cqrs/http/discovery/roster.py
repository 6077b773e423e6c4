"""What is known of one service: its instances, how old that is, whom to pick. Pure: it never waits."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

PAUSE = 1.0
"""Seconds between two questions about a service that has no instance, failed, or failed to be found."""


@dataclass(frozen=True, slots=True)
class Times:
    """For how long what is known holds, in seconds.

    Attributes:
        ttl: a list is used without asking.
        stale_for: beyond that, it is used while nobody answers.
        avoid_for: an instance that failed is avoided.
    """

    ttl: float
    stale_for: float
    avoid_for: float


class Roster:
    """The instances of one service. Reading needs no lock: what changes is replaced as a whole.

    Args:
        times: for how long what is known holds.
        start: number of the first pick, so that the clients of a fleet do not begin with the same instance.
    """

    __slots__ = ("_asked", "_failed", "_fetched", "_times", "_turn", "due", "problem", "urls")

    def __init__(self, times: Times, start: int = 0) -> None:
        self._times = times
        self._turn = itertools.count(start)
        self._failed: Mapping[str, float] = {}  # when, by URL
        self._fetched = float("-inf")
        self._asked = float("-inf")
        self.urls: tuple[str, ...] = ()
        self.due = float("-inf")  # when to ask again
        self.problem = ""  # why there is no newer list, or none at all

    def current(self, now: float, asking: bool) -> str | None:
        """Return an instance if nothing is to be done first.

        Args:
            now: present time.
            asking: somebody is asking for a newer list already.
        """
        if now < self.due or (asking and self.bridges(now)):
            return self.pick(now)
        return None

    def bridges(self, now: float) -> bool:
        """Return whether the list serves while a newer one is fetched.

        It does not when nobody has needed it for long (its instances may have moved), or when all its
        instances failed lately. But it does when the last attempt failed: the next one may take as long.
        """
        if not self.usable(now):
            return False
        young = now - self._fetched < 2 * self._times.ttl
        return bool(self.problem) or (young and bool(self._healthy(now)))

    def usable(self, now: float) -> bool:
        """Return whether there are instances that may be picked."""
        return bool(self.urls) and now - self._fetched < self._times.ttl + self._times.stale_for

    def pick(self, now: float) -> str | None:
        """Return an instance, each in its turn, or ``None``.

        One that failed lately is avoided while there are others; of those that all failed, the one whose
        failure is the longest ago.
        """
        if not self.usable(now):
            return None
        urls = self._healthy(now)
        if urls:
            return urls[next(self._turn) % len(urls)]
        failed = self._failed
        return min(self.urls, key=lambda url: failed.get(url, now))

    def _healthy(self, now: float) -> tuple[str, ...]:
        failed = self._failed
        if not failed:
            return self.urls
        since = now - self._times.avoid_for
        return tuple(url for url in self.urls if failed.get(url, since) <= since)

    # ------------------------------------------------------------------ changes; require the owner's lock

    def answered(self, urls: Sequence[str], now: float, problem: str) -> bool:
        """Take a new list; ``problem``: what to say if it is empty. ``True`` when an outage is over."""
        over = bool(self.problem) and bool(self.urls)
        since = now - self._times.avoid_for
        self._failed = {url: at for url, at in self._failed.items() if at > since}
        self.urls = tuple(dict.fromkeys(urls))
        self._fetched = self._asked = now
        self.problem = "" if urls else problem
        self.due = now + (self._times.ttl if urls else min(self._times.ttl, PAUSE))
        return over

    def missed(self, problem: str, now: float, retry_in: float) -> bool:
        """Note that there was no answer. ``True`` when an older list begins to be used for that reason."""
        begins = not self.problem and self.usable(now)
        self.problem = problem
        self._asked = now
        self.due = now + retry_in
        return begins

    def failed(self, url: str, now: float) -> None:
        """Note that an instance could not be reached: avoid it, and ask for a newer list soon."""
        if url not in self.urls:
            return
        self._failed = {**self._failed, url: now}
        if not self.problem:
            self.due = min(self.due, max(now, self._asked + PAUSE))
