"""With which probability each candidate has the highest score, where scores are drawn (Thompson) or fixed.

The first answer is the highest of independent scores above 0. With H_b(s) = 1 − reach_b·(1 − F_b(s)), the
probability that b does not beat s, candidate a is first with ∫ Π_{b≠a} H_b dH_a over s > 0. The H only
rise, so on a piece of the way from 0 to the highest score the integral lies between its rise of H_a times
the product at either end. Pieces are halved until that leaves at most `TOLERANCE` to doubt; then the mean is
taken, scaled so that all together have the rise of Π H. A score that is not drawn is one step of H, exactly.

F is the distribution function of a Beta posterior in x = ln(p/(1−p)), where its density is smooth whatever
its shape: cells of equal width with cubics through values and densities, within 5e-5 of scipy's.

Source: domain model, section 11; the integral is the definition. Oracle: tests/naive/chances.py.
"""

import math
from typing import Final

import numpy as np

from nextbest.kernels import kernel, lean_kernel
from nextbest.model import F64, I64

TOLERANCE: Final = 1e-5
"""Doubt that a piece may leave about one candidate's probability."""
CELLS: Final = 96
"""Of the table of a distribution function."""
SPREAD: Final = 20.0
"""A table ends where the density is e^−20 of its highest, or below; beyond it falls as a power."""
FARTHEST: Final = 37.0
"""p and 1 − p below e^−37 count as 0."""
SURE: Final = 1e12
"""A posterior of more trials is its mean."""
DEPTH: Final = 60
"""A piece is halved at most so often."""
LOW, LOW_SLOPE, HIGH, HIGH_SLOPE, KINK = range(5)
"""Columns of `lines`: the score is LOW + LOW_SLOPE·p below the kink, HIGH + HIGH_SLOPE·p from it on."""
_START, _STEP, _A, _B = range(4)
"""What comes before a table's values: where it starts, width of its cells, both shapes of the posterior."""
TABLE: Final = 4 + 2 * (CELLS + 1)
_DENSITIES = 4 + CELLS + 1


@lean_kernel
def is_drawn(mean: float, strength: float) -> bool:
    """Whether a propensity has a distribution, and is not its mean for certain."""
    return 0.0 < mean < 1.0 and 0.0 < strength <= SURE and abs(math.log(mean / (1.0 - mean))) < FARTHEST


@lean_kernel
def log_density(a: float, b: float, x: float) -> float:
    """Logarithm of the Beta density in x = ln(p/(1−p)), up to a constant."""
    return a * x - (a + b) * (math.log1p(math.exp(x)) if x < 0.0 else x + math.log1p(math.exp(-x)))


@lean_kernel
def reaches(a: float, b: float, sign: float) -> float:
    """Where the density has fallen to e^−SPREAD or somewhat less, on one side of its highest."""
    top = math.log(a / b)
    peak, step = log_density(a, b, top), math.sqrt(2.0 * SPREAD * (a + b) / (a * b))
    for _ in range(200):
        fallen = peak - log_density(a, b, top + sign * step)
        if fallen < SPREAD:
            step *= 1.15
        elif fallen > 1.5 * SPREAD:
            step *= 0.85
        else:
            break
    return min(max(top + sign * step, -FARTHEST), FARTHEST)


@lean_kernel
def fill_table(mean: float, strength: float, table: F64) -> None:
    """Tabulate the distribution of Beta(mean·strength, (1 − mean)·strength) into `table` (TABLE,)."""
    a, b = mean * strength, (1.0 - mean) * strength
    start, end = reaches(a, b, -1.0), reaches(a, b, 1.0)
    h, peak = (end - start) / CELLS, log_density(a, b, math.log(a / b))
    table[_START], table[_STEP], table[_A], table[_B] = start, h, a, b
    before = math.exp(log_density(a, b, start) - peak)
    slope = before * (a - (a + b) / (1.0 + math.exp(-start)))
    table[_DENSITIES] = before
    total = table[4] = before / a  # what lies before the table: p^a
    for i in range(1, CELLS + 1):
        x = start + i * h
        density = math.exp(log_density(a, b, x) - peak)
        rises = density * (a - (a + b) / (1.0 + math.exp(-x)))
        total += 0.5 * h * (before + density) + h * h * (slope - rises) / 12.0
        table[4 + i], table[_DENSITIES + i] = total, density
        before, slope = density, rises
    total += before / b
    for i in range(4, TABLE):
        table[i] /= total


