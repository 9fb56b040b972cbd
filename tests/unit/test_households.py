from datetime import date

import polars as pl
import pytest
from tests.naive.stage import loyalty_figures
from tests.unit.small_panel import small_panel, with_altered_future

from nextbest.demo.attitudes import ATTITUDE_VALUES, synthetic_attitudes
from nextbest.demo.history import SHARES, condense
from nextbest.demo.households import CLUSTERS, FACT_VALUES, behaviour_clusters, household_facts
from nextbest.demo.panel import day_start, open_panel, week_start
from nextbest.demo.snapshots import contacts, snapshots, write_history, write_snapshots
from nextbest.errors import InvalidInput
from nextbest.standard_facts import STANDARD_FACTS

AS_OF = date(2017, 2, 26)
"""56 days into the small panel: the window is shorter than 26 weeks."""


@pytest.fixture(scope="module")
def real():
    """The real panel, condensed."""
    return condense(open_panel())


@pytest.fixture(scope="module")
def facts():
    """Facts of the small panel by household."""
    frame = household_facts(condense(small_panel()), AS_OF)
    return {row["household_id"]: row for row in frame.iter_rows(named=True)}


def test_baskets_of_one_day_are_one_occasion(facts):
    """Household 1 buys on four days, one of them twice, and once for nothing: three repeats."""
    one = facts[1]
    assert one["repeat_purchases"] == 3
    assert one["recency_weeks"] == pytest.approx(54 / 7)
    assert one["observed_weeks"] == pytest.approx(55 / 7)
    assert one["gap_weeks"] == pytest.approx(1 / 7)
    assert one["mean_repeat_value"] == pytest.approx((30.00 + 50.00 + 0.10) / 3)


def test_one_time_buyer_has_no_repeat(facts):
    """X = 0 goes with t_x = 0 and no repeat value, and T runs from the only purchase."""
    two = facts[2]
    assert (two["repeat_purchases"], two["recency_weeks"], two["mean_repeat_value"]) == (0, 0.0, None)
    assert two["observed_weeks"] == pytest.approx(2 / 7)
    assert two["exposure_share"] == pytest.approx(2 / 56)


def test_prospect_is_known_by_its_mailing_only(facts):
    """A mailed household that never bought has no first purchase, no money and no shares."""
    three = facts[3]
    assert three["first_purchase"] is None
    assert (three["repeat_purchases"], three["observed_weeks"], three["revenue_net"]) == (0, 0, 0.0)
    assert three["campaigns_received"] == 1
    assert three["share_grocery"] is None
    assert three["owned_categories"] == []


def test_households_of_the_future_do_not_exist(facts):
    """Who first appears later is nobody's customer yet."""
    assert sorted(facts) == [1, 2, 3]


def test_yearly_figures_scale_the_window_to_a_year(facts):
    """Money of the 56 days observed is scaled by 365/56, coupons being a reward and no discount."""
    one, year = facts[1], 365 / 56
    assert one["revenue_net"] == pytest.approx(110.10 * year)
    assert one["discount"] == pytest.approx(5.50 * year)
    assert one["immediate_rewards"] == pytest.approx(6.50 * year)
    assert one["discount_share"] == pytest.approx(5.50 / 115.60)
    assert one["n_visits"] == round(6 * year)
    assert one["exposure_share"] == 1.0


def test_shares_are_of_net_spend(facts):
    """Category, private label, store and margin shares are weighted by money."""
    one = facts[1]
    assert one["share_meat"] == pytest.approx(10 / 110.10)
    assert one["private_label_share"] == pytest.approx(10 / 110.10)
    assert one["main_store_share"] == pytest.approx(60.10 / 110.10)
    assert one["margin_rate"] == pytest.approx((50.10 * 0.25 + 10 * 0.24 + 50 * 0.06) / 110.10)
    assert sum(one[f"share_{name}"] for name in SHARES) == pytest.approx(1.0)
    assert one["owned_categories"] == ["grocery", "fuel", "meat"]
    assert one["evening_share"] == pytest.approx(3 / 6)


def test_coupon_history_counts_what_was_before(facts):
    """Coupon baskets a week, redemptions and used campaigns are those before the day."""
    one = facts[1]
    assert one["coupon_baskets_per_week"] == pytest.approx(1 / 8)
    assert (one["coupon_redemptions"], one["campaigns_received"], one["campaigns_redeemed"]) == (2, 1, 1)
    assert one["coupon_redemptions_per_week"] == pytest.approx(2 / 8)
    assert one["campaign_response"] == pytest.approx(1.1 / 2)


