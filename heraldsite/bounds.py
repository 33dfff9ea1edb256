"""How much one GraphQL document may ask for. What is too much is refused before anything of it is looked up.

The checks come in the order of their cost: length, tokens and nesting (before the parser, which is recursive), then
depth, fields and aliases with fragments written out (before the validation, which compares fields with one another).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    Node,
    OperationDefinitionNode,
    SelectionSetNode,
    Source,
    TokenKind,
    parse,
)
from graphql.language import Lexer

BYTES_MAX = 16_384
TOKENS_MAX = 2_000
NESTING_MAX = 30
"""How deep parentheses of any kind may stand in one another, the arguments' included."""
DEPTH_MAX = 10
INTROSPECTION_DEPTH_MAX = 16
"""The query by which tools read a schema goes 14 deep."""
INTROSPECTION_LISTS_MAX = 3
"""Lists of the schema that lead to one another grow by the power: fields of types of fields …"""
FIELDS_MAX = 400
ALIASES_MAX = 50
ROOT_FIELDS_MAX = 20
FRAGMENTS_MAX = 50

_OPENS = frozenset({TokenKind.BRACE_L, TokenKind.BRACKET_L, TokenKind.PAREN_L})
_CLOSES = frozenset({TokenKind.BRACE_R, TokenKind.BRACKET_R, TokenKind.PAREN_R})
_LISTS = frozenset({"fields", "interfaces", "possibleTypes", "inputFields"})


class TooMuch(GraphQLError):
    """A document that asks for more than one request may; the sentence says what, and how much is allowed."""


def read(text: str) -> DocumentNode:
    """Return the document that `text` writes; raise TooMuch beyond the bounds, GraphQLSyntaxError for bad syntax."""
    if len(text.encode(errors="replace")) > BYTES_MAX:
        raise TooMuch(f"The document is longer than {BYTES_MAX:,} bytes. Long values belong into variables.")
    _check_tokens(text)
    document = parse(text, max_tokens=TOKENS_MAX)
    _Bounds(document).check()
    return document


def _check_tokens(text: str) -> None:
    lexer = Lexer(Source(text))
    depth = count = 0
    while (token := lexer.advance()).kind is not TokenKind.EOF:
        count += 1
        depth += (token.kind in _OPENS) - (token.kind in _CLOSES)
        if count > TOKENS_MAX:
            raise TooMuch(f"The document has more than {TOKENS_MAX:,} tokens.")
        if depth > NESTING_MAX:
            raise TooMuch(f"The document is nested more than {NESTING_MAX} deep.")


@dataclass(frozen=True, slots=True)
class _Size:
    """What a selection comes to with its fragments written out."""

    roots: int = 0
    depth: int = 0
    fields: int = 0
    aliases: int = 0
    introspection_depth: int = 0
    introspection_lists: int = 0


class _Bounds:
    """One document being measured; each fragment is measured once."""

    def __init__(self, document: DocumentNode) -> None:
        self.operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
        self.fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self.written = sum(1 for node in document.definitions for _ in _fields(node))
        self._sizes: dict[str, _Size | None] = {}

    def check(self) -> None:
        _refuse("fields", self.written, FIELDS_MAX)
        _refuse("fragments", len(self.fragments), FRAGMENTS_MAX)
        for operation in self.operations:
            size = self._size(operation.selection_set)
            _refuse("root fields", size.roots, ROOT_FIELDS_MAX)
            _refuse("fields, with its fragments written out,", size.fields, 2 * FIELDS_MAX)
            _refuse("aliases", size.aliases, ALIASES_MAX)
            _refuse("levels of fields", size.depth, DEPTH_MAX)
            _refuse("levels of fields about the schema", size.introspection_depth, INTROSPECTION_DEPTH_MAX)
            _refuse("lists of the schema within one another", size.introspection_lists, INTROSPECTION_LISTS_MAX)

    def _size(self, selection: SelectionSetNode | None) -> _Size:
        size = _Size()
        for node in selection.selections if selection is not None else ():
            size = _both(size, self._size_of(node))
        return size

    def _size_of(self, node: Node) -> _Size:
        if isinstance(node, FieldNode):
            return _field(node, self._size(node.selection_set))
        if isinstance(node, InlineFragmentNode):
            return self._size(node.selection_set)
        return self._size_of_fragment(node.name.value) if isinstance(node, FragmentSpreadNode) else _Size()

    def _size_of_fragment(self, name: str) -> _Size:
        if name not in self._sizes:
            # While it is being measured, it counts as nothing: one that leads to itself is refused by the validation.
            self._sizes[name] = None
            fragment = self.fragments.get(name)
            self._sizes[name] = self._size(fragment.selection_set) if fragment else _Size()
        return self._sizes[name] or _Size()


def _fields(node: Node) -> Iterator[FieldNode]:
    selection = getattr(node, "selection_set", None)
    for inner in selection.selections if selection is not None else ():
        if isinstance(inner, FieldNode):
            yield inner
        yield from _fields(inner)


def _both(one: _Size, other: _Size) -> _Size:
    return _Size(
        one.roots + other.roots,
        max(one.depth, other.depth),
        one.fields + other.fields,
        one.aliases + other.aliases,
        max(one.introspection_depth, other.introspection_depth),
        max(one.introspection_lists, other.introspection_lists),
    )


def _field(node: FieldNode, inner: _Size) -> _Size:
    """Return what a field comes to; below `__schema` and `__type` depth is counted apart."""
    fields, aliases = inner.fields + 1, inner.aliases + (node.alias is not None)
    lists = inner.introspection_lists + (node.name.value in _LISTS)
    depth = 1 + inner.depth
    if node.name.value in ("__schema", "__type"):
        return _Size(1, 1, fields, aliases, max(depth, inner.introspection_depth), lists)
    return _Size(1, depth, fields, aliases, inner.introspection_depth, lists)


def _refuse(what: str, number: int, most: int) -> None:
    if number > most:
        raise TooMuch(f"The document has more {what} than one request may: at most {most}.")
