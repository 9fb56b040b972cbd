"""Random well-typed expressions over a small catalogue, and random customers to try them on."""

import random
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from tests.naive.expressions import UNKNOWN, Instant, Situation

from nextbest.facts import Catalogue, Fact, FactGroup, FactType, Figure
from nextbest.model import Contexts
from nextbest.rulebook.expressions import Scope
from nextbest.rulebook.matching import Inputs, n_blocks

TIERS = ("gold", "silver", "bronze", "none")
COLOURS = ("silver", "red", "gold")
DRINKS = ("tea", "coffee", "gold", "red")
CHANNELS = ("pos", "email", "silver")
PLACEMENTS = ("receipt", "screen")
NOW = 1_770_000_000


def _fact(name, kind, values=()):
    return Fact(name=name, type=kind, group=FactGroup.MASTER, values=values)


CATALOGUE = Catalogue(
    (
        _fact("i1", FactType.INT),
        _fact("i2", FactType.INT),
        _fact("d1", FactType.DOUBLE),
        _fact("d2", FactType.DOUBLE),
        _fact("b1", FactType.BOOL),
        _fact("b2", FactType.BOOL),
        _fact("tier", FactType.ENUM, TIERS),
        _fact("colour", FactType.ENUM, COLOURS),
        _fact("drinks", FactType.SET, DRINKS),
        _fact("t1", FactType.TIMESTAMP),
        _fact("t2", FactType.TIMESTAMP),
    )
)
SCOPE = Scope(
    CATALOGUE,
    context_facts=(_fact("urgency", FactType.INT), _fact("vip", FactType.BOOL)),
    channels=CHANNELS,
    placements=PLACEMENTS,
)


