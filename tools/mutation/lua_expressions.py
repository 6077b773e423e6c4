"""The half of the Lua parser that reads expressions."""

from __future__ import annotations

from tools.mutation.lua_tokens import LuaSyntaxError, Token, tokens
from tools.mutation.lua_tree import Node

# left and right binding power, as in the reference manual: .. and ^ bind to the right
BINARY = {
    "or": (1, 1),
    "and": (2, 2),
    **dict.fromkeys(("<", ">", "<=", ">=", "~=", "=="), (3, 3)),
    "..": (5, 4),
    **dict.fromkeys("+-", (6, 6)),
    **dict.fromkeys("*/%", (7, 7)),
    "^": (10, 9),
}
UNARY = 8


class Expressions:
    """Reads tokens one by one, and expressions by recursive descent."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.tokens = tokens(source)
        self.place = 0

    @property
    def token(self) -> Token:
        return self.tokens[self.place]

    def at(self, *texts: str) -> bool:
        token = self.token
        return token.kind in ("keyword", "symbol", "end") and token.text in texts

    def take(self, text: str = "") -> Token:
        token = self.token
        if text and not self.at(text):
            line = self.source.count("\n", 0, token.start) + 1
            raise LuaSyntaxError(f"line {line}: {text} expected, not {token.text!r}")
        self.place += 1
        return token

    def accept(self, text: str) -> bool:
        if not self.at(text):
            return False
        self.place += 1
        return True

    def name(self) -> str:
        if self.token.kind != "name":
            raise LuaSyntaxError(f"a name expected, not {self.token.text!r}")
        return self.take().text

    def done(self, node: Node, **parts: list[Node]) -> Node:
        node.end = self.tokens[self.place - 1].end if self.place else 0
        node.parts.update(parts)
        return node

    def block(self) -> Node:
        """Read statements until their end."""
        raise NotImplementedError

    def function_body(self, node: Node) -> Node:
        """Read what follows the word "function" or the function's name."""
        self.take("(")
        while not self.accept(")"):
            self.take()
        block = self.block()
        self.take("end")
        return self.done(node, blocks=[block])

    def name_functions(self, targets: list[Node], values: list[Node]) -> None:
        for target, value in zip(targets, values, strict=False):
            if value.kind == "function" and not value.text:
                value.text = target.text or self.source[target.start : target.end]

    def expressions(self) -> list[Node]:
        found = [self.expression()]
        while self.accept(","):
            found.append(self.expression())
        return found

    def expression(self, power: int = 0) -> Node:
        start = self.token.start
        if self.at("not", "-", "#"):
            operator = self.take().text
            left = Node("unary", start, text=operator)
            left = self.done(left, operand=[self.expression(UNARY)])
        else:
            left = self.simple()
        while self.token.kind in ("keyword", "symbol") and self.token.text in BINARY:
            binds, inside = BINARY[self.token.text]
            if binds <= power:
                break
            operator_token = self.take()
            node = Node("binary", start, text=operator_token.text, place=operator_token.start)
            left = self.done(node, left=[left], right=[self.expression(inside)])
        return left

    def simple(self) -> Node:
        token = self.token
        if token.kind in ("number", "string"):
            self.take()
            return Node(token.kind, token.start, token.end, token.text)
        if self.at("nil", "true", "false", "..."):
            self.take()
            return Node("constant", token.start, token.end, token.text)
        if self.at("{"):
            return self.table()
        if self.accept("function"):
            return self.function_body(Node("function", token.start))
        return self.suffixed()

    def suffixed(self) -> Node:
        start = self.token.start
        if self.accept("("):
            inner = self.expression()
            self.take(")")
            node = self.done(Node("parentheses", start), inner=[inner])
        else:
            text = self.name()
            node = self.done(Node("name", start, text=text))
        while True:
            if self.accept("."):
                self.name()
                node = self.done(Node("index", start), of=[node])
            elif self.accept("["):
                key = self.expression()
                self.take("]")
                node = self.done(Node("index", start), of=[node], key=[key])
            elif self.at("(", "{", ":") or self.token.kind == "string":
                if self.accept(":"):
                    self.name()
                callee = node
                node = self.done(Node("call", start), callee=[callee], arguments=self.arguments())
                node.end = self.tokens[self.place - 1].end
            else:
                return node

    def arguments(self) -> list[Node]:
        if not self.at("("):
            return [self.simple()]
        self.take("(")
        found = [] if self.at(")") else self.expressions()
        self.take(")")
        return found

    def table(self) -> Node:
        node = Node("table", self.token.start)
        self.take("{")
        fields: list[Node] = []
        while not self.accept("}"):
            entry = Node("field", self.token.start)
            parts: dict[str, list[Node]] = {}
            following = self.tokens[self.place + 1]
            if self.accept("["):
                parts["key"] = [self.expression()]
                self.take("]")
                self.take("=")
            elif self.token.kind == "name" and (following.kind, following.text) == ("symbol", "="):
                entry.text = self.name()
                self.take("=")
            parts["value"] = [self.expression()]
            self.name_functions([entry] if entry.text else [], parts["value"])
            fields.append(self.done(entry, **parts))
            if not (self.accept(",") or self.accept(";")):
                self.take("}")
                break
        return self.done(node, fields=fields)
