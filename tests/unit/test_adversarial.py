"""Hostile numbers in every scalar kernel of potential and behaviour, and in every fact of a customer.

A kernel answers within its range or NaN; it never raises, and a whole customer keeps exactly one stage.
`test_hostile_lifetimes` and `test_hostile_money` compare with the oracles.
"""

import math

import numpy as np
import pytest
from tests.builders.hostile import HOSTILE
from tests.unit.test_figure_kernel import NOW, artifacts, compiled, customers

from nextbest.assembly import assemble
from nextbest.behaviour.forgive import forgive_mode, forgive_term
from nextbest.behaviour.overdue import count_at_least, count_at_most, gap_quantile, gap_survival
from nextbest.facts import FIGURE_TYPES, FactType, Figure
from nextbest.figures import figures_of
from nextbest.model import Rows, Stage
from nextbest.potential.bgnbd import alive_rows, expected_purchases
from nextbest.potential.gap import gap_of
from nextbest.potential.ltv import (
    contract_ltv_growth,
    contract_multiplier,
    expected_spend,
    investment_ceiling,
    price_premium,
    word_of_mouth_ltv,
)
from nextbest.potential.peers import wilson_low
from nextbest.potential.retention import renewal_multiplier, retention_at
from nextbest.potential.shares import share_of_market
from nextbest.potential.value import annual_rate, money_ratio

ANY = (-math.inf, math.inf)
SHARE, POSITIVE = (0.0, 1.0), (0.0, math.inf)


def alive(x, t_x, T, r, alpha, a, b):
    """P(alive) of one customer."""
    columns = (np.array([v]) for v in (x, t_x, T))
    return alive_rows(*columns, np.array([r, alpha, a, b]))[0]


BGNBD = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}
TABLE = (
    (alive, {"x": 2.0, "t_x": 30.4, "T": 38.9, **BGNBD}, SHARE, "x t_x T"),
    (expected_purchases, {"x": 2.0, "t_x": 30.4, "T": 38.9, "t": 39.0, **BGNBD}, POSITIVE, "x t_x T t"),
    (expected_spend, {"x": 2.0, "zbar": 22.0, "p": 6.25, "q": 3.74, "v": 15.44}, ANY, "x zbar"),
    (contract_multiplier, {"r": 0.8, "d": 0.1, "g": 0.02, "years": 3.0}, POSITIVE, "r d g years"),
    (contract_ltv_growth, {"m": 100.0, "r": 0.8, "d": 0.1, "g": 0.02}, POSITIVE, "r d g"),
    (
        renewal_multiplier,
        {"t": 2.0, "alpha": 0.7, "beta": 3.8, "d": 0.1, "g": 0.02, "years": 3.0},
        POSITIVE,
        "t d g years",
    ),
    (retention_at, {"t": 2.0, "alpha": 0.7, "beta": 3.8}, SHARE, "t"),
    (word_of_mouth_ltv, {"ltv": 90.0, "pos": 2.0, "neg": 1.0, "v": 40.0, "w": 1.0}, ANY, "ltv pos neg"),
    (
        price_premium,
        {"revenue": 900.0, "alive": 0.9, "multiplier": 2.5, "level": 2.0, "share": 0.04, "from_level": 1.0},
        POSITIVE,
        "revenue level",
    ),
    (investment_ceiling, {"value": 90.0, "spent": 3.0, "share": 0.1}, POSITIVE, "value spent"),
    (
        gap_of,
        {"own": 650.0, "reach": 1600.0, "half": 900.0, "cap": 5.0, "floor": 100.0},
        POSITIVE,
        "own reach half",
    ),
    (gap_survival, {"x": 8.0, "t_x": 20.0, "gap": 4.0, "r": 0.243, "alpha": 4.4}, SHARE, "x t_x gap"),
    (gap_quantile, {"x": 8.0, "t_x": 20.0, "q": 0.95, "r": 0.243, "alpha": 4.4}, POSITIVE, "x t_x q"),
    (count_at_most, {"x": 8.0, "t_x": 20.0, "n": 1.0, "w": 8.0, "r": 0.2, "alpha": 4.4}, SHARE, "x t_x n w"),
    (count_at_least, {"x": 8.0, "t_x": 20.0, "n": 1.0, "w": 8.0, "r": 0.2, "alpha": 4.4}, SHARE, "x t_x n w"),
    (money_ratio, {"revenue": 4200.0, "value": 490.0}, ANY, "revenue value"),
    (annual_rate, {"amount": 300.0, "exposure": 0.2, "mean": 1000.0, "k": 0.25}, ANY, "amount exposure mean"),
    (share_of_market, {"revenue": 10.0, "market": 100.0}, ANY, "revenue market"),
    (wilson_low, {"have": 12.0, "n": 40.0, "z": 1.96}, SHARE, "n"),
    (forgive_mode, {"win": 3.0, "damage": 4.0}, (0, 2), "win damage"),
)
"""Kernel, sound arguments, the range of its answers, and the arguments that come from customers."""


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row[0].__name__)
def test_kernels_answer_in_range_or_not_at_all(row, hostile):
    """Whatever number stands in place of one from a customer, the answer is in range or NaN."""
    kernel, sound, (low, high), open_to = row
    for name in open_to.split():
        arguments = sound | {name: HOSTILE[hostile]}
        found = float(kernel(*arguments.values()))
        assert math.isnan(found) or low <= found <= high, (name, found)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row[0].__name__)
