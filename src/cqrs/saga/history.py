"""What the log of a saga says: a pure function from its lines."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterable, Sequence

from cqrs.exceptions import SagaDefinitionError
from cqrs.saga.storage.enums import SagaStepStatus
from cqrs.saga.storage.models import SagaLogEntry


@dataclasses.dataclass(slots=True)
class History:
    """How far a saga has come.

    Attributes:
        acted: names of the step classes that have acted, by position, from 0 without gaps.
        starts: how often the first position that has not acted was begun.
        compensated: positions whose compensation succeeded.
        failed: why compensations were given up, by position, unless they succeeded later.
    """

    acted: list[str]
    starts: int
    compensated: set[int]
    failed: dict[int, str]

    def to_compensate(self) -> list[int]:
        """Return the positions that have acted and are not compensated, last first."""
        return [place for place in reversed(range(len(self.acted))) if place not in self.compensated]


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
    compensated: set[int] = set()
    failed: dict[int, str] = {}
    for line in lines:
        if line.action == "act":
            place = len(acted) if line.position is None else line.position
            _check_declared(saga_id, place, line.step_name, declared)
            if line.status is SagaStepStatus.COMPLETED:
                acted[place] = line.step_name
            elif line.status is SagaStepStatus.STARTED:
                starts[place] = starts.get(place, 0) + 1
            continue
        place = _compensated_place(line, acted, compensated)
        _check_declared(saga_id, place, line.step_name, declared)
        if line.status is SagaStepStatus.COMPLETED:
            compensated.add(place)
            failed.pop(place, None)
        elif line.status is SagaStepStatus.FAILED:
            failed[place] = line.details or ""
    for place in range(len(acted)):
        if place not in acted:
            raise SagaDefinitionError(
                f"saga {saga_id}: its log has no completed act of position {place} "
                f"({' or '.join(declared[place])}), but of position {max(acted)} ({acted[max(acted)]}); "
                "a saga that has begun cannot be resumed with other steps"
            )
    names = [acted[place] for place in range(len(acted))]
    return History(names, starts.get(len(names), 0), compensated, failed)


def _compensated_place(line: SagaLogEntry, acted: dict[int, str], compensated: set[int]) -> int:
    if line.position is not None:
        return line.position
    places = [place for place, name in acted.items() if name == line.step_name and place not in compensated]
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
