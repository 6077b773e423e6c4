"""Commands, queries, streams and chains of responsibility."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs._lazy import lazy_exports

if TYPE_CHECKING:
    from cqrs.requests.request import DCRequest as DCRequest
    from cqrs.requests.request import IRequest as IRequest
    from cqrs.requests.request import PydanticRequest as PydanticRequest
    from cqrs.requests.request import Request as Request

_EXPORTS = {
    "DCRequest": "cqrs.requests.request",
    "IRequest": "cqrs.requests.request",
    "PydanticRequest": "cqrs.requests.request",
    "Request": "cqrs.requests.request",
}

__all__ = [*_EXPORTS]  # pyright: ignore[reportUnsupportedDunderAll]

__getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)
