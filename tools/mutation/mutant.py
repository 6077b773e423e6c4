"""One change of a source text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """``source[start:end]`` of the file at ``path`` replaced by ``replacement``.

    ``before`` and ``after`` are the lines that the change touches, with single spaces: together with the path
    and the function around them they name the mutant, also after lines were added elsewhere.
    """

    path: str
    line: int
    function: str
    operator: str
    start: int
    end: int
    replacement: str
    before: str
    after: str

    def apply(self, source: str) -> str:
        """Return the changed text."""
        return source[: self.start] + self.replacement + source[self.end :]

    @property
    def name(self) -> tuple[str, str, str, str]:
        """What identifies the mutant; two equal lines of one function are not told apart."""
        return (self.path, self.function, self.before, self.after)

    def __str__(self) -> str:
        place = f" in {self.function}" if self.function else ""
        return f"{self.path}:{self.line}{place} [{self.operator}]\n- {self.before}\n+ {self.after}".rstrip()


@dataclass(frozen=True, slots=True)
class Change:
    """A change as an operator finds it, before it is known to be a sensible one."""

    operator: str
    start: int
    end: int
    replacement: str
    function: str


def mutants(path: str, source: str, changes: Iterable[Change]) -> list[Mutant]:
    """Return the mutants of a file in the order of the text, each resulting text once."""
    found: list[Mutant] = []
    results = {source}
    for change in sorted(changes, key=lambda change: (change.start, change.end)):
        result = source[: change.start] + change.replacement + source[change.end :]
        if result in results:
            continue
        results.add(result)
        first = source.rfind("\n", 0, change.start) + 1
        last = source.find("\n", change.end)
        last = len(source) if last < 0 else last
        after = source[first : change.start] + change.replacement + source[change.end : last]
        found.append(
            Mutant(
                path=path,
                line=source.count("\n", 0, change.start) + 1,
                function=change.function,
                operator=change.operator,
                start=change.start,
                end=change.end,
                replacement=change.replacement,
                before=" ".join(source[first:last].split()),
                after=" ".join(after.split()),
            )
        )
    return found
