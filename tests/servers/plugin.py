"""Pytest plugin: fixtures that need a server, and the list of what was not tested for want of one."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import Any

import pytest

from tests.servers.cluster import RedisCluster
from tests.servers.redis_server import RedisServer, ServerMissing, find_binary, private_redis
from tests.servers.sentinel import SentinelSet

NOT_TESTED = "server missing: "


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The URL of a Redis-protocol server: HOLDFAST_TEST_REDIS_URL when set, else a private one."""
    configured = os.environ.get("HOLDFAST_TEST_REDIS_URL")
    if configured:
        yield configured
        return
    with private_redis_or_skip() as url:
        yield url


@contextmanager
def private_redis_or_skip() -> Iterator[str]:
    """Run a private server, for tests that stop it themselves; skips the test when there is none."""
    skip_without_server()
    with private_redis() as url:
        yield url


def skip_without_server() -> None:
    """Skip the test, to be told at the end of the run, when a private server cannot be started here."""
    if find_spec("redis") is None:
        pytest.skip(f"{NOT_TESTED}no Redis client: pip install redis")
    try:
        find_binary()
    except ServerMissing as missing:
        pytest.skip(f"{NOT_TESTED}{missing}")


@pytest.fixture
def redis_servers() -> Iterator[Callable[..., RedisServer]]:
    """A factory of started private servers, with the arguments of `RedisServer`; all end with the test.

    A server from the environment is never used: these are made to be broken.
    """
    skip_without_server()
    with ExitStack() as stack:

        def start(**options: Any) -> RedisServer:
            try:
                return stack.enter_context(RedisServer(**options))
            except ServerMissing as missing:  # a kind of server
                pytest.skip(f"{NOT_TESTED}{missing}")

        yield start


@pytest.fixture
def redis_server(redis_servers: Callable[..., RedisServer]) -> RedisServer:
    """A private server on a TCP port, for this test alone: kill it, freeze it, fill its memory."""
    return redis_servers()


@pytest.fixture(scope="module")
def redis_cluster() -> Iterator[RedisCluster]:
    """A private cluster of three masters, for the tests of one module (it takes 3 s to start)."""
    skip_without_server()
    with RedisCluster() as cluster:
        yield cluster


@pytest.fixture
def redis_sentinels() -> Iterator[SentinelSet]:
    """A master, a replica and three sentinels, for this test alone."""
    skip_without_server()
    with SentinelSet() as sentinels:
        yield sentinels


@pytest.fixture
def redis_client(redis_url: str) -> Iterator[Any]:
    """A synchronous client with short timeouts and no retries."""
    import redis

    client = redis.Redis.from_url(redis_url, socket_timeout=2.0, socket_connect_timeout=2.0, retry=None)
    try:
        client.ping()  # a configured server that cannot be reached fails the test; it does not skip it
        yield client
    finally:
        client.close()


@pytest.fixture
def redis_namespace(redis_client: Any) -> Iterator[str]:
    """A prefix for this test's keys, which are removed after it: the server may be somebody's own."""
    namespace = f"holdfast-test-{uuid.uuid4().hex}"
    yield namespace
    keys = list(redis_client.scan_iter(match=f"{namespace}*"))
    if keys:
        redis_client.delete(*keys)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly which tests did not run because a server was missing, and how to get it."""
    reasons: dict[str, list[str]] = {}
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        _, found, rest = reason.partition(NOT_TESTED)
        if found:
            reasons.setdefault(rest, []).append(report.nodeid)
    if not reasons:
        return
    terminalreporter.section("NOT TESTED", sep="!", red=True, bold=True)
    for reason, tests in sorted(reasons.items()):
        terminalreporter.write_line(f"{len(tests)} tests did not run: {reason}", red=True)
        for nodeid in tests:
            terminalreporter.write_line(f"  {nodeid}")
