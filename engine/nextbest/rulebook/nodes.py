"""YAML text → a tree of nodes that know where they stand; a strict, bounded subset of YAML 1.2.

Scalars follow the YAML 1.2 core schema, so `NO` and `off` are words and `1e3` is a number. Anchors,
aliases, merge keys, tags and repeated keys are refused. The tree is built from the C parser's events
with a stack of our own: the library's composer recurses, resolves YAML 1.1 words, and expands aliases.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

import yaml
from yaml._yaml import CParser

from nextbest.rulebook.meant import number_hint

MAX_DEPTH = 32
"""Deepest nesting of lists and mappings."""
MAX_NODES = 2_000_000
"""Most values and keys in one file."""
MAX_PROBLEMS = 100
"""Problems reported of one file's YAML; the rest are dropped."""

Value: TypeAlias = "str | int | float | bool | list[Value] | dict[str, Value] | None"
"""Plain data as the document models take it."""


@dataclass(slots=True, eq=False)
class Scalar:
    """A leaf; `start` and `end` are character offsets into the file's text."""

    start: int
    end: int
    text: str
    """Content after folding and unescaping."""
    plain: bool
    """Written without quotes and not as a block: may be a number, a truth value or null."""


@dataclass(slots=True, eq=False)
class Sequence:
    """A list."""

    start: int
    end: int
    items: "list[Node]" = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Mapping:
    """A mapping; keys are always words, whatever they look like."""

    start: int
    end: int
    entries: "dict[str, tuple[Scalar, Node]]" = field(default_factory=dict)


Node: TypeAlias = Scalar | Sequence | Mapping


@dataclass(frozen=True, slots=True)
class YamlProblem:
    """Something in the YAML itself that is refused, with character offsets."""

    start: int
    end: int
    code: str
    message: str
    hint: str = ""


class _Stopped(Exception):  # noqa: N818  (leaves the event loop; never seen outside)
    def __init__(self, problem: YamlProblem) -> None:
        self.problem = problem


def parse_nodes(text: str) -> tuple[Node | None, list[YamlProblem]]:
    """Parse one YAML document.

    Args:
        text: the file's content, decoded and without byte order mark.

    Returns:
        The root, None when the text is empty or cannot be parsed, and all that is wrong.

    Cost: about 0.15 s for 1,000 rules of 800 bytes.
    """
    builder = _Builder(text)
    try:
        for event in _events(text):
            builder.take(event)
    except _Stopped as stop:
        return None, [*builder.problems, stop.problem]
    except yaml.MarkedYAMLError as error:
        return None, [*builder.problems, _unclosed(text, builder.last, error) or _syntax_problem(text, error)]
    except yaml.reader.ReaderError as error:
        return None, [*builder.problems, _character_problem(text, error)]
    return builder.root, builder.problems


def to_value(node: Node, problems: list[YamlProblem]) -> Value:
    """Plain data of a node; numbers out of range and empty values are added to `problems`."""
    if isinstance(node, Scalar):
        return _scalar_value(node, problems) if node.plain else node.text
    if isinstance(node, Sequence):
        return [to_value(item, problems) for item in node.items]
    return {key: to_value(value, problems) for key, (_, value) in node.entries.items()}


