"""The changes that are made to a Lua text."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tools.mutation.lua_syntax import parse
from tools.mutation.lua_tree import Node
from tools.mutation.mutant import Change, Mutant, mutants

SWAPPED = {
    "<": "<=",
    "<=": "<",
    ">": ">=",
    ">=": ">",
    "==": "~=",
    "~=": "==",
    "+": "-",
    "-": "+",
    "*": "/",
    "/": "*",
}
COMPARISONS = ("<", "<=", ">", ">=", "==", "~=")
CALLS = {"math.max": "math.min", "math.min": "math.max", "math.floor": "math.ceil", "math.ceil": "math.floor"}

Found = Iterator[tuple[str, int, int, str]]  # operator, start, end, replacement


def lua_mutants(path: str, source: str) -> list[Mutant]:
    """Return all mutants of a Lua text.

    Raises:
        LuaSyntaxError: the text is not Lua 5.1.
    """
    changes = [
        Change(*found, function)
        for node, function in parse(source).walk()
        for operator in OPERATORS.get(node.kind, ())
        for found in operator(node, source)
    ]
    return mutants(path, source, changes)


def _conditions(node: Node, source: str) -> Found:
    loop_for_ever = {"while": "true", "repeat": "false"}.get(node.kind)
    for condition in node.parts["condition"]:
        start, end = condition.start, condition.end
        for value in ("true", "false"):
            if value != loop_for_ever and source[start:end] != value:
                yield f"condition {value}", start, end, value
        yield "condition negated", start, end, f"not ({source[start:end]})"


def _binary(node: Node, source: str) -> Found:
    (left,), (right,) = node.parts["left"], node.parts["right"]
    if node.text in ("and", "or"):
        for kept in (left, right):
            yield f"operand of {node.text} dropped", node.start, node.end, source[kept.start : kept.end]
    elif node.text in SWAPPED:
        kind = "comparison" if node.text in COMPARISONS else "arithmetic"
        end = node.place + len(node.text)
        comment = node.text == "+" and source[end] == "-"  # a minus and a minus
        yield kind, node.place, end, SWAPPED[node.text] + " " * comment


def _unary(node: Node, source: str) -> Found:
    if node.text in ("not", "-"):
        (operand,) = node.parts["operand"]
        yield f"{node.text} dropped", node.start, node.end, source[operand.start : operand.end]


def _number(node: Node, source: str) -> Found:
    try:
        value = str(int(node.text, 0) + 1)
    except ValueError:
        value = repr(float(node.text) + 1)
    yield "constant", node.start, node.end, value


def _constant(node: Node, source: str) -> Found:
    if node.text in ("true", "false"):
        yield "constant", node.start, node.end, "false" if node.text == "true" else "true"


def _call(node: Node, source: str) -> Found:
    (callee,) = node.parts["callee"]
    name = source[callee.start : callee.end]
    if name in CALLS:
        yield "call", callee.start, callee.end, CALLS[name]


def _statement(node: Node, source: str) -> Found:
    yield "statement deleted", node.start, node.end, ""


def _assign(node: Node, source: str) -> Found:
    yield "statement deleted", node.start, node.end, ""
    targets, values = node.parts["targets"], node.parts["values"]
    if len(targets) == len(values) > 1:
        for left_out in range(len(targets)):
            kept = [
                ", ".join(source[part.start : part.end] for part in parts if part is not parts[left_out])
                for parts in (targets, values)
            ]
            yield "assignment dropped", node.start, node.end, " = ".join(kept)


def _block(node: Node, source: str) -> Found:
    """A return or break after other statements: alone in its block it is what the condition decides."""
    body = node.parts["body"]
    if len(body) > 1 and body[-1].kind in ("return", "break") and not body[-1].parts.get("values"):
        yield "statement deleted", body[-1].start, body[-1].end, ""


def _return(node: Node, source: str) -> Found:
    for value in node.parts["values"]:
        if value.kind != "constant":
            yield "return value", value.start, value.end, "nil"


def _table(node: Node, source: str) -> Found:
    fields = node.parts["fields"]
    for number, entry in enumerate(fields):
        # with the comma after it, or, for the last one, with the comma before it
        if entry is not fields[-1]:
            yield "field dropped", entry.start, fields[number + 1].start, ""
        else:
            yield "field dropped", fields[number - 1].end if number else entry.start, entry.end, ""


OPERATORS: dict[str, tuple[Callable[[Node, str], Found], ...]] = {
    "if": (_conditions,),
    "while": (_conditions,),
    "repeat": (_conditions,),
    "binary": (_binary,),
    "unary": (_unary,),
    "number": (_number,),
    "constant": (_constant,),
    "call": (_call,),
    "statement": (_statement,),
    "assign": (_assign,),
    "block": (_block,),
    "return": (_return,),
    "table": (_table,),
}
