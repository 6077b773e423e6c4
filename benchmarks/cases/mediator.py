"""Sending one request: bare, through bootstrap, through a breaker, into a fallback."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from harness.environments import CQRS_4, CQRS_5, DIATOR, HOLDFAST
from harness.model import Builder, Case, Prepared, Target

QUIET = {"log_level": logging.ERROR, "library_log_level": logging.ERROR}
CQRS = (HOLDFAST, CQRS_4, CQRS_5)
PEERS = {CQRS_4: "python-cqrs 4.10", CQRS_5: "python-cqrs 5.3"}
FLOOR = "floor: await Handler().handle(request)"

SEND = Case(
    key="send",
    title="send, no middleware",
    what=(
        "`await mediator.send(request)` with a handler that returns a constant, no middleware, no events. "
        "The request is built once, outside the loop. Holdfast runs with its built-in container; the peers "
        "have none, so they get the least container that they accept, one `resolve` method that calls the "
        "class, and Holdfast is measured with that one too."
    ),
    targets=(Target("Holdfast", "ratio", 3.0),),
)
BOOTSTRAP = Case(
    key="send-bootstrap",
    title="send through `bootstrap`",
    what=(
        "The same request through a mediator made by `bootstrap(...)` with its default logging middleware; "
        "root logger and the library's logger at WARNING, so DEBUG and INFO are off. Three containers: "
        "built-in (Holdfast only), the one-method container, and `di.Container()` as python-cqrs's quick "
        "start shows it. python-cqrs sets its logger to DEBUG when it is imported; the rows *as shipped* "
        "leave it so, with the root logger at WARNING."
    ),
    targets=(Target("Holdfast", "ratio", 6.0),),
    shown_peers=("python-cqrs 4.10, di container", "python-cqrs 5.3, di container"),
    cannot="diator has no `bootstrap` and no default middleware.",
)
BREAKER = Case(
    key="send-breaker",
    title="send, fallback declared, breaker closed",
    what=(
        "The handler is bound as `RequestHandlerFallback(primary, fallback, circuit_breaker=...)` and "
        "succeeds every time; no middleware. Holdfast runs its native breaker with the default policy (30 s "
        "time window, failure rate), with a slow-call threshold on top, with the `consecutive` preset, and "
        "with `AioBreakerAdapter`; the peers offer `AioBreakerAdapter`."
    ),
    targets=(
        Target("Holdfast, window policy", "ratio", 8.0),
        Target("Holdfast, consecutive preset", "ratio", 5.0),
    ),
    cannot="diator has neither fallbacks nor breakers.",
)
FALLBACK = Case(
    key="send-fallback",
    title="primary fails, fallback answers",
    what=(
        "The primary raises `ConnectionError`, the fallback answers; no breaker, no middleware, loggers at "
        "ERROR. The floor is a handler that raises and is caught, without any fallback; the second floor "
        "also calls the fallback by hand. The last rows have WARNING on and a handler that formats the "
        "record and writes it to the null device."
    ),
    targets=(Target("Holdfast", "ratio", 2.5),),
    shown_peers=("python-cqrs 4.10", "python-cqrs 5.3"),
    cannot="diator has no fallbacks.",
)
OPEN = Case(
    key="send-open",
    title="circuit open, fallback answers",
    what=(
        "As above with a breaker that is open: the primary is not called, the fallback answers. Floor: the "
        "fallback called by hand."
    ),
    cannot="diator has neither fallbacks nor breakers.",
)
CASES = (SEND, BOOTSTRAP, BREAKER, FALLBACK, OPEN)


async def _sending(mediator: Any, request: Any, expected: Any, **options: Any) -> Prepared:
    """A prepared subject that sends; checked: the right response comes back."""
    send = mediator.send
    for _ in range(3):
        response = await send(request)
        assert response is expected, f"expected {expected}, got {response}"

    async def loop(count: int) -> None:
        for _ in range(count):
            await mediator.send(request)

    return Prepared(loop, **options)


@SEND.subject(FLOOR, *CQRS, floor=True)
@BOOTSTRAP.subject(FLOOR, *CQRS, floor=True)
@BREAKER.subject(FLOOR, *CQRS, floor=True)
def _call_by_hand() -> Prepared:
    from .app import PING, PingHandler

    async def loop(count: int) -> None:
        request = PING
        for _ in range(count):
            await PingHandler().handle(request)

    return Prepared(loop)


@OPEN.subject("floor: await Fallback().handle(request)", *CQRS, floor=True)
def _call_fallback_by_hand() -> Prepared:
    from .app import PING, SpareHandler

    async def loop(count: int) -> None:
        request = PING
        for _ in range(count):
            await SpareHandler().handle(request)

    return Prepared(loop)


@FALLBACK.subject("floor: handler raises, caught", *CQRS, floor=True)
def _catch_by_hand() -> Prepared:
    from .app import PING, BrokenHandler

    async def loop(count: int) -> None:
        request = PING
        for _ in range(count):
            try:
                await BrokenHandler().handle(request)
            except ConnectionError:
                pass

    return Prepared(loop, **QUIET)


@FALLBACK.subject("second floor: caught, then fallback called by hand", *CQRS)
def _catch_and_call_by_hand() -> Prepared:
    from .app import PING, BrokenHandler, SpareHandler

    async def loop(count: int) -> None:
        request = PING
        for _ in range(count):
            try:
                await BrokenHandler().handle(request)
            except ConnectionError:
                await SpareHandler().handle(request)

    return Prepared(loop, **QUIET)


# -- Holdfast's own ways ---------------------------------------------------------------------------


def built_in_container() -> Any:
    """Holdfast's container; handlers need no registration."""
    from cqrs.container import BuiltinContainer

    return BuiltinContainer()


