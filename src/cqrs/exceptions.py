"""Every error that the framework raises of its own accord, in one tree.

::

    CqrsError
    ├── ConfigurationError              something was declared wrongly; fix the code
    │   ├── ConfigurationTypeError      an argument is of the wrong kind (also a TypeError)
    │   ├── PolicyError                 a circuit breaker policy field (also a ValueError)
    │   ├── HandlerTypeError            a handler, map or fallback has the wrong type (also a TypeError)
    │   │   └── RequestHandlerTypeError a handler is not of the kind that its request needs
    │   ├── ResolutionError             the container has no way to build a type
    │   └── SagaDefinitionError         the steps of a saga are declared wrongly, or no longer fit its log
    ├── RequestHandlerDoesNotExist      nothing is bound to the request's type (also a LookupError)
    ├── SagaDoesNotExist                nothing is bound to the context's type (also a LookupError)
    ├── SagaNotFoundError               the storage has no saga of this id (also a LookupError)
    ├── SagaConcurrencyError            another process executes the saga
    ├── SagaContextError                a context cannot be stored, or read (also a ValueError)
    ├── SagaCompensatedError            a saga that was to be resumed is compensated instead (also a
    │                                   RuntimeError; defined in ``cqrs.saga.errors``)
    ├── MessageBrokerError              a message broker did not do what was asked
    │   ├── MessageRefusedError         it, or its library, will not take the message, now or later
    │   │                               (for its size: ``cqrs.message_brokers.errors.MessageTooLargeError``)
    │   └── BrokerUnavailableError      it cannot be reached, or does not answer; try again later
    ├── SerializationError              a payload has no form in the chosen format (also a ValueError)
    ├── DeserializationError            bytes cannot be read as what they should be (also a ValueError); its
    │                                   kinds are in ``cqrs.deserializers``
    ├── DecompressionError              bytes cannot be decompressed, or become too large (also a ValueError)
    ├── OutboxedEventError              an event has no stored form, so it was not added (also a ValueError)
    ├── EventCycleError                 follow-up events nest deeper than the limit
    ├── EventHandlingErrors             all errors of event handlers, collected (also an ExceptionGroup)
    ├── HTTPClientError                 a call of a service client failed; its kinds are in
    │                                   ``cqrs.http.errors``
    ├── CircuitOpenError                a circuit breaker did not let the call through
    │                                   (defined in ``cqrs.circuit_breaker.errors``)
    └── StoreError                      the store of a fleet of circuit breakers failed (defined there too)

An error of the user's own code crosses the library unchanged.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any


class CqrsError(Exception):
    """Base of all errors of this library."""


class ConfigurationError(CqrsError):
    """Something was declared wrongly; no retry and no fallback can help."""


class ConfigurationTypeError(ConfigurationError, TypeError):
    """An argument is of the wrong kind."""


class PolicyError(ConfigurationError, ValueError):
    """A policy field has a value outside its legal range.

    Attributes:
        field: name of the field.
        value: the value that was refused.
        legal: the legal range, in words.
    """

    def __init__(self, field: str, value: object, legal: str) -> None:
        super().__init__(field, value, legal)
        self.field = field
        self.value = value
        self.legal = legal

    def __str__(self) -> str:
        return f"{self.field}={self.value!r} is not allowed: it must be {self.legal}"


class HandlerTypeError(ConfigurationError, TypeError):
    """A handler, a map of handlers or a fallback is not of the type that its place needs."""


class RequestHandlerTypeError(HandlerTypeError):
    """A handler is not of the kind that its request needs."""


class ResolutionError(ConfigurationError):
    """The container has no way to build a type; never a dependency failure, never a fallback."""


class RequestHandlerDoesNotExist(CqrsError, LookupError):
    """Nothing is bound to the type of the request."""


class SagaDefinitionError(ConfigurationTypeError):
    """The steps of a saga are declared wrongly, or no longer fit the log of a saga that is to be resumed."""


class SagaDoesNotExist(CqrsError, LookupError):
    """Nothing is bound to the type of the context."""


class SagaNotFoundError(CqrsError, LookupError):
    """The storage has no saga of this id.

    Attributes:
        saga_id: the id.
    """

    def __init__(self, saga_id: uuid.UUID) -> None:
        super().__init__(saga_id)
        self.saga_id = saga_id

    def __str__(self) -> str:
        return f"there is no saga {self.saga_id} in this storage"


class SagaConcurrencyError(CqrsError):
    """Another process, or another task of this one, executes the saga.

    Attributes:
        saga_id: the saga.
        reason: what was noticed.
        retry_after: seconds after which its lease ends, as far as it is known; else ``None``.
    """

    def __init__(self, saga_id: uuid.UUID, reason: str, retry_after: float | None = None) -> None:
        super().__init__(saga_id, reason, retry_after)
        self.saga_id = saga_id
        self.reason = reason
        self.retry_after = retry_after

    def __str__(self) -> str:
        text = f"saga {self.saga_id}: {self.reason}"
        return text if self.retry_after is None else f"{text}; try again in {self.retry_after:.1f} s"


class SagaContextError(CqrsError, ValueError):
    """The context of a saga cannot be stored, or what is stored cannot be read as its context."""


class MessageBrokerError(CqrsError):
    """A message broker did not do what was asked; ``__cause__`` is the error of the library, if there is one.

    Attributes:
        topic: the topic, queue or subject that was meant; empty when none was.
        reason: what went wrong.
    """

    def __init__(self, topic: str, reason: str) -> None:
        super().__init__(topic, reason)
        self.topic = topic
        self.reason = reason

    def __str__(self) -> str:
        return f"topic {self.topic!r}: {self.reason}" if self.topic else self.reason


class MessageRefusedError(MessageBrokerError):
    """The broker will not take this message, now or later: too large, unroutable, not allowed."""


class BrokerUnavailableError(MessageBrokerError):
    """The broker cannot be reached, or does not answer in time; the same may succeed later."""


class SerializationError(CqrsError, ValueError):
    """A payload has no form in the chosen format; no retry can help."""


class DeserializationError(CqrsError, ValueError):
    """Bytes cannot be read as what they should be; no retry can help. They are not part of the error.

    Attributes:
        model: what they should be, in words.
        reason: why they cannot.
    """

    def __init__(self, model: str, reason: str) -> None:
        super().__init__(model, reason)
        self.model = model
        self.reason = reason

    def __str__(self) -> str:
        return f"cannot be read as {self.model}: {self.reason}"


class DecompressionError(CqrsError, ValueError):
    """Bytes cannot be decompressed, or become too large."""


class OutboxedEventError(CqrsError, ValueError):
    """An event cannot be put into the outbox; nothing was written.

    Attributes:
        event_name: name of the event.
        reason: what is wrong with it.
    """

    def __init__(self, event_name: str, reason: str) -> None:
        super().__init__(event_name, reason)
        self.event_name = event_name
        self.reason = reason

    def __str__(self) -> str:
        return f"event {self.event_name!r} cannot be put into the outbox: {self.reason}"


class EventCycleError(CqrsError):
    """Follow-up events led to follow-up events beyond the depth limit.

    Attributes:
        path: the event types from the first event to the one that was refused.
        limit: the depth limit.
    """

    def __init__(self, path: tuple[type, ...], limit: int) -> None:
        super().__init__(path, limit)
        self.path = path
        self.limit = limit

    def __str__(self) -> str:
        last = self.path[-1]
        earlier = len(self.path) - 2
        while earlier >= 0 and self.path[earlier] is not last:
            earlier -= 1
        cycle = self.path[earlier:] if earlier >= 0 else self.path
        names = " -> ".join(event_type.__qualname__ for event_type in cycle)
        return f"follow-up events nest deeper than {self.limit}: {names}; break the cycle, or raise the limit"


class EventHandlingErrors(ExceptionGroup[Exception], CqrsError):
    """What event handlers raised while ``event_errors="collect"`` let all of them run."""

    def derive(self, excs: Sequence[Any], /) -> Any:
        """Return a group of the same class (for ``split`` and ``subgroup``)."""
        return EventHandlingErrors(self.message, excs)
