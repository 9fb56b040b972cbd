"""`nextbest grid show` and `nextbest finance` on a stored population."""

import json

import numpy as np
import pytest
from tests.builders.shop import AS_OF, customers
from tests.builders.stored_shop import DAY, Shop

from nextbest.batch.operations import load_model
from nextbest.batch.portraits import known_customers, picked, picked_histories, read_portraits
from nextbest.batch.recommendations import contexts_of, scenario
from nextbest.decide import explain
from nextbest.errors import ArtifactError, InvalidInput
from nextbest.model import DecisionState, Reason, Term

N = 300


@pytest.fixture(scope="module")
def shop(tmp_path_factory, redis_server):
    """A shop whose models are fitted."""
    made = Shop(tmp_path_factory.mktemp("shop"), redis_server.address.url, "reports-test")
    made.load(customers(N))
    for what in ("ltv", "grid"):
        result = made.cli("fit", what)
        assert result.exit_code == 0, result.output
    return made


def test_grid_show_prints_and_draws(shop):
    """All that is asked of the grid is on screen, and PNG, page, data and cells lie beside each other."""
    result = shop.cli("grid", "show", "--market-size", "1000000")
    assert result.exit_code == 0, result.output
    for text in (
        "not a forecast",
        "integrate and optimise",
        "steps of the ladder",
        "evangelist",
        "strategy's target",
        "mutual value segments",
        "attitude known",
        "of market",
        "customer value gap",
        "company profit gap",
        "caveat: these customers are <made up>",
    ):
        assert text in result.output
    stem = f"grid-{shop.active()['grid'][:12]}-overview"
    assert (shop.out / f"{stem}.png").read_bytes().startswith(b"\x89PNG")
    page = (shop.out / f"{stem}.html").read_text()
    assert "<table" in page
    assert "these customers are &lt;made up&gt;" in page
    document = json.loads((shop.out / f"{stem}.json").read_text())
    assert document["caveats"] == ["these customers are <made up>"]
    assert document["customers"] == N
    assert document["effort"]["target"] == pytest.approx([0.2, 0.58, 0.22])
    assert sum(document["effort"]["by_customers"]) == pytest.approx(1.0)
    shares = document["shares"]
    revenue = customers(N)["revenue_net"].sum()
    assert shares["market"] == pytest.approx(revenue / 1_000_000, rel=1e-6)
    assert shares["life"] is None
    cells = (shop.out / f"{stem}-cells.csv").read_text().splitlines()
    assert all(int(line.split(",")[1]) >= 10 for line in cells[1:])


def test_small_segments_show_nothing(shop):
    """A segment in which nobody is has no figure; one that is large enough has its coverage."""
    shop.cli("grid", "show")
    document = json.loads(next(shop.out.glob("grid-*-overview.json")).read_text())
    by_id = {segment["id"]: segment for segment in document["segments"]}
    assert by_id["few"]["attitude_coverage"] is None
    known = by_id["families"]["attitude_coverage"]
    assert known == 1.0


def test_a_grid_must_be_fitted_first(tmp_path, redis_url, keys):
    """Without a grid there is nothing to show, and the error says what to run."""
    empty = Shop(tmp_path, redis_url, keys.prefix)
    result = empty.cli("grid", "show")
    assert isinstance(result.exception, ArtifactError)
    assert "nextbest fit grid" in str(result.exception)


def test_portraits_take_every_customer_once(shop):
    """Each stored customer is in the portraits, with a stage, a cell and a recommendation or none."""

    async def read(store):
        model = await load_model(store, shop.rulebook)
        return await read_portraits(store, model, scenario(shop.rulebook), now=AS_OF)

    people = shop.run(read)
    assert len(people) == N
    assert set(np.unique(people.stage)) <= {0, 1, 2, 3}
    assert ((people.action >= 0) | (people.cost == 0.0)).all()
    families = (customers(N)["household"] == "more").to_numpy()
    assert ((people.segments & np.uint64(1)) > 0).tolist() == families.tolist()