def one_method_container() -> Any:
    from .app import OneMethodContainer

    return OneMethodContainer()


def di_container() -> Any:
    import di

    return di.Container()


def window_breaker() -> Any:
    from cqrs.circuit_breaker import CircuitBreakerPolicy, CircuitBreakers

    return CircuitBreakers(CircuitBreakerPolicy())


def slow_call_breaker() -> Any:
    from cqrs.circuit_breaker import CircuitBreakerPolicy, CircuitBreakers

    return CircuitBreakers(CircuitBreakerPolicy(slow_call_duration_threshold=2.0))


def consecutive_breaker() -> Any:
    from cqrs.circuit_breaker import CircuitBreakerPolicy, CircuitBreakers

    return CircuitBreakers(CircuitBreakerPolicy.consecutive(threshold=5, ttl=3600.0))


def aiobreaker_adapter() -> Any:
    from cqrs.adapters.circuit_breaker import AioBreakerAdapter

    return AioBreakerAdapter(fail_max=5, timeout_duration=3600)


# -- builders --------------------------------------------------------------------------------------


def _send(make_container: Callable[[], Any]) -> Builder:
    async def build() -> Prepared:
        from .app import PING, PONG, PingHandler, request_mediator

        return await _sending(request_mediator(PingHandler, make_container()), PING, PONG)

    return build


def _logging(level: int) -> dict[str, int]:
    return {"log_level": level, "library_log_level": level}


def _send_bootstrapped(make_container: Callable[[], Any], **options: Any) -> Builder:
    async def build() -> Prepared:
        from .app import PING, PONG, PingHandler, bootstrapped

        return await _sending(bootstrapped(PingHandler, make_container()), PING, PONG, **options)

    return build


def _send_guarded(make_container: Callable[[], Any], make_breaker: Callable[[], Any]) -> Builder:
    async def build() -> Prepared:
        import cqrs

        from .app import PING, PONG, PingHandler, SpareHandler, request_mediator

        pair = cqrs.RequestHandlerFallback(PingHandler, SpareHandler, circuit_breaker=make_breaker())
        return await _sending(request_mediator(pair, make_container()), PING, PONG)

    return build


def _send_failing(make_container: Callable[[], Any], log_level: int) -> Builder:
    async def build() -> Prepared:
        import cqrs

        from .app import PING, SPARE, BrokenHandler, SpareHandler, request_mediator

        pair = cqrs.RequestHandlerFallback(BrokenHandler, SpareHandler, failure_exceptions=(ConnectionError,))
        mediator = request_mediator(pair, make_container())
        return await _sending(mediator, PING, SPARE, **_logging(log_level))

    return build


