"""What is said about a campaign."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tools.mutation.campaign import Verdict
from tools.mutation.equivalents import Equivalent
from tools.mutation.mutant import Mutant


@dataclass(frozen=True, slots=True)
class Report:
    """The verdicts, the mutants that were left out as equivalent, and the entries that fit no mutant."""

    verdicts: Sequence[Verdict]
    equivalent: Sequence[Mutant]
    stale: Sequence[Equivalent]
    left_out: int = 0  # by a sample or a choice of lines

    @property
    def survivors(self) -> list[Verdict]:
        """Verdicts of the mutants that no test noticed."""
        return [verdict for verdict in self.verdicts if verdict.survived]

    @property
    def score(self) -> float:
        """The noticed share of the mutants that were run, from 0 to 1; 1 when there were none."""
        return 1.0 - len(self.survivors) / len(self.verdicts) if self.verdicts else 1.0

    def text(self) -> str:
        """Return the report in Markdown."""
        files = sorted({verdict.mutant.path for verdict in self.verdicts})
        files += sorted({mutant.path for mutant in self.equivalent} - set(files))
        lines = [
            "| file | mutants | killed | hung | survived | equivalent | score |",
            "|---|--:|--:|--:|--:|--:|--:|",
        ]
        lines += [self._row(path) for path in files]
        if len(files) > 1:
            lines.append(self._row(None))
        if self.left_out:
            lines += ["", f"A sample: {self.left_out} other mutants were not run."]
        for verdict in self.survivors:
            mutant = verdict.mutant
            place = f" in {mutant.function}" if mutant.function else ""
            lines += ["", f"{mutant.path}{place}", f"- {mutant.before}", f"+ {mutant.after}".rstrip()]
            lines.append(f"SURVIVED line {mutant.line}: {mutant.operator}")
        for entry in self.stale:
            lines += [
                "",
                f"equivalent.txt has an entry that fits no mutant of {entry.path} {entry.function}:",
            ]
            lines += [f"- {entry.before}", f"+ {entry.after}"]
        return "\n".join(lines) + "\n"

    def _row(self, path: str | None) -> str:
        chosen = [v for v in self.verdicts if path is None or v.mutant.path == path]
        left_out = sum(path is None or mutant.path == path for mutant in self.equivalent)
        survived = sum(verdict.survived for verdict in chosen)
        hung = sum(verdict.outcome.result == "hung" for verdict in chosen)
        score = 100.0 * (1 - survived / len(chosen)) if chosen else 100.0
        killed = len(chosen) - survived - hung
        cells = [path or "all", len(chosen), killed, hung, survived, left_out, f"{score:.1f} %"]
        return "| " + " | ".join(map(str, cells)) + " |"
