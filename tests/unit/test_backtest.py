import json
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.naive import backtest as naive
from tests.unit.small_panel import small_panel, with_altered_future

from nextbest.demo.backtest import COUPON_BASKETS, RESPONSE, SCORES, rolling_scores, run_backtest
from nextbest.demo.campaigns import (
    RESPONSE_FACTS,
    TYPE_FACTS,
    base_rates,
    campaign_models,
    campaign_rows,
    fit_response,
)
from nextbest.demo.gap_forecast import gap_forecast, simple_peer_gap
from nextbest.demo.history import condense
from nextbest.demo.households import household_facts
from nextbest.demo.panel import open_panel, week_start
from nextbest.learning.validation import (
    Replicates,
    auc_within,
    calibration_error,
    captured,
    partial_correlation,
)

rows = st.lists(
    st.tuples(
        st.sampled_from((0.0, 0.1, 0.2, 0.5, 0.9)),
        st.sampled_from((0.0, 1.0)),
        st.integers(0, 2),
        st.sampled_from((0.0, 1.0, 2.0, 3.0)),
    ),
    min_size=1,
    max_size=30,
)


def _columns(drawn):
    score, accepted, groups, weights = (np.array(column) for column in zip(*drawn, strict=True))
    return score, accepted, groups, Replicates(np.vstack([np.ones(len(score)), weights]))


@given(rows)
@settings(max_examples=100, deadline=None)
def test_auc_is_the_share_of_pairs_ordered_rightly(drawn):
    """With ties, weights and groups without a pair, AUC equals the count over all pairs."""
    score, accepted, groups, draws = _columns(drawn)
    expected = [naive.auc_within(score, accepted, groups, w) for w in draws.weights]
    assert auc_within(score, accepted, groups, draws) == pytest.approx(expected, nan_ok=True)


@given(rows, st.sampled_from((0.1, 0.2, 0.5, 1.0)))
@settings(max_examples=100, deadline=None)
def test_captured_is_what_a_walk_from_the_top_collects(drawn, share):
    """Redeemers in the top share equal a walk down each group that splits ties evenly."""
    score, accepted, groups, draws = _columns(drawn)
    expected = [naive.captured(score, accepted, groups, w, share) for w in draws.weights]
    assert captured(score, accepted, groups, draws, share=share) == pytest.approx(expected, nan_ok=True)


@given(rows)
@settings(max_examples=100, deadline=None)
def test_calibration_error_is_the_mean_distance_over_ten_bins(drawn):
    """Promised less came, over bins of equal mass, equals the naive walk."""
    drawn[0] = (*drawn[0][:3], 1.0)
    score, accepted, _, draws = _columns(drawn)
    expected = [naive.calibration_error(score, accepted, w) for w in draws.weights]
    assert calibration_error(score, accepted, draws) == pytest.approx(expected)


