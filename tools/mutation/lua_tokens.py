"""The words of a Lua 5.1 text, without its spaces and comments."""

from __future__ import annotations

import re
from dataclasses import dataclass

_WORDS = (
    "and break do else elseif end false for function if in local nil not or repeat return then true until"
)
KEYWORDS = frozenset([*_WORDS.split(" "), "while"])

_LONG = r"\[(?P<{0}>=*)\[.*?\](?P={0})\]"
_TOKEN = re.compile(
    "|".join(
        [
            r"(?P<skipped>\s+|--" + _LONG.format("c") + r"|--[^\n]*)",
            r"(?P<name>[A-Za-z_]\w*)",
            r"(?P<number>0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)",
            r"(?P<string>\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|" + _LONG.format("s") + ")",
            r"(?P<symbol>\.\.\.|\.\.|==|~=|<=|>=|[-+*/%^#<>=(){}\[\];:,.])",
        ]
    ),
    re.DOTALL,
)


class LuaSyntaxError(Exception):
    """The text is not Lua 5.1."""


@dataclass(frozen=True, slots=True)
class Token:
    """One word: ``kind`` is name, keyword, number, string, symbol or end."""

    kind: str
    text: str
    start: int
    end: int


def tokens(source: str) -> list[Token]:
    """Split a text; the last token is of kind "end".

    >>> [token.text for token in tokens("a = b -- a comment")]
    ['a', '=', 'b', '']
    """
    found: list[Token] = []
    place = 0
    while place < len(source):
        match = _TOKEN.match(source, place)
        if match is None:
            line = source.count("\n", 0, place) + 1
            raise LuaSyntaxError(f"line {line}: {source[place : place + 20]!r}")
        kind = match.lastgroup if match.lastgroup not in ("c", "s") else None
        if kind is None:
            kind = "skipped" if match["skipped"] is not None else "string"
        if kind != "skipped":
            if kind == "name" and match[0] in KEYWORDS:
                kind = "keyword"
            found.append(Token(kind, match[0], place, match.end()))
        place = match.end()
    return [*found, Token("end", "", len(source), len(source))]