@lean_kernel
def below(table: F64, p: float) -> float:
    """Probability of a propensity up to p."""
    if not p > 0.0:
        return 0.0
    if p >= 1.0:
        return 1.0
    h = table[_STEP]
    x = math.log(p / (1.0 - p)) - table[_START]
    if x <= 0.0:
        return float(table[4] * math.exp(table[_A] * x))
    if x >= CELLS * h:
        return 1.0 - (1.0 - table[4 + CELLS]) * math.exp(table[_B] * (CELLS * h - x))
    i = min(np.int64(x / h), CELLS - 1)
    t, left, right = x / h - i, table[4 + i], table[5 + i]
    u = 1.0 - t
    bent = t * u * h * (u * table[_DENSITIES + i] - t * table[_DENSITIES + i + 1])
    return float(min(max(left + (right - left) * t * t * (3.0 - 2.0 * t) + bent, left), right))


@lean_kernel
def not_above(table: F64, line: F64, s: float) -> float:
    """Probability of a score up to s."""
    kink, found = below(table, line[KINK]), 0.0
    if line[LOW_SLOPE] > 0.0:
        found = min(below(table, (s - line[LOW]) / line[LOW_SLOPE]), kink)
    elif line[LOW_SLOPE] < 0.0:
        found = max(kink - below(table, (s - line[LOW]) / line[LOW_SLOPE]), 0.0)
    elif line[LOW] <= s:
        found = kink
    if line[HIGH_SLOPE] > 0.0:
        return found + max(below(table, (s - line[HIGH]) / line[HIGH_SLOPE]) - kink, 0.0)
    if line[HIGH_SLOPE] < 0.0:
        return found + 1.0 - max(below(table, (s - line[HIGH]) / line[HIGH_SLOPE]), kink)
    return found + (1.0 - kink if line[HIGH] <= s else 0.0)


@lean_kernel
def highest(table: F64, line: F64) -> float:
    """A score above which practically none is drawn."""
    first = 1.0 / (1.0 + math.exp(-table[_START]))
    last = 1.0 / (1.0 + math.exp(-table[_START] - CELLS * table[_STEP]))
    found = line[HIGH] + line[HIGH_SLOPE] * max(last, line[KINK])
    if first < line[KINK]:
        found = max(found, line[LOW] + line[LOW_SLOPE] * first)
    return max(found, line[HIGH] + line[HIGH_SLOPE] * line[KINK], line[LOW] + line[LOW_SLOPE] * line[KINK])


@lean_kernel
def products_of_others(h: F64, k: int, out: F64) -> None:
    """Write for each of k candidates the product of all others' h."""
    product = 1.0
    for a in range(k):
        out[a] = product
        product *= h[a]
    product = 1.0
    for a in range(k - 1, -1, -1):
        out[a] *= product
        product *= h[a]


@lean_kernel
def add_between(
    lines: F64, reach: F64, tables: F64, slots: I64, first: int, k: int, ends: F64, stack: F64, out: F64
) -> None:
    """Add what candidates win with scores in (ends[0], ends[1]]; stack[0] goes on to the H of the end.

    Args:
        lines: (all, 5).
        reach: (all,).
        tables: (k, TABLE) of those that are drawn.
        slots: (k,) each one's table; −1 = its score is not drawn.
        first: place of the customer's first candidate in what is of all.
        k: candidates.
        ends: (DEPTH + 2,) the ends of pieces; the first two are given.
        stack: (DEPTH + 4, k) H at those ends; the first is given, the last two are room.
        out: (all,).
    """
    here, there, depth = stack[DEPTH + 2], stack[DEPTH + 3], 1
    set_heights(lines, reach, tables, slots, first, k, ends[1], stack[0], stack[1])
    while depth > 0:
        products_of_others(stack[0], k, here)
        products_of_others(stack[depth], k, there)
        doubt = 0.0
        for a in range(k):
            doubt = max(doubt, (stack[depth, a] - stack[0, a]) * (there[a] - here[a]))
        middle = 0.5 * (ends[0] + ends[depth])
        if doubt > TOLERANCE and depth <= DEPTH and ends[0] < middle < ends[depth]:
            depth += 1
            ends[depth] = middle
            set_heights(lines, reach, tables, slots, first, k, middle, stack[0], stack[depth])
            continue
        rise, total = there[0] * stack[depth, 0] - here[0] * stack[0, 0], 0.0
        for a in range(k):
            here[a] = (stack[depth, a] - stack[0, a]) * (here[a] + there[a])
            total += here[a]
        for a in range(k):
            out[first + a] += here[a] * (rise / total if total > 0.0 else 0.0)
            stack[0, a] = stack[depth, a]
        ends[0] = ends[depth]
        depth -= 1


