"""What the script makes of a real server: foreign values, lost keys, lives of keys, odd texts, long lists."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis

from cqrs.circuit_breaker.redis import script
from tests.integration.redis.support import REPORT, RULES, Shard

FAILING = {"t": 2, "f": 2, "o": 1}
SECOND = 1_000_000


@pytest.fixture
def shard(redis_client: Any, redis_namespace: str) -> Shard:
    return Shard(redis_client, redis_namespace)


def opened(shard: Shard, circuit: str = "pay", **rules: Any) -> dict[str, Any]:
    """Open a circuit with the figures of one node."""
    hasty = RULES | {"quorum": 0.0} | rules
    result = shard.report(circuit, rules=hasty, **FAILING)
    assert result["view"]["st"] == "open"
    return result


def half_open(shard: Shard, circuit: str = "pay", **rules: Any) -> dict[str, Any]:
    """Open a circuit, wait, and take its first permit, p1."""
    wait = opened(shard, circuit, **rules)["view"]["wait_us"]
    shard.advance(wait / SECOND)
    result = shard.do("acquire", circuit, rules=RULES | rules, permit="p1")
    assert result["granted"] == 1
    return result


def contents(shard: Shard) -> dict[str, Any]:
    """Return all that is stored, the audit and the clock aside."""
    client, found = shard.client, {}
    for key in sorted(client.scan_iter(match=f"{shard.prefix}*")):
        name = key.decode()[len(shard.prefix) :]
        if name not in ("audit", "clock"):
            found[name] = client.dump(key)
    return found


# ---------------------------------------------------------------------- foreign values

WRONG_TYPES = {
    "string": lambda client, key: client.set(key, "mine"),
    "list": lambda client, key: client.rpush(key, "mine"),
    "set": lambda client, key: client.sadd(key, "mine"),
    "hash": lambda client, key: client.hset(key, "mine", "1"),
    "zset": lambda client, key: client.zadd(key, {"mine": 1}),
    "stream": lambda client, key: client.xadd(key, {"mine": "1"}),
}
OPERATIONS: dict[str, dict[str, Any]] = {
    "report": REPORT | {"t": 20, "f": 20, "o": 1},
    "acquire": {"permit": "p2"},
    "settle": {"permit": "p1", "verdict": "failure", "slow": 0, "trip": 0, "trip_us": -1},
    "renew": {"permit": "p1"},
    "override": {"mode": "disabled", "ttl_us": -1, "by": "ann", "why": ""},
    "reset": {},
    "view": {},
}


RIGHT_TYPES = {"s:pay": "hash", "p:pay": "zset", "r:pay": "hash", "z:pay": "zset"}


@pytest.mark.parametrize(
    ("key", "kind"), [(key, kind) for key in RIGHT_TYPES for kind in WRONG_TYPES if kind != RIGHT_TYPES[key]]
)
def test_a_wrong_type_under_a_key_of_a_circuit_spoils_that_circuit_only(
    shard: Shard, key: str, kind: str
) -> None:
    half_open(shard)
    shard.client.delete(shard.key(key))
    WRONG_TYPES[kind](shard.client, shard.key(key))
    before = contents(shard)
    for name, fields in OPERATIONS.items():
        op = {"op": name, "id": "pay", "seen": list(shard.seen["pay"]), "rules": 0, "rnd": 0.0, **fields}
        fine = {"op": "view", "id": "mail", "seen": ["", 0], "rules": 0, "rnd": 0.0}
        reply = shard.ask(op, fine, rules=RULES | {"quorum": 0.0})
        wrong, other = reply["results"]
        found = f"holds a {kind}, not a {RIGHT_TYPES[key]}"
        assert wrong == {"id": "pay", "err": f"FOREIGN {shard.key(key)} {found}"}
        assert other["view"]["st"] == "closed"
        assert contents(shard) == before  # nothing was written, nothing overwritten


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("st", "ajar", '"ajar" as st'),
        ("st", "x" * 99, f'"{"x" * 40}" as st'),
        ("st", None, "no st"),
        ("inc", None, "no inc"),
        ("ep", "0x10", '"0x10" as ep'),
        ("ep", "1e5", '"1e5" as ep'),
        ("until", "nan", '"nan" as until'),
        ("since", "", '"" as since'),
        ("since", " 1", '" 1" as since'),
        ("since", "1.5", '"1.5" as since'),
        ("ramp", "9" * 18, f'"{"9" * 18}" as ramp'),
        ("lease", "x" * 99, f'"{"x" * 40}" as lease'),
        ("max", None, "no max"),
        ("spare", "--1", '"--1" as spare'),
    ],
)
def test_a_foreign_value_in_the_state(shard: Shard, field: str, value: str | None, text: str) -> None:
    opened(shard)
    if value is None:
        shard.client.hdel(shard.key("s:pay"), field)
    else:
        shard.client.hset(shard.key("s:pay"), field, value)
    before = contents(shard)
    for name, fields in OPERATIONS.items():
        assert shard.do(name, **fields) == {"id": "pay", "err": f"FOREIGN {shard.key('s:pay')} holds {text}"}
    assert contents(shard) == before


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("#inc", None, "no #inc"),
        ("#ep", "x", '"x" as #ep'),
        ("#t", "x", '"x" as #t'),
        ("#u", None, "no #u"),
        ("#row", "x", '"x" as #row'),
        ("#row", None, "no #row"),
        ("#w", "x", '"x" as #w'),
        ("#q:a", "x", '"x" as #q'),
        ("a", "1|2|3", '"1|2|3" for node a'),
        ("a", "x" * 99, f'"{"x" * 40}" for node a'),
        ("a", "1|0|0|0|2", '"1|0|0|0|2" for node a'),
        ("a", "-1|0|0|0|0", '"-1|0|0|0|0" for node a'),
        ("old", "x", '"x" for node old'),
    ],
)
def test_a_foreign_value_in_the_reports(shard: Shard, field: str, value: str | None, text: str) -> None:
    shard.report(node="old", t=5, f=1)
    shard.advance(29)
    shard.report(t=5, f=1, n=1, h=1)
    shard.advance(2)  # "old" has been silent for too long
    if value is None:
        shard.client.hdel(shard.key("r:pay"), field)
    else:
        shard.client.hset(shard.key("r:pay"), field, value)
    before = contents(shard)
    assert shard.report(t=20, f=20) == {"id": "pay", "err": f"FOREIGN {shard.key('r:pay')} holds {text}"}
    assert contents(shard) == before


@pytest.mark.parametrize("name", ["m", "n", "log"])
def test_a_wrong_type_under_a_key_of_the_shard_refuses_everything(shard: Shard, name: str) -> None:
    shard.client.set(shard.key(name), "mine")
    before = contents(shard)
    with pytest.raises(redis.ResponseError, match=f"^FOREIGN .*{name} holds a string, not a"):
        shard.do("override", **OPERATIONS["override"])
    assert contents(shard) == before


@pytest.mark.parametrize(("inc", "seq"), [(None, "3"), ("x", None), ("x", "y"), ("x", "1.5")])
def test_a_foreign_incarnation_of_the_shard(shard: Shard, inc: str | None, seq: str | None) -> None:
    fields = {"inc": inc, "seq": seq, "more": "1"}
    shard.client.hset(shard.key("m"), mapping={name: value for name, value in fields.items() if value})
    with pytest.raises(redis.ResponseError, match=r"^FOREIGN "):
        shard.ask()


def test_a_foreign_audit_costs_the_entry_only(shard: Shard) -> None:
    shard.client.set(shard.key("audit"), "mine")
    opened(shard)
    assert shard.client.get(shard.key("audit")) == b"mine"
    assert shard.do("view")["view"]["st"] == "open"
    with pytest.raises(redis.ResponseError, match=r"^FOREIGN .*audit holds a string, not a stream"):
        shard.ask(audit=1)


def test_foreign_circuits_are_not_listed(shard: Shard) -> None:
    for circuit in ("bad", "wrong", "good", "odd"):
        opened(shard, circuit)
    shard.report("watched", t=1, f=1)
    shard.client.set(shard.key("s:bad"), "mine")
    shard.client.hset(shard.key("s:wrong"), "st", "ajar")
    shard.client.rpush(shard.key("p:odd"), "mine")
    shard.client.hset(shard.key("r:watched"), "#t", "x")
    reply = shard.ask(beat=1)
    assert [view["id"] for view in reply["changed"]] == ["good"]
    assert shard.client.zscore(shard.key("log"), "bad") is not None


# ---------------------------------------------------------------------- keys: what exists, and for how long


def ttl(shard: Shard, name: str) -> float:
    """Return the seconds that a key has left, -1: for ever."""
    left: int = shard.client.pttl(shard.key(name))
    return left / 1000 if left >= 0 else left


def near(found: float, wanted: float) -> bool:
    return wanted - 30 < found <= wanted + 0.002  # the server's clock goes on while the test runs


def test_a_healthy_circuit_has_no_keys(shard: Shard) -> None:
    for name in ("acquire", "settle", "renew", "reset", "view"):
        shard.do(name, **OPERATIONS[name])
    shard.report()
    shard.report(n=1, z=1)
    shard.do("override", mode="", ttl_us=-1, by="", why="")
    shard.ask(beat=1)
    assert contents(shard).keys() == {"m", "n"}


def test_reports_without_trouble_are_kept_while_they_count(shard: Shard) -> None:
    shard.report(t=5)
    assert contents(shard).keys() == {"m", "r:pay", "z:pay"}
    shard.report()
    assert contents(shard).keys() == {"m"}


def test_lives_of_keys(shard: Shard) -> None:
    shard.ask(beat=1)
    assert ttl(shard, "m") == -1
    assert near(ttl(shard, "n"), 3600)
    shard.report(t=5, f=1)
    assert near(ttl(shard, "r:pay"), 60)
    assert near(ttl(shard, "z:pay"), 60)
    shard.report(t=5, f=1, rules=RULES | {"row": 5})
    assert near(ttl(shard, "r:pay"), 3600)
    assert near(ttl(shard, "z:pay"), 3600)
    shard.report("stock", t=5, f=1, n=0, rules=RULES | {"row": 1})
    assert near(ttl(shard, "r:stock"), 3600)
    shard.report("mail", t=5, f=1, rules=RULES | {"row": 5, "report_us": 4000 * SECOND})
    assert near(ttl(shard, "r:mail"), 8000)
    half_open(shard, ramp_us=7 * SECOND)
    assert near(ttl(shard, "s:pay"), 4 * 60 + 60 + 7)
    assert near(ttl(shard, "p:pay"), 10 + 60)
    shard.do("override", mode="disabled", ttl_us=900 * SECOND, by="ann", why="")
    assert near(ttl(shard, "s:pay"), 4 * 60 + 60 + 900)  # settings without a ramp
    shard.do("override", mode="disabled", ttl_us=10**6 * SECOND, by="ann", why="")
    assert near(ttl(shard, "s:pay"), 4 * 60 + 60 + 10**6)
    shard.do("override", mode="disabled", ttl_us=-1, by="ann", why="")
    assert ttl(shard, "s:pay") == -1
    shard.do("override", mode="", ttl_us=-1, by="ann", why="")
    assert near(ttl(shard, "s:pay"), 4 * 60 + 60)


def test_a_life_of_less_than_a_millisecond_is_not_none(shard: Shard) -> None:
    result = shard.report(t=5, f=1, rules=RULES | {"report_us": 400})
    assert result["view"]["watched"] == 1


def test_renewing_keeps_the_keys(shard: Shard) -> None:
    granted = half_open(shard, lease_us=20 * SECOND, half_us=3600 * SECOND, max_us=SECOND, base_us=SECOND)
    for name in ("s:pay", "p:pay"):
        shard.client.pexpire(shard.key(name), 50_000)
    seen = (granted["view"]["inc"], granted["view"]["ep"])
    op = {"op": "renew", "id": "pay", "seen": list(seen), "permit": "p1"}
    assert shard.ask(op)["results"][0]["live"] == 1
    assert near(ttl(shard, "p:pay"), 20 + 60)
    assert near(ttl(shard, "s:pay"), 4 + 3600)


def test_a_denial_prolongs_nothing(shard: Shard) -> None:
    half_open(shard)
    names = ("s:pay", "p:pay")
    for name in names:
        shard.client.pexpire(shard.key(name), 500)
    before = contents(shard)
    assert shard.do("acquire", permit="p2")["granted"] == 0
    assert contents(shard) == before
    assert all(ttl(shard, name) <= 0.5 for name in names)


def test_the_audit_does_not_grow_for_ever(shard: Shard) -> None:
    pipeline = shard.client.pipeline(transaction=False)
    for number in range(10_200):
        pipeline.xadd(shard.key("audit"), {"n": number})
    pipeline.execute()
    opened(shard)
    assert 10_000 <= shard.client.xlen(shard.key("audit")) < 10_200


def test_the_log_forgets_circuits_that_are_gone(shard: Shard) -> None:
    for number in range(20):
        opened(shard, f"c{number}")
    assert shard.client.zcard(shard.key("log")) == 20
    for number in range(5):
        shard.client.delete(shard.key(f"s:c{number}"))
    opened(shard, "new")
    assert shard.client.zrange(shard.key("log"), 0, 0) == [b"c2"]  # two per change
    opened(shard, "newer")
    opened(shard, "newest")
    assert shard.client.zcard(shard.key("log")) == 18
    shard.client.delete(shard.key("s:c9"))
    reply = shard.ask(beat=1)
    assert "c9" not in {view["id"] for view in reply["changed"]}
    assert shard.client.zscore(shard.key("log"), "c9") is None


def test_a_server_that_evicts_one_of_two_keys_leaves_no_figures_that_stay(shard: Shard) -> None:
    shard.report(node="b", t=9, f=9)
    shard.client.delete(shard.key("z:pay"))  # nobody would ever sweep what b has said
    shard.report(node="a", t=1, f=1)
    assert shard.client.hget(shard.key("r:pay"), "#t") == b"1"
    assert shard.client.hget(shard.key("r:pay"), "b") is None
    shard.client.delete(shard.key("r:pay"))
    shard.report(node="c", t=2, f=1)
    assert shard.client.hget(shard.key("r:pay"), "#t") == b"2"


def test_a_server_that_evicts_the_figures_of_one_node_only_forgets_that_node(shard: Shard) -> None:
    shard.report(node="b", t=5, f=1)
    shard.report(node="c", t=5, f=1)
    shard.client.hdel(shard.key("r:pay"), "b")
    shard.advance(31)
    assert shard.report(node="a", t=5, f=1)["taken"] == 1
    assert shard.client.zrange(shard.key("z:pay"), 0, -1) == [b"a"]
    assert (
        shard.client.hget(shard.key("r:pay"), "#t") == b"10"
    )  # what b had said, as nobody knows it any more


def test_permits_of_a_circuit_whose_state_was_evicted_are_no_probes(shard: Shard) -> None:
    half_open(shard)
    shard.client.delete(shard.key("s:pay"))
    view = shard.do("view")["view"]
    assert (view["st"], view["lives"]) == ("closed", 0)
    assert shard.do("renew", permit="p1")["live"] == 0
    assert shard.do("settle", **OPERATIONS["settle"])["applied"] == 0


def test_foreign_figures_of_another_epoch_go_with_it(shard: Shard) -> None:
    shard.report(node="b", t=9, f=1)
    shard.client.hset(shard.key("r:pay"), mapping={"#ep": "7", "#t": "mine"})
    assert shard.report(node="a", t=1, f=1)["taken"] == 1
    assert shard.client.hget(shard.key("r:pay"), "#t") == b"1"


def test_a_row_without_figures_needs_no_list_of_nodes(shard: Shard) -> None:
    rules = RULES | {"row": 5}
    shard.report(rules=rules, n=1, h=2)
    assert shard.client.exists(shard.key("z:pay")) == 0
    assert shard.report(rules=rules, n=1, h=2)["view"]["row"] == 2
    assert shard.report(rules=rules, n=2, h=1)["view"]["row"] == 3


def test_figures_of_another_incarnation_do_not_count(shard: Shard) -> None:
    opened(shard)
    shard.do("reset")
    shard.report(node="b", t=9, f=9)
    shard.client.hset(shard.key("s:pay"), "inc", "other")  # lost and made again, and as many epochs old
    shard.seen["pay"] = ("other", shard.seen["pay"][1])
    assert shard.report(node="a", t=1, f=1)["taken"] == 1
    assert shard.client.hget(shard.key("r:pay"), "#t") == b"1"


def test_a_row_of_failures_opens_for_longer_each_time(shard: Shard) -> None:
    rules = RULES | {"row": 1, "jit": 0.5, "need": 1, "ramp_us": SECOND}
    waits: list[int] = []
    for batch in (1, 2):
        waits.append(
            shard.do("report", rules=rules, rnd=0.5, **(REPORT | {"n": batch, "h": 1}))["view"]["wait_us"]
        )
        shard.advance(waits[-1] / SECOND)
        shard.do("acquire", rules=rules, permit="p")
        settled = {"verdict": "success", "slow": 0, "trip": 0, "trip_us": -1}
        shard.do("settle", rules=rules, permit="p", **settled)
    assert waits == [3_750_000, 7_500_000]


# ---------------------------------------------------------------------- numbers and texts


def test_moments_are_stored_exactly(shard: Shard) -> None:
    half_open(shard)
    stored = shard.client.hgetall(shard.key("s:pay"))
    assert int(stored[b"since"]) == shard.now
    assert shard.client.zscore(shard.key("p:pay"), "p1") == shard.now + RULES["lease_us"]
    opened(shard, "mail", jit=0.2)
    assert int(shard.client.hget(shard.key("s:mail"), "until")) == shard.now + RULES["base_us"]
    shard.report("stock", t=1, f=1)
    assert int(shard.client.hget(shard.key("r:stock"), "#w")) == shard.now
    assert all(value.isdigit() for name, value in stored.items() if name not in TEXTS)


def test_moments_of_the_far_future_can_be_read_again(shard: Shard) -> None:
    centuries = 85 * 10**14  # an end of 17 digits
    assert (
        shard.do("override", mode="disabled", ttl_us=centuries, by="ann", why="")["view"]["ov"] == "disabled"
    )
    assert shard.do("view")["view"]["ov_left_us"] == centuries


def test_who_does_not_say_the_name_keeps_it(shard: Shard) -> None:
    order = {"op": "override", "id": "pay", "seen": ["", 0], "rules": 0, "ttl_us": -1, "by": "ann", "why": ""}
    for mode, named in (("disabled", {"name": "the till"}), ("metrics_only", {"name": ""}), ("enabled", {})):
        assert "err" not in shard.ask(order | {"mode": mode} | named)["results"][0]
        assert shard.client.hget(shard.key("s:pay"), "name") == b"the till"
    names = [entry[b"name"] for _, entry in shard.client.xrange(shard.key("audit"))]
    assert names == [b"the till", b"", b""]
    shard.ask({"op": "report", "id": "mail", "seen": ["", 0], "rules": 0} | REPORT | {"t": 1, "f": 1})
    assert shard.client.hget(shard.key("r:mail"), "#name") == b""
    shard.report("mail", t=1, f=1)
    assert shard.client.hget(shard.key("r:mail"), "#name") == b"mail"


TEXTS = {b"st", b"inc", b"ov", b"ov_by", b"ov_why", b"why", b"cfg", b"name"}


@pytest.mark.parametrize("text", ["", "zahlung für {x}", "a\n\x00\"'\\", "\U0001f600", "%s%.14g", "x" * 5000])
def test_odd_texts_survive(shard: Shard, text: str) -> None:
    shard.do("override", mode="disabled", ttl_us=-1, by=text, why=text, name=text)
    view = shard.do("view", rules=RULES | {"cfg": text})["view"]
    assert (view["ov_by"], view["ov_why"]) == (text, text)
    assert shard.client.hget(shard.key("s:pay"), "name").decode() == (text or "")


def test_a_lone_surrogate_does_not_spoil_the_request(shard: Shard) -> None:
    result = shard.do("override", mode="disabled", ttl_us=-1, by="\ud800x", why="", name="\udfff")
    assert result["view"]["ov_by"] == "?x"


def test_a_request_without_operations_is_a_beat(shard: Shard) -> None:
    request = {"node": "a", "inc": "i1", "beat": 1, "stale_us": SECOND, "seen": ["", 0]}
    assert shard.exchange(request) == {"inc": "i1", "seq": 0, "live": 1, "full": 1, "more": 0}


def test_entries_of_the_audit_have_an_age_in_whole_milliseconds(shard: Shard) -> None:
    shard.advance(0.0005)
    for age in (5, 0, -5):  # the last one is of the future: the clock was set back
        shard.client.xadd(shard.key("audit"), {"to": "open"}, id=f"{shard.now // 1000 - 1000 * age}-0")
    assert shard.ask(audit=9)["audit"] == [{"to": "open", "ago_us": age * SECOND} for age in (0, 0, 5)]


def test_wrong_requests_are_refused(shard: Shard) -> None:
    for payload in ("", "{", "[]", '{"seen":["",0]}'):
        with pytest.raises(redis.ResponseError):
            shard.client.eval(script.source(), 1, shard.prefix, payload)
    assert shard.ask({"op": "report", "id": "pay", "seen": ["", 0], "rules": 0})["results"][0]["err"]
    assert shard.ask({"op": "view", "seen": ["", 0]})["results"][0]["err"]
    unknown = shard.ask({"op": "melt", "id": "pay", "seen": ["", 0]})["results"][0]
    assert unknown == {"id": "pay", "err": "unknown op melt"}


def test_one_operation_that_breaks_does_not_spoil_the_others(shard: Shard) -> None:
    broken = {"op": "report", "id": "pay", "seen": ["", 0], "rules": 7, **REPORT}
    fine = {"op": "view", "id": "mail", "seen": ["", 0], "rules": 0}
    results = shard.ask(broken, fine)["results"]
    assert "err" in results[0]
    assert results[1]["view"]["st"] == "closed"


def failing_to_look(source: str, problem: str) -> str:
    """Return the script with a "view" that ends in this error, as a server's command would."""
    line = "  view = function() return {} end,\n"
    assert source.count(line) == 1
    return source.replace(line, f"  view = function() error({problem}, 0) end,\n")


