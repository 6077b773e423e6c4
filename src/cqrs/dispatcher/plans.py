"""One compiled plan per message type, made when the type is first met."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

PlanT = TypeVar("PlanT")


class Plans(dict[type[Any], PlanT]):
    """A dictionary that compiles what it does not hold yet; what fails to compile is tried anew each time."""

    __slots__ = ("_compile",)

    def __init__(self, compile_plan: Callable[[type[Any]], PlanT]) -> None:
        super().__init__()
        self._compile = compile_plan

    def __missing__(self, message_type: type[Any]) -> PlanT:
        # Two threads may compile the same plan at once: either serves.
        plan = self[message_type] = self._compile(message_type)
        return plan
