"""What became of many sagas: read at once, checked one by one."""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import select

from cqrs.saga.storage.sqlalchemy_models import SagaExecutionModel, SagaLogModel
from tests.crash.effects import Effect, Effects, count
from tests.crash.facts import Facts, Line, problems_of_end, problems_of_moment
from tests.crash.orders import VARIANTS
from tests.servers.databases import create_engine


@dataclasses.dataclass
class Tally:
    """The figures of a run.

    Attributes:
        never_begun: sagas whose process died before anything was durable.
        completed: sagas in which every step has acted.
        fully_compensated: failed sagas in which every step that had acted was compensated.
        compensation_given_up: failed sagas in which the compensation that always fails was given up.
        stuck: sagas in no final status.
        steps_done_twice_after_completion: what must not happen.
        steps_interrupted_and_done_again: what a crash makes unavoidable; the idempotency key is the same.
        recovered: sagas in which more than one process acted.
        problems: what is wrong, in words.
    """

    never_begun: int = 0
    completed: int = 0
    fully_compensated: int = 0
    compensation_given_up: int = 0
    stuck: int = 0
    steps_done_twice_after_completion: int = 0
    steps_interrupted_and_done_again: int = 0
    recovered: int = 0
    problems: list[str] = dataclasses.field(default_factory=list)

    def figures(self) -> dict[str, int]:
        values = dataclasses.asdict(self)
        return {**values, "problems": len(self.problems)}

    def add(self, saga_id: uuid.UUID, variant: str, facts: Facts) -> None:
        expected = VARIANTS[variant].expected
        problems = [*problems_of_moment(facts), *problems_of_end(facts, expected)]
        self.problems += [f"{saga_id} ({variant}): {problem}\n{facts}" for problem in problems]
        done = count(facts.effects)
        started = Counter(line[:2] for line in facts.log if line[2] == "started")
        for place, times in done.items():
            self.steps_interrupted_and_done_again += max(min(times, started[place]) - 1, 0)
            self.steps_done_twice_after_completion += max(times - started[place], 0)
        self.recovered += len({effect.pid for effect in facts.effects}) > 1
        if facts.status is None:
            self.never_begun += 1
        elif facts.status == "completed":
            self.completed += 1
        elif facts.status != "failed":
            self.stuck += 1
        elif facts.positions("compensate", "failed"):
            self.compensation_given_up += 1
        else:
            self.fully_compensated += 1


async def tally(url: str, effects: Path, variants: Mapping[uuid.UUID, str]) -> Tally:
    """Read everything and check every saga."""
    engine = create_engine(url)
    async with engine.connect() as connection:
        saga, line = SagaExecutionModel, SagaLogModel
        sagas = (await connection.execute(select(saga.id, saga.status, saga.context))).all()
        columns = (line.saga_id, line.position, line.action, line.status, line.step_name)
        lines = (await connection.execute(select(*columns).order_by(line.id))).all()
    await engine.dispose()
    logs: dict[uuid.UUID, list[Line]] = {}
    for saga_id, *rest in lines:
        position, action, status, name = rest
        logs.setdefault(saga_id, []).append((position, str(action), str(status), name))
    done: dict[str, list[Effect]] = {}
    for effect in Effects(effects).all():
        done.setdefault(effect.saga, []).append(effect)
    found = {row[0]: (str(row[1]), row[2]) for row in sagas}
    result = Tally()
    for saga_id, variant in variants.items():
        status, context = found.get(saga_id, (None, {}))
        if isinstance(context, str):
            context = json.loads(context)
        facts = Facts(status, context, tuple(logs.get(saga_id, ())), tuple(done.get(str(saga_id), ())))
        result.add(saga_id, variant, facts)
    return result
