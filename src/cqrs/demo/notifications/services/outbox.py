"""Mails that wait for better times: a bounded queue in memory, and the task that empties it."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from dataclasses import dataclass

from cqrs.circuit_breaker import CircuitOpenError
from cqrs.demo.notifications.services.clients import UnknownUserError, Users
from cqrs.demo.notifications.services.mail import Mailer, MailError
from cqrs.demo.notifications.services.settings import Settings
from cqrs.http import HTTPClientError

logger = logging.getLogger(__name__)

LONGEST = 16
"""Intervals between attempts for a user, at most; they double from one failure to the next."""

FAILURES = (HTTPClientError, MailError)
"""What may go better next time."""


class OutboxFullError(Exception):
    """No more mails can wait.

    Attributes:
        retry_after: seconds after which there may be room, as far as is known.
    """

    def __init__(self, retry_after: float) -> None:
        super().__init__(retry_after)
        self.retry_after = retry_after


@dataclass(eq=False)
class Notification:
    """Somebody is to be told something.

    Attributes:
        identity: no two have the same.
        attempts: failed ones to send it since it waits; rejections by the circuit are none.
    """

    identity: str
    username: str
    message: str
    attempts: int = 0


class Delivery:
    """Looks the user up and sends the mail."""

    def __init__(self, users: Users, mailer: Mailer) -> None:
        self._users = users
        self._mailer = mailer

    async def deliver(self, notification: Notification) -> None:
        """Do it.

        Raises:
            UnknownUserError, HTTPClientError, CircuitOpenError: from the lookup.
            MailError: from sending.
        """
        user = await self._users.get(notification.username)
        await self._mailer.send(notification.identity, user.email, notification.message)


class Outbox:
    """Holds notifications until they can be delivered; what is in it is lost with the process.

    An application that must not lose any keeps them in its database; the rest would be the same.

    Attributes:
        ends: how many ended how: ``"delivered"``, ``"unknown_user"`` or ``"given_up"``.
    """

    def __init__(self, delivery: Delivery, settings: Settings) -> None:
        self._delivery = delivery
        self._settings = settings
        self._waiting: deque[Notification] = deque()
        self._filled = asyncio.Event()
        self._failed: dict[str, tuple[int, float]] = {}  # by user: failures in a row, next attempt not before
        self.ends: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, notification: Notification, retry_after: float | None = None) -> None:
        """Let a notification wait.

        Raises:
            OutboxFullError: there is no room; it says ``retry_after`` if given, else the circuit's ``ttl``.
        """
        if len(self._waiting) >= self._settings.queue_size:
            raise OutboxFullError(self._settings.ttl if retry_after is None else retry_after)
        self._waiting.append(notification)
        self._filled.set()

    async def run(self) -> None:
        """Deliver what waits, one after the other, until cancelled."""
        wait = 0.0
        try:
            while True:
                if not self._waiting:
                    self._filled.clear()
                    await self._filled.wait()
                    wait = self._settings.retry_interval  # it has failed just now
                await asyncio.sleep(wait)
                wait = await self._next()
        finally:
            if self._waiting:
                logger.warning("%d notifications were waiting and are lost", len(self._waiting))

    async def _next(self) -> float:
        """Try one, and return the seconds to wait until the next try."""
        notification = self._choose()
        if notification is None:
            return self._settings.retry_interval
        try:
            await self._delivery.deliver(notification)
        except CircuitOpenError as rejection:
            # The first to come after this moment is the probe, and it costs no caller anything if it is this.
            return self._settings.retry_interval if rejection.retry_after is None else rejection.retry_after
        except UnknownUserError:
            self._end(notification, "unknown_user")
        except Exception as error:
            if not isinstance(error, FAILURES):
                logger.exception("a notification cannot be delivered")
            self._note_failure(notification)
            return self._settings.retry_interval
        else:
            self._failed.pop(notification.username, None)
            self._end(notification, "delivered")
        return 0.0

    def _choose(self) -> Notification | None:
        """Return the first one of those whose users failed the least, if it is time for it.

        A user who makes every lookup fail must not hold up the others: least of all be the one to probe with.
        """
        chosen = min(self._waiting, key=lambda it: self._failed.get(it.username, (0, 0.0))[0])
        known = self._failed.get(chosen.username)
        return None if known and known[1] > asyncio.get_running_loop().time() else chosen

    def _note_failure(self, notification: Notification) -> None:
        failures = self._failed.get(notification.username, (0, 0.0))[0] + 1
        wait = self._settings.retry_interval * min(2**failures, LONGEST)
        self._failed[notification.username] = failures, asyncio.get_running_loop().time() + wait
        notification.attempts += 1
        if notification.attempts >= self._settings.max_attempts:
            self._end(notification, "given_up")

    def _end(self, notification: Notification, how: str) -> None:
        self._waiting.remove(notification)
        self.ends[how] += 1
        if all(other.username != notification.username for other in self._waiting):
            self._failed.pop(notification.username, None)
        if how != "delivered":
            logger.warning("notification %s was not delivered: %s", notification.identity, how)
