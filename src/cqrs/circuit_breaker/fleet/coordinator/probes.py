"""What a node may ask about the probes of a circuit: for a permit, to count an outcome, for more time.

The letters in comments name the invariants that the tests carry.
"""

from __future__ import annotations

from cqrs.circuit_breaker import conditions
from cqrs.circuit_breaker.fleet.coordinator.circuit import Circuit, Result
from cqrs.circuit_breaker.fleet.coordinator.records import policy
from cqrs.circuit_breaker.fleet.coordinator.scores import Scores
from cqrs.circuit_breaker.phases import HalfOpen

SHORTEST_RETRY = 1_000
"""Microseconds after which a denied node may ask again at the earliest."""


def acquire(circuit: Circuit) -> Result:
    """Ask for the permit of a probe."""
    record, now, rules = circuit.record, circuit.now, circuit.settings
    if record.ov == "forced_open":
        return denied(record.ov_until - now if record.ov_until else rules["max_us"])
    if record.ov not in ("", "enabled"):
        return granted(2)
    if record.st == "open":
        if now < record.until <= now + rules["max_us"]:
            return denied(record.until - now)
        circuit.half_open("wait in open is over")
    if record.st == "half_open":
        return _acquire_half_open(circuit)
    return granted(2)


def _acquire_half_open(circuit: Circuit) -> Result:
    record, now, rules, shard = circuit.record, circuit.now, circuit.settings, circuit.shard
    if now - record.since >= rules["half_us"]:  # L6
        why = "the probes did not decide in time"
        if rules["half_to"] == "open":
            circuit.open(why)
            return denied(record.wait)
        circuit.close(why)
        return granted(2)
    lease = rules["lease_us"]
    permits = shard.permits.get(circuit.id) or Scores()
    lost = [*permits.below(now + 1), *permits.above(now + lease + 1)]
    if lost:
        for permit in lost:
            permits.remove(permit)
        record.lost += len(lost)
        if record.lost >= rules["need"]:  # L7
            circuit.open(f"{record.lost} probes in a row were lost")
            return denied(record.wait)
        circuit.save()
    again = circuit.op["permit"] in permits  # asked before: the reply was lost on its way
    free = len(permits) < rules["conc"] and record.ok + record.bad + len(permits) < rules["need"]  # F2
    if again or free:
        shard.keep_permit(circuit.id, circuit.op["permit"], now + lease)
        circuit.save()
        return granted(1)
    earliest = permits.order[0][0] if permits.order else now
    return denied(max(SHORTEST_RETRY, earliest - now))


def granted(how: int) -> Result:
    """1: with a permit. 2: none is needed."""
    return {"granted": how, "retry_us": 0}


def denied(retry_us: int) -> Result:
    """Say when to ask again."""
    return {"granted": 0, "retry_us": retry_us}


def settle(circuit: Circuit) -> Result:
    """Count the outcome of a probe, once, and decide (F3)."""
    if not _holds_permit(circuit):
        return {"applied": 0}
    circuit.shard.permits[circuit.id].remove(circuit.op["permit"])
    if not _decide(circuit):
        circuit.save()
        circuit.bump()  # a place is free
    return {"applied": 1}


def _holds_permit(circuit: Circuit) -> bool:
    record = circuit.record
    if record.st != "half_open" or (record.inc, record.ep) != circuit.seen:
        return False
    permits = circuit.shard.permits.get(circuit.id)
    return permits is not None and circuit.op["permit"] in permits


def _decide(circuit: Circuit) -> bool:
    """Take the verdict into account; return whether the state has changed."""
    record, op, rules = circuit.record, circuit.op, circuit.settings
    verdict = op["verdict"]
    if verdict == "cancelled":
        return False
    record.lost = 0
    if verdict == "inconclusive":
        record.incon += 1
        if record.incon < rules["need"]:
            return False
        circuit.open(f"{record.incon} probes in a row never reached it", **_probes(circuit))
        return True
    record.incon = 0
    if verdict == "ignored":
        return False
    record.ok += verdict == "success"
    record.bad += verdict != "success"
    record.slow += op["slow"]
    half = HalfOpen(record.ep, record.since, None)
    half.good, half.bad, half.slow = record.ok, record.bad, record.slow
    known = policy(rules)
    if op["trip"]:
        circuit.open("a call asked for it", op["trip_us"], **_probes(circuit))
    elif (why := conditions.probes_say_open(known, half)) is not None:
        circuit.open(why, **_probes(circuit))
    elif conditions.probes_say_close(known, half):
        circuit.close(f"{half.good} of {rules['need']} probes succeeded", **_probes(circuit))
    else:
        return False
    return True


def _probes(circuit: Circuit) -> dict[str, int]:
    record = circuit.record
    return {"ok": record.ok, "bad": record.bad, "slow": record.slow}


def renew(circuit: Circuit) -> Result:
    """Lease a permit for longer; what has been reaped does not come back."""
    if not _holds_permit(circuit):
        return {"live": 0}
    record, shard, now = circuit.record, circuit.shard, circuit.now
    shard.keep_permit(circuit.id, circuit.op["permit"], now + record.lease)
    circuit.touch()
    return {"live": 1}
