"""Value, gaps, shares and finance against their oracles: missing, infinite, zero, huge, in all lengths.

An oracle that has no answer for such a number is told so here, in the words of the domain model:
a figure that rests on what is missing is missing.
"""

import math
from fractions import Fraction

import numpy as np
import pytest
from tests.builders.hostile import LENGTHS, batch, numbers, same
from tests.naive import finance as naive_finance
from tests.naive import gap as naive_gap
from tests.naive import peers as naive_peers
from tests.naive import position as naive_position
from tests.naive import shares as naive_shares
from tests.naive import sketch as naive_sketch
from tests.naive import value as naive

from nextbest.potential import finance, shares, value
from nextbest.potential.gap import gaps, peer_gaps, reached
from nextbest.potential.peers import wilson_low
from nextbest.potential.position import position
from nextbest.potential.sketch import MISSING, signed_buckets
from nextbest.potential.value import ProfitTerm, ValueFlag, ValueInput, ValueRate
from nextbest.valuation import take_columns

LENGTH = pytest.mark.parametrize("n", LENGTHS)


@LENGTH
def test_gap_and_reached_equal_exact_arithmetic(n):
    """Missing, infinite, negative and huge figures, for each length of a batch."""
    rng = numbers(n)
    own, reach, half = (batch(rng, n, (-50.0, 900.0), 95.0, 100.0) for _ in range(3))
    edge = (reach > 0) & (own == 0.95 * reach)  # rounded once there, and tested for itself
    own = np.where(edge, 1.0, own)
    found, there = gaps(own, reach, half, 5.0, 100.0), reached(own, reach)
    rows = list(zip(own.tolist(), reach.tolist(), half.tolist(), strict=True))
    same(found, [naive_gap.gap(*row, 5.0, 100.0) for row in rows])
    same(there, [naive_gap.reached(*row[:2]) for row in rows])


@LENGTH
def test_one_pass_gap_equals_exact_arithmetic(n):
    """Potential by leaving one out, gap and reached together, where the table is plain numbers."""
    rng = numbers(n)
    table = rng.uniform(1.0, 900.0, (3, 2, 4))
    table[2] = math.nan  # nobody is counted there
    cells, tau = rng.integers(0, 3, n).astype(np.int32), rng.integers(0, 2, n)
    own, in_fit = batch(rng, n, (-50.0, 900.0)), rng.random(n) < 0.5
    found = peer_gaps(table, cells, tau, 1, own, in_fit, 5.0, 100.0)
    for i in range(n):
        q, below, above, edge = table[cells[i], tau[i]].tolist()
        mine = float(own[i])
        reach = q
        if in_fit[i] and math.isfinite(mine):
            reach = below if mine > edge else above
        wanted = naive_gap.gap(mine, reach, float(table[cells[i], 1, 0]), 5.0, 100.0)
        same(found[i], [reach, wanted, naive_gap.reached(mine, reach)])


