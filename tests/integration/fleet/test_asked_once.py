"""One call asks for one permit, whatever becomes of its request and of the connection that it is sent on."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import pytest

from cqrs.circuit_breaker import CircuitBreakerPolicy, CircuitBreakers, RedisStore
from cqrs.testing import ChaosProxy
from tests.integration.fleet import keys
from tests.integration.fleet.processes import until
from tests.servers.commands import Commands
from tests.servers.redis_server import RedisServer

# There is room for three: a second permit of the same call would be granted, and seen.
POLICY = CircuitBreakerPolicy.consecutive(
    3, ttl=0.2, permitted_calls_in_half_open=5, max_concurrent_probes=3, permit_lease=60
)
RETRIES = 4


def by_url(proxy: ChaosProxy) -> Any:
    return proxy.url("redis")


def by_client_that_retries(proxy: ChaosProxy) -> Any:
    """The application's own factory decides how its clients behave."""
    from redis.asyncio import Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import ConnectionError, TimeoutError

    def make() -> Any:
        return Redis.from_url(
            proxy.url("redis"),
            protocol=2,
            retry=Retry(NoBackoff(), RETRIES),
            retry_on_error=[ConnectionError, TimeoutError],
        )

    return make


def replies_lost(proxy: ChaosProxy) -> AbstractContextManager[object]:
    return proxy.drop_replies()


def cut_in_the_reply(proxy: ChaosProxy) -> AbstractContextManager[object]:
    """A handshake, or NOSCRIPT, comes through; a reply of the script does not."""
    return proxy.cut(after_bytes=100, direction="down")


class Asking:
    """A process behind a proxy, with a circuit that is to be probed."""

    def __init__(self, server: RedisServer, proxy: ChaosProxy, target: Any) -> None:
        self.server = server
        self.proxy = proxy
        self.retries = callable(target)
        self.namespace = f"once {uuid.uuid4().hex[:8]}"
        # It sends what calls make it send, and nothing on its own: no exchange gives a lost permit back.
        self.store = RedisStore(target, namespace=self.namespace, sync_interval=30.0, push=False, quorum=0)
        self.breakers = CircuitBreakers(POLICY, store=self.store)
        self.pay = self.breakers["pay"]

    def trip(self) -> None:
        assert self.store.start()
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                self.pay.call(lambda: 1 // 0)
        until(lambda: self.pay.gate.shared.view.state == "open", "the fleet is open")  # type: ignore[attr-defined]
        until(lambda: self.pay.state == "half_open", "time to probe")
        self.store.session.random = lambda: 0.0  # the first call may ask, without a random delay

    def ask_in_vain(self) -> None:
        """Ask once, and wait until that has failed."""
        assert self.pay.try_acquire() is None
        until(lambda: self.store.health().last_error, "it has failed")

    def permits(self) -> list[str]:
        return keys.permits(self.server, self.namespace, "pay")


@pytest.fixture(params=[by_url, by_client_that_retries])
def asking(request: pytest.FixtureRequest, server: RedisServer) -> Iterator[Asking]:
    with ExitStack() as stack:
        proxy = stack.enter_context(ChaosProxy(*server.address))
        made = Asking(server, proxy, request.param(proxy))
        stack.callback(made.breakers.close)
        made.trip()
        yield made


def asked_for(commands: Commands) -> list[str]:
    """The permits asked for, in the order in which the server was asked."""
    texts = [each.text for each in commands.all() if each.name in ("evalsha", "eval")]
    found = [re.search(r"op\W+acquire\W.*?permit\W+([0-9a-f]{16})", text) for text in texts]
    return [match.group(1) for match in found if match]


@pytest.mark.parametrize("fault", [replies_lost, cut_in_the_reply])
@pytest.mark.parametrize("script", ["known", "unknown"])
def test_a_request_whose_reply_is_lost_takes_one_permit_at_most(
    asking: Asking, fault: Callable[[ChaosProxy], AbstractContextManager[object]], script: str
) -> None:
    server = asking.server
    with server.commands() as commands:
        if script == "unknown":
            server.admin.script_flush()
        with fault(asking.proxy):
            asking.ask_in_vain()
        asked = asked_for(commands)
    assert asked
    assert len(set(asked)) == 1
    assert asking.permits() in ([asked[0]], [])
    again = asking.retries and fault is cut_in_the_reply  # a silent connection gives no reason to try another
    assert (len(asked) > 1) is (again or (script == "unknown" and fault is cut_in_the_reply))
    if script == "known":
        assert asking.permits() == [asked[0]], "it was granted, and only the reply was lost"


def test_what_was_lost_is_given_back_and_the_next_call_probes(asking: Asking) -> None:
    with replies_lost(asking.proxy):
        asking.ask_in_vain()
    (lost,) = asking.permits()
    permit = until(asking.pay.try_acquire, "the next call probes")
    # The new connection brings an exchange, and with it the old permit back.
    until(lambda: asking.permits() == [permit.grant.permit], "only the running probe's is left")
    assert permit.grant.permit != lost
    assert permit.success()
