"""What the log of a saga says: a pure function from its lines."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from cqrs.exceptions import SagaDefinitionError
from cqrs.saga.storage.enums import SagaStepStatus
from cqrs.saga.storage.models import SagaLogEntry

Place: TypeAlias = tuple[int, str]
"""Position, and name of a step class."""


@dataclasses.dataclass(slots=True)
class History:
    """How far a saga has come.

    Attributes:
        acted: names of the step classes that have acted, by position, from 0 without gaps.
        starts: how often the first position that has not acted was begun.
        raised: why step classes have acted in vain, by position and name, oldest first.
        compensated: positions and names of step classes whose compensation succeeded.
        failed: why compensations were given up, likewise, unless they succeeded later.
    """

    acted: list[str]
    starts: int
    raised: dict[Place, str]
    compensated: set[Place]
    failed: dict[Place, str]


def replay(saga_id: uuid.UUID, lines: Iterable[SagaLogEntry], declared: Sequence[Sequence[str]]) -> History:
    """Return what the log of a saga says.

    Lines without position are placed by their order: the k-th completed ``act`` is that of position k, and a
    compensation is that of the last step of its name that is not compensated.

    Args:
        saga_id: the saga, for error messages.
        lines: its log, oldest line first.
        declared: the names of the classes that may act at each position.

    Raises:
        SagaDefinitionError: the log does not fit the declared steps.
    """
    acted: dict[int, str] = {}
    starts: dict[int, int] = {}
    raised: dict[Place, str] = {}
    compensated: set[Place] = set()
    failed: dict[Place, str] = {}
    for line in lines:
        if line.action == "act":
            place = len(acted) if line.position is None else line.position
            _check_declared(saga_id, place, line.step_name, declared)
            if line.status is SagaStepStatus.COMPLETED:
                acted[place] = line.step_name
            elif line.status is SagaStepStatus.STARTED:
                starts[place] = starts.get(place, 0) + 1
            else:
                raised[place, line.step_name] = line.details or "it failed"
            continue
        place = _compensated_place(line, acted, compensated)
        _check_declared(saga_id, place, line.step_name, declared)
        if line.status is SagaStepStatus.COMPLETED:
            compensated.add((place, line.step_name))
            failed.pop((place, line.step_name), None)
        elif line.status is SagaStepStatus.FAILED:
            failed[place, line.step_name] = line.details or ""
    for place in range(len(acted)):
        if place not in acted:
            raise SagaDefinitionError(
                f"saga {saga_id}: its log has no completed act of position {place} "
                f"({' or '.join(declared[place])}), but of position {max(acted)} ({acted[max(acted)]}); "
                "a saga that has begun cannot be resumed with other steps"
            )
    names = [acted[place] for place in range(len(acted))]
    for numbered in enumerate(names):
        raised.pop(numbered, None)
    return History(names, starts.get(len(names), 0), raised, compensated, failed)


def _compensated_place(line: SagaLogEntry, acted: dict[int, str], compensated: set[Place]) -> int:
    if line.position is not None:
        return line.position
    places = [
        place for place, name in acted.items() if name == line.step_name and (place, name) not in compensated
    ]
    return max(places, default=len(acted))


def _check_declared(saga_id: uuid.UUID, place: int, name: str, declared: Sequence[Sequence[str]]) -> None:
    if 0 <= place < len(declared) and name in declared[place]:
        return
    what = (
        f"{' or '.join(declared[place])} is declared" if 0 <= place < len(declared) else "nothing is declared"
    )
    raise SagaDefinitionError(
        f"saga {saga_id}: its log says that position {place} is {name}, but {what} there ({len(declared)} "
        "steps in all); a saga that has begun can be resumed only with the steps it was begun with"
    )