@dataclass
class Generator:
    """Draws expressions; `plain` keeps to what Google's CEL has too (no functions of our own, no `now`)."""

    rng: random.Random
    plain: bool = False

    def boolean(self, depth=3):
        """A bool expression."""
        simple = (self._bool_fact, self._comparison, self._comparison, self._membership, self._has)
        deep = (self._logic, self._logic, self._logic, self._not, self._bool_choice, self._bool_equal)
        return self._one(depth, simple, deep)

    def number(self, depth=2):
        """An int or double expression with its type."""
        kind = self.rng.choice(("int", "double"))
        return (self.integer(depth) if kind == "int" else self.double(depth)), kind

    def _one(self, depth, simple, deep):
        rng = self.rng
        if depth <= 0 or rng.random() < 0.25:
            return rng.choice(simple)(0)
        return rng.choice((*simple, *deep))(depth - 1)

    def _bool_fact(self, _depth):
        names = ("customer.b1", "customer.b2", "true", "false", "customer.b1")
        return self.rng.choice(names if self.plain else (*names, "context.vip", "customer.value_reached"))

    def _has(self, _depth):
        return f"has(customer.{self.rng.choice(('i1', 'd1', 'b2', 'tier', 'drinks', 't1'))})"

    def _logic(self, depth):
        operator = self.rng.choice((" && ", " || "))
        parts = [self.boolean(depth) for _ in range(self.rng.randint(2, 3))]
        return "(" + operator.join(parts) + ")"

    def _not(self, depth):
        return f"!({self.boolean(depth)})"

    def _bool_choice(self, depth):
        return f"({self.boolean(depth)} ? {self.boolean(depth)} : {self.boolean(depth)})"

    def _bool_equal(self, depth):
        operator = self.rng.choice(("==", "!=", "<", "<=", ">", ">="))
        return f"(({self.boolean(depth)}) {operator} ({self.boolean(depth)}))"

    def _comparison(self, depth):
        operator = self.rng.choice(("==", "!=", "<", "<=", ">", ">="))
        kind = self.rng.choice(("int", "double", "mixed", "text", "time", "uint"))
        if kind == "mixed":
            pair = self.integer(depth), self.double(depth)
            left, right = self.rng.sample(pair, 2)
            return f"(dyn({left}) {operator} {right})"
        draw = {
            "int": self.integer,
            "double": self.double,
            "text": self.text,
            "time": self.time,
            "uint": self.unsigned,
        }[kind]
        return f"({draw(depth)} {operator} {draw(depth)})"

    def _membership(self, depth):
        rng = self.rng
        kind = rng.choice(("list", "texts", "set", "dynamic", "text"))
        if kind == "list":
            return f"({self.integer(depth)} in [{self.integer(0)}, {self.integer(0)}])"
        if kind == "texts":
            members = rng.sample(TIERS, rng.randint(1, 3))
            return f"(customer.tier in [{', '.join(repr(m) for m in members)}])"
        if kind == "set":
            return f'("{rng.choice(DRINKS)}" in customer.drinks)'
        if kind == "dynamic":
            return f"({rng.choice(('customer.colour', 'customer.tier'))} in customer.drinks)"
        method = rng.choice(("startsWith", "endsWith", "contains"))
        part = rng.choice(("'s'", "'old'", "''", "customer.colour"))
        return f"{self.text(depth)}.{method}({part})"

    def integer(self, depth=2):
        """An int expression."""
        return self._one(depth, (self._int_leaf,), (self._int_sum, self._int_function, self._int_choice))

    def _int_leaf(self, _depth):
        names = ("customer.i1", "customer.i2", "customer.i1", str(self.rng.randint(0, 4)))
        return self.rng.choice(names if self.plain else (*names, "context.urgency", "customer.level"))

    def _int_sum(self, depth):
        return f"({self.integer(depth)} {self.rng.choice('+-*/%')} {self.integer(depth)})"

    def _int_function(self, depth):
        rng = self.rng
        options = [
            f"(-({self.integer(depth)}))",
            f"int({self.double(depth)})",
            f"size({self.text(depth)})",
            "size(customer.drinks)",
            f"int({self.unsigned(depth)})",
            f"customer.t1.{rng.choice(('getFullYear', 'getMonth', 'getDate', 'getDayOfWeek'))}()",
            f"customer.t2.{rng.choice(('getDayOfMonth', 'getDayOfYear', 'getHours', 'getMinutes'))}()",
            "customer.t1.getHours('Europe/Copenhagen')",
            f"({self.time(depth)} - customer.t1).{rng.choice(('getHours', 'getMinutes', 'getSeconds'))}()",
        ]
        own = [
            f"abs({self.integer(depth)})",
            f"min({self.integer(depth)}, {self.integer(depth)})",
            f"max({self.integer(depth)}, {self.integer(depth)}, 1)",
            "months_since(customer.t1)",
        ]
        return rng.choice(options if self.plain else options + own)

    def _int_choice(self, depth):
        return f"({self.boolean(depth)} ? {self.integer(depth)} : {self.integer(depth)})"

    def double(self, depth=2):
        """A double expression."""
        return self._one(depth, (self._double_leaf,), (self._double_sum, self._double_function))

    def _double_leaf(self, _depth):
        names = ("customer.d1", "customer.d2", "customer.d1", repr(self.rng.choice((0.0, 0.5, 1.5, 2.0))))
        return self.rng.choice(names if self.plain else (*names, "customer.ltv"))

    def _double_sum(self, depth):
        return f"({self.double(depth)} {self.rng.choice('+-*/')} {self.double(depth)})"

    def _double_function(self, depth):
        options = [
            f"(-({self.double(depth)}))",
            f"double({self.integer(depth)})",
            f"({self.boolean(depth)} ? {self.double(depth)} : {self.double(depth)})",
        ]
        own = [
            f"abs({self.double(depth)})",
            f"round({self.double(depth)})",
            f"min({self.double(depth)}, {self.double(depth)})",
            "days_since(customer.t2)",
        ]
        return self.rng.choice(options if self.plain else options + own)

    def unsigned(self, depth=1):
        """A uint expression."""
        leaf = self.rng.choice((f"uint({self.integer(0)})", f"{self.rng.randint(0, 3)}u"))
        if depth <= 0 or self.rng.random() < 0.5:
            return leaf
        return f"({leaf} {self.rng.choice('+-*/%')} {self.unsigned(depth - 1)})"

    def text(self, depth=1):
        """A string expression."""
        rng = self.rng
        leaf = rng.choice(("customer.tier", "customer.colour", "customer.tier + ''", "customer.colour"))
        if not self.plain and rng.random() < 0.1:
            leaf = "context.channel"
        if depth <= 0 or rng.random() < 0.6:
            return leaf if "+" not in leaf else f"({leaf})"
        return rng.choice(
            (f"({self.boolean(0)} ? {leaf} : 'red')", f"({leaf} + 'x')", f"({leaf} + customer.colour)")
        )

    def time(self, depth=1):
        """A timestamp expression."""
        rng = self.rng
        leaf = rng.choice(("customer.t1", "customer.t2", "timestamp('2026-01-31T12:00:00Z')"))
        if depth <= 0 or rng.random() < 0.5:
            return leaf
        length = rng.choice(("duration('36h')", "duration('90m')", "duration('1s')"))
        return f"({leaf} {rng.choice('+-')} {length})"


