"""Lifetimes and rhythms against their oracles: missing, infinite, zero, denormal, huge, in all lengths.

An oracle that has no answer for such a number is told so here, in the words of the domain model:
a history is possible or not, a retention is a share or not.
"""

import math
from fractions import Fraction

import numpy as np
import pytest
from tests.builders.hostile import BGNBD, LENGTHS, batch, numbers, same
from tests.naive import ltv as naive
from tests.naive import overdue as naive_overdue

from nextbest.behaviour import overdue
from nextbest.potential import bgnbd, ltv, retention
from nextbest.potential import ltv_calibration as calibration

LENGTH = pytest.mark.parametrize("n", LENGTHS)
MODEL = pytest.mark.parametrize("model", BGNBD.values(), ids=BGNBD)
COUNTS = (0.0, 1.0, 2.0, 7.0, 300.0)
SPEND = (6.25, 3.74, 15.44)


def histories(rng, n, *, longest=math.inf):
    """(x, t_x, T): possible ones with their edges x = 0, t_x = T and T = 0, and impossible ones."""
    observed = batch(rng, n, (0.0, 150.0), 38.86, hostile=0.3)
    observed = np.where(np.abs(observed) > longest, 52.0, observed)
    x = np.where(rng.random(n) < 0.7, rng.choice(COUNTS, n), batch(rng, n, (0.0, 9.0)))
    x = np.where((x > 0) & (x < 1), 1.0, x)  # x counts purchases: there is no part of one
    inside = np.where(x == 0.0, 0.0, observed * rng.choice([0.01, 0.5, 1.0], n))
    return x, np.where(rng.random(n) < 0.8, inside, batch(rng, n, (0.0, 150.0))), observed


def is_possible(x, t_x, T):
    """Section 1: 0 ≤ t_x ≤ T, x = 0 ⇔ t_x = 0, all known."""
    known = all(math.isfinite(v) for v in (x, t_x, T))
    return known and x >= 0 and 0 <= t_x <= T and (x == 0) == (t_x == 0)


def is_rhythm(x, t_x):
    """What is asked of a history when its length does not matter."""
    return is_possible(x, t_x, t_x)


@LENGTH
@MODEL
def test_lifetime_kernels_equal_their_oracle(n, model):
    """P(alive) is the published ratio for a possible history and unknown for any other."""
    x, t_x, T = histories(numbers(n), n)
    expected = [
        naive.alive_probability(*h, *model) if is_possible(*h) else None for h in zip(x, t_x, T, strict=True)
    ]
    same(bgnbd.alive_rows(x, t_x, T, np.array(model)), expected, rel=1e-11)


@MODEL
@pytest.mark.parametrize("t", [0.0, 1e-9, 1.0, 156.0, 5200.0])
def test_expected_purchases_equal_many_digits(model, t):
    """E[Y(t)] is that of the oracle at every edge of the parameters, from a moment to a century."""
    x, t_x, T = histories(numbers(12, 10 * t), 12, longest=1e4)
    x = np.where(x > 300, 2.0, x)
    if model[3] > 1e3:  # where the oracle would take minutes
        x, t_x, T = np.append(x[t < T], 0.0), np.append(t_x[t < T], 0.0), np.append(T[t < T], t)
    expected = [
        naive.expected_purchases(*h, t, *model) if is_possible(*h) else None
        for h in zip(x, t_x, T, strict=True)
    ]
    same(bgnbd.expected_purchases_rows(x, t_x, T, t, np.array(model)), expected, rel=1e-11)


@pytest.mark.parametrize("t", [math.nan, -1.0, -math.inf, math.inf, 1.7e308])
def test_no_purchases_are_expected_of_a_horizon_that_is_none(t):
    """An unknown, negative or unending horizon has no expectation."""
    one = np.ones(1)
    assert np.isnan(bgnbd.expected_purchases_rows(one, one, one, t, np.array(BGNBD["CDNOW"]))).all()


