"""Mermaid diagrams of a saga, as text."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from cqrs._mermaid import class_of_message, is_drawn, type_label
from cqrs.dispatcher.declarations import is_subclass
from cqrs.dispatcher.fallback_pair import declared_attempts
from cqrs.exceptions import SagaDefinitionError
from cqrs.generic_utils import get_generic_args_for_origin
from cqrs.saga.saga import Saga
from cqrs.saga.step import SagaStepHandler

__all__ = ["SagaMermaid"]


@dataclass(frozen=True)
class _Participant:
    """A step class at one position, under the short name that the diagrams use for it."""

    key: str
    step: type[SagaStepHandler[Any, Any]]

    @property
    def label(self) -> str:
        return self.step.__name__

    @property
    def response(self) -> Any:
        arguments = get_generic_args_for_origin(self.step, (SagaStepHandler,), min_args=2)
        return arguments[1] if arguments else None


class SagaMermaid:
    """Draws a saga: which steps act in which order, who acts in their place, and how they are compensated.

    Args:
        saga: a saga class, or an instance of one.

    Raises:
        SagaDefinitionError: it is no saga, or declares no steps.

    >>> class Reserve(SagaStepHandler[dict, str]):
    ...     async def act(self, context): ...
    ...     async def compensate(self, context): ...
    >>> class Order(Saga[dict]):
    ...     steps = [Reserve]
    >>> print(SagaMermaid(Order).sequence())
    sequenceDiagram
        participant Saga as Order
        participant S1 as Reserve
        Saga->>S1: act(dict)
        alt acts
            S1-->>Saga: str
            Note over Saga: completed
        else fails
            Note over Saga: failed
        end
    """

    def __init__(self, saga: type[Saga[Any]] | Saga[Any]) -> None:
        klass: Any = saga if isinstance(saga, type) else type(saga)
        if not is_subclass(klass, Saga):
            raise SagaDefinitionError(f"only a Saga class can be drawn, not {saga!r}")
        if not klass.steps:
            raise SagaDefinitionError(f"{klass.__name__} declares no steps: there is nothing to draw")
        self._saga = cast("type[Saga[Any]]", klass)
        self._steps = [
            [
                _Participant(f"S{number}" if index == 0 else f"S{number}F{index}", step)
                for index, (step, _) in enumerate(declared_attempts(declared))
            ]
            for number, declared in enumerate(klass.steps, start=1)
        ]
        first = self._steps[0][0].step
        arguments = get_generic_args_for_origin(klass, (Saga,)) or get_generic_args_for_origin(
            first, (SagaStepHandler,), min_args=2
        )
        self._context = arguments[0] if arguments else None

    def sequence(self) -> str:
        """Return the sequence diagram of one saga: forward to its end, or back again."""
        lines = ["sequenceDiagram", f"    participant Saga as {self._saga.__name__}"]
        lines += [f"    participant {one.key} as {one.label}" for step in self._steps for one in step]
        lines += self._forward(0, "    ")
        return "\n".join(lines)

    def class_diagram(self) -> str:
        """Return the class diagram of the saga, its steps, its context and the responses."""
        name = self._saga.__name__
        lines = [
            "classDiagram",
            f"    class {name} {{",
            "        +steps",
            "        +transaction(context)",
            "    }",
        ]
        lines += ["    class SagaStepHandler {", "        <<abstract>>"]
        lines += ["        +act(context)*", "        +compensate(context)*", "    }"]
        responses = dict.fromkeys(
            one.response for step in self._steps for one in step if is_drawn(one.response)
        )
        for message in (self._context, *responses):
            lines += class_of_message(message)
        for step in self._steps:
            for one in step:
                lines.append(f'    class {one.key}["{one.label}"]')
                lines.append(f"    SagaStepHandler <|-- {one.key}")
        for number, step in enumerate(self._steps, start=1):
            lines.append(f"    {name} --> {step[0].key} : step {number}")
        for step in self._steps:
            for one, fallback in itertools.pairwise(step):
                lines.append(f"    {one.key} ..> {fallback.key} : fallback")
        if is_drawn(self._context):
            lines.append(f"    {name} ..> {type_label(self._context, 'context')} : shares")
        for step in self._steps:
            for one in step:
                if is_drawn(one.response):
                    lines.append(f"    {one.key} ..> {type_label(one.response, 'response')} : returns")
        return "\n".join(lines)

    def _forward(self, position: int, indent: str) -> Iterator[str]:
        """Say how the step at ``position`` may end; what follows it is nested in its success."""
        primary, *_ = step = self._steps[position]
        context = type_label(self._context, "context")
        yield f"{indent}Saga->>{primary.key}: act({context})"
        for failing, fallback in itertools.pairwise(step):
            yield f"{indent}opt {failing.label} fails or its circuit is open"
            yield f"{indent}    Saga->>{fallback.key}: act({context})"
            yield f"{indent}end"
        yield f"{indent}alt acts"
        yield f"{indent}    {primary.key}-->>Saga: {type_label(primary.response, 'response')}"
        if position + 1 < len(self._steps):
            yield from self._forward(position + 1, indent + "    ")
        else:
            yield f"{indent}    Note over Saga: completed"
        yield f"{indent}else fails"
        for one in reversed(step):
            if one.step.compensate_on_failure:
                yield f"{indent}    Saga->>{one.key}: compensate({context})"
        for earlier in reversed(self._steps[:position]):
            yield f"{indent}    Saga->>{earlier[0].key}: compensate({context})"
        yield f"{indent}    Note over Saga: failed"
        yield f"{indent}end"
