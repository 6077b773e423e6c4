"""A parser for Lua 5.1: what the operators need to know about a text, as a tree with places."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tools.mutation.lua_tokens import LuaSyntaxError, Token, tokens

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
BLOCK_ENDS = ("end", "else", "elseif", "until", "")


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


class Parser:
    """Recursive descent over the tokens of one text."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.tokens = tokens(source)
        self.place = 0

    # -- tokens

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

    # -- statements

    def chunk(self) -> Node:
        node = self.block()
        self.take("")
        if self.place < len(self.tokens):
            raise LuaSyntaxError(f"the text goes on after its end: {self.token.text!r}")
        return node

    def block(self) -> Node:
        node = Node("block", self.token.start)
        body: list[Node] = []
        while not self.at(*BLOCK_ENDS):
            last = self.at("return", "break")
            body.append(self.statement())
            self.accept(";")
            if last:
                break
        return self.done(node, body=body)

    def statement(self) -> Node:
        node = Node("", self.token.start)
        word = self.token.text if self.token.kind == "keyword" else ""
        if word in ("if", "while", "for", "do", "repeat", "function", "local", "return", "break"):
            node.kind = word
            result: Node = getattr(self, f"_{word}")(node)
            return result
        first = self.suffixed()
        if first.kind == "call":
            node.kind = "statement"
            return self.done(node, call=[first])
        targets = [first]
        while self.accept(","):
            targets.append(self.suffixed())
        self.take("=")
        node.kind = "assign"
        values = self.expressions()
        self._name_functions(targets, values)
        return self.done(node, targets=targets, values=values)

    def _if(self, node: Node) -> Node:
        conditions, blocks = [], []
        self.take("if")
        while True:
            conditions.append(self.expression())
            self.take("then")
            blocks.append(self.block())
            if not self.accept("elseif"):
                break
        if self.accept("else"):
            blocks.append(self.block())
        self.take("end")
        return self.done(node, condition=conditions, blocks=blocks)

    def _while(self, node: Node) -> Node:
        self.take("while")
        condition = self.expression()
        return self.done(node, condition=[condition], blocks=[self._do_block()])

    def _repeat(self, node: Node) -> Node:
        self.take("repeat")
        block = self.block()
        self.take("until")
        return self.done(node, blocks=[block], condition=[self.expression()])

    def _for(self, node: Node) -> Node:
        self.take("for")
        self.name()
        while self.accept(","):
            self.name()
        self.take() if self.at("=", "in") else self.take("in")
        values = self.expressions()
        return self.done(node, values=values, blocks=[self._do_block()])

    def _do(self, node: Node) -> Node:
        return self.done(node, blocks=[self._do_block()])

    def _do_block(self) -> Node:
        self.take("do")
        block = self.block()
        self.take("end")
        return block

    def _function(self, node: Node) -> Node:
        self.take("function")
        node.text = self.name()
        while self.at(".", ":"):
            node.text += self.take().text + self.name()
        return self._function_body(node)

    def _function_body(self, node: Node) -> Node:
        self.take("(")
        while not self.accept(")"):
            self.take()
        block = self.block()
        self.take("end")
        return self.done(node, blocks=[block])

    def _local(self, node: Node) -> Node:
        self.take("local")
        if self.accept("function"):
            node.kind = "function"
            node.text = self.name()
            return self._function_body(node)
        targets = [Node("name", self.token.start, text=self.name())]
        while self.accept(","):
            targets.append(Node("name", self.token.start, text=self.name()))
        values = self.expressions() if self.accept("=") else []
        self._name_functions(targets, values)
        return self.done(node, values=values)

    def _return(self, node: Node) -> Node:
        self.take("return")
        values = [] if self.at(*BLOCK_ENDS, ";") else self.expressions()
        return self.done(node, values=values)

    def _break(self, node: Node) -> Node:
        self.take("break")
        return self.done(node)

    def _name_functions(self, targets: list[Node], values: list[Node]) -> None:
        for target, value in zip(targets, values, strict=False):
            if value.kind == "function" and not value.text:
                value.text = target.text or self.source[target.start : target.end]

    # -- expressions

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
            return self._function_body(Node("function", token.start))
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
            self._name_functions([entry] if entry.text else [], parts["value"])
            fields.append(self.done(entry, **parts))
            if not (self.accept(",") or self.accept(";")):
                self.take("}")
                break
        return self.done(node, fields=fields)


def parse(source: str) -> Node:
    """Return the tree of a text.

    Raises:
        LuaSyntaxError: it is not Lua 5.1.
    """
    return Parser(source).chunk()