INTS = (-3, -1, 0, 1, 2, 3, 7, 1000)
DOUBLES = (-1.5, -0.5, -0.0, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 1e300)
DAY = 86_400
TIMES = (
    *(NOW, NOW - 1, NOW - 30 * DAY, NOW - 400 * DAY, NOW + 10 * DAY),
    *(0, -1, 1_709_208_000, 951_825_600),
)
"""Now, then and soon; the epoch; two leap days."""


def random_customers(rng: random.Random, n: int) -> list[dict[str, object]]:
    """Facts of n customers by name; a fact that is not there is missing."""
    choices = {
        "i1": INTS,
        "i2": INTS,
        "d1": DOUBLES,
        "d2": DOUBLES,
        "b1": (True, False),
        "b2": (True, False),
        "tier": TIERS,
        "colour": COLOURS,
        "t1": TIMES,
        "t2": TIMES,
    }
    return [_customer(rng, choices) for _ in range(n)]


def _customer(rng, choices):
    customer = {name: rng.choice(values) for name, values in choices.items() if rng.random() < 0.75}
    if rng.random() < 0.75:
        customer["drinks"] = frozenset(d for d in DRINKS if rng.random() < 0.5)
    return customer


def random_contexts(rng: random.Random, n: int) -> list[dict[str, object]]:
    """Context keys of n requests by name."""
    choices = {"urgency": INTS, "vip": (True, False), "channel": CHANNELS}
    return [{k: rng.choice(v) for k, v in choices.items() if rng.random() < 0.75} for _ in range(n)]


def random_figures(rng: random.Random, n: int) -> list[dict[str, object]]:
    """A few computed figures of n customers by name."""
    choices = {"level": (-3, 0, 4), "ltv": (0.0, 99.5), "value_reached": (True, False)}
    return [{k: rng.choice(v) for k, v in choices.items() if rng.random() < 0.75} for _ in range(n)]


def situation(customer, context=None, figures=None) -> Situation:
    """What the oracle reads of one customer."""
    facts = {k: Instant(Fraction(v)) if k in ("t1", "t2") else v for k, v in customer.items()}
    return Situation(facts | (figures or {}), context or {}, {}, Fraction(NOW), {})


def inputs(customers, contexts, figures) -> Inputs:
    """The same customers as the kernel reads them."""
    n = len(customers)
    rows = Inputs(
        np.full((n, CATALOGUE.n_numbers), np.nan),
        np.zeros((n, CATALOGUE.n_words), np.uint64),
        np.zeros((n, CATALOGUE.n_known_words), np.uint64),
        np.full((n, len(Figure)), np.nan),
        _contexts(contexts),
        np.zeros((n, 0)),
        np.full(n, float(NOW)),
        np.zeros((0, n_blocks(n)), np.uint64),
    )
    for i in range(n):
        for name, value in customers[i].items():
            store(rows, CATALOGUE, i, name, value)
        for name, value in figures[i].items():
            rows.figures[i, Figure[name.upper()]] = value
    return rows


def store(rows: Inputs, catalogue: Catalogue, i: int, name: str, value: object) -> None:
    """Write one fact of customer i into the arrays."""
    fact = catalogue[name]
    if name in catalogue.columns:
        number = fact.values.index(value) if fact.type is FactType.ENUM else value
        rows.numbers[i, catalogue.columns[name]] = number
        return
    place = catalogue.bits[name]
    bits = int(value) if fact.type is FactType.BOOL else sum(1 << fact.values.index(v) for v in value)
    rows.words[i, place.word] |= np.uint64(bits << place.shift)
    rows.known[i, place.known_word] |= np.uint64(1 << place.known_bit)


def _contexts(contexts) -> Contexts:
    n = len(contexts)
    codes = [CHANNELS.index(c["channel"]) if "channel" in c else -1 for c in contexts]
    numbers = [[float(c.get("urgency", np.nan)), float(c.get("vip", np.nan))] for c in contexts]
    unset = np.full(n, -1, np.int32)
    return Contexts(
        np.array(codes, np.int32),
        unset,
        np.zeros(n, np.uint64),
        np.empty((n, 0), np.int32),
        unset,
        unset,
        np.array(numbers, np.float64).reshape(n, 2),
    )


__all__ = ["CATALOGUE", "NOW", "SCOPE", "UNKNOWN", "Generator", "inputs", "situation"]
