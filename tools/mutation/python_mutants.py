"""The changes that are made to a Python module."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator

from tools.mutation.mutant import Change, Mutant, mutants
from tools.mutation.python_scope import FUNCTIONS, bound_names, is_text, only_for_types

SWAPPED = {
    "<": "<=",
    "<=": "<",
    ">": ">=",
    ">=": ">",
    "==": "!=",
    "!=": "==",
    "is": "is not",
    "is not": "is",
    "in": "not in",
    "not in": "in",
    "+": "-",
    "-": "+",
    "*": "/",
    "/": "*",
    "//": "*",
}
COMPARISON = re.compile(r"<=|>=|==|!=|<|>|\bis\s+not\b|\bnot\s+in\b|\bis\b|\bin\b")
ARITHMETIC = re.compile(r"//|\*\*|[-+*/%@&|^]")
CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}
ATOMS = (ast.Name, ast.Attribute, ast.Call, ast.Subscript, ast.Constant, ast.Compare)
Found = Iterator[tuple[str, int, int, str]]  # operator, start, end, replacement


def python_mutants(path: str, source: str) -> list[Mutant]:
    """Return all mutants of a Python module that compile.

    Annotations, decorators, assertions, f-strings, imports, docstrings, overloads, protocols and what is only
    read by type checkers stay as they are.

    Raises:
        SyntaxError: it is no Python module.
    """
    found = mutants(path, source, _Finder(source).changes())
    return [mutant for mutant in found if _compiles(mutant.apply(source))]


def _compiles(text: str) -> bool:
    try:
        compile(text, "mutant", "exec", dont_inherit=True)
    except SyntaxError:
        return False
    return True


class _Finder:
    def __init__(self, source: str) -> None:
        self.source = source
        self.lines = source.splitlines(keepends=True)
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line))
        self.names: list[str] = []
        self.bound: Counter[str] = Counter()

    def changes(self) -> Iterator[Change]:
        """Yield every change of the module."""
        yield from self._below(ast.parse(self.source))

    # -- walking

    def _below(self, node: ast.AST) -> Iterator[Change]:
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list", "type_params"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from self._node(child)

    def _node(self, node: ast.AST) -> Iterator[Change]:
        if isinstance(node, (ast.Assert, ast.JoinedStr, ast.Import, ast.ImportFrom)) or only_for_types(node):
            return
        if not isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            yield from self._changes_of(node)
            yield from self._below(node)
            return
        outer = self.bound
        self.names.append(node.name)
        if isinstance(node, FUNCTIONS):
            self.bound = bound_names(node)
        yield from self._below(node)
        self.names.pop()
        self.bound = outer

    def _changes_of(self, node: ast.AST) -> Iterator[Change]:
        kind = type(node).__name__
        for found in getattr(self, f"_{kind.lower()}", self._nothing)(node):
            operator, start, end, replacement = found
            yield Change(operator, start, end, replacement, ".".join(self.names))

    def _nothing(self, node: ast.AST) -> Found:
        return iter(())

    # -- places

    def _span(self, node: ast.AST) -> tuple[int, int]:
        assert isinstance(node, (ast.expr, ast.stmt))
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._offset(node.lineno, node.col_offset), self._offset(node.end_lineno, node.end_col_offset)

    def _offset(self, line: int, column: int) -> int:
        # Columns are counted in bytes of UTF-8.
        return self.starts[line - 1] + len(self.lines[line - 1].encode()[:column].decode())

    def _text(self, node: ast.AST) -> str:
        start, end = self._span(node)
        return self.source[start:end]

    def _between(self, left: ast.AST, right: ast.AST, pattern: re.Pattern[str]) -> tuple[int, int, str]:
        """Return the place of an operator and its text with single spaces."""
        end, start = self._span(left)[1], self._span(right)[0]
        match = pattern.search(self.source, end, start)
        assert match is not None, self.source[end:start]
        return match.start(), match.end(), " ".join(match[0].split())

    # -- operators

    def _condition(self, test: ast.expr, constants: str = "True False") -> Found:
        start, end = self._span(test)
        for value in constants.split():
            if self.source[start:end] != value:
                yield f"condition {value.lower()}", start, end, value
        yield "condition negated", start, end, f"(not ({self.source[start:end]}))"

    def _if(self, node: ast.If) -> Found:
        return self._condition(node.test)

    def _ifexp(self, node: ast.IfExp) -> Found:
        return self._condition(node.test)

    def _while(self, node: ast.While) -> Found:
        return self._condition(node.test, "False")  # for ever is no interesting change

    def _comprehension(self, node: ast.comprehension) -> Found:
        for test in node.ifs:
            yield from self._condition(test)

    def _boolop(self, node: ast.BoolOp) -> Found:
        start, end = self._span(node)
        word = "and" if isinstance(node.op, ast.And) else "or"
        texts = [
            self._text(value) if isinstance(value, ATOMS) else f"({self._text(value)})"
            for value in node.values
        ]
        for number in range(len(texts)):
            kept = f" {word} ".join(texts[:number] + texts[number + 1 :])
            # brackets, since the operands may stand on lines of their own
            yield f"operand of {word} dropped", start, end, f"({kept})" if "\n" in kept else kept

    def _compare(self, node: ast.Compare) -> Found:
        left = node.left
        for right in node.comparators:
            start, end, text = self._between(left, right, COMPARISON)
            yield "comparison", start, end, SWAPPED[text]
            left = right

    def _binop(self, node: ast.BinOp) -> Found:
        start, end, text = self._between(node.left, node.right, ARITHMETIC)
        if text in SWAPPED and not is_text(node):
            yield "arithmetic", start, end, SWAPPED[text]

    def _augassign(self, node: ast.AugAssign) -> Found:
        start, end, text = self._between(node.target, node.value, ARITHMETIC)
        if text in SWAPPED:
            yield "arithmetic", start, end, SWAPPED[text]
        yield from self._deleted(node)

    def _unaryop(self, node: ast.UnaryOp) -> Found:
        if isinstance(node.op, (ast.Not, ast.USub)):
            word = "not" if isinstance(node.op, ast.Not) else "-"
            start, end = self._span(node)
            yield f"{word} dropped", start, end, f"({self._text(node.operand)})"

    def _constant(self, node: ast.Constant) -> Found:
        start, end = self._span(node)
        if isinstance(node.value, bool):
            yield "constant", start, end, str(not node.value)
        elif isinstance(node.value, (int, float)):
            yield "constant", start, end, repr(node.value + 1)

    def _call(self, node: ast.Call) -> Found:
        start, end = self._span(node.func)
        name = self.source[start:end]
        if name in CALLS:
            yield "call", start, end, CALLS[name]

    def _return(self, node: ast.Return) -> Found:
        if node.value is not None and not isinstance(node.value, ast.Constant):
            yield "return value", *self._span(node.value), "None"

    def _dict(self, node: ast.Dict) -> Found:
        for number, (key, value) in enumerate(zip(node.keys, node.values, strict=True)):
            if key is None:
                continue
            start, end = self._span(key)[0], self._span(value)[1]
            comma = re.compile(r"[\s)]*,\s*").match(self.source, end)
            if comma is not None:
                yield "field dropped", start, comma.end(), ""
            elif number:
                yield "field dropped", self._span(node.values[number - 1])[1], end, ""

    def _deleted(self, node: ast.stmt) -> Found:
        yield "statement deleted", *self._span(node), "pass"

    def _assign(self, node: ast.Assign) -> Found:
        if any(self._keeps_meaning_without(target) for target in node.targets):
            yield from self._deleted(node)

    def _annassign(self, node: ast.AnnAssign) -> Found:
        if node.value is not None and self._keeps_meaning_without(node.target):
            yield from self._deleted(node)

    def _keeps_meaning_without(self, target: ast.expr) -> bool:
        """Whether what follows can run without this assignment: an only local name would just be missing."""
        if isinstance(target, ast.Tuple):
            return all(self._keeps_meaning_without(part) for part in target.elts)
        return not isinstance(target, ast.Name) or self.bound[target.id] > 1

    def _expr(self, node: ast.Expr) -> Found:
        if not isinstance(node.value, ast.Constant):
            yield from self._deleted(node)

    _raise = _break = _continue = _delete = _deleted
