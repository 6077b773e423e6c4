"""What a run amounted to: the measured figures that the verdict, the JSON output and the report share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cqrs.demo.figures import Figures
from cqrs.demo.recorder import Answer, Recorder, Service, Switched
from cqrs.demo.schedule import Kind, Mode, Phase
from cqrs.demo.store import Books


@dataclass(frozen=True)
class PhaseSummary:
    """One phase as it really was: its limits in seconds since the start, and each service's figures."""

    phase: Phase
    start: float
    end: float
    figures: dict[Service, Figures]
    calls: dict[Service, int]


@dataclass(frozen=True)
class ServiceSummary:
    """One shop over the whole run.

    Attributes:
        calls: calls to the upstream.
        slow_median: median answer time while the upstream was slow.
        rejected_median: median answer time of requests whose circuit was open.
    """

    submitted: int
    figures: Figures
    calls: int
    calls_in_trouble: int
    slow_median: float | None
    rejected_median: float | None
    books: Books


@dataclass(frozen=True)
class CircuitSummary:
    """One circuit: seconds until it opened and until its primary answered again, ``None`` for never."""

    kind: Kind
    figures: Figures
    opened_after: float | None
    recovered_after: float | None
    control_recovered_after: float | None
    switches: Sequence[Switched]


@dataclass(frozen=True)
class Summary:
    """All measured figures of a run; times in seconds.

    Attributes:
        lag: the longest that the event loop was late.
        processes: upstream processes that were started.
        orphans: ids of those that are left.
    """

    seed: int
    seconds: float
    phases: Sequence[PhaseSummary]
    services: dict[Service, ServiceSummary]
    circuits: Sequence[CircuitSummary]
    lag: float
    processes: int
    orphans: Sequence[int]

    @property
    def spared_percent(self) -> float | None:
        """Share of the control's calls to the upstream in trouble that the breaker made unnecessary."""
        control = self.services[Service.WITHOUT].calls_in_trouble
        return 100.0 * (1 - self.services[Service.WITH].calls_in_trouble / control) if control else None


def summarise(
    recorder: Recorder, books: dict[Service, Books], seed: int, processes: int, orphans: Sequence[int]
) -> Summary:
    """Work out the figures of a finished run."""
    phases = [_phase(recorder, index) for index in range(len(recorder.entered))]
    return Summary(
        seed=seed,
        seconds=recorder.ended or recorder.now(),
        phases=phases,
        services={service: _service(recorder, service, books[service]) for service in Service},
        circuits=[_circuit(recorder, kind) for kind in Kind],
        lag=recorder.lag,
        processes=processes,
        orphans=list(orphans),
    )


def recovered_after(recorder: Recorder, service: Service, kind: Kind) -> float | None:
    """Seconds from the upstream's return to health until a primary answered a request again."""
    healthy_again = _return_to_health(recorder)
    if healthy_again is None:
        return None
    since, phase = healthy_again
    ends = [
        done.at
        for done in recorder.done
        if (done.service, done.kind, done.answer) == (service, kind, Answer.PRIMARY) and done.phase >= phase
    ]
    return max(min(ends) - since, 0.0) if ends else None


def opened_after(recorder: Recorder, kind: Kind) -> float | None:
    """Seconds from the beginning of the trouble until the circuit was open."""
    trouble = next((entry.at for entry in recorder.entered if entry.phase.in_trouble), None)
    if trouble is None:
        return None
    state = "closed"
    for switch in recorder.switched:
        if switch.kind is not kind:
            continue
        if switch.at >= trouble and state == "open":
            return 0.0
        if switch.at >= trouble and switch.to_state == "open":
            return switch.at - trouble
        state = switch.to_state
    return 0.0 if state == "open" else None


def _return_to_health(recorder: Recorder) -> tuple[float, int] | None:
    for index, entry in enumerate(recorder.entered):
        if index and entry.phase.mode is Mode.HEALTHY:
            return entry.at, index
    return None


def _phase(recorder: Recorder, index: int) -> PhaseSummary:
    entry = recorder.entered[index]
    last = index == len(recorder.entered) - 1
    return PhaseSummary(
        phase=entry.phase,
        start=entry.at,
        end=(recorder.ended or recorder.now()) if last else recorder.entered[index + 1].at,
        figures={
            service: Figures.of(d for d in recorder.done if d.service is service and d.phase == index)
            for service in Service
        },
        calls={
            service: sum(call.service is service and call.phase == index for call in recorder.called)
            for service in Service
        },
    )


def _service(recorder: Recorder, service: Service, books: Books) -> ServiceSummary:
    modes = [entry.phase.mode for entry in recorder.entered]
    done = [d for d in recorder.done if d.service is service]
    calls = [call for call in recorder.called if call.service is service]
    return ServiceSummary(
        submitted=recorder.submitted[service],
        figures=Figures.of(done),
        calls=len(calls),
        calls_in_trouble=sum(modes[call.phase] is not Mode.HEALTHY for call in calls),
        slow_median=Figures.of(d for d in done if modes[d.phase] is Mode.SLOW).p50,
        rejected_median=Figures.of(d for d in done if d.answer is Answer.REJECTED).p50,
        books=books,
    )


def _circuit(recorder: Recorder, kind: Kind) -> CircuitSummary:
    return CircuitSummary(
        kind=kind,
        figures=Figures.of(d for d in recorder.done if d.service is Service.WITH and d.kind is kind),
        opened_after=opened_after(recorder, kind),
        recovered_after=recovered_after(recorder, Service.WITH, kind),
        control_recovered_after=recovered_after(recorder, Service.WITHOUT, kind),
        switches=[switch for switch in recorder.switched if switch.kind is kind],
    )
