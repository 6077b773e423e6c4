"""Sending an event where it belongs: to its handlers, or to the message broker."""

from __future__ import annotations

from typing import Any, cast

from cqrs.container.protocol import Resolver
from cqrs.dispatcher.binding_map import BindingMap
from cqrs.dispatcher.declarations import is_plainly_sync, type_name
from cqrs.dispatcher.event import EventPlan, EventPlans, check_event
from cqrs.dispatcher.scope import DispatchScope
from cqrs.events.event import INotificationEvent, partition_key_of
from cqrs.exceptions import ConfigurationError
from cqrs.message_brokers.protocol import Message, MessageBroker


class EventEmitter:
    """Hands an event to the handlers bound to its type; a notification event to the message broker.

    Args:
        event_map: binds event types to handlers; bindings may be added later.
        container: builds the handlers.
        message_broker: takes notification events.
    """

    def __init__(
        self, event_map: BindingMap[Any], container: Resolver, message_broker: MessageBroker | None = None
    ) -> None:
        self._plans = EventPlans(event_map, container)
        send = getattr(message_broker, "send_message", None)
        if message_broker is not None and (not callable(send) or is_plainly_sync(send)):
            raise ConfigurationError(
                f"a message broker must have `async send_message(message)`, not {message_broker!r}"
            )
        self._message_broker = message_broker
        self._is_notification: dict[type[Any], bool] = {}

    async def emit(self, event: Any) -> list[object]:
        """Deliver ``event`` and return its follow-ups; an event that nothing is bound to has none.

        Raises:
            RuntimeError: a notification event, and there is no message broker.
            ResolutionError: the container cannot build a handler.
            Exception: what a handler raised and no fallback took; the handlers after it do not run.
        """
        plan = self.plan_of(event)
        if plan is None:
            await self.publish(event)
            return []
        follow_ups: list[object] = []
        if plan.needs_scope:
            async with self.open_scope() as scope:
                await plan.handle(event, scope, follow_ups)
        else:
            await plan.handle(event, None, follow_ups)
        return follow_ups

    def plan_of(self, event: object) -> EventPlan | None:
        """Return the handlers of a domain event; ``None`` for a notification and when nothing is bound."""
        event_type = type(event)
        is_notification = self._is_notification.get(event_type)
        if is_notification is None:  # asking an abstract class is slow
            is_notification = self._is_notification[event_type] = isinstance(event, INotificationEvent)
        return None if is_notification else self._plans.of(event_type)

    async def publish(self, event: object) -> None:
        """Send a notification event to the message broker; other events are for nobody.

        Raises:
            HandlerTypeError: what a handler recorded is not an event.
            RuntimeError: a notification event, and there is no message broker.
            ConfigurationTypeError: its ``partition_key`` is no key.
        """
        if not isinstance(event, INotificationEvent):
            check_event(event)
            return
        if self._message_broker is None:
            name = type_name(cast("Any", event).__class__)
            raise RuntimeError(
                f"notification event {name} cannot be sent: the event emitter has no message broker; "
                "give one to EventEmitter or bootstrap as message_broker"
            )
        message = Message(
            message_name=event.event_name,
            topic=event.topic,
            payload=event.to_dict(),
            message_id=event.event_id,
            headers=event.headers,
            key=partition_key_of(cast("object", event)),
        )
        await self._message_broker.send_message(message)

    def open_scope(self) -> DispatchScope:
        """Return a scope for the handlers of one or more events."""
        return DispatchScope(self._plans.container)
