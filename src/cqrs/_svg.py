"""A few SVG shapes on a time axis, written as text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 1000.0
LEFT, RIGHT = 108.0, 12.0


def element(name: str, text: str | None = None, **attributes: object) -> str:
    """Write one element; ``class_`` and the like lose their underscore, others become hyphens.

    >>> element("text", "a<b", class_="label", text_anchor="end", x=1.0)
    '<text class="label" text-anchor="end" x="1">a&lt;b</text>'
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_number(value))}"'
        for key, value in attributes.items()
    )
    return f"<{name}{written}/>" if text is None else f"<{name}{written}>{escape(text)}</{name}>"


def _number(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Plot:
    """A plot of ``height`` units over ``seconds``; values from ``low`` to ``high``, logarithmic if asked."""

    seconds: float
    height: float
    low: float = 0.0
    high: float = 1.0
    logarithmic: bool = False

    def x(self, at: float) -> float:
        """Return the horizontal position of a time."""
        return LEFT + (WIDTH - LEFT - RIGHT) * min(max(at / self.seconds, 0.0), 1.0)

    def y(self, value: float) -> float:
        """Return the vertical position of a value, kept inside the plot."""
        if self.logarithmic:
            share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.height * (1 - min(max(share, 0.0), 1.0))

    def box(self, start: float, end: float, top: float, bottom: float, class_: str, title: str = "") -> str:
        """Draw a box between two times and two vertical positions."""
        x, width = self.x(start), self.x(end) - self.x(start)
        box = element("rect", class_=class_, x=x, y=top, width=width, height=bottom - top)
        return box[:-2] + f">{element('title', title)}</rect>" if title else box

    def line(self, points: Sequence[tuple[float, float | None]], class_: str) -> str:
        """Draw a line through values over time; ``None`` interrupts it."""
        path, pen = "", "M"
        for at, value in points:
            if value is None:
                pen = "M"
                continue
            path += f"{pen}{_number(self.x(at))} {_number(self.y(value))}"
            pen = "L"
        return element("path", class_=class_, d=path, fill="none")

    def levels(self, values: Sequence[float], names: Sequence[str]) -> str:
        """Draw horizontal grid lines with their names."""
        return "".join(
            element("line", class_="grid", x1=LEFT, x2=WIDTH - RIGHT, y1=self.y(value), y2=self.y(value))
            + element("text", name, class_="tick", x=LEFT - 8, y=self.y(value) + 4, text_anchor="end")
            for value, name in zip(values, names, strict=True)
        )

    def time_axis(self) -> str:
        """Draw the seconds below the plot."""
        step = next(step for step in (1, 2, 5, 10, 20, 60, 600) if self.seconds / step <= 14 or step == 600)
        marks = range(0, int(self.seconds) + 1, step)
        return "".join(
            element(
                "text", f"{mark} s", class_="tick", x=self.x(mark), y=self.height + 18, text_anchor="middle"
            )
            for mark in marks
        )