@lean_kernel
def set_heights(
    lines: F64,
    reach: F64,
    tables: F64,
    slots: I64,
    first: int,
    k: int,
    s: float,
    before: F64,
    out: F64,
) -> None:
    """Write H at a score: of drawn ones by their tables, never less than before; of others as it was."""
    for a in range(k):
        if slots[a] < 0 or before[a] >= 1.0:
            out[a] = before[a]
        else:
            held = 1.0 - reach[first + a] * (1.0 - not_above(tables[slots[a]], lines[first + a], s))
            out[a] = min(max(held, before[a]), 1.0)


@lean_kernel
def prepare(
    mean: F64,
    strength: F64,
    lines: F64,
    score: F64,
    reach: F64,
    first: int,
    k: int,
    tables: F64,
    slots: I64,
    heights: F64,
) -> float:
    """Fill tables, their slots and H at a score of 0; give the highest score that is drawn."""
    drawn, top = 0, 0.0
    for a in range(k):
        i = first + a
        slots[a], heights[a] = -1, 1.0
        if is_drawn(mean[i], strength[i]):
            table = tables[drawn]
            fill_table(mean[i], strength[i], table)
            if 0.0 < highest(table, lines[i]) < np.inf:
                slots[a] = drawn
                heights[a] = 1.0 - reach[i] * (1.0 - not_above(table, lines[i], 0.0))
                top = max(top, highest(table, lines[i]))
                drawn += 1
        elif score[i] > 0.0:
            heights[a] = 1.0 - reach[i]
    return top


@kernel
def first_chances(
    offsets: I64, mean: F64, strength: F64, lines: F64, score: F64, reach: F64, order: I64
) -> F64:
    """Give each candidate's probability of having its customer's highest score, above 0.

    Args:
        offsets: (n + 1,) where each customer's candidates begin.
        mean: (m,) of the propensity.
        strength: (m,) of its posterior; inf = it is not drawn.
        lines: (m, 5) the score by propensity: `LOW` to `KINK`.
        score: (m,) of those whose propensity is not drawn; NaN = none.
        reach: (m,) probability of not being held back.
        order: (m,) places within each customer by score, the lowest first; equal ones as they are ranked.

    Returns:
        (m,) sums to at most 1 a customer; the rest is doing nothing.

    Cost: 3 µs a candidate and, depending on how close they are, some 100 pieces of 40 ns each.
    """
    most = 0
    for c in range(len(offsets) - 1):
        most = max(most, offsets[c + 1] - offsets[c])
    tables, slots = np.empty((most, TABLE)), np.empty(most, np.int64)
    ends, stack = np.empty(DEPTH + 2), np.empty((DEPTH + 4, most))
    found = np.zeros(len(mean))
    for c in range(len(offsets) - 1):
        first, k = int(offsets[c]), int(offsets[c + 1] - offsets[c])
        top = prepare(mean, strength, lines, score, reach, first, k, tables, slots, stack[0])
        ends[0] = 0.0
        for place in range(first, offsets[c + 1]):
            a = int(order[place])
            if slots[a] >= 0 or not 0.0 < score[first + a] < np.inf:
                continue
            if is_drawn(mean[first + a], strength[first + a]):
                continue
            if score[first + a] > ends[0]:
                ends[1] = score[first + a]
                add_between(lines, reach, tables, slots, first, k, ends, stack, found)
            products_of_others(stack[0], k, stack[DEPTH + 2])
            found[first + a] = reach[first + a] * stack[DEPTH + 2, a]
            stack[0, a] = 1.0
        if top > ends[0]:
            ends[1] = top
            add_between(lines, reach, tables, slots, first, k, ends, stack, found)
    return found