@LENGTH
def test_money_equals_plain_sums(n):
    """Completed money gives the oracle's components; infinite amounts stay infinite or unknown."""
    rng = numbers(n)
    money = np.column_stack([batch(rng, n, (0.0, 900.0), hostile=0.3) for _ in ValueInput])
    counts = np.column_stack([batch(rng, n, (0.0, 9.0), hostile=0.2) for _ in range(2)]).reshape(n, 2)
    money[rng.random(money.shape) < 0.4] = math.nan
    before, counted = money.copy(), counts.copy()
    rates = {"face": 0.9, "redemption_probability": 0.8, "quality": 0.25, "minute": 1.5, "complaint": 100.0}
    packed = np.zeros(len(ValueRate))
    for place, amount in zip(
        (
            ValueRate.POINT_FACE,
            ValueRate.REDEMPTION_PROBABILITY,
            ValueRate.QUALITY,
            ValueRate.MINUTE,
            ValueRate.COMPLAINT,
        ),
        rates.values(),
        strict=True,
    ):
        packed[place] = amount
    flags, seen = value.complete(money, np.empty((n, 0)), counts, 0.3), set()
    profit = value.profit_terms(money, np.zeros(n), packed)
    worth = value.value_terms(money, counts, np.array([40.0, 75.0]), packed)
    for i in range(n):
        given = {place.name.lower(): naive.known(float(before[i, place])) for place in ValueInput}
        listed = [[naive.known(v) for v in counted[i].tolist()]]
        with np.errstate(all="ignore"):
            filled, (benefits,), assumed = naive.complete(given, listed, 0.3)
            assert {flag.name for flag in ValueFlag(int(flags[i]))} == assumed
            seen |= assumed
            same(profit[i], [*naive.profit_terms(filled, 0.0, 0.9, 0.8), 0.0])
            if np.isfinite(benefits).all() and max(map(abs, benefits)) < 1e300:
                wanted = naive.value_terms(filled, benefits, [40.0, 75.0], rates)
                same(worth[i], [*wanted, 0.0], tiny=1e-9)
    assert profit.shape == (n, len(ProfitTerm))
    assert n < 60 or len(seen) == len(ValueFlag) - 1, "SHORT_HISTORY alone is not of this step"


@LENGTH
def test_value_for_money_equals_its_fraction(n):
    """(revenue + A^C)/revenue in rational arithmetic, and nothing without revenue."""
    rng = numbers(n)
    revenue, worth = batch(rng, n, (0.0, 900.0)), batch(rng, n, (-90.0, 900.0))
    found = value.value_for_money(revenue, worth)
    for i, (paid, got) in enumerate(zip(revenue.tolist(), worth.tolist(), strict=True)):
        if not paid > 0 or math.isnan(got):
            assert math.isnan(found[i])
        elif 1e-300 <= paid < 1e300 and abs(got) < 1e300:
            exact = (Fraction(paid) + Fraction(got)) / Fraction(paid)
            if abs(exact) < 1e300:
                assert found[i] == pytest.approx(float(exact), rel=1e-12, abs=1e-12)


@LENGTH
def test_annual_rates_and_segments_equal_their_oracle(n):
    """Whatever the exposure, a short history borrows; whatever the figure, it is in one tercile or none."""
    rng = numbers(n)
    amount, mean = batch(rng, n, (-90.0, 900.0)), rng.uniform(0, 900.0, n)
    exposure = batch(rng, n, (0.0, 1.5), 1.0, 1.0 - 2**-53)
    found = [value.annual_rate(a, e, m, 0.25) for a, e, m in zip(amount, exposure, mean, strict=True)]
    with np.errstate(all="ignore"):
        wanted = [naive.annual_rate(a, e, m, 0.25) for a, e, m in zip(amount, exposure, mean, strict=True)]
    same(np.array(found), wanted)
    terms, flags = np.column_stack([0.25 * amount, 0.75 * amount, np.zeros(n)]), np.zeros(n, np.int32)
    total = value.credit_terms(terms, exposure, mean, 0.25, flags)
    plain = np.abs(amount) < 1e300
    same(total[plain], np.array(wanted)[plain], rel=1e-9, tiny=1e-6)
    assert flags.tolist() == [0 if e >= 1 else ValueFlag.SHORT_HISTORY for e in exposure.tolist()]
    bounds = np.array([[-1.0, 1.0], [0.0, 1e4]])
    segments = value.mutual_segments(amount, exposure, bounds)
    assert segments.tolist() == [
        naive.mutual_segment(naive.known(a), naive.known(e), *bounds.tolist())
        for a, e in zip(amount.tolist(), exposure.tolist(), strict=True)
    ]