@LENGTH
@pytest.mark.parametrize(("d", "weeks", "steps"), [(0.1, 26.0, 4), (0.1, 4.0, 6), (9.0, 52.0, 1)])
def test_lifetime_values_are_made_of_their_parts(n, d, weeks, steps):
    """Every column of a customer is the oracle's, whatever zbar and margin are, for short horizons too."""
    rng = numbers(n, steps)
    x, t_x, T = histories(rng, n, longest=1e4)
    zbar, margin = np.clip(batch(rng, n, (1.0, 90.0)), -1e300, 1e300), batch(rng, n, (-0.2, 0.8))
    model = BGNBD["CDNOW"]
    found = ltv.ltv_rows(x, t_x, T, zbar, margin, np.array([*model, *SPEND, d, weeks, steps]))
    assert found.shape == (n, len(ltv.LtvColumn))
    for i in rng.permutation(n)[:6]:
        row, history = found[i], (float(x[i]), float(t_x[i]), float(T[i]))
        if not is_possible(*history) or x[i] > 300:
            assert is_possible(*history) or np.isnan(np.delete(row, ltv.LtvColumn.MULTIPLIER)).all()
            continue
        purchases = naive.discounted_purchases(*history, model, d, weeks, steps)
        year = naive.expected_purchases(*history, 52.0, *model)
        spend = float(naive.expected_spend(x[i], zbar[i], *SPEND))
        with np.errstate(all="ignore"):
            worth = margin[i] * np.float64(spend)
            wanted = [
                naive.alive_probability(*history, *model),
                year,
                purchases,
                spend,
                worth * float(purchases),
                max(1, purchases / year),
                worth * float(purchases / naive.alive_probability(*history, *model)),
            ]
        same(row, wanted, rel=1e-10)


@LENGTH
def test_spend_equals_the_oracle(n):
    """E[M | x, zbar] is a fraction of numbers, unknown where the mean is infinite or a number is missing."""
    rng = numbers(n)
    x, zbar = (
        np.where(rng.random(n) < 0.5, rng.choice(COUNTS, n), batch(rng, n, (0, 9))),
        batch(rng, n, (0, 90)),
    )
    for q in (3.74, 1.0, 0.5):
        for count, mean in zip(x.tolist(), zbar.tolist(), strict=True):
            found = ltv.expected_spend(count, mean, 6.25, q, 15.44)
            if not (0 <= count < math.inf and 6.25 * count + q > 1) or (count > 0 and math.isnan(mean)):
                assert math.isnan(found), (count, mean, q)
            elif count == 0:
                assert found == pytest.approx(float(naive.expected_spend(0, 0, 6.25, q, 15.44)), rel=1e-12)
            elif abs(mean) < 1e300 and count < 1e300:
                exact = float(naive.expected_spend(count, mean, 6.25, q, 15.44))
                assert found == pytest.approx(exact, rel=1e-12), (count, mean, q)


@LENGTH
@pytest.mark.parametrize("years", [0.0, 1.0, 3.0, 40.0])
def test_contracts_equal_their_sums(n, years):
    """Each contract's value is margin times Σ ρ^i; a retention that is no share has none."""
    rng = numbers(n, years)
    margin = batch(rng, n, (0.0, 900.0))
    kept = np.where(rng.random(n) < 0.6, rng.random(n), batch(rng, n, (-0.2, 1.2)))
    runs = rng.random(n) < 0.7
    for d, g in ((0.0, 0.0), (0.1, 0.0), (0.1, 0.02), (0.1, -0.5), (0.1, 0.4)):
        found = ltv.contract_rows(margin, kept, runs, d, g, years)
        for i in range(n):
            rate, alive = float(kept[i]), 1.0 if runs[i] else 0.0
            lasting, growing = (yearly(rate, d, growth, int(years)) for growth in (0.0, g))
            with np.errstate(all="ignore"):
                worth, back = margin[i] * np.float64(alive * growing), margin[i] * np.float64(growing)
            now = alive * lasting
            wanted = [alive, *[math.nan] * 3, worth, now if now > 1 else 1.0, back]
            same(found[i], wanted)


def yearly(rate, d, g, years):
    """What a yearly 1 comes to while renewed; none for a rate that is none or years that would diverge."""
    found = naive.contract_multiplier(rate, d, years, g if years else 0.0) if 0 <= rate <= 1 else None
    return math.nan if found is None else float(found)


