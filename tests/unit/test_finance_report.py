"""Finance of a rulebook over customers: sums against counting, figures against the naive ones."""

from dataclasses import replace

import numpy as np
import pytest
from tests.builders.shop import AS_OF, customers, write_shop
from tests.naive.finance import figures as naive_figures
from tests.naive.finance import portfolio

from nextbest.assembly import Artifacts, assemble
from nextbest.batch.finance_report import Assumptions, Horizon, Ledger, finance_of_rows
from nextbest.batch.recommendations import Recommended, best_effort, first_recommendations, scenario
from nextbest.data.row_columns import encode_frame
from nextbest.errors import InvalidInput
from nextbest.model import Direction, Histories, Term
from nextbest.potential.finance import Rates
from nextbest.rows import RowCodec
from nextbest.rulebook.compile import compile_rulebook

RATES = Rates(hurdle=0.1, wacc=0.08, tax=0.22)
FIELDS = {
    "ROI": "roi",
    "ROMI": "romi",
    "RI": "residual_income",
    "NOPAT": "nopat",
    "EP": "economic_profit",
    "EVA": "economic_value_added",
    "payback_months": "payback_months",
}
YEARLY = {"hurdle": RATES.hurdle, "wacc": RATES.wacc, "tax": RATES.tax}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The shop's rulebook without artifacts: its gaps are unknown."""
    return assemble(compile_rulebook(write_shop(tmp_path_factory.mktemp("shop"))), Artifacts())


def rows_of(model, n, seed=0):
    """Snapshots of n customers."""
    frame = customers(n, seed)
    codec = RowCodec(model.rulebook.catalogue)
    encoded = encode_frame(frame, np.arange(1, n + 1), codec)
    return codec.decode_batch(encoded.rows, encoded.checks).rows


def recommended(model, n, seed=3):
    """Random recommendations with breakdowns."""
    draw = np.random.default_rng(seed)
    action = draw.integers(-1, len(model.rulebook.actions), n).astype(np.int32)
    terms = draw.random((n, len(Term)))
    terms[:, Term.BASE_PROPENSITY] *= terms[:, Term.PROPENSITY]
    terms[:, Term.PROFIT_GAIN] *= 100.0
    terms[:, Term.MULTIPLIER] += 1.0
    terms[action < 0] = np.nan
    return Recommended(action, terms)


def counted(first, action, *, lifetime, margin_rate):
    """Margin, cost and revenue of one action, customer by customer."""
    margin = cost = revenue = 0.0
    for a, t in zip(first.action, first.terms, strict=True):
        if a == action:
            gain = t[Term.PROFIT_GAIN] if lifetime else t[Term.PROFIT_GAIN] / t[Term.MULTIPLIER]
            own = (t[Term.PROPENSITY] - t[Term.BASE_PROPENSITY]) * gain
            margin += own
            cost += t[Term.CONTACT_COST] + t[Term.ACCEPTED_COST]
            revenue += own / margin_rate
    return margin, cost, revenue


def named(finance):
    """Figures by the oracle's names."""
    return {name: getattr(finance, field) for name, field in FIELDS.items()}


@pytest.mark.parametrize("horizon", list(Horizon))
def test_lines_equal_the_naive_figures(model, horizon):
    """Every figure of an action and of all together is that of the summed amounts."""
    assumptions = Assumptions(
        rates=RATES, years=2.0, capital_rate=0.5, contribution_margin=0.4, horizon=horizon
    )
    rows, first = rows_of(model, 80), recommended(model, 80)
    ledger = Ledger(model, assumptions)
    ledger.add(rows, first)
    report = ledger.report("in a test")
    amounts = []
    for line in sorted(report.actions, key=lambda line: model.rulebook.action_index[line.id]):
        index = model.rulebook.action_index[line.id]
        margin, cost, revenue = counted(
            first,
            index,
            lifetime=horizon is Horizon.LTV,
            margin_rate=model.rulebook.value.default_margin_rate,
        )
        assert (line.margin, line.cost) == pytest.approx((margin, cost))
        assert line.customers == (first.action == index).sum()
        amounts.append((margin, cost, 0.5 * cost, revenue, 0.4, 2.0))
        assert named(line.finance) == pytest.approx(naive_figures(*amounts[-1], **YEARLY))
    assert named(report.total.finance) == pytest.approx(portfolio(amounts, **YEARLY))
    assert report.total.customers == (first.action >= 0).sum()