def test_the_sound_arguments_have_an_answer(row):
    """The table is not satisfied by kernels that never answer."""
    kernel, sound, (low, high), _ = row
    assert low <= float(kernel(*sound.values())) <= high


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_term_stays_within_its_bounds(hostile):
    """An input of the Forgive mode is a share or an amount whatever its fact is."""
    found = forgive_term(HOSTILE[hostile], np.array([2.0, -1.0, 0.3, 0.0, 1.0]))
    assert 0.0 <= found <= 1.0


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Everything fitted, every standard fact known."""
    rulebook = compiled(tmp_path_factory.mktemp("all"), "all")
    return assemble(rulebook, artifacts(rulebook, ltv=True, grid=True))


RANGES = {
    Figure.LEVEL: (-3, 4),
    Figure.LOYALTY_INDEX: (-1.0, 1.0),
    Figure.ALIVE: SHARE,
    Figure.MULTIPLIER: (1.0, math.inf),
    Figure.VALUE_GAP: POSITIVE,
    Figure.PROFIT_GAP: POSITIVE,
    Figure.DATA_QUALITY: SHARE,
    Figure.INVESTMENT_CEILING: POSITIVE,
    Figure.OVERDUE_SURVIVAL: SHARE,
    Figure.FORGIVE_MODE: (0, 2),
    Figure.FORGIVE_CAUSE: (0, 4),
}


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_customer_with_a_hostile_fact_has_one_stage_and_figures_in_range(model, hostile):
    """Each number of a row in turn is replaced: one stage each, every figure in its range or missing."""
    catalogue = model.rulebook.catalogue
    codes = {catalogue.columns[f.name] for f in catalogue.facts if f.type is FactType.ENUM}
    columns = [c for c in range(catalogue.n_numbers) if c not in codes]
    plain = customers(catalogue, len(columns), seed=77, missing=0.1)
    numbers = plain.numbers.copy()
    numbers[np.arange(len(columns)), columns] = HOSTILE[hostile]
    numbers.setflags(write=False)
    rows = Rows(plain.as_of, numbers, plain.words, plain.known)
    found = figures_of(model, rows, np.full(len(columns), NOW))
    names = [name for name, c in catalogue.columns.items() if c not in codes]
    assert set(found[:, Figure.STAGE]) <= {0.0, 1.0, 2.0, 3.0}
    in_forgive = found[:, Figure.STAGE] == Stage.FORGIVE_ME
    assert (~np.isnan(found[:, Figure.FORGIVE_MODE]) == in_forgive).all()
    for figure, (low, high) in RANGES.items():
        values = found[:, figure]
        wrong = ~(np.isnan(values) | ((values >= low) & (values <= high)))
        assert not wrong.any(), (figure.name, [names[i] for i in np.flatnonzero(wrong)])
    for figure, kind in FIGURE_TYPES.items():
        if kind is FactType.BOOL:
            assert set(found[:, figure][~np.isnan(found[:, figure])]) <= {0.0, 1.0}


@pytest.mark.parametrize("n", [1, 2, 50])
def test_all_equal_customers_have_equal_figures(model, n):
    """One customer, or many who are the same, have the same figures."""
    one = customers(model.rulebook.catalogue, 1, seed=5)
    rows = Rows(*(np.repeat(a, n, axis=0) for a in (one.as_of, one.numbers, one.words, one.known)))
    found = figures_of(model, rows, np.full(n, NOW))
    np.testing.assert_array_equal(found, np.repeat(found[:1], n, axis=0))
