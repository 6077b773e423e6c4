"""The list of mutants that somebody has judged to change nothing that matters, each with the reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tools.mutation.mutant import Mutant

FILE = Path(__file__).with_name("equivalent.txt")


@dataclass(frozen=True, slots=True)
class Equivalent:
    """One entry of the list."""

    path: str
    function: str
    before: str
    after: str
    reason: str

    @property
    def name(self) -> tuple[str, str, str, str]:
        """As `Mutant.name`."""
        return (self.path, self.function, self.before, self.after)


def read(text: str) -> list[Equivalent]:
    """Read a list: entries are separated by empty lines, lines that begin with # are comments.

    >>> (entry,) = read('''a.lua in f
    ... - return 1
    ... + return 2
    ... nobody looks at it''')
    >>> entry.function, entry.reason
    ('f', 'nobody looks at it')

    Raises:
        ValueError: an entry is incomplete, or has no reason.
    """
    found = []
    lines = [line.rstrip() for line in text.splitlines() if not line.startswith("#")]
    for block in "\n".join(lines).split("\n\n"):
        if not block.strip():
            continue
        head, *rest = block.strip().splitlines()
        if len(rest) < 3 or not (rest[0].startswith("- ") and rest[1].startswith("+")):
            raise ValueError(f"an entry is 'PATH in FUNCTION', '- ...', '+ ...' and a reason, not:\n{block}")
        path, _, function = head.partition(" in ")
        found.append(
            Equivalent(path, function, rest[0][2:], rest[1][1:].strip(), " ".join(" ".join(rest[2:]).split()))
        )
    return found


def survivors(report: str) -> set[tuple[str, str, str, str]]:
    """Return the names of the mutants that survived, out of a report."""
    blocks = [block for block in report.split("\n\n") if block.strip().split("\n")[-1].startswith("SURVIVED")]
    return {entry.name for entry in read("\n\n".join(blocks))}


def split(
    mutants: Iterable[Mutant], entries: Iterable[Equivalent]
) -> tuple[list[Mutant], list[Mutant], list[Equivalent]]:
    """Return the mutants to be run, those on the list, and the entries that no mutant has the name of."""
    names = {entry.name: entry for entry in entries}
    run: list[Mutant] = []
    listed: list[Mutant] = []
    for mutant in mutants:
        (listed if mutant.name in names else run).append(mutant)
    used = {mutant.name for mutant in listed}
    return run, listed, [entry for name, entry in names.items() if name not in used]