@given(rows, st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_order_of_rows_changes_no_figure(drawn, random):
    """Shuffled rows give the same figures: nothing hangs on how ties happen to be stored."""
    shuffled = random.sample(drawn, len(drawn))
    figures = (
        auc_within,
        lambda *columns: captured(*columns, share=0.2),
        lambda score, accepted, _, draws: calibration_error(score, accepted, draws),
    )
    for figure in figures:
        one, other = figure(*_columns(drawn))[0], figure(*_columns(shuffled))[0]
        assert one == pytest.approx(other, nan_ok=True)


def test_score_that_knows_only_the_campaign_ranks_nothing_within_it():
    """A constant within each campaign has AUC one half and catches a fifth in the top fifth."""
    accepted = np.array([1.0, 0, 0, 0, 0, 1, 1, 0, 0, 0])
    groups = np.repeat([1, 2], 5)
    draws = Replicates(np.ones((1, 10)))
    assert auc_within(groups * 1.0, accepted, groups, draws)[0] == 0.5
    assert auc_within(groups * 1.0, accepted, groups * 0, draws)[0] > 0.5
    assert captured(groups * 1.0, accepted, groups, draws, share=0.2)[0] == pytest.approx(0.2)


def test_score_that_is_not_a_number_cannot_be_ranked():
    """A missing score is an error, not a place in the ranking."""
    with pytest.raises(ValueError, match="not a number"):
        auc_within(np.array([np.nan, 1.0]), np.array([0.0, 1.0]), np.zeros(2), Replicates(np.ones((1, 2))))


def test_partial_correlation_equals_the_textbook_recursion():
    """Regression residuals and the recursion over controls agree, with weights too."""
    rng = np.random.default_rng(3)
    z, u = rng.normal(size=(2, 60))
    x, y = z + rng.normal(size=60), 0.5 * z - u + rng.normal(size=60)
    draws = Replicates(np.vstack([np.ones(60), rng.integers(0, 4, 60)]).astype(float))
    expected = [naive.partial_correlation(x, y, [z, u], w) for w in draws.weights]
    assert partial_correlation(x, y, np.column_stack([z, u]), draws) == pytest.approx(expected)


def test_partial_correlation_of_what_the_controls_explain_is_undefined():
    """A variable that the controls give away entirely has nothing left to correlate."""
    z = np.arange(10.0)
    y = np.cos(z)
    assert np.isnan(partial_correlation(2 * z + 1, y, z[:, None], Replicates(np.ones((1, 10))))[0])


def test_replicates_draw_whole_households():
    """Rows of one household always count equally often, and as many households are drawn as there are."""
    households = np.array([5, 9, 5, 7, 9, 5])
    weights = Replicates.of_households(households, replicates=50, seed=1).weights
    assert (weights[0] == 1).all()
    assert (weights[:, [0, 0]] == weights[:, [2, 5]]).all()
    assert (weights[1:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert len(np.unique(weights[1:], axis=0)) > 5


def test_interval_holds_the_middle_of_its_replicates():
    """Bounds are the 2.5 % and 97.5 % quantiles of the defined replicates; none gives NaN, null in JSON."""
    draws = Replicates(np.ones((1, 1)))
    interval = draws.interval(np.r_[50.0, np.arange(101.0), np.nan])
    assert (interval.value, interval.low, interval.high) == pytest.approx((50.0, 2.5, 97.5))
    assert draws.interval(np.array([0.5])).to_dict() == {"value": 0.5, "low": None, "high": None}


@pytest.fixture(scope="module")
def history():
    """The real panel, condensed."""
    return condense(open_panel())


@pytest.fixture(scope="module")
def mailings(history):
    """Every usable mailing up to week 52."""
    return campaign_rows(history, until=week_start(53))


@pytest.fixture(scope="module")
def result(history):
    """The back-test with few draws."""
    return run_backtest(history, replicates=20)


def test_rows_are_those_of_the_published_task(result):
    """Campaigns 10 to 22 hold 4,063 mailings and 537 redeemers, 410 of them in campaigns 13 and 18."""
    assert (result.mailings, result.redeemed) == (4063, 537)
    assert [c.campaign for c in result.campaigns] == list(range(10, 23))
    by_campaign = {c.campaign: c for c in result.campaigns}
    assert by_campaign[13].redeemed + by_campaign[18].redeemed == 410
    assert [c.campaign for c in result.campaigns if c.cut_off] == [15, 20, 21, 22]


def test_response_model_comes_near_the_published_figures(result):
    """Within-campaign AUC ≥ .81, redeemers in the top 20 % ≥ .55, calibration error ≤ .04, out of time."""
    ours = result.scores[-1]
    assert ours.score == RESPONSE
    assert ours.auc_within.value >= 0.81
    assert ours.redeemers_top_20.value >= 0.55
    assert ours.calibration_error.value <= 0.04


def test_plain_scores_come_out_as_published(result):
    """Base rate by type and past coupon baskets, which need no fit, give the published figures."""
    figures = {f.score: f for f in result.scores}
    base, coupons = figures[SCORES[0]], figures[COUPON_BASKETS]
    assert base.auc_pooled.value == pytest.approx(0.621, abs=0.002)
    assert base.auc_within.value == pytest.approx(0.5)
    assert base.lift_top_10.value == pytest.approx(1.0)
    assert coupons.auc_within.value == pytest.approx(0.793, abs=0.005)
    assert coupons.redeemers_top_20.value == pytest.approx(0.538, abs=0.01)
    assert coupons.calibration_error is None


def test_model_beats_past_coupon_baskets_on_the_same_draws(result):
    """The whole interval of the difference lies above zero."""
    assert 0 < result.advantage.low < result.advantage.value < result.advantage.high


def test_gap_to_peers_predicts_no_growth_but_own_trend_does(result):
    """Given own spend, the gap's partial correlation is near 0, that of own recent trend near .2."""
    assert abs(result.gap.gap.value) < 0.05
    assert 0.15 < result.gap.trend.value < 0.27


def test_figures_are_json_and_flat_rows(result):
    """The whole result is plain JSON without NaN, and each score and campaign is a table row."""
    document = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert [s["score"] for s in document["scores"]] == list(SCORES)
    assert "not randomised" in document["labels"][0]
    assert [row["score"] for row in result.to_rows()] == list(SCORES)
    assert len(result.campaign_rows()) == 13 * len(SCORES)
    assert all(not isinstance(v, dict | list) for row in result.to_rows() for v in row.values())


def test_campaign_s_scores_do_not_see_what_came_after_its_first_day(history):
    """Altering all purchases, mailings and redemptions from campaign 14's first day on changes none."""
    day = date(2017, 9, 4)
    altered = condense(with_altered_future(open_panel(), day))
    until = day + timedelta(days=1)
    scores = []
    for world in (history, altered):
        known = campaign_rows(world, until=until)
        scores.append(rolling_scores(known, known.started(day, until)))
    assert len(scores[0][RESPONSE]) == 224
    for name in SCORES:
        assert scores[0][name].tolist() == scores[1][name].tolist(), name


def test_training_sees_no_campaign_still_running(mailings):
    """Before campaign 13 starts, campaigns 11 and 12 run on, and neither teaches anything."""
    known = mailings.ended_before(date(2017, 8, 8))
    assert sorted(set(known.campaigns.tolist())) == [*range(1, 11), 27]


def test_redemption_after_the_day_is_not_yet_known():
    """An outcome is 1 only if the redemption lies before the day asked about."""
    rows = campaign_rows(condense(small_panel()), until=date(2017, 4, 1))
    assert rows.households.tolist() == [1, 3, 1]
    assert rows.accepted().tolist() == [1.0, 0.0, 1.0]
    assert rows.accepted(before=date(2017, 2, 6)).tolist() == [0.0, 0.0, 0.0]
    assert rows.accepted(before=date(2017, 2, 7)).tolist() == [1.0, 0.0, 0.0]


def test_base_rates_are_shares_of_ended_campaigns(mailings):
    """Base rates by type are counted on mailings of campaigns that ended before the day."""
    day = week_start(27)
    ended = mailings.frame.filter(pl.col("end") < day)
    for kind, rate in base_rates(mailings, day).items():
        outcomes = ended.filter(pl.col("type") == kind)["redeemed"]
        assert rate == pytest.approx(1 - outcomes.null_count() / len(outcomes))


def test_models_in_use_read_customer_facts_only(history, mailings):
    """Bound to its type, a campaign's model names snapshot columns and scores like the whole model."""
    day = week_start(27)
    models = campaign_models(mailings, day)
    assert list(models) == ["campaign_a", "campaign_b", "campaign_c"]
    facts = household_facts(history, day)
    x = facts.select(pl.col(RESPONSE_FACTS).cast(pl.Float64).fill_null(np.nan)).to_numpy()
    whole = fit_response(mailings, day)
    for model, kind in zip(models.values(), ((1.0, 0.0), (0.0, 1.0), (0.0, 0.0)), strict=True):
        assert model.facts == RESPONSE_FACTS
        types = np.broadcast_to(kind, (len(x), len(TYPE_FACTS)))
        assert model.score(x) == pytest.approx(whole.score(np.hstack([x, types])), rel=1e-9)


def test_whether_demographics_are_known_is_in_no_score(mailings):
    """The selection flag, and what would reveal it, is not among the model's facts."""
    assert not {"peer_segment", "household"} & set(RESPONSE_FACTS)
    assert not any("demograph" in name for name in mailings.frame.columns)


def test_simple_peer_gap_is_the_distance_to_a_blend_of_quantiles():
    """Twelve households of one segment are compared with .8 quantiles of themselves and of all."""
    spend = np.arange(40.0)
    frame = pl.DataFrame(
        {
            "revenue_net": spend,
            "peer_segment": ["s"] * 12 + [None] * 28,
            "household": pl.Series([None] * 40, dtype=pl.String),
        }
    )
    root = np.quantile(spend, 0.8)
    blend = (12 * np.quantile(spend[:12], 0.8) + 30 * root) / 42
    expected = np.maximum(np.r_[np.full(12, blend), np.full(28, root)] - spend, 0)
    assert simple_peer_gap(frame) == pytest.approx(expected)


def test_gap_of_the_grid_can_be_injected(history):
    """The demo passes its own gap; households it cannot judge are left out."""

    def grid(facts):
        gap = simple_peer_gap(facts)
        gap[::2] = np.nan
        return gap

    found = gap_forecast(history, week_start(27), grid, replicates=0, seed=1)
    assert found.households == 1195
    assert np.isnan(found.gap.low)