@pytest.mark.parametrize("d", [0.0, 1e-9, 0.1, 2.0])
@pytest.mark.parametrize("r", [0.0, 1e-300, 0.3, 0.999, 1.0])
def test_closed_forms_equal_fractions(r, d):
    """With and without growth, at once or in a year: m·r/(1+d−r(1+g)) in rational arithmetic, or none."""
    exact_r, growth = Fraction(r), 1 + Fraction(d)
    for g in (0.0, 0.02, -0.5, -0.999):
        loss = growth - exact_r * (1 + Fraction(g))
        found = ltv.contract_ltv_growth(100.0, r, d, g)
        assert found == pytest.approx(
            float(100 * exact_r / loss) if loss > 0 else math.nan, rel=1e-7, nan_ok=True
        )
    for impossible in ((-0.1, d), (1.1, d), (r, -0.1), (math.nan, d), (r, math.nan)):
        assert math.isnan(ltv.contract_ltv(100.0, *impossible))
        assert math.isnan(ltv.contract_ltv_growth(100.0, *impossible, 0.0))
    for shrinking in (-1.0, -2.0, -math.inf, math.nan):
        assert math.isnan(ltv.contract_ltv_growth(100.0, r, d, shrinking))
    loss = growth - exact_r
    plain = float(100 * exact_r / loss) if loss > 0 else math.nan
    assert ltv.contract_ltv(100.0, r, d) == pytest.approx(plain, rel=1e-12, nan_ok=True)
    at_once = float(100 * growth / loss) if loss > 0 else math.nan
    assert ltv.contract_ltv_immediate(100.0, r, d) == pytest.approx(at_once, rel=1e-12, nan_ok=True)
    assert all(math.isnan(ltv.mean_lifetime_years(rate)) for rate in (-0.1, -5e-324, 1.1, math.nan))
    lasting = ltv.mean_lifetime_years(r)
    assert lasting == pytest.approx(float(1 / (1 - exact_r)) if r < 1 else math.nan, rel=1e-12, nan_ok=True)


@LENGTH
def test_word_of_mouth_and_ceiling_equal_their_oracle(n):
    """What is unknown, or infinite on both sides, adds nothing; a ceiling is never negative."""
    rng = numbers(n)
    worth, said, against = (batch(rng, n, (0.0, 90.0)) for _ in range(3))
    found = ltv.word_of_mouth_rows(worth, said, against, 40.0, 1.0)
    for i in range(n):
        with np.errstate(all="ignore"):
            added = 40.0 * (said[i] - 5.0 * against[i])
            bound = abs(worth[i])
            wanted = worth[i] + (0.0 if np.isnan(added) else np.clip(added, -bound, bound))
        same(found[i : i + 1], [wanted], tiny=1e-9)
        if np.isfinite([worth[i], said[i], against[i]]).all() and abs(against[i]) < 1e300:
            exact = naive.word_of_mouth_ltv(*map(float, (worth[i], said[i], against[i])), 40.0, 1.0)
            assert found[i] == pytest.approx(exact, rel=1e-12, abs=1e-9)
    spent = batch(rng, n, (0.0, 20.0))
    sound = ~(np.isinf(worth) & np.isinf(spent))
    wanted = [naive.investment_ceiling(w, s, 0.1) for w, s in zip(worth[sound], spent[sound], strict=True)]
    same(ltv.investment_ceiling_rows(worth[sound], spent[sound], 0.1), wanted)


@LENGTH
def test_retention_equals_the_beta_functions(n):
    """r_t is a ratio of beta functions for a tenure, and unknown for what is none."""
    tenure = np.round(batch(numbers(n), n, (0.0, 30.0), hostile=0.4))
    tenure = np.where(np.abs(tenure) > 1e6, math.nan, tenure)
    expected = [naive.retention_at(t, 0.7, 3.8) if t >= 0 else None for t in tenure.tolist()]
    same(retention.retention_rows(tenure, 0.7, 3.8), expected)


# --- overdue ---------------------------------------------------------------------------------


@LENGTH
def test_gaps_between_purchases_equal_their_oracle(n):
    """S(g) and g_q for every rhythm that can be; a gap before the last purchase is none."""
    rng = numbers(n)
    x, t_x, _ = histories(rng, n)
    gap = batch(rng, n, (0.0, 90.0))
    found = overdue.gap_survival_rows(x, t_x, gap, 0.243, 4.4)
    for i, (count, recency, weeks) in enumerate(zip(x.tolist(), t_x.tolist(), gap.tolist(), strict=True)):
        if not (is_rhythm(count, recency) and weeks >= 0):
            assert math.isnan(found[i])
        elif weeks == math.inf:
            assert found[i] == 0.0
        elif count < 1e4:
            exact = float(naive_overdue.gap_survival(count, recency, weeks, 0.243, 4.4))
            assert found[i] == pytest.approx(exact, rel=1e-10, abs=1e-300), (count, recency, weeks)
    for q in (0.0, 1e-290, 0.05, 0.95, 1.0 - 2**-53):
        due = overdue.gap_quantile_rows(x, t_x, q, 0.243, 4.4)
        for i, (count, recency) in enumerate(zip(x.tolist(), t_x.tolist(), strict=True)):
            exact = None
            if is_rhythm(count, recency) and count < 1e4:
                exact = float(naive_overdue.gap_quantile(count, recency, q, 0.243, 4.4))
            if exact is not None and math.isfinite(exact):
                assert due[i] == pytest.approx(exact, rel=1e-10, abs=1e-300), (count, recency, q)
            assert is_rhythm(count, recency) or math.isnan(due[i])