class _Builder:
    """Turns events into nodes; its own stack, so that depth costs no recursion."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.root: Node | None = None
        self.last: yaml.Event | None = None
        """What was read last."""
        self.problems: list[YamlProblem] = []
        self._open: list[Sequence | Mapping] = []
        self._keys: list[Scalar | None] = []
        self._count = 0
        self._documents = 0

    def take(self, event: yaml.Event) -> None:
        self.last = event
        if isinstance(event, yaml.ScalarEvent):
            self._refuse_properties(event)
            plain = bool(event.implicit[0]) and not event.style
            self._place(Scalar(*_span(event), event.value, plain))
        elif isinstance(event, yaml.MappingStartEvent):
            self._refuse_properties(event)
            self._enter(Mapping(*_span(event)))
        elif isinstance(event, yaml.SequenceStartEvent):
            self._refuse_properties(event)
            self._enter(Sequence(*_span(event)))
        elif isinstance(event, yaml.CollectionEndEvent):
            self._open.pop().end = _span(event)[1]
            self._keys.pop()
        elif isinstance(event, yaml.AliasEvent):
            self._note(
                event, "yaml-alias", f"alias `*{event.anchor}` is not supported", "write the value out"
            )
            self._place(Scalar(*_span(event), "", plain=False))
        elif isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                problem = _at(event, "yaml-documents", "a second document in one file", "remove the `---`")
                raise _Stopped(problem)

    def _enter(self, node: Sequence | Mapping) -> None:
        self._place(node)
        self._open.append(node)
        self._keys.append(None)
        if len(self._open) > MAX_DEPTH:
            message = f"nested more than {MAX_DEPTH} deep"
            raise _Stopped(YamlProblem(node.start, node.start + 1, "yaml-depth", message))

    def _place(self, node: Node) -> None:
        self._count += 1
        if self._count > MAX_NODES:
            message = f"more than {MAX_NODES} values in one file"
            raise _Stopped(YamlProblem(node.start, node.end, "yaml-size", message, "split the file"))
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        if isinstance(parent, Sequence):
            parent.items.append(node)
            return
        key, self._keys[-1] = self._keys[-1], None
        if key is not None:
            self._add_entry(parent, key, node)
        else:
            self._keys[-1] = self._as_key(node)

    def _as_key(self, node: Node) -> Scalar:
        if isinstance(node, Scalar):
            if node.plain and node.text == "<<":
                self._add(node, "yaml-merge", "merge key `<<` is not supported", "write the keys out")
            return node
        hint = "quote text that begins with `{` or `[`"
        problem = YamlProblem(node.start, node.end, "yaml-key", "a key must be a word", hint)
        raise _Stopped(problem)

    def _add_entry(self, parent: Mapping, key: Scalar, node: Node) -> None:
        if key.text in parent.entries:
            self._add(key, "duplicate-key", f"key `{key.text}` is given twice", "keep one of them")
        elif self._lacks_value(key, node):
            hint = _comma_hint(parent, key)
            self._add(key, "yaml-comma", f"`{key.text}` stands where a key should", hint)
        else:
            parent.entries[key.text] = (key, node)

    def _lacks_value(self, key: Scalar, node: Node) -> bool:
        """True for the second half of `{en: yes, please}`, which YAML reads as a key without a value."""
        if not isinstance(node, Scalar) or node.text or not node.plain:
            return False
        return not self._text[key.end : node.end + 1].lstrip().startswith(":")

    def _refuse_properties(self, event: yaml.NodeEvent) -> None:
        if event.anchor is not None:
            self._note(
                event, "yaml-anchor", f"anchor `&{event.anchor}` is not supported", "write the value out"
            )
        tag = getattr(event, "tag", None)
        if tag is not None:
            hint = "quote a value that begins with `!`, such as `'!customer.complaint_open'`"
            shown = tag.replace("tag:yaml.org,2002:", "!!")
            self._note(event, "yaml-tag", f"tag `{shown}` is not supported", hint)

    def _note(self, event: yaml.Event, code: str, message: str, hint: str) -> None:
        self._append(_at(event, code, message, hint))

    def _add(self, node: Node, code: str, message: str, hint: str) -> None:
        self._append(YamlProblem(node.start, node.end, code, message, hint))

    def _append(self, problem: YamlProblem) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(problem)


def _events(text: str) -> Iterator[yaml.Event]:
    parser = CParser(text)
    while True:
        event = parser.get_event()
        if event is None or isinstance(event, yaml.StreamEndEvent):
            return
        yield event


def _at(event: yaml.Event, code: str, message: str, hint: str) -> YamlProblem:
    return YamlProblem(*_span(event), code, message, hint)


def _span(event: yaml.Event) -> tuple[int, int]:
    """Character offsets of an event; the parser marks every one."""
    start, end = event.start_mark, event.end_mark
    assert start is not None
    assert end is not None
    return start.index, end.index


# YAML 1.2.2, section 10.3.2 (core schema).
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_DECIMAL = re.compile(r"[-+]?[0-9]+", re.ASCII)
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_SPECIAL = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_NUMBER_START = frozenset("0123456789+-.")
_LARGEST = 2**63
_MAX_DIGITS = 400


def _scalar_value(node: Scalar, problems: list[YamlProblem]) -> Value:
    text = node.text
    if text in _NULLS:
        hint = "give it a value, or leave its key out"
        problems.append(YamlProblem(node.start, node.end, "no-value", "nothing stands here", hint))
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if text[0] not in _NUMBER_START:
        return text
    number = _number(text)
    if isinstance(number, str) or (number is not None and abs(number) <= _LARGEST):
        return number
    if isinstance(number, float) and abs(number) < float("inf"):
        return number
    shown = text if len(text) <= 40 else text[:40] + "…"
    problems.append(
        YamlProblem(node.start, node.end, "number-range", f"number `{shown}` is out of range", "")
    )
    return 0


def _number(text: str) -> int | float | str | None:
    """The number, the text itself if it is none, None if it has too many digits to be one."""
    if _SPECIAL.fullmatch(text):
        return None
    if len(text) > _MAX_DIGITS:
        return None if _FLOAT.fullmatch(text) or _BASED.fullmatch(text) else text
    if _DECIMAL.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    return float(text) if _FLOAT.fullmatch(text) else text


_SYNTAX: tuple[tuple[str, str, str], ...] = (
    ("unexpected end of stream", "a quotation mark is never closed", ""),
    ("mapping values are not allowed", "`:` cannot stand here", "quote a text that contains `: `, or indent"),
    ("expected ',' or '}'", "expected `,` or `}`", "quote a text that contains special characters"),
    ("expected ',' or ']'", "expected `,` or `]`", "quote a text that contains special characters"),
    ("expected key", "expected a key", "check the indentation, and quote text that begins with `{` or `[`"),
    ("could not find expected ':'", "expected `:` after a key", "check the indentation"),
    ("expected '-'", "expected `-`", "entries of a list are indented alike"),
    ("block sequence entries", "`-` cannot stand here", "begin a list on a line of its own"),
    ("expected alphabetic", "`&` or `*` cannot begin a text", "quote it"),
    ("tag", "`!` cannot begin a text", "quote it, such as `'!customer.complaint_open'`"),
)
"""What the parser says, what we say, and advice."""


def _syntax_problem(text: str, error: yaml.MarkedYAMLError) -> YamlProblem:
    problem = error.problem or "cannot be read"
    mark = error.context_mark if "end of stream" in problem and error.context_mark else error.problem_mark
    if (open_ := _left_open(text, error)) is not None:
        return open_
    index = min(mark.index if mark else 0, len(text))
    message, hint = _in_words(text, index, problem)
    return YamlProblem(index, index + 1, "yaml-syntax", message, hint)


def _left_open(text: str, error: yaml.MarkedYAMLError) -> YamlProblem | None:
    """A bracket whose content goes wrong in a later line: probably it is not closed in its own."""
    begun, found = error.context_mark, error.problem_mark
    if begun is None or found is None or "flow" not in str(error.context) or begun.line == found.line:
        return None
    bracket = text[begun.index : begun.index + 1]
    if bracket not in _CLOSING:
        return None
    message = f"`{bracket}` is not closed before line {found.line + 1}"
    hint = f"close it with `{_CLOSING[bracket]}`; ` #` begins a comment, and between entries stands a comma"
    return YamlProblem(begun.index, begun.index + 1, "yaml-syntax", message, hint)


_CLOSING = {"[": "]", "{": "}"}


def _unclosed(text: str, last: yaml.Event | None, error: yaml.MarkedYAMLError) -> YamlProblem | None:
    """The quoted text after which something else follows: its closing quotation mark is probably missing.

    The parser goes on to the next quotation mark, which may be in another line, and complains there.
    """
    if not isinstance(last, yaml.ScalarEvent) or not last.style or error.problem_mark is None:
        return None
    start, end = _span(last)
    index = error.problem_mark.index
    if last.style not in "'\"" or text[end:index].strip(" ") or not text[index : index + 1].strip():
        return None
    line = text.count("\n", 0, end) + 1
    follows = re.split(r"[\r\n]", text[index : index + 30])[0].strip()
    message = f"this text ends at the next `{last.style}`, in line {line}, before `{follows}`"
    if _OPERATOR.match(follows):
        quoted = f"'{text[start:end]} {follows}'"
        hint = f"an expression that begins with a quotation mark goes in single quotes: `{quoted}`"
        return YamlProblem(start, end, "yaml-syntax", f"`{follows}` follows a text", hint)
    inside = '\\"' if last.style == '"' else "''"
    hint = f"is its closing `{last.style}` missing? inside the text it is written `{inside}`"
    return YamlProblem(start, end, "yaml-syntax", message, hint)


_OPERATOR = re.compile(r"(in|==|!=|<=|>=|<|>|&&|\|\||\+|\?) ")
"""What goes on after a text in an expression."""


def _in_words(text: str, index: int, problem: str) -> tuple[str, str]:
    character = text[index : index + 1]
    if character == "\t" or "\t" in _indent(text, index):
        return "a tab stands where spaces should", "indent with spaces"
    if "cannot start any token" in problem:
        return f"`{character}` cannot begin a text", "quote it"
    known = (entry[1:] for entry in _SYNTAX if entry[0] in problem)
    return next(
        known, (problem.removeprefix("found "), "check the indentation, and quote special characters")
    )


def _indent(text: str, index: int) -> str:
    line = text[text.rfind("\n", 0, index) + 1 :].split("\n", 1)[0]
    return line[: len(line) - len(line.lstrip())]


def _character_problem(text: str, error: yaml.reader.ReaderError) -> YamlProblem:
    index = next((i for i, c in enumerate(text) if not _allowed(c)), 0)
    message = f"character U+{ord(text[index]):04X} is not allowed" if text else str(error.reason)
    return YamlProblem(index, index + 1, "yaml-character", message, "remove it")


def _allowed(c: str) -> bool:
    """YAML 1.2.2, section 5.1: the printable characters."""
    return c in "\t\n\r\x85" or " " <= c <= "~" or ("\xa0" <= c <= "\U0010ffff" and not _private(c))


def _private(c: str) -> bool:
    return "\ud800" <= c <= "\udfff" or c in "\ufffe\uffff"


def _comma_hint(parent: Mapping, key: Scalar) -> str:
    """What to do about a comma before `key`: a decimal, as in `{accepted: 3,50}`, or one in a text."""
    _, before = next(reversed(parent.entries.values()), (None, None))
    if isinstance(before, Scalar) and before.plain and _is_digits(key):
        return (
            number_hint(f"{before.text},{key.text}")
            or "put quotation marks around a text that contains a comma"
        )
    return "put quotation marks around a text that contains a comma"


def _is_digits(scalar: Scalar) -> bool:
    return scalar.plain and scalar.text.isascii() and scalar.text.isdigit()