def test_periods_run_backwards_and_start_with_the_household(facts):
    """Period 1 is the last week; weeks that began before a household was seen are unknown."""
    one, two = facts[1], facts[2]
    assert [one[f"period_{i}"] for i in range(1, 8)] == pytest.approx([0.10, 0, 50.0, 0, 0, 0, 30.0])
    assert [two[f"period_{i}"] for i in range(1, 4)] == [None, None, None]
    assert one["period_12"] is None


def test_peer_dimensions_come_from_demographics(facts):
    """Income × size makes the segment; without demographics it is unknown, and no flag says so."""
    assert facts[1]["peer_segment"] == "50k_to_75k_size_3_up"
    assert facts[1]["household"] == "2_adults_kids"
    assert facts[2]["peer_segment"] is None
    assert not any("demograph" in name for name in facts[1])


def test_no_facts_before_the_panel():
    """A date without a past is refused."""
    with pytest.raises(InvalidInput, match="has no past"):
        household_facts(condense(small_panel()), date(2017, 1, 1))


@pytest.mark.parametrize("as_of", [date(2017, 1, 9), date(2017, 2, 6), AS_OF, date(2017, 3, 1)])
def test_facts_do_not_see_the_future(as_of):
    """Altering everything from the day on changes no fact of that day."""
    panel = small_panel()
    before = household_facts(condense(panel), as_of)
    after = household_facts(condense(with_altered_future(panel, as_of)), as_of)
    assert after.equals(before)


def test_real_facts_do_not_see_the_future_and_are_the_same_in_every_run(real):
    """On the whole panel too, clusters included, facts are a function of the past alone."""
    as_of = week_start(27)
    altered = condense(with_altered_future(open_panel(), as_of))
    assert not altered.baskets.equals(real.baskets)
    assert household_facts(altered, as_of).equals(household_facts(real, as_of))


def test_facts_see_the_past(real):
    """The same alteration one day earlier does change facts, so the test above can fail."""
    as_of = week_start(27)
    altered = condense(with_altered_future(open_panel(), week_start(26)))
    assert not household_facts(altered, as_of).equals(household_facts(real, as_of))


def test_real_facts_keep_their_invariants(real):
    """0 ≤ t_x ≤ T; x = 0 exactly when t_x = 0; shares sum to 1; enums hold declared members only."""
    frame = household_facts(real, week_start(27))
    x, recency, observed = frame["repeat_purchases"], frame["recency_weeks"], frame["observed_weeks"]
    assert ((recency >= 0) & (recency <= observed)).all()
    assert ((x == 0) == (recency == 0)).all()
    total = frame.select(pl.sum_horizontal(f"share_{name}" for name in SHARES))["share_grocery"]
    assert (total.filter(frame["share_grocery"].is_not_null()) - 1).abs().max() < 1e-9
    for name, values in FACT_VALUES.items():
        column = frame[name].explode() if frame[name].dtype == pl.List else frame[name]
        assert set(column.drop_nulls()) <= set(values), name


def test_clusters_are_built_from_shares_not_levels(real):
    """Spending ten times as much in the same mix leaves every household in its cluster."""
    frame = household_facts(real, week_start(27)).drop("behaviour_cluster")
    richer = frame.with_columns(pl.col("revenue_net", "spend_per_week") * 10)
    clusters = behaviour_clusters(frame)
    assert clusters.equals(behaviour_clusters(richer))
    assert clusters["behaviour_cluster"].n_unique() == CLUSTERS
    sizes = clusters.group_by("behaviour_cluster").len().sort("behaviour_cluster")["len"].to_list()
    assert sizes == sorted(sizes, reverse=True)


def test_attitudes_depend_on_household_seed_and_nothing_else():
    """Draws are repeatable, independent of who else is drawn, and another seed is another world."""
    many = synthetic_attitudes(range(1, 50), AS_OF)
    assert synthetic_attitudes([7], AS_OF).equals(many.filter(pl.col("household_id") == 7))
    assert not synthetic_attitudes(range(1, 50), AS_OF, seed=1).equals(many)


