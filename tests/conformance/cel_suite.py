"""CEL's conformance cases: what we answer to each as written, and with its literals lifted to facts.

A case written with literals is folded while compiling; only with facts in their place does the kernel
compute it. So every supported case is also run with each literal alone, and with all of them, turned
into a customer's facts (a number, a timestamp, or an enum with that value among others).
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import numpy as np

from nextbest.facts import Catalogue, Fact, FactGroup, FactType, Figure
from nextbest.model import Contexts
from nextbest.rulebook.builder import ProgramBuilder
from nextbest.rulebook.expressions import ExpressionError, Scope, compile_expression, parse
from nextbest.rulebook.expressions.syntax import Call, Literal, Name, Node, children
from nextbest.rulebook.expressions.types import Kind
from nextbest.rulebook.expressions.values import (
    Duration,
    Timestamp,
    TypeValue,
    Uint,
    parse_duration,
    parse_timestamp,
)
from nextbest.rulebook.matching import Inputs, match, no_suppression

CASES = Path(__file__).parent.parent / "oracles" / "cel_conformance.json"
EXACT = 2**53
ERROR = object()
"""The expected answer of a case that must fail."""


class Outcome(Enum):
    """What became of a case."""

    RIGHT = "supported"
    REFUSED = "unsupported"
    WRONG = "wrong"


@dataclass(frozen=True)
class Case:
    """One case of the suite."""

    suite: str
    section: str
    name: str
    source: str
    expected: object
    bindings: dict[str, object]

    @property
    def id(self) -> str:
        """Name for a report."""
        return f"{self.suite}/{self.section}/{self.name}"


def cases() -> list[Case]:
    """All cases of the suite."""
    return [
        Case(
            raw["suite"],
            raw["section"],
            raw["name"],
            raw["expr"],
            ERROR if "error" in raw else _value(raw["value"]),
            {name: _value(value) for name, value in raw.get("bindings", {}).items()},
        )
        for raw in json.loads(CASES.read_text())
    ]


def _value(raw: dict[str, object]) -> object:
    ((kind, value),) = raw.items()
    simple = {
        "int64": int,
        "uint64": lambda x: Uint(int(x)),
        "double": float,
        "bool": bool,
        "string": str,
        "null": lambda x: x,
        "type": TypeValue,
        "list": lambda items: tuple(_value(item) for item in items),
    }
    return simple.get(kind, lambda x: (kind, x))(value)


def same(ours: object, expected: object) -> bool:
    """Equal in kind and value; zeros have signs, NaN equals NaN."""
    if type(ours) is not type(expected):
        return False
    if isinstance(ours, float):
        if math.isnan(ours) or math.isnan(expected):
            return math.isnan(ours) and math.isnan(expected)
        return ours == expected and math.copysign(1, ours) == math.copysign(1, expected)
    return ours == expected


@dataclass
class Lifted:
    """A source in which some literals have become facts."""

    source: str
    facts: list[Fact] = field(default_factory=list)
    values: list[object] = field(default_factory=list)


def as_written(case: Case) -> tuple[Outcome, str]:
    """Compile the case as it stands; its variables become facts."""
    if case.bindings:
        return _with_bindings(case)
    try:
        checked = compile_expression(case.source, Scope(Catalogue(())))
    except ExpressionError as error:
        return (Outcome.RIGHT if case.expected is ERROR else Outcome.REFUSED), error.message
    right = checked.root.is_constant and same(checked.root.value, case.expected)
    return (Outcome.RIGHT if right else Outcome.WRONG), f"{checked.root.value!r}"


def _with_bindings(case: Case) -> tuple[Outcome, str]:
    try:
        tree = parse(case.source)
        lifted = _replace(case, [n for n in _walk(tree) if isinstance(n, Name) and n.name in case.bindings])
        if not lifted.facts:
            return as_written(Case(case.suite, case.section, case.name, case.source, case.expected, {}))
        return run(lifted, case.expected)
    except ExpressionError as error:
        return (Outcome.RIGHT if case.expected is ERROR else Outcome.REFUSED), error.message


def lifted_variants(case: Case) -> Iterator[Lifted]:
    """The case with all literals lifted, with each alone, and with times lifted as times."""
    tree = parse(case.source)
    if any(_is_below_a_microsecond(node) for node in _walk(tree)):
        return
    literals = [node for node in _walk(tree) if isinstance(node, Literal) and _is_liftable(node.value)]
    times = [node for node in _walk(tree) if _time(node) is not None]
    outside = [node for node in literals if not any(t.start <= node.start < t.end for t in times)]
    groups = [literals, *([node] for node in literals)]
    if times:
        groups += [[*outside, *times], *([time] for time in times)]
    for group in groups:
        if group:
            yield _replace(case, group)


def _walk(node: Node) -> Iterator[Node]:
    yield node
    for child in children(node):
        yield from _walk(child)


def _is_liftable(value: object) -> bool:
    if isinstance(value, bool | str):
        return True
    if isinstance(value, Uint):
        return value.number <= EXACT
    return isinstance(value, float) or (isinstance(value, int) and abs(value) <= EXACT)


def _is_below_a_microsecond(node: Node) -> bool:
    """A time that only constants can hold: a fact's is a float64 of seconds."""
    if not isinstance(node, Literal) or not isinstance(node.value, str):
        return False
    return any(
        isinstance(value, Timestamp | Duration) and value.nanos % 1000 != 0
        for value in (parse_timestamp(node.value), parse_duration(node.value))
    )


