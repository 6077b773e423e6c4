"""Holdfast: CQRS and events for Python that keep answering when their dependencies don't.

Names are imported from their modules when they are first used, so ``import cqrs`` costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs._lazy import lazy_exports
from cqrs._version import __version__ as __version__

if TYPE_CHECKING:
    from cqrs.circuit_breaker.breaker import CircuitBreaker as CircuitBreaker
    from cqrs.circuit_breaker.errors import CircuitOpenError as CircuitOpenError
    from cqrs.circuit_breaker.policy import CircuitBreakerPolicy as CircuitBreakerPolicy
    from cqrs.circuit_breaker.protocol import ICircuitBreaker as ICircuitBreaker
    from cqrs.circuit_breaker.registry import CircuitBreakers as CircuitBreakers
    from cqrs.compressors.protocol import Compressor as Compressor
    from cqrs.compressors.zlib import ZlibCompressor as ZlibCompressor
    from cqrs.consumers.consumer import Consumer as Consumer
    from cqrs.container.builtin import BuiltinContainer as BuiltinContainer
    from cqrs.container.builtin import Lifetime as Lifetime
    from cqrs.container.di import DIContainer as DIContainer
    from cqrs.container.protocol import Container as Container
    from cqrs.dispatcher.answers import current_fallback as current_fallback
    from cqrs.dispatcher.models import FallbackAnswer as FallbackAnswer
    from cqrs.dispatcher.saga_map import SagaMap as SagaMap
    from cqrs.events.event import DCDomainEvent as DCDomainEvent
    from cqrs.events.event import DCEvent as DCEvent
    from cqrs.events.event import DCNotificationEvent as DCNotificationEvent
    from cqrs.events.event import DomainEvent as DomainEvent
    from cqrs.events.event import Event as Event
    from cqrs.events.event import IDomainEvent as IDomainEvent
    from cqrs.events.event import IEvent as IEvent
    from cqrs.events.event import INotificationEvent as INotificationEvent
    from cqrs.events.event import NotificationEvent as NotificationEvent
    from cqrs.events.event import PydanticDomainEvent as PydanticDomainEvent
    from cqrs.events.event import PydanticEvent as PydanticEvent
    from cqrs.events.event import PydanticNotificationEvent as PydanticNotificationEvent
    from cqrs.events.event_emitter import EventEmitter as EventEmitter
    from cqrs.events.event_handler import EventHandler as EventHandler
    from cqrs.events.fallback import EventHandlerFallback as EventHandlerFallback
    from cqrs.events.map import EventMap as EventMap
    from cqrs.exceptions import CqrsError as CqrsError
    from cqrs.inbox.processor import InboxProcessor as InboxProcessor
    from cqrs.inbox.repository import InboxRepository as InboxRepository
    from cqrs.inbox.sqlalchemy import SqlAlchemyInboxRepository as SqlAlchemyInboxRepository
    from cqrs.mediator.event import EventMediator as EventMediator
    from cqrs.mediator.request import RequestMediator as RequestMediator
    from cqrs.mediator.saga import SagaMediator as SagaMediator
    from cqrs.mediator.streaming import StreamingRequestMediator as StreamingRequestMediator
    from cqrs.message_brokers.protocol import Message as Message
    from cqrs.message_brokers.protocol import MessageBroker as MessageBroker
    from cqrs.outbox.map import OutboxedEventMap as OutboxedEventMap
    from cqrs.outbox.models import rebind_outbox_model as rebind_outbox_model
    from cqrs.outbox.producer import EventProducer as EventProducer
    from cqrs.outbox.relay import OutboxRelay as OutboxRelay
    from cqrs.outbox.repository import EventStatus as EventStatus
    from cqrs.outbox.repository import OutboxedEvent as OutboxedEvent
    from cqrs.outbox.repository import OutboxedEventRepository as OutboxedEventRepository
    from cqrs.outbox.sqlalchemy import SqlAlchemyOutboxedEventRepository as SqlAlchemyOutboxedEventRepository
    from cqrs.requests.cor_request_handler import CORRequestHandler as CORRequestHandler
    from cqrs.requests.fallback import RequestHandlerFallback as RequestHandlerFallback
    from cqrs.requests.map import RequestMap as RequestMap
    from cqrs.requests.mermaid import CoRMermaid as CoRMermaid
    from cqrs.requests.request import DCRequest as DCRequest
    from cqrs.requests.request import IRequest as IRequest
    from cqrs.requests.request import PydanticRequest as PydanticRequest
    from cqrs.requests.request import Request as Request
    from cqrs.requests.request_handler import RequestHandler as RequestHandler
    from cqrs.requests.request_handler import StreamingRequestHandler as StreamingRequestHandler
    from cqrs.response import DCResponse as DCResponse
    from cqrs.response import IResponse as IResponse
    from cqrs.response import PydanticResponse as PydanticResponse
    from cqrs.response import Response as Response
    from cqrs.saga.fallback import Fallback as Fallback
    from cqrs.saga.mermaid import SagaMermaid as SagaMermaid
    from cqrs.saga.models import ContextT as ContextT
    from cqrs.saga.models import Resp as Resp
    from cqrs.saga.models import SagaContext as SagaContext
    from cqrs.saga.models import SagaStepResult as SagaStepResult
    from cqrs.saga.saga import Saga as Saga
    from cqrs.saga.step import SagaStepHandler as SagaStepHandler
    from cqrs.types import Returns as Returns

_EXPORTS = {
    "BuiltinContainer": "cqrs.container.builtin",
    "CORRequestHandler": "cqrs.requests.cor_request_handler",
    "CircuitBreaker": "cqrs.circuit_breaker.breaker",
    "CircuitBreakerPolicy": "cqrs.circuit_breaker.policy",
    "CircuitBreakers": "cqrs.circuit_breaker.registry",
    "CircuitOpenError": "cqrs.circuit_breaker.errors",
    "CoRMermaid": "cqrs.requests.mermaid",
    "Compressor": "cqrs.compressors.protocol",
    "Consumer": "cqrs.consumers.consumer",
    "Container": "cqrs.container.protocol",
    "ContextT": "cqrs.saga.models",
    "CqrsError": "cqrs.exceptions",
    "DCDomainEvent": "cqrs.events.event",
    "DCEvent": "cqrs.events.event",
    "DCNotificationEvent": "cqrs.events.event",
    "DCRequest": "cqrs.requests.request",
    "DCResponse": "cqrs.response",
    "DIContainer": "cqrs.container.di",
    "DomainEvent": "cqrs.events.event",
    "Event": "cqrs.events.event",
    "EventEmitter": "cqrs.events.event_emitter",
    "EventHandler": "cqrs.events.event_handler",
    "EventHandlerFallback": "cqrs.events.fallback",
    "EventMap": "cqrs.events.map",
    "EventMediator": "cqrs.mediator.event",
    "EventProducer": "cqrs.outbox.producer",
    "EventStatus": "cqrs.outbox.repository",
    "Fallback": "cqrs.saga.fallback",
    "FallbackAnswer": "cqrs.dispatcher.models",
    "ICircuitBreaker": "cqrs.circuit_breaker.protocol",
    "IDomainEvent": "cqrs.events.event",
    "IEvent": "cqrs.events.event",
    "INotificationEvent": "cqrs.events.event",
    "IRequest": "cqrs.requests.request",
    "IResponse": "cqrs.response",
    "InboxProcessor": "cqrs.inbox.processor",
    "InboxRepository": "cqrs.inbox.repository",
    "Lifetime": "cqrs.container.builtin",
    "Message": "cqrs.message_brokers.protocol",
    "MessageBroker": "cqrs.message_brokers.protocol",
    "NotificationEvent": "cqrs.events.event",
    "OutboxRelay": "cqrs.outbox.relay",
    "OutboxedEvent": "cqrs.outbox.repository",
    "OutboxedEventMap": "cqrs.outbox.map",
    "OutboxedEventRepository": "cqrs.outbox.repository",
    "PydanticDomainEvent": "cqrs.events.event",
    "PydanticEvent": "cqrs.events.event",
    "PydanticNotificationEvent": "cqrs.events.event",
    "PydanticRequest": "cqrs.requests.request",
    "PydanticResponse": "cqrs.response",
    "Request": "cqrs.requests.request",
    "RequestHandler": "cqrs.requests.request_handler",
    "RequestHandlerFallback": "cqrs.requests.fallback",
    "RequestMap": "cqrs.requests.map",
    "RequestMediator": "cqrs.mediator.request",
    "Resp": "cqrs.saga.models",
    "Response": "cqrs.response",
    "Returns": "cqrs.types",
    "Saga": "cqrs.saga.saga",
    "SagaContext": "cqrs.saga.models",
    "SagaMap": "cqrs.dispatcher.saga_map",
    "SagaMediator": "cqrs.mediator.saga",
    "SagaMermaid": "cqrs.saga.mermaid",
    "SagaStepHandler": "cqrs.saga.step",
    "SagaStepResult": "cqrs.saga.models",
    "SqlAlchemyInboxRepository": "cqrs.inbox.sqlalchemy",
    "SqlAlchemyOutboxedEventRepository": "cqrs.outbox.sqlalchemy",
    "StreamingRequestHandler": "cqrs.requests.request_handler",
    "StreamingRequestMediator": "cqrs.mediator.streaming",
    "ZlibCompressor": "cqrs.compressors.zlib",
    "current_fallback": "cqrs.dispatcher.answers",
    "rebind_outbox_model": "cqrs.outbox.models",
}

__all__ = [*_EXPORTS, "__version__"]  # pyright: ignore[reportUnsupportedDunderAll]

__getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)
