"""The two axes of the table: breakers and kinds of message."""

from __future__ import annotations

import pytest

from tests.breakers import (
    Rig,
    aiobreaker_redis_rig,
    aiobreaker_rig,
    interlock_rig,
    minimal_rig,
    native_consecutive_rig,
    native_window_rig,
    no_breaker,
    purgatory_rig,
)
from tests.integration.fallbacks.kinds import WORLDS, World
from tests.integration.fallbacks.plain_kind import PlainRequestWorld

MAKERS = {
    "native-window": native_window_rig,
    "native-consecutive": native_consecutive_rig,
    "aiobreaker": aiobreaker_rig,
    "purgatory": purgatory_rig,
    "interlock": interlock_rig,
    "minimal": minimal_rig,
}
BREAKERS = [*MAKERS, "aiobreaker-redis"]
KINDS: dict[str, type[World]] = {**WORLDS, PlainRequestWorld.kind: PlainRequestWorld}


@pytest.fixture
def make_rig(request: pytest.FixtureRequest):  # type: ignore[no-untyped-def]  # a function of the test's needs
    """Return a function that makes the rig of a name; a server is started only where one is needed."""

    def make(name: str) -> Rig:
        if name == "none":
            return no_breaker()
        if name == "aiobreaker-redis":
            client, namespace = (
                request.getfixturevalue("redis_client"),
                request.getfixturevalue("redis_namespace"),
            )
            return aiobreaker_redis_rig(client, namespace)
        return MAKERS[name]()

    return make


@pytest.fixture(params=BREAKERS)
def guarded(request: pytest.FixtureRequest, make_rig) -> Rig:  # type: ignore[no-untyped-def]
    """Each breaker in turn."""
    return make_rig(request.param)


@pytest.fixture(params=["none", *BREAKERS])
def rig(request: pytest.FixtureRequest, make_rig) -> Rig:  # type: ignore[no-untyped-def]
    """No breaker, then each breaker in turn."""
    return make_rig(request.param)


@pytest.fixture(params=sorted(KINDS))
def world_of(request: pytest.FixtureRequest) -> type[World]:
    """Each kind of message in turn."""
    return KINDS[request.param]
