"""The declaration of a primary handler and what answers in its place: the rules that all kinds share."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from typing import Any, ClassVar, cast

from cqrs.circuit_breaker.protocol import ICircuitBreaker
from cqrs.dispatcher.declarations import check_handler_methods, declared_types, type_name
from cqrs.dispatcher.handlers import HandlesStreams
from cqrs.exceptions import HandlerTypeError


@dataclasses.dataclass(frozen=True)
class FallbackPair:
    """Declares that ``fallback`` answers when ``primary`` fails, or when its circuit is open.

    Attributes:
        primary: the handler class that is asked first.
        fallback: the handler class that answers instead, or another declaration of the same kind: its primary
            is asked next, and so on.
        failure_exceptions: the ``Exception`` types of the primary that the fallback answers for; empty: all.
        circuit_breaker: guards the primary, one circuit per handler class; its rejections always lead to the
            fallback.

    Raises:
        TypeError: the handlers do not fit together, or a field has the wrong type.
    """

    handler_bases: ClassVar[tuple[type[Any], ...]] = ()
    """The bases of which the handlers share one."""
    declares: ClassVar[tuple[str, ...]] = ()
    """What the type arguments of these bases mean, in order, as error messages say it."""
    parameter_rule: ClassVar[str] = "must be parameterized with concrete types"

    primary: type[Any]
    fallback: Any
    failure_exceptions: tuple[type[Exception], ...] = ()
    # A breaker need not be hashable for the declaration to be.
    circuit_breaker: ICircuitBreaker | None = dataclasses.field(default=None, hash=False)

    def __post_init__(self) -> None:
        self._check_failure_exceptions()
        self._check_circuit_breaker()
        self._check_handlers()

    @property
    def handler_base(self) -> type[Any]:
        """The base that primary and fallback share."""
        return next(base for base in self.handler_bases if issubclass(self.primary, base))

    def attempts(self) -> Iterator[tuple[type[Any], FallbackPair | None]]:
        """Yield the handlers in the order in which they are asked, and the declaration of each primary."""
        handler: Any = self
        while isinstance(handler, FallbackPair):
            yield handler.primary, handler
            handler = handler.fallback
        yield handler, None

    def _check_handlers(self) -> None:
        name = type(self).__name__
        nested = isinstance(self.fallback, FallbackPair)
        if nested and type(self.fallback) is not type(self):
            raise HandlerTypeError(f"{name}: a nested fallback must be a {name} too, not {self.fallback!r}")
        fallback = cast("type[Any]", self.fallback.primary if nested else self.fallback)
        roles = cast("list[tuple[str, Any]]", [("primary", self.primary), ("fallback", fallback)])
        for role, handler in roles:
            if not isinstance(handler, type):
                raise HandlerTypeError(
                    f"{name}: primary and fallback must be handler classes, but {role} is {handler!r}"
                )
        bases = " or ".join(base.__name__ for base in self.handler_bases)
        kinds: list[type[Any]] = []
        for role, handler in roles:
            kind = next((base for base in self.handler_bases if issubclass(handler, base)), None)
            if kind is None:
                raise HandlerTypeError(
                    f"{name}: {role} ({type_name(handler)}) must be a subclass of {bases}; "
                    "primary and fallback must be the same handler base type"
                )
            kinds.append(kind)
        if kinds[0] is not kinds[1]:
            raise HandlerTypeError(
                f"{name}: primary and fallback must be the same handler base type: primary "
                f"{type_name(self.primary)} is a {kinds[0].__name__}, fallback {type_name(fallback)} is a "
                f"{kinds[1].__name__}"
            )
        self._check_type_arguments(kinds[0], fallback)
        for _, handler in roles:
            check_handler_methods(handler, streams=issubclass(handler, HandlesStreams))

    def _check_type_arguments(self, base: type[Any], fallback: type[Any]) -> None:
        name = type(self).__name__
        declared: list[tuple[Any, ...]] = []
        for role, handler in (("primary", self.primary), ("fallback", fallback)):
            types = declared_types(handler, base, len(self.declares))
            if types is None:
                example = ", ".join(word.title().replace(" ", "") for word in self.declares)
                raise HandlerTypeError(
                    f"{name}: {role} ({type_name(handler)}) {self.parameter_rule}: "
                    f"class {handler.__name__}({base.__name__}[{example}])"
                )
            declared.append(types)
        for word, ours, theirs in zip(self.declares, *declared, strict=True):
            if ours != theirs:
                verb = "must have the same" if word.startswith("response") else "must handle the same"
                does = "returns" if word.startswith("response") else "handles"
                raise HandlerTypeError(
                    f"{name}: primary and fallback {verb} {word}: primary {type_name(self.primary)} {does} "
                    f"{type_name(ours)}, fallback {type_name(fallback)} {does} {type_name(theirs)}"
                )

    def _check_failure_exceptions(self) -> None:
        failures: Any = self.failure_exceptions
        legal = isinstance(failures, tuple) and all(map(_is_exception_type, cast("Any", failures)))
        if not legal:
            raise HandlerTypeError(
                f"{type(self).__name__}: failure_exceptions must be a tuple of Exception types, "
                f"not {failures!r}; what derives from BaseException only (cancellation, interpreter exit) "
                "never triggers a fallback"
            )

    def _check_circuit_breaker(self) -> None:
        breaker: Any = self.circuit_breaker
        if breaker is None:
            return
        methods = (getattr(breaker, "call", None), getattr(breaker, "is_circuit_breaker_error", None))
        if isinstance(breaker, type) or not all(callable(method) for method in methods):
            raise HandlerTypeError(
                f"{type(self).__name__}: circuit_breaker must be an instance with the methods of "
                f"ICircuitBreaker (async call, is_circuit_breaker_error), such as CircuitBreakers(), "
                f"not {breaker!r}"
            )
        if inspect.iscoroutinefunction(methods[1]):
            raise HandlerTypeError(
                f"{type(self).__name__}: {type(breaker).__qualname__}.is_circuit_breaker_error must not be "
                "async: a coroutine is true, so every error would pass for a rejection"
            )


def declared_attempts(binding: Any) -> list[tuple[Any, FallbackPair | None]]:
    """Return each handler of a binding, first asked first, with the declaration whose primary it is.

    What is not a declared fallback is taken for a handler class.
    """
    return list(binding.attempts()) if isinstance(binding, FallbackPair) else [(binding, None)]


def _is_exception_type(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, Exception)