@LENGTH
def test_counts_of_purchases_equal_their_oracle(n):
    """Both tails add up probabilities; what is no count or no window has none."""
    rng = numbers(n)
    x, t_x, _ = histories(rng, n)
    x = np.where(x > 300, 4.0, x)
    count = np.where(rng.random(n) < 0.6, rng.integers(0, 40, n), batch(rng, n, (0, 9)))
    count = np.where(count > 1e5, 40.0, count)
    window = np.where(rng.random(n) < 0.6, rng.uniform(0, 90, n), batch(rng, n, (0, 90)))
    window = np.where(window > 1e6, 90.0, window)
    window = np.where((window > 0) & (window < 1e-12), 0.0, window)
    few = overdue.count_at_most_rows(x, t_x, count, window, 0.243, 4.4)
    many = overdue.count_at_least_rows(x, t_x, count, window, 0.243, 4.4)
    for i, case in enumerate(zip(x.tolist(), t_x.tolist(), count.tolist(), window.tolist(), strict=True)):
        history, purchases, weeks = case[:2], case[2], case[3]
        whole = 0 <= purchases < math.inf and purchases == math.floor(purchases)
        if not (is_rhythm(*history) and whole and 0 <= weeks < math.inf):
            assert math.isnan(few[i]), case
            assert math.isnan(many[i]), case
        elif purchases <= 300:
            exact = [
                float(f(*case, 0.243, 4.4))
                for f in (naive_overdue.count_at_most, naive_overdue.count_at_least)
            ]
            assert [few[i], many[i]] == pytest.approx(exact, rel=1e-9, abs=1e-250), case


@LENGTH
def test_unknown_histories_are_read_as_section_1_has_it(n):
    """RFM missing: x = 0; 0 ≤ t_x ≤ T; x = 0 ⇔ t_x = 0. Nothing is assumed where T is missing too."""
    rng = numbers(n)
    x, t_x, T = (batch(rng, n, (0.0, 9.0), hostile=0.7) for _ in range(3))
    found = [column.tolist() for column in ltv.rfm_or_default(x, t_x, T)]
    for i, (count, recency, weeks) in enumerate(zip(x.tolist(), t_x.tolist(), T.tolist(), strict=True)):
        assumed = math.isnan(count) and not math.isnan(weeks)
        is_first = assumed or (count == 0 and math.isnan(recency))
        wanted = (0.0 if assumed else count, 0.0 if is_first else recency, assumed)
        assert tuple(column[i] for column in found) == pytest.approx(wanted, nan_ok=True), i


@pytest.mark.parametrize("name", ["CDNOW", "a = 1", "tiny b"])
def test_calibration_expects_what_the_oracle_does(name):
    """What new and known customers are expected to buy is E[Y], nothing in no time, each in their own."""
    model = BGNBD[name]
    x, t_x, T = (
        np.array([0.0, 2.0, 7.0, 1.0]),
        np.array([0.0, 30.4, 20.0, 9.0]),
        np.array([0.0, 38.9, 20.0, 9.5]),
    )
    later = np.array([0.0, 39.0, 1.0, -1.0])
    found = calibration.expected_after(x, t_x, T, later, np.array(model))
    same(
        found,
        [
            naive.expected_purchases(*history, max(weeks, 0.0), *model)
            for *history, weeks in zip(x, t_x, T, later, strict=True)
        ],
    )
    weeks = np.array([0.0, 1.0, 39.0, -3.0])
    wanted = [naive.expected_purchases(0, 0, 0, max(w, 0.0), *model) for w in weeks.tolist()]
    same(calibration.expected_of_new(weeks, np.array(model)), wanted)