def test_attitudes_are_in_range_and_of_the_past():
    """Scores lie in their ranges, times before the day, sets among declared members."""
    frame = synthetic_attitudes(range(1, 500), AS_OF)
    assert frame["nps_relation"].is_between(0, 10).drop_nulls().all()
    assert frame["satisfaction"].is_between(0, 100).drop_nulls().all()
    assert frame["share_of_wallet"].is_between(0, 1).drop_nulls().all()
    assert frame["complaint_severity"].is_between(1, 3).drop_nulls().all()
    for column in frame.columns:
        if column.endswith("_at"):
            assert frame[column].max() < day_start(AS_OF)
    for name, values in ATTITUDE_VALUES.items():
        assert set(frame[name].explode().drop_nulls()) <= set(values)


def test_all_four_stages_occur_in_plausible_shares(real):
    """Among snapshots of week 27, every stage holds at least 3 % and none more than 85 %."""
    frame, now = snapshots(real, week_start(27)), day_start(week_start(27)).timestamp()
    stages = [0, 0, 0, 0]
    for row in frame.iter_rows(named=True):
        facts = {
            k: v.timestamp() if k.endswith(("_at", "_purchase")) else v
            for k, v in row.items()
            if v is not None
        }
        # Nearly every household of the panel is alive by BG/NBD: a single figure will do here.
        figures = loyalty_figures(
            facts,
            complaint_open=row["complaint_open"],
            lock_in=None,
            alive=0.95,
            completeness=1.0,
            now=now,
            frequency_bound=1.4,
        )
        stages[figures["raw_stage"]] += 1
    shares = [n / frame.height for n in stages]
    assert min(shares) > 0.03
    assert max(shares) < 0.85


def test_snapshots_are_written_in_the_loader_s_form(real, tmp_path):
    """One row a customer with a string id and the time of the snapshot; sets are lists of strings."""
    path = tmp_path / "snapshots.parquet"
    assert write_snapshots(path, real, as_of=week_start(27)) == 2394
    frame = pl.read_parquet(path)
    assert frame.columns[:2] == ["customer_id", "as_of"]
    assert frame["customer_id"].n_unique() == 2394
    assert frame["customer_id"][0] == "hh-0001"
    assert frame["as_of"].unique().to_list() == [day_start(week_start(27))]
    assert frame.schema["consent"] == pl.List(pl.String)
    assert frame.schema["last_purchase"] == pl.Datetime("us", "UTC")
    assert not {"household_id", "window_occasions"} & set(frame.columns)


def test_snapshot_columns_have_the_standard_facts_types(real):
    """Where a column is a standard fact, its type is that fact's."""
    kinds = {
        "int": pl.Int64(),
        "double": pl.Float64(),
        "bool": pl.Boolean(),
        "enum": pl.String(),
        "set": pl.List(pl.String),
        "timestamp": pl.Datetime("us", "UTC"),
    }
    schema = snapshots(real, week_start(27)).schema
    standard = {fact.name: kinds[fact.type] for fact in STANDARD_FACTS}
    assert {n: k for n, k in schema.items() if n in standard} == {
        n: standard[n] for n in schema if n in standard
    }


def test_history_tells_contacts_and_first_redemptions_in_order():
    """Each mailing is one contact, accepted at most once, and nothing of the last day is told."""
    told = contacts(condense(small_panel()), until=date(2017, 3, 15))
    assert told.select("customer_id", "kind", "action", "outcome", "idempotency_key").rows() == [
        ("hh-0001", "contact", "campaign_a", None, "panel-1-1-contact"),
        ("hh-0003", "contact", "campaign_a", None, "panel-1-3-contact"),
        ("hh-0001", "outcome", "campaign_a", "accepted", "panel-1-1-outcome"),
        ("hh-0001", "contact", "campaign_b", None, "panel-2-1-contact"),
    ]
    assert told["time"].to_list()[:3] == [day_start(date(2017, 2, 1))] * 2 + [day_start(date(2017, 2, 6))]


def test_history_of_a_later_start_drops_older_mailings_with_their_outcomes():
    """An outcome never appears without its contact."""
    told = contacts(condense(small_panel()), until=date(2017, 4, 1), since=date(2017, 2, 2))
    assert told["idempotency_key"].to_list() == ["panel-2-1-contact", "panel-2-1-outcome"]


def test_history_is_written_with_unique_keys(real, tmp_path):
    """Weeks 1 to 26 hold 2,314 mailings, and every entry has a key of its own."""
    path = tmp_path / "history.parquet"
    rows = write_history(path, real, until=week_start(27))
    frame = pl.read_parquet(path)
    assert frame.height == rows
    assert frame["idempotency_key"].n_unique() == rows
    assert frame.filter(pl.col("kind") == "contact").height == 2314
