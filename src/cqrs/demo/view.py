"""What a person sees while the demo runs: the port, the choice, and the plain lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TextIO

from cqrs.demo.figures import Figures, milliseconds
from cqrs.demo.recorder import Recorder, Service
from cqrs.demo.schedule import Kind, Timing
from cqrs.demo.story import sentence_of, transition


@dataclass(frozen=True)
class Scene:
    """All that a view may look at: what was recorded, and each circuit's state in one word."""

    recorder: Recorder
    timing: Timing
    circuits: Callable[[], Mapping[Kind, str]]


class View(Protocol):
    """Shows a run; ``interval`` is the seconds between calls of ``refresh``."""

    interval: float

    def start(self, scene: Scene) -> None:
        """Begin to show the run."""
        ...

    def refresh(self) -> None:
        """Show what is new."""
        ...

    def stop(self) -> None:
        """Leave the terminal as it was."""
        ...


class SilentView:
    """Shows nothing."""

    interval = 1.0

    def start(self, scene: Scene) -> None:
        """Do nothing."""

    def refresh(self) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""


class PlainView:
    """Writes a line for each phase and each change of a circuit, and one a second."""

    interval = 0.1

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def start(self, scene: Scene) -> None:
        """Say how long the run takes."""
        self._scene = scene
        self._phases = 0
        self._switches = 0
        self._next_second = 1
        self._line(
            f"Two equal shops, one with circuit breakers and one without, for {scene.timing.seconds:g} s."
        )

    def refresh(self) -> None:
        """Write what happened since the last call."""
        recorder = self._scene.recorder
        news: list[tuple[float, str]] = []
        for switch in recorder.switched[self._switches :]:
            self._switches += 1
            # Whether a probe is worth a line shows when it has ended.
            if switch.to_state != "probing":
                news.append((switch.at, f"  {transition(switch)}"))
        while self._phases < len(recorder.entered):
            entered = recorder.entered[self._phases]
            if self._phases:
                news.append((entered.at, sentence_of(recorder, self._phases - 1)))
            news.append((entered.at, f"── {entered.phase.name.upper()}: {entered.phase.says}"))
            self._phases += 1
        for at, text in sorted(news, key=lambda item: item[0]):
            self._at(at, text)
        if recorder.now() >= self._next_second:
            self._next_second = int(recorder.now()) + 1
            self._at(recorder.now(), "  " + " | ".join(self._last_second(service) for service in Service))

    def stop(self) -> None:
        """Write what is left."""
        self.refresh()

    def _last_second(self, service: Service) -> str:
        now = self._scene.recorder.now()
        recent = Figures.of(d for d in self._scene.recorder.done if d.service is service and d.at > now - 1)
        counts = {
            "primary": recent.primary,
            "fallback": recent.fallback,
            "rejected": recent.rejected,
            "FAILED": recent.failed,
        }
        told = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "no answer"
        return f"{service}: {told}, p99 {milliseconds(recent.p99)}"

    def _at(self, seconds: float, text: str) -> None:
        self._line(f"{seconds:5.1f} s  {text}")

    def _line(self, text: str) -> None:
        # The reader may be a pipe: each line counts when it is written.
        self._out.write(text + "\n")
        self._out.flush()
