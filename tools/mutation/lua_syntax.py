"""A parser for Lua 5.1: what the operators need to know about a text."""

from __future__ import annotations

from tools.mutation.lua_expressions import Expressions
from tools.mutation.lua_tokens import LuaSyntaxError
from tools.mutation.lua_tree import Node

BLOCK_ENDS = ("end", "else", "elseif", "until", "")


class Parser(Expressions):
    """Reads statements."""

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
        self.name_functions(targets, values)
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
        return self.function_body(node)

    def _local(self, node: Node) -> Node:
        self.take("local")
        if self.accept("function"):
            node.kind = "function"
            node.text = self.name()
            return self.function_body(node)
        targets = [Node("name", self.token.start, text=self.name())]
        while self.accept(","):
            targets.append(Node("name", self.token.start, text=self.name()))
        values = self.expressions() if self.accept("=") else []
        self.name_functions(targets, values)
        return self.done(node, values=values)

    def _return(self, node: Node) -> Node:
        self.take("return")
        values = [] if self.at(*BLOCK_ENDS, ";") else self.expressions()
        return self.done(node, values=values)

    def _break(self, node: Node) -> Node:
        self.take("break")
        return self.done(node)


def parse(source: str) -> Node:
    """Return the tree of a text.

    Raises:
        LuaSyntaxError: it is not Lua 5.1.
    """
    return Parser(source).chunk()
