"""A scope of the built-in container: what lives in it, and how it ends."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Generator
from types import TracebackType
from typing import Any, TypeVar, cast

from cqrs.container._cells import AsyncCell
from cqrs.container._plan import Kind, Lifetime, Node

T = TypeVar("T")
_logger = logging.getLogger(__name__)


class Scope:
    """Resolves types; scoped instances and open generators live until it is left."""

    __slots__ = ("_cells", "_closed", "_generators", "_node_of", "_root")

    def __init__(self, node_of: Callable[[Any], Node], root: Scope | None = None) -> None:
        self._node_of = node_of
        self._root = self if root is None else root
        self._cells: dict[Node, AsyncCell] = {}
        self._generators: list[Generator[Any, None, None] | AsyncGenerator[Any, None]] = []
        self._closed = False

    async def resolve(self, type_: type[T]) -> T:
        """Return an instance of ``type_``.

        Raises:
            ResolutionError: there is no way to build it.
            RuntimeError: the scope was closed.
        """
        if self._closed:
            raise RuntimeError(f"cannot resolve {type_.__qualname__}: the scope is closed")
        return cast("T", await self.get(self._node_of(type_)))

    async def get(self, node: Node) -> Any:
        """Return the instance of a planned type, from where it lives."""
        if node.plain is not None:
            return node.plain()
        if node.cell is not None:
            return await node.cell.get(lambda: self._root.make(node))
        if node.lifetime is Lifetime.SCOPED:
            cell = self._cells.get(node)
            if cell is None:
                cell = self._cells.setdefault(node, AsyncCell(str(node.key)))
            return await cell.get(lambda: self.make(node))
        return await self.make(node)

    async def make(self, node: Node) -> Any:
        """Build a new instance; a generator is remembered for the end of the scope."""
        positional = [await self.get(dependency) for dependency in node.positional]
        keyword = {name: await self.get(dependency) for name, dependency in node.keyword.items()}
        made = node.provider(*positional, **keyword)
        if node.kind is Kind.CALL:
            return made
        if node.kind is Kind.AWAIT:
            return await made
        value = next(made) if node.kind is Kind.GENERATOR else await anext(made)
        self._generators.append(made)
        return value

    async def __aenter__(self) -> Scope:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close(exc)

    async def close(self, reason: BaseException | None = None) -> None:
        """Close what is open, last first; each generator sees ``reason`` raised at its ``yield``.

        Everything is closed whatever fails on the way. An error in closing is raised after a success; after a
        failure it is logged, so that it never hides the failure.
        """
        self._closed = self is not self._root
        self._cells.clear()
        errors: list[BaseException] = []
        while self._generators:
            generator = self._generators.pop()
            try:
                if isinstance(generator, Generator):
                    _finish(generator, reason)
                else:
                    await _finish_async(generator, reason)
            except BaseException as error:
                if error is not reason:
                    errors.append(error)
        if not errors:
            return
        interruptions = [error for error in errors if not isinstance(error, Exception)]
        if interruptions and (reason is None or isinstance(reason, Exception)):
            raise interruptions[0]
        if reason is None:
            if len(errors) == 1:
                raise errors[0]
            raise BaseExceptionGroup("several dependencies failed to close", errors)
        for failure in errors:
            _logger.error("a dependency failed to close after an error", exc_info=failure)


def _finish(generator: Generator[Any, None, None], reason: BaseException | None) -> None:
    try:
        if reason is None:
            next(generator)
        else:
            generator.throw(reason)
    except StopIteration:
        return
    generator.close()
    raise RuntimeError("a generator yielded more than once; a dependency is yielded exactly once")


async def _finish_async(generator: AsyncGenerator[Any, None], reason: BaseException | None) -> None:
    try:
        if reason is None:
            await anext(generator)
        else:
            await generator.athrow(reason)
    except StopAsyncIteration:
        return
    await generator.aclose()
    raise RuntimeError("an async generator yielded more than once; a dependency is yielded exactly once")
