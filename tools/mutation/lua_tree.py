"""What a Lua text is made of, as a tree that knows where everything stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class Node:
    """A part of the text.

    ``kind``: block, assign, local, statement (a call), return, break, if, while, repeat, for, do, function;
    call, field, table, index, binary, unary, parentheses, name, number, string, constant (nil, true, ...).
    ``text``: the operator of binary and unary, the name of a function, the word of an atom.
    ``parts``: lists of nodes by role, for instance "condition", "targets", "values".
    """

    kind: str
    start: int
    end: int = 0
    text: str = ""
    place: int = 0  # where the operator of a binary stands
    parts: dict[str, list[Node]] = field(default_factory=dict)

    def walk(self, function: str = "") -> Iterator[tuple[Node, str]]:
        """Yield this node and all below it, each with the name of the function around it."""
        yield self, function
        inside = (self.text or function) if self.kind == "function" else function
        for nodes in self.parts.values():
            for node in nodes:
                yield from node.walk(inside)