def test_finance_reports_actions_and_the_whole(shop, tmp_path):
    """Sums of the actions are those of the rulebook; rates come from the options and are said."""
    path = tmp_path / "finance.json"
    result = shop.cli("finance", "--channel", "pos", "--inbound", "--wacc", "0.12", "--json", str(path))
    assert result.exit_code == 0, result.output
    assert "WACC 12.0%" in result.output
    assert "no measurement" in result.output
    assert "assumed: these customers are <made up>" in result.output
    report = json.loads(path.read_text())
    assert report["customers"] == N
    assert sum(line["cost"] for line in report["actions"]) == pytest.approx(report["total"]["cost"])
    assert sum(line["margin"] for line in report["actions"]) == pytest.approx(report["total"]["margin"])
    counted = sum(line["customers"] for line in report["actions"])
    assert counted == report["total"]["customers"] <= N
    assert "NaN" not in path.read_text()
    assert "Infinity" not in path.read_text()


def test_reports_act_at_the_time_of_the_data(shop, tmp_path):
    """`--as-of data` is the time of the fitted grid; old data looked at as of now are warned of."""

    def finance(as_of):
        file = tmp_path / f"{as_of}.json"
        result = shop.cli("finance", "--json", str(file), as_of=as_of)
        assert result.exit_code == 0, result.output
        return json.loads(file.read_text()), result.output

    of_data, said = finance("data")
    assert of_data == finance(DAY)[0]
    assert "warning" not in said
    stale, said = finance(None)
    assert "days old, and are looked at as of now; `--as-of data` acts at their time" in said
    assert stale != of_data


def test_an_unknown_channel_is_refused(shop):
    """The error lists the channels there are."""
    for command in (("finance",), ("grid", "show")):
        result = shop.cli(*command, "--channel", "fax")
        assert isinstance(result.exception, InvalidInput)
        assert "pos" in str(result.exception)


def test_report_relevance_counts_each_customer(shop, tmp_path):
    """The tenths, means and shares are those of every customer explained alone; alarms give exit code 1."""
    path = tmp_path / "relevance.json"
    result = shop.cli("report", "relevance", "--channel", "pos", "--inbound", "--json", str(path))
    document = json.loads(path.read_text())
    seen, below = seen_alone(shop)
    lines = {line["action"]: line for line in document["actions"]}
    assert lines.keys() == seen.keys()
    for action, line in lines.items():
        assert line["customers"] == len(seen[action])
        assert line["mean"] == pytest.approx(np.mean(seen[action]))
        assert line["below"] == pytest.approx(below[action] / len(seen[action]))
        tenths = np.histogram(seen[action], np.linspace(0, 1, 11))[0]
        assert line["tenths"] == tenths.tolist()
        assert line["is_alarming"] == (line["below"] >= 0.5)
    assert result.exit_code == int(any(line["is_alarming"] for line in lines.values()))
    assert document["customers"] == N


def seen_alone(shop):
    """Ask-likelihoods that customers meet at the relevance gate, by action, one customer at a time."""
    names = [action.id for action in shop.rulebook.actions]
    seen, below = {}, dict.fromkeys(names, 0)

    async def walk(store):
        model = await load_model(store, shop.rulebook)
        over = scenario(shop.rulebook, channel="pos", outbound=False)
        state = DecisionState.initial(len(names))
        async for known in known_customers(store, model, AS_OF):
            for i in range(len(known.batch.rows)):
                one = np.array([i])
                rows, histories = picked(known.batch.rows, one), picked_histories(known.histories, one)
                contexts = contexts_of(shop.rulebook, 1, *over.situations[0], over.role)
                now, seed = known.now[:1], np.zeros(1, np.uint64)
                _, trace = explain(model, rows, histories, contexts, state, now, seed)
                for a, name in enumerate(names):
                    stopped = trace.reason[0, a] == Reason.NOT_RELEVANT
                    rho = trace.actual[0, a] if stopped else trace.terms[0, a, Term.RELEVANCE]
                    if not np.isnan(rho):
                        seen.setdefault(name, []).append(rho)
                        below[name] += stopped

    shop.run(walk)
    return seen, below


def test_report_mix_counts_every_customer_once(shop, tmp_path):
    """Everybody is counted once: with the action recommended first, or with nothing."""
    path = tmp_path / "mix.json"
    result = shop.cli("report", "mix", "--json", str(path))
    assert result.exit_code == 0, result.output
    document = json.loads(path.read_text())
    assert document["customers"] == N
    assert sum(document["desired"].values()) + document["idle"] == N
    assert sum(document["parameters"].values()) == N - document["idle"]
    assert "nothing for" in result.output
