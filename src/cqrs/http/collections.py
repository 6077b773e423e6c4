"""Answers that are lists."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from cqrs.http.messages import HTTPResponse

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is known of a list beside its items.

    Attributes:
        count: items in this answer.
        total_count: items in the whole collection; ``count`` when the server does not say.
        links: links of the ``Link`` header by relation: ``{"next": {"url": "...", "rel": "next"}}``.
    """

    count: int
    total_count: int
    links: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])

    @property
    def total(self) -> int:
        """``total_count``."""
        return self.total_count


class CollectionParser:
    """Finds the items of a list in an answer. Derive from it for another form of lists.

    Args:
        response: the answer.

    This one takes a JSON array, and the header ``Total-Count`` or ``X-Total-Count``.
    """

    def __init__(self, response: HTTPResponse) -> None:
        self.response = response

    @property
    def json(self) -> list[Any]:
        """The items, as JSON values.

        Raises:
            ValueError: the body is no JSON array.
        """
        found = self.response.json
        if not isinstance(found, list):
            raise ValueError(f"a list was expected, not {type(found).__name__}")
        return found  # pyright: ignore[reportUnknownVariableType]

    @property
    def meta(self) -> Metadata:
        """What is known beside the items."""
        count = len(self.json)
        headers = self.response.headers
        said = headers.get("total-count", headers.get("x-total-count", ""))
        total = int(said) if said.isdecimal() and len(said) < 20 else count
        return Metadata(count, total, self.response.links)


class CollectionIterator(Generic[T]):
    """The items of a list, as models. It can be iterated again, indexed, and asked for its length.

    Attributes:
        meta: what is known beside the items.
        response: the answer.
    """

    __slots__ = ("_items", "meta", "response")

    def __init__(
        self, items: list[Any], make: Callable[[Any], T], meta: Metadata, response: HTTPResponse
    ) -> None:
        self._items = [make(item) for item in items]  # at once: a wrong item must not come up in a loop
        self.meta = meta
        self.response = response

    def __iter__(self) -> Iterator[T]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> T:
        return self._items[index]

    def __repr__(self) -> str:
        return f"CollectionIterator({len(self._items)} of {self.meta.total_count})"