def _send_open(make_container: Callable[[], Any], make_breaker: Callable[[], Any]) -> Builder:
    async def build() -> Prepared:
        import cqrs

        from .app import PING, SPARE, Ping, Pong, SpareHandler, request_mediator

        class Primary(cqrs.RequestHandler[Ping, Pong]):
            calls = 0

            async def handle(self, request: Ping) -> Pong:
                Primary.calls += 1
                raise ConnectionError("the dependency is down")

        pair = cqrs.RequestHandlerFallback(Primary, SpareHandler, circuit_breaker=make_breaker())
        mediator = request_mediator(pair, make_container())
        for _ in range(5):
            assert await mediator.send(PING) is SPARE

        def still_open(_: int) -> None:
            assert Primary.calls == 5, f"the primary was called {Primary.calls} times"

        return await _sending(mediator, PING, SPARE, **QUIET, verify=still_open)

    return build


def _register() -> None:
    SEND.add("Holdfast", _send(built_in_container), [HOLDFAST])
    SEND.add("Holdfast, one-method container", _send(one_method_container), [HOLDFAST])
    BOOTSTRAP.add("Holdfast", _send_bootstrapped(built_in_container), [HOLDFAST])
    BOOTSTRAP.add("Holdfast, one-method container", _send_bootstrapped(one_method_container), [HOLDFAST])
    BOOTSTRAP.add("Holdfast, di container", _send_bootstrapped(di_container), [HOLDFAST])
    BREAKER.add("Holdfast, window policy", _send_guarded(built_in_container, window_breaker), [HOLDFAST])
    BREAKER.add(
        "Holdfast, window policy with slow calls",
        _send_guarded(built_in_container, slow_call_breaker),
        [HOLDFAST],
    )
    BREAKER.add(
        "Holdfast, consecutive preset", _send_guarded(built_in_container, consecutive_breaker), [HOLDFAST]
    )
    BREAKER.add(
        "Holdfast, AioBreakerAdapter", _send_guarded(built_in_container, aiobreaker_adapter), [HOLDFAST]
    )
    FALLBACK.add("Holdfast", _send_failing(built_in_container, logging.ERROR), [HOLDFAST])
    FALLBACK.add("Holdfast, WARNING on", _send_failing(built_in_container, logging.WARNING), [HOLDFAST])
    OPEN.add("Holdfast, consecutive preset", _send_open(built_in_container, consecutive_breaker), [HOLDFAST])
    OPEN.add("Holdfast, AioBreakerAdapter", _send_open(built_in_container, aiobreaker_adapter), [HOLDFAST])
    for environment, peer in PEERS.items():
        SEND.add(peer, _send(one_method_container), [environment])
        BOOTSTRAP.add(
            f"{peer}, one-method container", _send_bootstrapped(one_method_container), [environment]
        )
        BOOTSTRAP.add(f"{peer}, di container", _send_bootstrapped(di_container), [environment])
        BOOTSTRAP.add(
            f"{peer}, di container, as shipped",
            _send_bootstrapped(di_container, library_log_level=None),
            [environment],
        )
        BREAKER.add(peer, _send_guarded(one_method_container, aiobreaker_adapter), [environment])
        FALLBACK.add(peer, _send_failing(one_method_container, logging.ERROR), [environment])
        FALLBACK.add(
            f"{peer}, WARNING on", _send_failing(one_method_container, logging.WARNING), [environment]
        )
        OPEN.add(peer, _send_open(one_method_container, aiobreaker_adapter), [environment])


_register()


# -- diator ----------------------------------------------------------------------------------------


@SEND.subject(FLOOR, DIATOR, floor=True)
def _diator_by_hand() -> Prepared:
    from .diator_app import PING, PingHandler

    async def loop(count: int) -> None:
        request = PING
        for _ in range(count):
            await PingHandler().handle(request)

    return Prepared(loop)


@SEND.subject("diator", DIATOR)
async def _diator() -> Prepared:
    from .diator_app import PING, PONG, make_mediator

    return await _sending(make_mediator(), PING, PONG)
