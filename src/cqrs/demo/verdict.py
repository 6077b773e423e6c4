"""The guarantees of the demo, each judged by what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cqrs.demo.figures import milliseconds, percent
from cqrs.demo.recorder import Recorder, Service
from cqrs.demo.schedule import RATES, Timing
from cqrs.demo.summary import Summary

#: Share of the control's calls that must not reach an upstream in trouble.
SPARED_PERCENT = 50.0
#: Seconds granted to the machine on top of what the policy allows; event loop delays come on top of that.
GRACE = 1.0


@dataclass(frozen=True)
class Guarantee:
    """A promise: ``limit`` is what was promised, ``measured`` what happened, ``kept`` whether it held."""

    name: str
    limit: str
    measured: str
    kept: bool


@dataclass(frozen=True)
class Result:
    """A finished run: all that was recorded, what it amounts to, and the judgement."""

    recorder: Recorder
    summary: Summary
    guarantees: Sequence[Guarantee]

    @property
    def kept(self) -> bool:
        """Whether every guarantee held."""
        return all(guarantee.kept for guarantee in self.guarantees)


def grace(lag: float) -> float:
    """Seconds granted to a machine whose event loop was up to ``lag`` seconds late."""
    return GRACE + 3 * lag


def opening_limit(timing: Timing, lag: float) -> float:
    """Seconds within which every circuit has to open once the upstream is in trouble.

    Half of the window must have filled with bad calls; each takes the slow-call threshold to be told, and the
    rarest request must come along once more.
    """
    return timing.window / 2 + timing.slow_call + 1.3 / min(RATES.values()) + grace(lag)


def recovery_limit(timing: Timing, lag: float) -> float:
    """Seconds within which every primary has to answer again once the upstream is healthy.

    The worst case is a circuit that probed a moment too early: a full wait, the next request, one call.
    """
    return timing.max_wait + 1.3 / min(RATES.values()) + timing.client_timeout + grace(lag)


def judge(summary: Summary, timing: Timing) -> list[Guarantee]:
    """Hold the measurements against every guarantee."""
    return [
        _answered(summary),
        _accounted(summary),
        _spared(summary),
        _within(
            "Circuits opened in time",
            [circuit.opened_after for circuit in summary.circuits],
            opening_limit(timing, summary.lag),
        ),
        _within(
            "Primaries back in time",
            [circuit.recovered_after for circuit in summary.circuits],
            recovery_limit(timing, summary.lag),
            [circuit.control_recovered_after for circuit in summary.circuits],
        ),
        _fast(summary, timing),
        Guarantee(
            "No process left behind",
            "0 left",
            f"{len(summary.orphans)} of {summary.processes} left",
            not summary.orphans,
        ),
    ]


def _answered(summary: Summary) -> Guarantee:
    guarded = summary.services[Service.WITH]
    answered = guarded.figures.answered
    kept = 0 < answered == guarded.submitted
    share = 100.0 * answered / guarded.submitted if guarded.submitted else None
    return Guarantee(
        "Every request answered", "100 %", f"{percent(share)} ({answered} of {guarded.submitted})", kept
    )


def _accounted(summary: Summary) -> Guarantee:
    unaccounted = 0
    for service in summary.services.values():
        shipments = service.books.announced + service.books.parked
        unaccounted += abs(service.submitted - service.figures.total) + abs(service.books.orders - shipments)
    orders = sum(service.books.orders for service in summary.services.values())
    return Guarantee(
        "Nothing lost",
        "0 lost",
        f"{unaccounted} lost; {orders} orders with their events",
        not unaccounted,
    )


def _spared(summary: Summary) -> Guarantee:
    spared = summary.spared_percent
    guarded, control = (summary.services[service].calls_in_trouble for service in Service)
    return Guarantee(
        "Upstream in trouble spared",
        f"≥ {SPARED_PERCENT:.0f} %",
        f"{percent(spared)} ({guarded} calls, not {control})",
        spared is not None and spared >= SPARED_PERCENT,
    )


def _within(
    name: str,
    seconds: Sequence[float | None],
    limit: float,
    control: Sequence[float | None] | None = None,
) -> Guarantee:
    known = [value for value in seconds if value is not None]
    complete = bool(known) and len(known) == len(seconds)
    measured = f"{max(known):.1f} s at most" if complete else f"{len(seconds) - len(known)} never did"
    if control is not None:
        known_control = [value for value in control if value is not None]
        measured += f"; control {max(known_control):.1f} s" if known_control else "; control never did"
    return Guarantee(name, f"≤ {limit:.1f} s", measured, complete and max(known) <= limit)


def _fast(summary: Summary, timing: Timing) -> Guarantee:
    guarded = summary.services[Service.WITH].rejected_median
    control = summary.services[Service.WITHOUT].slow_median
    limit = timing.slow_call + 3 * summary.lag
    return Guarantee(
        "Fast while circuits were open",
        f"≤ {milliseconds(limit)}",
        f"{milliseconds(guarded)}; control {milliseconds(control)} (slow)",
        guarded is not None and guarded <= limit,
    )
