"""Responses: what handlers return.

A response may be any object; these classes add ``to_dict``/``from_dict`` for code that stores or sends it.
"""

from __future__ import annotations

import abc
import dataclasses
from typing import Any, Self

import pydantic

from cqrs import _conversion

__all__ = ["DCResponse", "IResponse", "PydanticResponse", "Response"]


class IResponse(abc.ABC):
    """A response that can be turned into a dictionary and back."""

    @abc.abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return the response as a dictionary."""

    @classmethod
    @abc.abstractmethod
    def from_dict(cls, **kwargs: Any) -> Self:
        """Build the response from the items of a dictionary."""


class Response(pydantic.BaseModel, IResponse):
    """A response as a pydantic model.

    >>> class UserProfile(Response):
    ...     name: str
    >>> UserProfile.from_dict(name="Ada").to_dict()
    {'name': 'Ada'}
    """

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name, as Python objects (nested models become dictionaries)."""
        return self.model_dump(mode="python")

    @classmethod
    def from_dict(cls, **kwargs: Any) -> Self:
        """Validate the fields and build the response.

        Raises:
            pydantic.ValidationError: a field is missing or of the wrong type.
        """
        return cls.model_validate(kwargs)


@dataclasses.dataclass
class DCResponse(IResponse):
    """A response as a dataclass; subclasses carry ``@dataclass`` too."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name, as Python objects (nested dataclasses become dictionaries)."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, **kwargs: Any) -> Self:
        """Build the response, converting each value to the type of its field.

        Raises:
            TypeError: a field without default is missing.
            ValueError: a value cannot be read as the type of its field; the message names the field.
        """
        return _conversion.decode(cls, kwargs)


PydanticResponse = Response