FORMS = {"Redis 7": "{{ err = '{}' }}", "Redis 6.2": "'@user_script: 12: -{}'", "plain": "'{}'"}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("word", ["READONLY", "OOM", "MISCONF", "NOREPLICAS"])
def test_a_server_that_takes_no_writes_fails_the_whole_request(shard: Shard, word: str, form: str) -> None:
    plain = shard.source
    shard.source = failing_to_look(plain, FORMS[form].format(f"{word} says no"))
    with pytest.raises(redis.ResponseError) as caught:
        shard.do("view")
    shard.source = failing_to_look(plain, "'ERR says no'")
    assert shard.do("view") == {"id": "pay", "err": "ERR says no"}
    known = {"READONLY": redis.exceptions.ReadOnlyError, "OOM": redis.exceptions.OutOfMemoryError}
    assert type(caught.value) is known.get(word, redis.ResponseError)
    assert str(caught.value).removeprefix(f"{word} ") == "says no"
    assert str(caught.value).startswith(word) is (word not in known)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("text", ["WRONGTYPE says no", "OOMPH", "it is READONLY today", "-OOM says no"])
def test_any_other_error_of_a_command_fails_the_operation_only(shard: Shard, text: str, form: str) -> None:
    shard.source = failing_to_look(shard.source, FORMS[form].format(text))
    fine = {"op": "reset", "id": "mail", "seen": ["", 0], "rules": 0}
    wrong, other = shard.ask({"op": "view", "id": "pay", "seen": ["", 0], "rules": 0}, fine)["results"]
    assert wrong == {"id": "pay", "err": text}
    assert other["view"]["st"] == "closed"