def _time(node: Node) -> Timestamp | None:
    """The value of `timestamp("...")`, when a fact can hold it exactly."""
    if isinstance(node, Call) and node.function == "timestamp" and len(node.arguments) == 1:
        argument = node.arguments[0]
        if isinstance(argument, Literal) and isinstance(argument.value, str):
            value = parse_timestamp(argument.value)
            if isinstance(value, Timestamp) and round(value.seconds * 1e9) == value.nanos:
                return value
    return None


def _replace(case: Case, nodes: list[Node]) -> Lifted:
    """Put a fact in the place of each node."""
    lifted = Lifted(case.source)
    texts = [
        n.value for n in _walk(parse(case.source)) if isinstance(n, Literal) and isinstance(n.value, str)
    ]
    for node in sorted(nodes, key=lambda n: n.start, reverse=True):
        value = case.bindings[node.name] if isinstance(node, Name) else _time(node) or node.value
        name = f"f{len(lifted.facts)}"
        fact = _fact(name, value, texts)
        if fact is None:
            continue
        lifted.facts.append(fact)
        lifted.values.append(value)
        written = f"uint(customer.{name})" if isinstance(value, Uint) else f"customer.{name}"
        # An operand that ends a word must not grow together with the next.
        lifted.source = f"{lifted.source[: node.start]} {written} {lifted.source[node.end :]}"
    return lifted


def _fact(name: str, value: object, texts: list[str]) -> Fact | None:
    kinds = {
        bool: FactType.BOOL,
        int: FactType.INT,
        Uint: FactType.INT,
        float: FactType.DOUBLE,
        str: FactType.ENUM,
        Timestamp: FactType.TIMESTAMP,
    }
    kind = kinds.get(type(value))
    if kind is None:
        return None
    # Every string of the case, so that comparing with them is allowed, and one that is none of them.
    values = tuple(dict.fromkeys(("something else", *texts, value))) if kind is FactType.ENUM else ()
    return Fact(name=name, type=kind, group=FactGroup.MASTER, values=values)


_AS_NUMBER = {Kind.TIMESTAMP: "int({0})", Kind.DURATION: "({0}).getSeconds()", Kind.STRING: "size({0})"}
"""How to see that a time or a string is an error: a function that keeps the error."""


def run(lifted: Lifted, expected: object) -> tuple[Outcome, str]:
    """Run a lifted case through the kernel, alone and in a partly filled second block.

    Raises:
        ExpressionError: the form with facts is outside the subset.
    """
    source = lifted.source
    if isinstance(expected, str):
        # A string cannot leave the kernel: ask whether it is the expected one.
        source, expected = f"({source}) == {json.dumps(expected, ensure_ascii=False)}", True
    catalogue = Catalogue(tuple(lifted.facts))
    checked = compile_expression(source, Scope(catalogue))
    if expected is ERROR and checked.type.kind in _AS_NUMBER:
        checked = compile_expression(_AS_NUMBER[checked.type.kind].format(source), Scope(catalogue))
    builder = ProgramBuilder()
    if checked.type.kind is Kind.BOOL:
        builder.add_condition(checked)
    elif checked.type.is_number:
        builder.add_value(checked)
    else:
        raise ExpressionError(f"results of type {checked.type} are not supported", 0, len(source))
    answers = {_answer(builder, catalogue, lifted, n) for n in (1, 66)}
    if len(answers) > 1:
        return Outcome.WRONG, f"depends on the number of customers: {answers}"
    answer = answers.pop()
    return (Outcome.RIGHT if _agrees(answer, expected) else Outcome.WRONG), f"{lifted.source}: {answer}"