def test_batches_add_up(model):
    """Two batches give what one of both gives."""
    rows, first = rows_of(model, 60), recommended(model, 60)
    whole, parts = (Ledger(model, Assumptions(rates=RATES)) for _ in range(2))
    whole.add(rows, first)
    for part in (slice(0, 25), slice(25, 60)):
        some = type(rows)(rows.as_of[part], rows.numbers[part], rows.words[part], rows.known[part])
        parts.add(some, Recommended(first.action[part], first.terms[part]))
    one, two = whole.report("x"), parts.report("x")
    assert one.total.margin == pytest.approx(two.total.margin)
    assert one.total.cost == pytest.approx(two.total.cost)
    assert one.customers == two.customers == 60


def test_romi_equals_roi_at_the_customers_own_margins(model):
    """Revenue is margin over margin rate, so its contribution at that rate is the margin again."""
    ledger = Ledger(model, Assumptions(rates=RATES))
    ledger.add(rows_of(model, 50), recommended(model, 50))
    for line in ledger.report("x").actions:
        assert line.finance.romi == pytest.approx(line.finance.roi)


def test_what_costs_nothing_has_no_return(model):
    """A zero denominator makes a figure absent, never infinite; who is never recommended is named."""
    first = recommended(model, 30)
    first.action[:] = 0
    first.terms[:] = 0.5
    first.terms[:, [Term.CONTACT_COST, Term.ACCEPTED_COST]] = 0.0
    ledger = Ledger(model, Assumptions(rates=RATES))
    ledger.add(rows_of(model, 30), first)
    report = ledger.report("x")
    assert report.actions[0].finance.roi is None
    assert report.actions[0].finance.romi is None
    assert report.never == (model.rulebook.actions[1].id,)
    nobody = Ledger(model, Assumptions(rates=RATES)).report("x")
    assert (nobody.actions, nobody.total.finance.roi, nobody.total.finance.payback_months) == ((), None, None)
    assert nobody.total.finance.residual_income == 0.0


def test_revenue_that_is_unknown_makes_its_figure_absent(model):
    """Without any margin rate nobody can say what was sold: ROMI is absent, what needs no revenue stays."""
    value = replace(model.rulebook.value, default_margin_rate=0.0)
    blind = replace(model, rulebook=replace(model.rulebook, value=value))
    ledger = Ledger(blind, Assumptions(rates=RATES))
    ledger.add(rows_of(model, 50), recommended(model, 50))
    for line in ledger.report("x").actions:
        assert line.finance.romi is None
        assert line.finance.roi is not None
        assert line.margin > 0


def test_a_scenario_takes_the_best_of_its_situations(model):
    """Over all channels nobody gets less than over one; an unknown channel is refused with the known ones."""
    over = scenario(model.rulebook)
    assert len(over.situations) == len(model.rulebook.channels) * len(Direction)
    one = scenario(model.rulebook, channel="pos", outbound=False)
    assert one.situations == ((model.rulebook.channel_index["pos"], Direction.INBOUND),)
    rows = rows_of(model, 40)
    now = np.full(40, AS_OF)
    best = first_recommendations(model, rows, Histories.empty(40), now, over)
    single = first_recommendations(model, rows, Histories.empty(40), now, one)
    score = np.nan_to_num(best.terms[:, Term.SCORE])
    assert (score >= np.nan_to_num(single.terms[:, Term.SCORE])).all()
    with pytest.raises(InvalidInput, match=r"`fax` is no channel .*pos"):
        scenario(model.rulebook, channel="fax")


def test_effort_is_of_the_best_action_even_if_nothing_is_better(model):
    """Where every action scores below nothing, its benefit and cost are still told."""
    rows = rows_of(model, 40)
    over = scenario(model.rulebook, channel="pos", outbound=False)
    now = np.full(40, AS_OF)
    effort = best_effort(model, rows, Histories.empty(40), now, over)
    first = first_recommendations(model, rows, Histories.empty(40), now, over)
    chosen = first.action >= 0
    assert effort[chosen, 0] == pytest.approx(first.terms[chosen, Term.BENEFIT])
    judged = ~np.isnan(effort[:, 0]) & ~chosen
    assert (effort[judged, 0] <= effort[judged, 1]).all()


def test_customers_at_hand_are_reported_as_stored_ones(model):
    """The report names its scenario and every assumption it rests on."""
    rows = rows_of(model, 20)
    report = finance_of_rows(
        model, [(rows, Histories.empty(20))], scenario(model.rulebook), Assumptions(rates=RATES), AS_OF
    )
    assert report.customers == 20
    assert "any channel" in report.scenario
    assert any("WACC 8.0%" in text for text in report.assumptions)
    assert any("no measurement" in text for text in report.assumptions)
