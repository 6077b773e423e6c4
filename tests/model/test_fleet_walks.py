"""The model decides what a store decides too: one model for the engine, the coordinator and the script.

Like ``test_walks.py``; the circuit is a shell around a store's operations. To hunt: ``MODEL_FLEET_WALKS``.
"""

from __future__ import annotations

import os

import pytest

from tests.fleet.coordination.servers import KINDS, Server, running

from .fleet_pair import FleetPair
from .test_walks import STEPS, Walk

WALKS = int(os.environ.get("MODEL_FLEET_WALKS", "0"))
DEFAULTS = {"python": 400, "both": 60}
BATCHES = 4


class FleetWalk(Walk):
    """The habits of the other walks, without reloads and backward steps: a store knows nothing of those."""

    def __init__(self, number: int, server: Server) -> None:
        super().__init__(number)
        self.pair = FleetPair(self.pair.model.policy, self.pair.model.now, server)
        kept = [
            (step, weight)
            for step, weight in zip(self.steps, self.weights, strict=True)
            if step not in (self.reload, self.step_back)
        ]
        self.steps = [step for step, _ in kept]
        self.weights = [weight for _, weight in kept]


@pytest.mark.parametrize("batch", range(BATCHES))
@pytest.mark.parametrize("kind", KINDS)
def test_store_and_model_agree_on_random_walks(kind: str, batch: int, request: pytest.FixtureRequest) -> None:
    with running(kind, request) as server:
        for number in range(batch, WALKS or DEFAULTS[kind], BATCHES):
            server.flush()
            walk = FleetWalk(number, server)
            try:
                for _ in range(STEPS):
                    walk.take()
            except AssertionError as error:
                error.add_note(f"walk {number}, {walk.pair.model.policy}")
                error.add_note("its last steps:\n  " + "\n  ".join(walk.log[-25:]))
                raise
