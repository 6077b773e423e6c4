"""F12: any text is a name, and names, namespaces and shards keep apart what does not belong together."""

from __future__ import annotations

import pytest

from cqrs.circuit_breaker import CircuitBreakers
from cqrs.testing import Fleet, MemoryServer, MemoryStore
from tests.fleet.support import Boom, attempt, circuit, fail, row_policy, touch

NAMES = [
    "payments",
    "zahlung für {x}",
    "付款",
    "🔥",
    "a b\tc\nd",
    "x" * 1000,
    "*",
    "#",
    "~",
    "%7E{0}:s:",
    "null\x00byte",
    "\ud800 lone surrogate",
    '"quoted" \\ back',
    "payments:*",
    "é",
    "e\u0301",
]


@pytest.mark.parametrize("shards", [1, 7])
def test_f12_every_name_has_a_circuit_of_its_own(shards: int) -> None:
    fleet = Fleet(2, row_policy(2, 60.0), shards=shards)
    for name in NAMES:
        touch(fleet, name)
    for name in NAMES:
        fail(fleet.nodes[0], name=name)
        assert fleet.states(name) == ["closed", "closed"]
        fail(fleet.nodes[1], name=name)
        assert fleet.states(name) == ["open", "open"], name
        assert [entry["why"] for entry in fleet.audit(name)] == ["2 failures in a row"]


def test_f12_a_circuit_called_like_the_order_for_all_is_a_circuit() -> None:
    fleet = Fleet(2, row_policy(1, 60.0))
    touch(fleet)
    fail(fleet.nodes[0], name="*")
    fleet.advance(1.2)
    assert fleet.states("payments") == ["closed"] * 2


def test_f12_namespaces_share_nothing() -> None:
    server = MemoryServer(lambda: 1000.0)
    shops = [
        CircuitBreakers(
            row_policy(1, 60.0), store=MemoryStore(server, namespace=namespace), clock=lambda: 1000.0
        )
        for namespace in ("shop", "shop ", "shop:0", "{shop}", "SHOP", "shöp")
    ]
    for shop in shops:
        assert shop["payments"].state == "closed"
        with pytest.raises(Boom):
            shop["payments"].call(_fail)
        assert shop["payments"].state == "open"


def test_f12_shards_open_independently_and_are_all_heard_of() -> None:
    fleet = Fleet(3, row_policy(1, 60.0), shards=5, push=False)
    names = [f"c{number}" for number in range(20)]
    for name in names:
        touch(fleet, name)
    for name in names[::2]:
        fail(fleet.nodes[0], name=name)
    fleet.advance(1.2)
    for number, name in enumerate(names):
        assert fleet.states(name) == ["closed" if number % 2 else "open"] * 3


def test_f12_children_of_a_parent_that_the_fleet_has_opened_are_rejected() -> None:
    fleet = Fleet(2, row_policy(1, 10.0))
    child = [node.breakers.key("llm", "tenant") for node in fleet.nodes]
    fail(fleet.nodes[0], name="llm")
    for each in child:
        assert each.state == "closed"
        with pytest.raises(Exception, match="is open") as caught:
            each.call(lambda: None)
        assert getattr(caught.value, "source", "") == "parent"
    fleet.advance(10.1)
    assert child[0].call(lambda: "ok") == "ok"  # children probe while the parent is half-open


def test_f12_children_are_shared_as_well() -> None:
    fleet = Fleet(2, row_policy(2, 10.0))
    child = [node.breakers.key("llm", "tenant") for node in fleet.nodes]
    for each in child:
        with pytest.raises(Boom):
            each.call(_fail)
    assert [each.state for each in child] == ["open", "open"]
    assert circuit(fleet.nodes[0], "llm").state == "closed"
    assert attempt(fleet.nodes[0], name="llm") == "ok"


def _fail() -> None:
    raise Boom
