"""JSON documents changed one value at a time, with what parsers disagree about."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from random import Random

    from fuzz.target import MutateOctets

_LITERALS: Final = (
    "null", "true", "false", "0", "-0", "1", "-1", "0.5", "1e3", "1e308", "1e309", "-1e400",
    "9007199254740993", "1" + "0" * 308, "1" + "0" * 400, "1" + "0" * 5000, "01", "NaN",
    "Infinity", '""', '" "', "[]", "{}", "[null]", '[""]', "[[]]", '{"":{}}', '"\\ud800"',
    '"\\udc00\\ud800"', '"\\ud83d\\ude00"', '"\\u0000"', '"\\r\\nx-auth-subject: root"',
    '"\\u202e"',
    '"\\u001b[2J"', '"\\u0085"', '"\u00e9"', '"\U0001f600"', '"%\\""', '" x "',
    "[" * 17 + "]" * 17, '{"a":' * 17 + "0" + "}" * 17, '"' + "a" * 4097 + '"', '"*"',
    "\ufeff0", '"\\/"', '"a\tb"',
)  # fmt: skip


class _Members(list[tuple[str, object]]):
    """The members of an object, of which several may have one name."""


@dataclass(frozen=True, slots=True)
class _Literal:
    """Text that stands where a value should."""

    text: str


@dataclass(slots=True)
class _Node:
    """A value, and where it is held."""

    holder: list[object] | _Members
    index: int

    @property
    def value(self) -> object:
        held = self.holder[self.index]
        return held[1] if isinstance(held, tuple) else held

    def put(self, value: object, name: str | None = None) -> None:
        if isinstance(self.holder, _Members):
            known, _value = self.holder[self.index]
            self.holder[self.index] = (known if name is None else name, value)
        else:
            self.holder[self.index] = value


@dataclass(frozen=True, slots=True)
class JsonMutator:
    """Changes a document; *names* and *strings* are what its reader knows, *literals* JSON text."""

    names: Sequence[str] = ()
    strings: Sequence[str] = ("",)
    literals: Sequence[str] = ()

    def mutate(self, document: bytes, mutate: MutateOctets, random: Random) -> bytes:
        """Change one value or a few; as octets where *document* is no JSON, or by chance."""
        try:
            root = [json.loads(document, object_pairs_hook=_Members)]
        except (ValueError, RecursionError):
            return mutate(document)
        if random.random() < 0.1:
            return mutate(document)
        for _ in range(random.choice((1, 1, 1, 2, 4))):
            nodes = list(_nodes(root))
            self._change(random.choice(nodes), nodes, mutate, random)
        return _text(root[0]).encode("utf-8", "surrogatepass")

    def _change(
        self, node: _Node, nodes: list[_Node], mutate: MutateOctets, random: Random
    ) -> None:
        match random.randrange(9):
            case 0 | 1:
                node.put(self._literal(random))
            case 2:
                node.put(random.choice(self.strings))
            case 3:
                node.put(_mutated(node.value, mutate, random))
            case 4:
                node.put(_copy(random.choice(nodes).value))
            case 5 if self.names:
                value = random.choice((self._literal(random), random.choice(nodes).value))
                objects = [each.value for each in nodes if isinstance(each.value, _Members)]
                for holder in random.sample(objects, min(1, len(objects))):
                    holder.append((random.choice(self.names), _copy(value)))
            case 6 if isinstance(node.value, list) and node.value:
                node.value.append(random.choice(node.value))  # for an object, a member twice
            case 7 if len(node.holder) > 1:
                del node.holder[node.index]
            case 8 if self.names:
                node.put(node.value, random.choice(self.names))
            case _:
                node.put([node.value])

    def _literal(self, random: Random) -> _Literal:
        return _Literal(random.choice((*_LITERALS, *self.literals)))


def _nodes(holder: list[object] | _Members) -> Iterator[_Node]:
    for index in range(len(holder)):
        node = _Node(holder, index)
        yield node
        if isinstance(node.value, list):
            yield from _nodes(node.value)


def _mutated(value: object, mutate: MutateOctets, random: Random) -> object:
    if isinstance(value, str):
        octets = mutate(value.encode("utf-8", "surrogatepass"))
        return octets.decode("utf-8", "replace")
    if isinstance(value, int | float):
        return _Literal(str(value + random.choice((-3600, -10, -1, 1, 10, 3600, 2**53))))
    return _Literal(
        mutate(_text(value).encode("utf-8", "surrogatepass")).decode("utf-8", "replace")
    )


def _copy(value: object) -> _Literal:
    """What can be put anywhere: a value inside itself would have no end."""
    return _Literal(_text(value))


def _text(value: object) -> str:
    """Write *value*; what no writer would write comes out as it is."""
    if isinstance(value, _Literal):
        return value.text
    if isinstance(value, _Members):
        return f"{{{','.join(f'{json.dumps(name)}:{_text(member)}' for name, member in value)}}}"
    if isinstance(value, list):
        return f"[{','.join(map(_text, value))}]"
    return json.dumps(value)