@LENGTH
def test_buckets_places_and_shares_equal_their_oracle(n):
    """Sketch buckets, places in the position grid, and shares of the wallet."""
    rng = numbers(n)
    amount = batch(rng, n, (-900.0, 900.0), 0.01, np.nextafter(0.01, 1), -0.01, 100.0)
    wanted = [naive_sketch.bucket(a) for a in amount.tolist()]
    assert signed_buckets(amount).tolist() == [MISSING if b is None else b for b in wanted]
    level = np.where(rng.random(n) < 0.1, math.nan, rng.integers(-3, 5, n).astype(float))
    level = np.where(np.isnan(level), 0.0, level)
    bounds = np.array([-1.0, 0.0, 1.0, 1e4])
    places = position(level.astype(np.int64), amount, bounds)
    assert [divmod(p, 6) for p in places.tolist()] == [
        naive_position.place(s, a, bounds) for s, a in zip(level.tolist(), amount.tolist(), strict=True)
    ]
    wallet = batch(rng, n, (0.0, 900.0))
    found = shares.estimated_share_of_wallet(amount, wallet)
    same(
        found,
        [naive_shares.wallet_share(a, w) for a, w in zip(amount.tolist(), wallet.tolist(), strict=True)],
    )


@pytest.mark.parametrize("n", [1, 2, 10, 10**6, 2**53])
def test_wilson_bounds_of_nobody_and_everybody(n):
    """From no owner to all, the bound solves its equation."""
    for have in {0, 1, n - 1, n}:
        exact = naive_peers.wilson_low(have, n, 1.959964)
        assert wilson_low(have, n, 1.959964) == pytest.approx(exact, rel=1e-9, abs=1e-15)
    assert math.isnan(wilson_low(0.0, 0.0, 1.959964))


@LENGTH
def test_finance_equals_its_oracle(n):
    """Zero, denormal, infinite and missing amounts: a figure is the formula's or absent."""
    rng = numbers(n)
    amounts = np.column_stack([batch(rng, n, (-900.0, 900.0), hostile=0.3) for _ in range(6)]).reshape(n, 6)
    found = finance.finance_rows(amounts, np.array([0.1, 0.08, 0.22]))
    names = ("ROI", "ROMI", "RI", "NOPAT", "EP", "EVA", "payback_months")
    for i in range(n):
        with np.errstate(all="ignore"):
            figures = naive_finance.figures(*amounts[i].tolist(), hurdle=0.1, wacc=0.08, tax=0.22)
        same(found[i], [figures[name] for name in names], rel=1e-9, tiny=1e-9)


@LENGTH
@pytest.mark.parametrize("activities", [0, 1, 5])
def test_cost_drivers_equal_fractions(n, activities):
    """c_j = minutes·pool/capacity and what each activity and customer costs, in rational arithmetic."""
    rng = numbers(n, activities)
    minutes = rng.choice([0.0, 5e-324, 1e-300, 0.5, 60.0], activities)
    rates = value.activity_rates(minutes, 480_000.0, 96_000.0)
    same(rates, [Fraction(m) * 480_000 / 96_000 for m in minutes.tolist()], tiny=1e-322)
    counts = rng.integers(0, 1000, (n, activities)).astype(float)
    served = [naive.cost_to_serve(row, rates.tolist()) for row in counts.tolist()]
    same(value.cost_to_serve(counts, rates), served)
    columns = [Fraction(sum(counts[:, j].tolist())) * Fraction(rates[j]) for j in range(activities)]
    same(value.cost_by_activity(counts, rates), columns)


@LENGTH
def test_columns_are_taken_as_they_are(n):
    """Columns of rows in any order, −1 = missing, nothing changed on the way."""
    rows = np.column_stack([batch(numbers(n, k), n, (0.0, 9.0)) for k in range(4)])
    columns = [2, -1, 0, 0]
    found = take_columns(rows, np.array(columns))
    for i, row in enumerate(rows.tolist()):
        wanted = [math.nan if c < 0 else row[c] for c in columns]
        assert [repr(v) for v in found[i].tolist()] == [repr(v) for v in wanted]
