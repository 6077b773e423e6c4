"""What each place in the fleet went through, as stretches of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cqrs.demo.fleet.facts import Facts


@dataclass(frozen=True)
class Band:
    """A stretch of time: ``state`` is a circuit's state, ``"killed"``, or how something else was."""

    start: float
    end: float
    state: str
    reason: str = ""


def slot_bands(facts: Facts, slot: int, end: float) -> list[Band]:
    """Return what the processes of one slot saw, one after the other, without gaps, until ``end``."""
    bands: list[Band] = []
    for process in facts.processes:
        if process.slot != slot or process.ready is None:
            continue
        ready = max(process.ready, 0.0)
        if bands:
            bands.append(Band(bands[-1].end, ready, "killed", "killed with SIGKILL, then started again"))
        last = end if process.killed is None else process.killed
        start, state, reason = ready, "closed", ""
        for switch in process.switches:
            if switch.at > start:
                bands.append(Band(start, min(switch.at, last), state, reason))
            start, state, reason = max(switch.at, ready), switch.to_state, switch.reason
        bands.append(Band(start, last, state, reason))
    if bands and bands[-1].end < end:
        bands.append(Band(bands[-1].end, end, "killed", "killed with SIGKILL"))
    return [band for band in bands if band.end > band.start]


def upstream_bands(facts: Facts, end: float) -> list[Band]:
    """Return how the upstream behaved; ``state`` is the mode."""
    return _bands([(at, mode.value) for at, mode in facts.upstream], end)


def store_bands(facts: Facts, end: float) -> list[Band]:
    """Return when the server lived: ``state`` is ``"alive"`` or ``"dead"``."""
    return _bands([(at, "alive" if alive else "dead") for at, alive in facts.store], end)


def _bands(changes: Sequence[tuple[float, str]], end: float) -> list[Band]:
    ends = [*(at for at, _ in changes[1:]), end]
    return [Band(at, until, state) for (at, state), until in zip(changes, ends, strict=False)]
