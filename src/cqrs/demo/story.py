"""The run in words: one sentence per phase, one line per change of a circuit."""

from __future__ import annotations

from cqrs.demo.figures import Figures
from cqrs.demo.recorder import Recorder, Service, Switched
from cqrs.demo.schedule import LABELS, Mode, Phase

_SUBJECT = {
    Mode.HEALTHY: "Upstream healthy",
    Mode.SLOW: "Upstream slow",
    Mode.FAILING: "Upstream fails",
    Mode.DEAD: "Upstream killed",
}


def sentence(phase: Phase, figures: Figures) -> str:
    """Tell what a phase meant for the guarded service.

    >>> from cqrs.demo.schedule import Timing
    >>> sentence(Timing().phases()[3], Figures(0, 3, 409, 0, 0.001, 0.02))
    'Upstream killed: fallbacks answered 412 requests (409 calls spared).'
    """
    subject = "Upstream back" if phase.name == "recovered" else _SUBJECT[phase.mode]
    parts: list[str] = []
    if figures.primary:
        unit = "" if figures.by_fallback else _requests(figures.primary)
        parts.append(f"primaries answered {figures.primary}{unit}")
    if figures.by_fallback:
        unit = "" if parts else _requests(figures.by_fallback)
        spared = f" ({figures.rejected} calls spared)" if figures.rejected else ""
        parts.append(f"fallbacks {'' if parts else 'answered '}{figures.by_fallback}{unit}{spared}")
    if figures.failed:
        parts.append(f"{figures.failed} FAILED")
    return f"{subject}: {', '.join(parts) or 'no request yet'}."


def _requests(count: int) -> str:
    return " request" if count == 1 else " requests"


def sentence_of(recorder: Recorder, index: int) -> str:
    """Tell what phase ``index`` has meant so far."""
    requests = (d for d in recorder.done if d.phase == index and d.service is Service.WITH)
    return sentence(recorder.entered[index].phase, Figures.of(requests))


def transition(switch: Switched) -> str:
    """Tell of a circuit's change of state."""
    return f"{LABELS[switch.kind]}: {switch.from_state} → {switch.to_state} ({switch.reason})"
