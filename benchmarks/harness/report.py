"""Tables: for a terminal, for Markdown, and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import machine
from .analysis import Row, Spread, Verdict, percentile, rows, verdicts
from .coordinator import Samples
from .model import Group, Target

BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
MARKERS: dict[Group, tuple[str, str]] = {
    "core": (BEGIN, END),
    "fleet": (BEGIN.replace("benchmarks", "fleet benchmarks"), END.replace("benchmarks", "fleet benchmarks")),
    "http": (BEGIN.replace("benchmarks", "http benchmarks"), END.replace("benchmarks", "http benchmarks")),
    "durable": (
        BEGIN.replace("benchmarks", "durable benchmarks"),
        END.replace("benchmarks", "durable benchmarks"),
    ),
}


def number(value: float) -> str:
    """Three significant digits, without exponents."""
    size = abs(value)
    if not size:
        return "0"
    if size >= 100:
        return f"{value:,.0f}".replace(",", " ")
    if size >= 10:
        return f"{value:.1f}"
    if size >= 1:
        return f"{value:.2f}"
    return f"{value:.3f}"


def spread(value: Spread | None, suffix: str = "") -> str:
    """Median, and the quartiles in brackets."""
    if value is None:
        return "–"
    return f"{number(value.median)}{suffix} [{number(value.low)} … {number(value.high)}]"


def promise(target: Target, unit: str) -> str:
    """The target in words."""
    limit = (
        number(target.limit).rstrip("0").rstrip(".") if "." in number(target.limit) else number(target.limit)
    )
    return {
        "ratio": f"≤ {limit}× the floor",
        "share": f"≥ {target.limit * 100:g} % of the floor",
        "above": f"≤ {limit} {unit} above the floor",
        "value": f"≤ {limit} {unit}",
        "least": f"≥ {limit} {unit}",
        "p99": f"p99 ≤ {limit} {unit}",
        "worst": f"≤ {limit} {unit}, in every round",
        "exactly": f"{limit} {unit}, in every round",
        "speedup": f"adds {limit}× less than {target.against}",
        "growth": f"≤ {limit}× {target.against}",
        "times": f"≥ {limit}× {target.against}",
        "fastest": "faster than every peer",
    }[target.metric]


def outcome(verdict: Verdict, unit: str) -> str:
    """The measured counterpart of :func:`promise`."""
    if verdict.measured is None:
        return "not measured"
    value = number(verdict.measured)
    words = {
        "ratio": f"{value}×",
        "share": f"{verdict.measured * 100:.1f} %",
        "above": f"{value} {unit}",
        "value": f"{value} {unit}",
        "least": f"{value} {unit}",
        "p99": f"{value} {unit} ({verdict.detail})",
        "worst": f"{value} {unit} ({verdict.detail})",
        "exactly": f"{value} {unit} ({verdict.detail})",
        "speedup": f"{value}×",
        "growth": f"{value}×",
        "times": f"{value}×",
        "fastest": f"{value}× ({verdict.detail})",
    }[verdict.target.metric]
    return f"{words} {'✓' if verdict.met else '**missed**'}"


def peers(samples: Samples, target: Target) -> str:
    """What the peers reach on the metric of the target."""
    said: list[str] = []
    for row in rows(samples):
        if row.floor or row.label.startswith(("Holdfast", "second floor")):
            continue
        shown = samples.case.shown_peers
        if shown is not None and row.label not in shown:
            continue
        said.append(f"{row.label} {_figure(row, target, samples.case.unit)}")
    return "; ".join(said) or "–"


def _figure(row: Row, target: Target, unit: str) -> str:
    if target.metric == "ratio" and row.ratio:
        return f"{number(row.ratio.median)}×"
    if target.metric == "share" and row.ratio:
        return f"{row.ratio.median * 100:.1f} %"
    if target.metric in ("above", "speedup", "fastest") and row.above:
        return f"{number(row.above.median)} {unit}"
    if target.metric == "p99":
        return f"{number(percentile(row.values, 0.99))} {unit}"
    if target.metric in ("worst", "exactly"):
        return f"{number(max(row.values))} {unit}"
    return f"{number(row.value.median)} {unit}"


def _table(header: Sequence[str], body: Iterable[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(cells) + " |" for cells in body]
    return lines


def markdown(measured: Sequence[Samples], conditions: str) -> str:
    """Summary table, then one section for each case."""
    lines = [
        f"Measured on {datetime.now(UTC):%Y-%m-%d}: {machine.describe()}. {conditions}",
        "",
        "### Targets",
        "",
    ]
    summary: list[Sequence[str]] = []
    for samples in measured:
        said = ""
        for verdict in verdicts(samples):
            case, target = samples.case, verdict.target
            others = peers(samples, target)
            subject = (
                "" if target.subject == "Holdfast" else f" ({target.subject.removeprefix('Holdfast, ')})"
            )
            summary.append(
                (
                    f"{case.title}{subject}",
                    promise(target, case.unit),
                    outcome(verdict, case.unit),
                    "as above" if others == said != "–" else others,
                )
            )
            said = others
    lines += _table(("case", "target", "Holdfast", "peers, same measure"), summary)
    for samples in measured:
        lines += ["", *section(samples)]
    return "\n".join(lines) + "\n"


def section(samples: Samples) -> list[str]:
    """One case in full."""
    case = samples.case
    lines = [f"### `{case.key}`: {case.title}", "", case.what]
    if case.cannot:
        lines[-1] += f" {case.cannot}"
    header = ["", f"{case.unit} (median [quartiles])", "× floor", f"{case.unit} above floor"]
    body: list[Sequence[str]] = []
    seen_floors = len({r.environment for r in rows(samples) if r.floor})
    for row in rows(samples):
        label = f"{row.label} ({row.environment})" if row.floor and seen_floors > 1 else row.label
        if row.floor:
            body.append((f"*{label}*", spread(row.value), "1", "0"))
        else:
            body.append((label, spread(row.value), spread(row.ratio, "×"), spread(row.above)))
    if not seen_floors:
        header, body = header[:2], [cells[:2] for cells in body]
    lines += ["", *_table(header, body)]
    for label, reason in samples.missing.items():
        lines += ["", f"Not measured: {label} ({reason})."]
    for label, reason in samples.wrong.items():
        lines += ["", f"**Self-check failed**: {label}: {reason}."]
    return lines


def as_json(measured: Sequence[Samples], conditions: str) -> dict[str, Any]:
    """Everything, the single rounds included."""
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": machine.describe(),
        "conditions": conditions,
        "cases": {
            samples.case.key: {
                "title": samples.case.title,
                "unit": samples.case.unit,
                "missing": samples.missing,
                "wrong": samples.wrong,
                "rows": [_row_json(row) for row in rows(samples)],
                "targets": [
                    {
                        "subject": verdict.target.subject,
                        "promise": promise(verdict.target, samples.case.unit),
                        "measured": verdict.measured,
                        "met": verdict.met,
                    }
                    for verdict in verdicts(samples)
                ],
                "rounds": samples.rounds,
            }
            for samples in measured
        },
    }


def _row_json(row: Row) -> dict[str, Any]:
    def triple(value: Spread | None) -> list[float] | None:
        return None if value is None else [value.low, value.median, value.high]

    return {
        "label": row.label,
        "environment": row.environment,
        "floor": row.floor,
        "value": triple(row.value),
        "ratio": triple(row.ratio),
        "above": triple(row.above),
    }


def plain(samples: Samples) -> str:
    """One case for a terminal."""
    unit = samples.case.unit
    lines = [f"{samples.case.key}: {samples.case.title}"]
    for row in rows(samples):
        ratio = f"{number(row.ratio.median):>8}×" if row.ratio and not row.floor else " " * 9
        above = f"{number(row.above.median):>8} above" if row.above and not row.floor else ""
        where = f" ({row.environment})" if row.floor else ""
        lines.append(f"  {row.label + where:<58} {number(row.value.median):>9} {unit} {ratio} {above}")
    for verdict in verdicts(samples):
        lines.append(
            f"  -> {verdict.target.subject}: {promise(verdict.target, unit)}: {outcome(verdict, unit)}"
        )
    lines += [f"  not measured: {label}: {reason}" for label, reason in samples.missing.items()]
    lines += [f"  SELF-CHECK FAILED: {label}: {reason}" for label, reason in samples.wrong.items()]
    return "\n".join(lines)


def write_between_markers(page: Path, text: str, group: Group = "core") -> None:
    """Replace what stands between the markers of a group in the page.

    Raises:
        ValueError: when the page lacks the markers.
    """
    content = page.read_text(encoding="utf-8")
    begin, end = MARKERS[group]
    if begin not in content or end not in content:
        raise ValueError(f"{page.name} lacks the lines {begin!r} and {end!r}")
    head, tail = content.split(begin, 1)[0], content.split(end, 1)[1]
    page.write_text(f"{head}{begin}\n{text}{end}{tail}", encoding="utf-8")
