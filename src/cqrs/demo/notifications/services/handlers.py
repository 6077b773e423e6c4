"""What ``notif`` does with a notification: deliver it, else let it wait."""

from __future__ import annotations

import cqrs
from cqrs.circuit_breaker import CircuitOpenError
from cqrs.demo.notifications.services.outbox import FAILURES, Delivery, Notification, Outbox
from cqrs.demo.notifications.services.settings import Settings


class Notified(cqrs.Response):
    """A notification was taken.

    Attributes:
        degraded: whether it waits instead of being delivered.
    """

    id: str
    degraded: bool


class Notify(cqrs.Request[Notified]):
    """Tell a user something."""

    id: str
    username: str
    message: str


def _notification(request: Notify) -> Notification:
    return Notification(request.id, request.username, request.message)


class DeliverNow(cqrs.RequestHandler[Notify, Notified]):
    """Looks the user up and sends the mail."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery

    async def handle(self, request: Notify) -> Notified:
        """Deliver, or raise what prevented it: a ``CircuitOpenError``, say."""
        await self._delivery.deliver(_notification(request))
        return Notified(id=request.id, degraded=False)


class DeliverLater(cqrs.RequestHandler[Notify, Notified]):
    """Lets the mail wait in the outbox."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def handle(self, request: Notify) -> Notified:
        """Queue, or raise ``OutboxFullError``."""
        answer = cqrs.current_fallback()
        rejection = None if answer is None else answer.rejection
        self._outbox.put(_notification(request), None if rejection is None else rejection.retry_after)
        return Notified(id=request.id, degraded=True)


def bind(mapper: cqrs.RequestMap, settings: Settings) -> None:
    """Say who handles a notification.

    The circuit is in the client, not here: the fallback answers for what the client raises.
    """
    if settings.when_down == "refuse":
        mapper.bind(Notify, DeliverNow)
        return
    pair = cqrs.RequestHandlerFallback(
        DeliverNow, DeliverLater, failure_exceptions=(CircuitOpenError, *FAILURES)
    )
    mapper.bind(Notify, pair)
