"""The engine and the reference model must never disagree: random walks, many more than Hypothesis takes.

Each walk is determined by its number. When one fails, the message lists its last steps; the state machine in
``test_circuit.py`` has the same rules and finds a short example.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import pytest

from cqrs.circuit_breaker import Mode, State

from .pair import FORMS, LATENESS, VERDICTS, Pair, Running
from .policies import TICK, draw_policy, for_reload

WALKS = int(os.environ.get("MODEL_WALKS", "2000"))
BATCHES = 12
STEPS = 120


class Walk:
    """One circuit with a random policy, and somebody with random habits who uses it."""

    def __init__(self, number: int) -> None:
        self.random = random.Random(number)
        self.pair = Pair(draw_policy(self.random.choice), 1024.0 + self.random.randrange(64) * TICK)
        self.running: list[Running] = []
        self.done: list[Running] = []
        self.log: list[str] = []
        habits: dict[Callable[[], None], float] = {
            self.start: 4,
            self.end: 8,
            self.drop: 0.3,
            self.end_again: 0.3,
            self.run: 5,
            self.wait: 2,
            self.wait_until_due: 4,
            self.step_back: 0.5,
            self.roll: 0.3,
            self.break_down: 2,
            self.lose_probe: 2,
            self.override: 0.3,
            self.reset: 0.15,
            self.reload: 0.3,
        }
        self.steps = list(habits)
        self.weights = [weight * self.random.choice([0, 0.3, 1, 1, 3]) + 0.01 for weight in habits.values()]

    def take(self) -> None:
        step = self.random.choices(self.steps, self.weights)[0]
        step()
        self.pair.check()

    def note(self, *what: object) -> None:
        self.log.append(" ".join(map(str, what)))

    def seconds(self) -> float:
        return self.random.choice([self.random.randint(1, 8), self.random.randint(1, 80), 8 * 3600]) * TICK

    def start(self) -> None:
        for _ in range(self.random.choice([1, 1, 2, 4])):
            running = self.pair.start()
            self.note("start", "admitted" if running else "rejected")
            if running is not None:
                self.running.append(running)

    def end(self) -> None:
        if self.running:
            running = self.running.pop(self.random.randrange(len(self.running)))
            verdict, by_hand = self.random.choice(VERDICTS), self.random.random() < 0.4
            self.note("end", running.call, verdict, by_hand)
            self.pair.end(running, verdict, by_hand)
            self.done.append(running)

    def drop(self) -> None:
        if self.running:
            running = self.running.pop(self.random.randrange(len(self.running)))
            self.note("drop", running.call)
            self.pair.drop(running)
            self.done.append(running)

    def end_again(self) -> None:
        if self.done:
            self.note("end again")
            self.pair.end(
                self.random.choice(self.done), self.random.choice(VERDICTS), self.random.random() < 0.5
            )

    def run(self) -> None:
        verdicts = [self.random.choice(VERDICTS) for _ in range(self.random.randint(1, 6))]
        seconds = self.random.choice([0.0, 0.0, TICK, 0.5, 1.5])
        form = self.random.choice(FORMS)
        self.note("run", *verdicts, seconds, form)
        self.pair.run(verdicts, seconds, form)

    def wait(self) -> None:
        seconds = self.seconds()
        self.note("wait", seconds)
        self.pair.advance(seconds)

    def wait_until_due(self) -> None:
        moments = sorted(self.pair.model.moments())
        if moments:
            moment = self.random.choice(moments) + self.random.choice(LATENESS)
            self.note("wait until", moment)
            self.pair.advance_to(moment)

    def step_back(self) -> None:
        if self.pair.may_step_back:
            seconds = self.random.randint(1, 40) * TICK
            self.note("step back", seconds)
            self.pair.step_back(seconds)

    def roll(self) -> None:
        self.pair.drawn = self.random.choice([0.0, 0.25, 0.5, 0.75])
        self.note("roll", self.pair.drawn)

    def break_down(self) -> None:
        stage, rejected = self.random.choice(["open", "half-open", "recovered"]), self.random.random() < 0.5
        self.note("break down", stage, rejected)
        self.pair.break_down(stage, rejected)

    def lose_probe(self) -> None:
        if self.pair.model.view() == (State.HALF_OPEN, "probing"):
            late = self.random.choice(LATENESS)
            self.note("lose probe", late)
            running = self.pair.lose_probe(late)
            if running is not None:
                self.running.append(running)

    def override(self) -> None:
        mode = self.random.choice([*Mode, None, None])
        ttl = self.random.choice([None, self.seconds()])
        self.note("override", mode, ttl)
        self.pair.override(mode, ttl)

    def reset(self) -> None:
        self.note("reset")
        self.pair.reset()

    def reload(self) -> None:
        policy = for_reload(self.pair.model.policy, draw_policy(self.random.choice))
        self.note("reload", policy)
        self.pair.reload(policy)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_engine_and_model_agree_on_random_walks(batch: int) -> None:
    for number in range(batch, WALKS, BATCHES):
        walk = Walk(number)
        try:
            for _ in range(STEPS):
                walk.take()
        except AssertionError as error:
            error.add_note(f"walk {number}, {walk.pair.model.policy}")
            error.add_note("its last steps:\n  " + "\n  ".join(walk.log[-25:]))
            raise