# ---------------------------------------------------------------------- lists


def test_long_lists_come_in_parts(shard: Shard) -> None:
    for number in range(1001):
        opened(shard, f"c{number}")
    first = shard.ask(beat=1)
    assert (len(first["changed"]), first["more"], first["full"], first["seq"]) == (500, 1, 1, 500)
    second = shard.ask(beat=1, seen=[first["inc"], 500])
    assert (len(second["changed"]), second["more"], second["full"], second["seq"]) == (500, 1, 0, 1000)
    third = shard.ask(beat=1, seen=[first["inc"], 1000])
    assert (len(third["changed"]), third["more"], third["seq"]) == (1, 0, 1001)
    last = shard.ask(beat=1, seen=[first["inc"], 1001])
    assert "changed" not in last
    seqs = [view["id"] for part in (first, second, third) for view in part["changed"]]
    assert seqs == [f"c{number}" for number in range(1001)]


def test_a_part_without_anything_to_list_still_leads_on(shard: Shard) -> None:
    for number in range(501):
        opened(shard, f"c{number}")
    for number in range(500):
        shard.client.delete(shard.key(f"s:c{number}"))
    first = shard.ask(beat=1)
    assert "changed" not in first
    assert (first["more"], first["seq"]) == (1, 500)
    rest = shard.ask(beat=1, seen=[first["inc"], 500])
    assert [view["id"] for view in rest["changed"]] == ["c500"]


def test_nothing_is_written_by_looking(shard: Shard) -> None:
    half_open(shard)
    shard.ask(beat=1)
    before = contents(shard)
    shard.do("view")
    shard.ask(beat=1)
    assert contents(shard) == before


# ---------------------------------------------------------------------- the script itself


def test_the_script_ships_with_the_package_and_reads_the_clock_once() -> None:
    source = script.source()
    assert source.count("local t = redis.call('TIME')\n") == source.count("'TIME'") == 1
    assert "'KEYS'" not in source
    assert "'SCAN'" not in source
    assert "random" not in source.replace("-- ", "")
    assert source.isascii()


def test_published_messages_are_what_is_answered(shard: Shard) -> None:
    listener = shard.client.pubsub(ignore_subscribe_messages=True)
    listener.subscribe(shard.key("ch"))
    assert listener.get_message(timeout=5.0) is None
    result = opened(shard)
    heard = json.loads(listener.get_message(timeout=5.0)["data"])
    assert heard == {"inc": shard.client.hget(shard.key("m"), "inc").decode(), "view": result["view"]}
    listener.close()
