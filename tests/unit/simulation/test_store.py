from __future__ import annotations

from typing import Any

import pytest

from cqrs.exceptions import PolicyError
from cqrs.simulation import SharedStore


def test_spans_of_an_outage_include_their_beginning_only() -> None:
    store = SharedStore(outages=[(0, 2), (5.0, 6.0)])
    assert [second for second in range(8) if store.is_down(float(second))] == [0, 1, 5]
    assert store.outages == ((0.0, 2.0), (5.0, 6.0))


def test_settings_of_the_real_store_are_taken_over() -> None:
    settings = SharedStore(sync_interval=0.2, command_timeout=0.1, quorum=0.0, push=False).settings
    assert (settings.sync_interval, settings.command_timeout) == (0.2, 0.1)
    assert (settings.quorum, settings.push) == (0.0, False)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sync_interval": 0.0}, "sync_interval"),
        ({"command_timeout": -1}, "command_timeout"),
        ({"quorum": 1.5}, "quorum"),
        ({"push": 1}, "push"),
        ({"latency": -0.1}, "SharedStore.latency"),
        ({"jitter": "much"}, "SharedStore.jitter"),
        ({"service_time": float("nan")}, "SharedStore.service_time"),
        ({"outages": [3]}, "a pair"),
        ({"outages": [(1, 2, 3)]}, "a pair"),
        ({"outages": [(-1, 3)]}, "the start of an outage"),
        ({"outages": [(3, 3)]}, "the end of an outage"),
        ({"forgets": None}, "forgets"),
    ],
)
def test_what_is_out_of_range_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        SharedStore(**fields)
