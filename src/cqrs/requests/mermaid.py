"""Mermaid diagrams of a chain of responsibility, as text."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cqrs._mermaid import class_of_message, is_drawn, type_label
from cqrs.exceptions import RequestHandlerTypeError
from cqrs.generic_utils import get_generic_args_for_origin
from cqrs.requests.cor_request_handler import CORRequestHandler
from cqrs.requests.fallback import RequestHandlerFallback

__all__ = ["CoRMermaid"]

Link = type[CORRequestHandler[Any, Any]] | RequestHandlerFallback


@dataclass(frozen=True)
class _Participant:
    """A handler class under the short name that the diagrams use for it."""

    key: str
    handler: type[Any]

    @property
    def label(self) -> str:
        return self.handler.__name__


class CoRMermaid:
    """Draws a chain of responsibility: who may answer a request, and in which order they are asked.

    Args:
        handlers: what is bound to the request: ``CORRequestHandler`` classes from the first to the last; a
            ``RequestHandlerFallback`` may stand for each.

    Raises:
        ValueError: there are no handlers.
        RequestHandlerTypeError: an item is no ``CORRequestHandler`` class.

    >>> class Cash(CORRequestHandler[int, str]):
    ...     async def handle(self, request: int) -> str | None: ...
    >>> print(CoRMermaid([Cash]).sequence())
    sequenceDiagram
        participant Caller
        participant H1 as Cash
        Caller->>H1: int
        alt answers
            H1-->>Caller: str
        else end of the chain
            H1-->>Caller: None
        end
    """

    def __init__(self, handlers: Sequence[Link]) -> None:
        if not handlers:
            raise ValueError("a chain needs at least one handler")
        self._links = [
            [_participant(f"H{number}", index, handler) for index, handler in enumerate(_handlers(link))]
            for number, link in enumerate(handlers, start=1)
        ]
        arguments = get_generic_args_for_origin(self._links[0][0].handler, (CORRequestHandler,), min_args=2)
        self._request, self._response = (arguments or (None, None))[:2]

    def sequence(self) -> str:
        """Return the sequence diagram of one request."""
        lines = ["sequenceDiagram", "    participant Caller"]
        lines += [f"    participant {one.key} as {one.label}" for link in self._links for one in link]
        lines.append(f"    Caller->>{self._links[0][0].key}: {type_label(self._request, 'request')}")
        lines += self._steps(0, "    ")
        return "\n".join(lines)

    def class_diagram(self) -> str:
        """Return the class diagram of the chain, its request and its response."""
        lines = ["classDiagram", "    class CORRequestHandler {", "        <<abstract>>"]
        lines += [
            "        +set_next(handler)",
            "        +next(request)",
            "        +handle(request)*",
            "    }",
        ]
        for message in (self._request, self._response):
            lines += class_of_message(message)
        for link in self._links:
            for one in link:
                lines.append(f'    class {one.key}["{one.label}"]')
                lines.append(f"    CORRequestHandler <|-- {one.key}")
        for link, following in itertools.pairwise(self._links):
            lines.append(f"    {link[0].key} --> {following[0].key} : next")
        for link in self._links:
            for one, fallback in itertools.pairwise(link):
                lines.append(f"    {one.key} ..> {fallback.key} : fallback")
        head = self._links[0][0].key
        for message, verb in ((self._request, "handles"), (self._response, "returns")):
            if is_drawn(message):
                lines.append(f"    {head} ..> {type_label(message, verb)} : {verb}")
        return "\n".join(lines)

    def _steps(self, position: int, indent: str) -> Iterator[str]:
        """Say what the link at ``position`` may do; what follows it is nested in its ``else``."""
        primary = self._links[position][0]
        request = type_label(self._request, "request")
        response = type_label(self._response, "response")
        for failing, fallback in itertools.pairwise(self._links[position]):
            yield f"{indent}opt {failing.label} fails or its circuit is open"
            yield f"{indent}    {failing.key}->>{fallback.key}: {request}"
            yield f"{indent}end"
        yield f"{indent}alt answers"
        yield f"{indent}    {primary.key}-->>Caller: {response}"
        if position + 1 < len(self._links):
            yield f"{indent}else passes on"
            yield f"{indent}    {primary.key}->>{self._links[position + 1][0].key}: {request}"
            yield from self._steps(position + 1, indent + "    ")
        else:
            yield f"{indent}else end of the chain"
            yield f"{indent}    {primary.key}-->>Caller: None"
        yield f"{indent}end"


def _handlers(link: Any) -> Iterator[type[Any]]:
    """Yield the handler classes of a link: the primary one, then its fallbacks."""
    if isinstance(link, RequestHandlerFallback):
        yield from _handlers(link.primary)
        yield from _handlers(link.fallback)
        return
    if not isinstance(link, type) or not issubclass(link, CORRequestHandler):
        raise RequestHandlerTypeError(f"a link of a chain must be a CORRequestHandler class, not {link!r}")
    yield link


def _participant(key: str, index: int, handler: type[Any]) -> _Participant:
    return _Participant(key if index == 0 else f"{key}F{index}", handler)