def _agrees(answer: object, expected: object) -> bool:
    """UNKNOWN is the kernel's error; integers beyond ±2^53 are errors too, as declared."""
    if expected is ERROR:
        return answer == "unknown"
    if isinstance(expected, Uint):
        expected = expected.number
    if isinstance(expected, int) and not isinstance(expected, bool):
        if abs(expected) > EXACT:
            return answer == "unknown" or answer == float(expected)
        expected = float(expected)
        return isinstance(answer, float) and answer == expected
    return same(answer, expected)


def _answer(builder: ProgramBuilder, catalogue: Catalogue, lifted: Lifted, n: int) -> object:
    program = builder.build()
    matches = match(program, _inputs(catalogue, lifted, n))
    last = np.uint64((n - 1) % 64)
    if program.n_conditions:
        if (matches.true[-1, 0] >> last) & np.uint64(1):
            return True
        return False if (matches.false[-1, 0] >> last) & np.uint64(1) else "unknown"
    value = float(matches.values[-1, 0])
    return "unknown" if math.isnan(value) else value


def _inputs(catalogue: Catalogue, lifted: Lifted, n: int) -> Inputs:
    numbers = np.full((n, catalogue.n_numbers), np.nan)
    words = np.zeros((n, catalogue.n_words), np.uint64)
    known = np.zeros((n, catalogue.n_known_words), np.uint64)
    for fact, value in zip(lifted.facts, lifted.values, strict=True):
        if fact.type is FactType.BOOL:
            place = catalogue.bits[fact.name]
            words[:, place.word] |= np.uint64(int(value) << place.shift)
            known[:, place.known_word] |= np.uint64(1 << place.known_bit)
        else:
            numbers[:, catalogue.columns[fact.name]] = _stored(fact, value)
    unset = np.full(n, -1, np.int32)
    contexts = Contexts(
        unset, unset, np.zeros(n, np.uint64), np.empty((n, 0), np.int32), unset, unset, np.zeros((n, 0))
    )
    figures = np.full((n, len(Figure)), np.nan)
    return Inputs(
        numbers, words, known, figures, contexts, np.zeros((n, 0)), np.zeros(n), no_suppression(0, n)
    )


def _stored(fact: Fact, value: object) -> float:
    if isinstance(value, str):
        return float(fact.values.index(value))
    if isinstance(value, Timestamp):
        return value.seconds
    return float(value.number if isinstance(value, Uint) else value)


@dataclass
class Tally:
    """Counts of one suite."""

    right: int = 0
    refused: int = 0
    wrong: int = 0
    lifted_right: int = 0
    lifted_refused: int = 0
    lifted_wrong: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    """Why cases were refused, with counts."""
    mistakes: list[str] = field(default_factory=list)


def tally() -> dict[str, Tally]:
    """Run everything; counts by suite."""
    counts: dict[str, Tally] = {}
    for case in cases():
        _count(counts.setdefault(case.suite, Tally()), case)
    return counts


def _count(counts: Tally, case: Case) -> None:
    outcome, answer = as_written(case)
    if outcome is Outcome.RIGHT:
        counts.right += 1
    elif outcome is Outcome.REFUSED:
        counts.refused += 1
        counts.reasons[answer] = counts.reasons.get(answer, 0) + 1
    else:
        counts.wrong += 1
        counts.mistakes.append(f"{case.id}: {answer}")
    if outcome is Outcome.RIGHT and not case.bindings:
        _count_lifted(counts, case)


def _count_lifted(counts: Tally, case: Case) -> None:
    try:
        variants = list(lifted_variants(case))
    except ExpressionError:
        return
    for lifted in variants:
        try:
            outcome, answer = run(lifted, case.expected)
        except ExpressionError as error:
            refused = case.expected is not ERROR
            outcome, answer = (Outcome.REFUSED if refused else Outcome.RIGHT), error.message
        if outcome is Outcome.RIGHT:
            counts.lifted_right += 1
        elif outcome is Outcome.REFUSED:
            counts.lifted_refused += 1
            counts.reasons[f"lifted: {answer}"] = counts.reasons.get(f"lifted: {answer}", 0) + 1
        else:
            counts.lifted_wrong += 1
            counts.mistakes.append(f"{case.id}: {answer}")
