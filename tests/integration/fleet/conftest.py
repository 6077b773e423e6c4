"""Fixtures of fleets: a server per module, worker processes for the whole run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.integration.fleet.workers import Pool, Workers
from tests.servers.plugin import skip_without_server
from tests.servers.redis_server import RedisServer


@pytest.fixture(scope="session")
def worker_pool() -> Iterator[Pool]:
    """Idle worker processes."""
    pool = Pool()
    try:
        yield pool
    finally:
        pool.close()


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """A private server for the tests of one module; each fleet has a namespace of its own."""
    skip_without_server()
    with RedisServer() as server:
        yield server


@pytest.fixture
def workers(worker_pool: Pool) -> Iterator[Callable[..., Workers]]:
    """A factory of fleets, with the arguments of ``Workers`` but the pool; all end with the test."""
    with ExitStack() as stack:
        yield lambda *args, **options: stack.enter_context(Workers(worker_pool, *args, **options))
