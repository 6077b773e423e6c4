"""What can be said about a Python statement without running it."""

from __future__ import annotations

import ast
from collections import Counter

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def bound_names(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Counter[str]:
    """Return how often each name is given a value in a function, arguments included."""
    names = Counter(argument.arg for argument in ast.walk(function.args) if isinstance(argument, ast.arg))
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names[node.id] += 1
        elif isinstance(node, (ast.Nonlocal, ast.Global)):
            names.update(dict.fromkeys(node.names, 2))
    return names


def is_text(node: ast.BinOp) -> bool:
    """Whether an operation is about text, as far as can be seen."""
    sides = (node.left, node.right)
    return any(isinstance(side, ast.JoinedStr) or _constant_text(side) for side in sides)


def _constant_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes))


def only_for_types(node: ast.AST) -> bool:
    """Whether a statement is there for type checkers and importers only."""
    if isinstance(node, FUNCTIONS):
        return any(ast.unparse(decorator).endswith("overload") for decorator in node.decorator_list)
    if isinstance(node, ast.If):
        return ast.unparse(node.test).endswith("TYPE_CHECKING")
    if isinstance(node, ast.Assign):
        return any(isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets)
    return isinstance(node, ast.ClassDef) and any("Protocol" in ast.unparse(base) for base in node.bases)
