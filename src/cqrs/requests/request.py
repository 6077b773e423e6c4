"""Requests: commands and queries, and the type of what answers them.

A request may be any object; these classes add ``to_dict``/``from_dict`` and take the type of the response as
an optional argument.
"""

from __future__ import annotations

import abc
import dataclasses
from typing import TYPE_CHECKING, Any, Self

import pydantic

from cqrs import _conversion
from cqrs.types import ParameterisedRequest, ResponseT_co, Returns

__all__ = ["DCRequest", "IRequest", "PydanticRequest", "Request"]


class IRequest(Returns[ResponseT_co], abc.ABC):
    """A request that can be turned into a dictionary and back."""

    @abc.abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return the request as a dictionary."""

    @classmethod
    @abc.abstractmethod
    def from_dict(cls, **kwargs: Any) -> Self:
        """Build the request from the items of a dictionary."""


class Request(pydantic.BaseModel, IRequest[ResponseT_co]):
    """A request as a pydantic model; ``Request[Response]`` also says what answers it.

    >>> class GetUserName(Request[str]):
    ...     user_id: int
    >>> GetUserName.from_dict(user_id="7").to_dict()
    {'user_id': 7}
    """

    if not TYPE_CHECKING:

        def __class_getitem__(cls, item: Any) -> Any:
            if cls.__pydantic_generic_metadata__["parameters"]:
                # A subclass that is a generic model of its own: ``class Page(Request[list[T]], Generic[T])``.
                return super().__class_getitem__(item)
            return ParameterisedRequest(cls, item)

        @classmethod
        def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
            # ``source`` is ``Request[X]`` for a field annotated so; it takes what ``Request`` takes.
            return handler(cls)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name, as Python objects (nested models become dictionaries)."""
        return self.model_dump(mode="python")

    @classmethod
    def from_dict(cls, **kwargs: Any) -> Self:
        """Validate the fields and build the request.

        Raises:
            pydantic.ValidationError: a field is missing or of the wrong type.
        """
        return cls.model_validate(kwargs)


@dataclasses.dataclass
class DCRequest(IRequest[ResponseT_co]):
    """A request as a dataclass; subclasses carry ``@dataclass`` too."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name, as Python objects (nested dataclasses become dictionaries)."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, **kwargs: Any) -> Self:
        """Build the request, converting each value to the type of its field.

        Raises:
            TypeError: a field without default is missing.
            ValueError: a value cannot be read as the type of its field; the message names the field.
        """
        return _conversion.decode(cls, kwargs)


PydanticRequest = Request
