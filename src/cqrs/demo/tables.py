"""The tables of the report, as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from cqrs.demo.figures import Figures, milliseconds, percent
from cqrs.demo.recorder import Service
from cqrs.demo.schedule import LABELS
from cqrs.demo.story import sentence
from cqrs.demo.summary import Summary
from cqrs.demo.verdict import Guarantee

_KEPT = '<td class="kept"><b>✓ kept</b></td>'
_BROKEN = '<td class="broken"><b>✗ broken</b></td>'


def verdict_table(guarantees: Sequence[Guarantee]) -> str:
    """Show each guarantee: promise, measurement, kept or broken."""
    rows = "".join(
        f'<tr><th class="left" scope="row">{escape(guarantee.name)}</th>'
        f'<td class="left">{escape(guarantee.limit)}</td><td class="left">{escape(guarantee.measured)}</td>'
        f"{_KEPT if guarantee.kept else _BROKEN}</tr>"
        for guarantee in guarantees
    )
    head = _head("Guarantee", "Promised", "Measured", "Verdict", text=3)
    return f'<div class="scroll"><table class="verdict">{head}<tbody>{rows}</tbody></table></div>'


def phases_table(summary: Summary) -> str:
    """Show each phase's story, and what each service did in it."""
    rows = ""
    for phase in summary.phases:
        story = sentence(phase.phase, phase.figures[Service.WITH])
        rows += (
            f'<tr><th class="left story" scope="row" rowspan="2">{escape(story)}<br/>'
            f'<span class="soft">{phase.start:.1f} s to {phase.end:.1f} s</span></th>'
        )
        cells = [
            f'<td class="left">{escape(service)}</td>{_figures(phase.figures[service])}'
            f"<td>{phase.calls[service]}</td>"
            for service in Service
        ]
        rows += "</tr><tr>".join(cells) + "</tr>"
    head = _head(
        *("Phase", "Service", "Answered", "Primary", "Fallback", "Rejected", "Failed", "p50", "p99", "Calls"),
        text=2,
    )
    return f'<div class="scroll"><table>{head}<tbody>{rows}</tbody></table></div>'


def circuits_table(summary: Summary) -> str:
    """Show how fast each circuit opened and each primary came back."""
    rows = ""
    for circuit in summary.circuits:
        opened = sum(switch.to_state == "open" for switch in circuit.switches)
        rows += _row(
            LABELS[circuit.kind],
            _seconds(circuit.opened_after),
            str(opened),
            _seconds(circuit.recovered_after),
            _seconds(circuit.control_recovered_after),
            str(circuit.figures.primary),
            str(circuit.figures.fallback),
            str(circuit.figures.rejected),
        )
    head = _head(
        *("Circuit", "Opened after", "Times open", "Primary again after", "Control again after"),
        *("Primary", "Fallback", "Rejected"),
        text=1,
    )
    return f'<div class="scroll"><table>{head}<tbody>{rows}</tbody></table></div>'


def slots_table(rows: Iterable[Sequence[str]]) -> str:
    """Show the numbers behind the charts."""
    head = _head(
        "Time", "Service", "Primary", "Fallback", "Rejected", "Failed", "p50", "p99", "Calls", text=2
    )
    body = "".join(_row(*row, text=2) for row in rows)
    return f'<div class="scroll"><table>{head}<tbody>{body}</tbody></table></div>'


def _head(*names: str, text: int) -> str:
    cells = "".join(
        f'<th scope="col"{" class=left" if index < text else ""}>{escape(name)}</th>'
        for index, name in enumerate(names)
    ).replace("class=left", 'class="left"')
    return f"<thead><tr>{cells}</tr></thead>"


def _row(name: str, *values: str, text: int = 1) -> str:
    cells = "".join(
        f'<td class="left">{escape(value)}</td>' if index < text else f"<td>{escape(value)}</td>"
        for index, value in enumerate(values, 1)
    )
    return f'<tr><th class="left" scope="row">{escape(name)}</th>{cells}</tr>'


def _figures(figures: Figures) -> str:
    values = (
        percent(figures.answered_percent),
        *(str(count) for count in (figures.primary, figures.fallback, figures.rejected, figures.failed)),
        milliseconds(figures.p50),
        milliseconds(figures.p99),
    )
    return "".join(f"<td>{escape(value)}</td>" for value in values)


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.2f} s"
