"""Every error that the framework raises of its own accord, in one tree.

::

    CqrsError
    ├── ConfigurationError              something was declared wrongly; fix the code
    │   ├── PolicyError                 a circuit breaker policy field (also a ValueError)
    │   ├── RequestHandlerTypeError     a handler is not what its message needs (also a TypeError)
    │   └── ResolutionError             the container has no way to build a type
    ├── RequestHandlerDoesNotExist      nothing is bound to the request's type (also a LookupError)
    ├── EventCycleError                 follow-up events nest deeper than the limit
    └── CircuitOpenError                a circuit breaker did not let the call through
                                        (defined in ``cqrs.circuit_breaker.errors``)

An error of the user's own code crosses the library unchanged.
"""

from __future__ import annotations


class CqrsError(Exception):
    """Base of all errors of this library."""


class ConfigurationError(CqrsError):
    """Something was declared wrongly; no retry and no fallback can help."""


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


class RequestHandlerTypeError(ConfigurationError, TypeError):
    """A handler is not of the kind that its message needs."""


class ResolutionError(ConfigurationError):
    """The container has no way to build a type; never a dependency failure, never a fallback."""


class RequestHandlerDoesNotExist(CqrsError, LookupError):
    """Nothing is bound to the type of the request."""


class EventCycleError(CqrsError):
    """Follow-up events led to follow-up events beyond the depth limit."""
