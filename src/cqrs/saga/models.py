"""What the steps of a saga are given, and what they return."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping
from typing import Any, Generic, NamedTuple, Self

from typing_extensions import TypeVar

from cqrs.exceptions import SagaContextError
from cqrs.saga.encoding import MissingField, Unstorable, decode_dataclass, encode_dataclass
from cqrs.saga.storage.enums import SagaAction

__all__ = [
    "ContextT",
    "FailedCompensation",
    "Resp",
    "SagaContext",
    "SagaStepInfo",
    "SagaStepResult",
]

ContextT = TypeVar("ContextT", default=Any)
"""The context that the steps of a saga share."""

Resp = TypeVar("Resp", default=Any)
"""What a step tells whoever runs the saga."""


@dataclasses.dataclass
class SagaContext:
    """Base of contexts; subclasses carry ``@dataclass`` too.

    The context is what a saga knows: the steps change it, and it is stored after each of them. This base is
    not needed: any dataclass, pydantic model, or class with ``to_dict`` and ``from_dict`` is a context.

    >>> @dataclasses.dataclass
    ... class OrderContext(SagaContext):
    ...     order_id: str
    ...     charge_id: str | None = None
    >>> OrderContext("o-1").to_dict()
    {'orderId': 'o-1', 'chargeId': None}
    >>> OrderContext.from_dict({"orderId": "o-1", "unknown": 1})
    OrderContext(order_id='o-1', charge_id=None)
    """

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, JSON-ready, under camelCase names.

        Raises:
            SagaContextError: a value has no JSON form; the message names the field.
        """
        try:
            return encode_dataclass(self)
        except Unstorable as error:
            raise SagaContextError(unstorable(type(self), error)) from error

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Build the context from what ``to_dict`` returned; missing fields take their defaults.

        Raises:
            SagaContextError: there is no value for a field without default.
            ValueError: a value cannot be read as the type of its field; the message names the field.
        """
        try:
            return decode_dataclass(cls, data)
        except MissingField as error:
            raise SagaContextError(
                f"there is no value for the field {error} of {cls.__qualname__}"
            ) from error


def unstorable(context_type: type[Any], error: Unstorable) -> str:
    """Return the text that says which field of a context cannot be stored."""
    path = "".join(part if part.startswith("[") else f".{part}" for part in error.path)
    return f"{context_type.__qualname__}{path} cannot be stored as JSON: it is {error.problem}"


@dataclasses.dataclass(slots=True)
class SagaStepResult(Generic[ContextT, Resp]):
    """What a step returns; made by ``self._generate_step_result(response)``.

    Attributes:
        response: what the step has to tell.
        step_type: the step class that acted.
        with_error: tells the consumer that something went wrong which the step has dealt with: the step
            counts as completed. A step that has failed raises.
        error_message: what went wrong.
        error_traceback: where, line by line.
        error_type: class of the error.
        saga_id: the saga.
    """

    response: Resp
    step_type: type[Any]
    with_error: bool = False
    error_message: str | None = None
    error_traceback: list[str] | None = None
    error_type: type[BaseException] | None = None
    saga_id: uuid.UUID | None = None


class SagaStepInfo(NamedTuple):
    """Which step runs; see ``current_step``.

    Attributes:
        saga_id: the saga.
        saga_name: its name in the storage.
        step_name: name of the step class that runs.
        position: place of the step in the saga, from 0.
        action: ``"act"`` or ``"compensate"``.
        attempt: 1 the first time; a step that was interrupted acts again, a compensation that failed is
            tried again.
        act_failed: whether ``compensate`` is called although ``act`` did not succeed; see
            ``SagaStepHandler.compensate_on_failure``.
    """

    saga_id: uuid.UUID
    saga_name: str
    step_name: str
    position: int
    action: SagaAction
    attempt: int
    act_failed: bool = False

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt: give it to a payment provider, so that it charges once."""
        key = f"{self.saga_id}:{self.position}:{self.action}"
        # At one position, a step that failed may be compensated beside the one that acted in its place.
        return f"{key}:{self.step_name}" if self.act_failed else key


class FailedCompensation(NamedTuple):
    """A compensation that was given up.

    Attributes:
        position: place of the step in the saga, from 0.
        step: the step class.
        error: what its last attempt raised.
    """

    position: int
    step: type[Any]
    error: Exception
