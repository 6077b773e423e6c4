"""What dispatchers return."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from cqrs.circuit_breaker.errors import CircuitOpenError

TupleT = TypeVar("TupleT", bound=tuple[Any, ...])

FallbackReason = Literal["circuit_open", "error"]
"""Why a fallback answered: the breaker did not let the primary run, or the primary failed."""


class FallbackAnswer(NamedTuple):
    """Tells that a fallback answered for a primary handler.

    It keeps the text of the error rather than the error, whose traceback would keep frames alive.

    Attributes:
        message_type: type of the request or event.
        primary: the handler class that was asked first.
        handler: the handler class that answered.
        position: place of ``handler`` in the chain of fallbacks; 1 is the first fallback.
        reason: ``"circuit_open"`` or ``"error"``.
        error_type: class of the primary's error (or of the breaker's rejection).
        text: text of that error; empty when ``rejection`` has it.
        rejection: the native breaker's rejection, without its traceback; tells ``retry_after``, for example.
    """

    message_type: type[Any]
    primary: type[Any]
    handler: type[Any]
    position: int
    reason: FallbackReason
    error_type: type[Exception]
    text: str
    rejection: CircuitOpenError | None

    @property
    def error(self) -> str:
        """Text of the primary's error, or of the rejection."""
        return self.text if self.rejection is None else str(self.rejection)


class Carrier:
    """Base of messages that are about another one: what answers them answers that one."""

    __slots__ = ()

    @property
    def message_type(self) -> type[Any]:
        """Type of the message that it is about."""
        raise NotImplementedError


class Outcome(NamedTuple):
    """What a guarded step returns in place of the bare response when there is more to tell."""

    response: Any
    events: tuple[object, ...]
    fallbacks: tuple[FallbackAnswer, ...]


if TYPE_CHECKING:

    def make_tuple(kind: type[TupleT], fields: tuple[Any, ...], /) -> TupleT: ...

else:
    make_tuple = tuple.__new__
    """Does what the constructor of a named tuple does, in half the time."""


@dataclasses.dataclass(frozen=True, slots=True)
class RequestDispatchResult:
    """The response to a request and what its handler left behind.

    Attributes:
        response: what the handler returned.
        events: the events of the handler that answered, oldest first.
        fallbacks: the fallbacks that answered: none when the primary did, several in a chain of handlers.
    """

    response: Any
    events: tuple[object, ...] = ()
    fallbacks: tuple[FallbackAnswer, ...] = ()

    @property
    def fallback(self) -> FallbackAnswer | None:
        """The fallback that answered last; ``None`` when the primary did."""
        return self.fallbacks[-1] if self.fallbacks else None

    @property
    def metadata(self) -> dict[str, Any]:
        """What is worth passing on beside the response, by name; empty when the primary answered."""
        return {"fallbacks": self.fallbacks} if self.fallbacks else {}


@dataclasses.dataclass(frozen=True, slots=True)
class SagaDispatchResult:
    """The result of one step of a saga and what the step left behind.

    Attributes:
        step_result: what the step returned.
        events: the events of the step that acted, oldest first.
        fallbacks: the fallback that acted, if the primary step did not.
    """

    step_result: Any
    events: tuple[object, ...] = ()
    fallbacks: tuple[FallbackAnswer, ...] = ()

    @property
    def saga_id(self) -> Any:
        """The saga."""
        return self.step_result.saga_id


@dataclasses.dataclass(frozen=True, slots=True)
class EventDispatchResult:
    """What the handlers of an event left behind.

    Attributes:
        events: follow-ups of all handlers, in the order of the handlers.
        fallbacks: one entry for each handler whose fallback answered.
        handled: number of bindings that handled the event; 0 when nothing is bound to its type.
    """

    events: tuple[object, ...] = ()
    fallbacks: tuple[FallbackAnswer, ...] = ()
    handled: int = 0
