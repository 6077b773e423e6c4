"""Random walks: the invariants of the store's side hold at every step, and Lua and Python never differ.

Each walk is determined by its number; when one fails, the message lists its last steps. For hunting:
``FLEET_WALKS=20000 pytest tests/fleet/coordination/test_walks.py``.
"""

from __future__ import annotations

import json
import os

import pytest

from .servers import BothServers, PythonServer, Server, running
from .walks import Walk

WALKS = int(os.environ.get("FLEET_WALKS", "0"))
STEPS = 120
BATCHES = 4


def walk(server: Server, number: int) -> None:
    python = server.python if isinstance(server, BothServers) else server
    assert isinstance(python, PythonServer)
    server.flush()
    server.published(), server.audited()
    story = Walk(server, number, rollbacks=number % 3 == 0)
    try:
        for step in range(STEPS):
            story.take()
            story.check(python)
            if step % 10 == 9:
                story.compare()
                if isinstance(server, BothServers):
                    server.compare_keys()
    except AssertionError as error:
        error.add_note(f"walk {number}, rules {json.dumps(story.rules)}")
        error.add_note("its last steps:\n  " + "\n  ".join(json.dumps(each) for each in story.log[-12:]))
        raise


@pytest.mark.parametrize("batch", range(BATCHES))
def test_random_walks_keep_the_invariants(batch: int, request: pytest.FixtureRequest) -> None:
    with running("python", request) as server:
        for number in range(batch, WALKS or 300, BATCHES):
            walk(server, number)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_lua_and_python_agree_on_random_walks(batch: int, request: pytest.FixtureRequest) -> None:
    with running("both", request) as server:
        for number in range(batch, WALKS or 100, BATCHES):
            walk(server, number)
