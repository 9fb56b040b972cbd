"""The command line as its users type it: load, fit, advance, ask, why, check; what it says and exits with."""

import itertools
import json
import time
from pathlib import Path

import polars as pl
import pytest
from tests.builders.command_line import nextbest
from tests.builders.small import DIRECTORY, NOW, days_ago, population, regular

from loyalty.nextbest.v1 import common_pb2
from nextbest_client import customer_snapshot

ROOT = Path(__file__).parents[3]
TEN_ERRORS = ROOT / "tests" / "golden" / "rulebook" / "ten_errors_in_three_files"
AS_OF = ("--as-of", NOW.isoformat())


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    """A wide terminal, so that no table is folded."""
    monkeypatch.setenv("COLUMNS", "400")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Options for a rulebook and an empty data directory of these tests' own."""
    directory = tmp_path_factory.mktemp("shop", numbered=True) / "data"
    return ("--rulebook", str(DIRECTORY), "--data-directory", str(directory))


def write_csv(path, rows):
    """A CSV file; sets as members between bars."""
    for row in rows:
        for name, value in row.items():
            if isinstance(value, list):
                row[name] = "|".join(value) or "[]"
    pl.DataFrame(rows, infer_schema_length=None).write_csv(path)


def test_load_twice_and_refuse_the_bad(shop, tmp_path):
    """Good rows are loaded and bad ones listed with row, column and reason; again, nothing changes."""
    file = tmp_path / "customers.csv"
    rows = [{"customer_id": f"c{i}", "as_of": NOW.isoformat(), **regular()} for i in range(5)]
    rows[1]["nps_relation"] = 12
    rows[3]["household"] = "castle"
    write_csv(file, rows)
    first = nextbest("load", file, *shop)
    assert (first.code, first.out.splitlines()[0]) == (2, "3 loaded, 0 unchanged, 2 rejected")
    rejects = file.with_name("customers.csv.rejects.csv")
    assert rejects.name in first.out
    listed = pl.read_csv(rejects)
    assert listed["column"].to_list() == ["nps_relation", "household"]
    assert "`12` is above 10" in listed["reason"][0]
    assert "`castle` is not one of `single`, `family`" in listed["reason"][1]
    again = nextbest("load", file, *shop)
    assert again.out.splitlines()[0] == "0 loaded, 3 unchanged, 2 rejected"


def test_load_needs_a_file_that_fits(shop, tmp_path):
    """A file that is missing, or has columns that are no facts, is refused in words."""
    assert nextbest("load", tmp_path / "nothing.csv", *shop).code == 2
    file = tmp_path / "odd.csv"
    write_csv(file, [{"customer_id": "c", "as_of": NOW.isoformat(), "shoe_size": 43}])
    said = nextbest("load", file, *shop)
    assert said.code == 1
    assert said.err.splitlines()[-1].startswith("error: columns: `shoe_size` is not a fact")


def test_load_history_twice(shop, tmp_path):
    """Contacts and outcomes are loaded once, however often the file is."""
    file = tmp_path / "contacts.csv"
    rows = [
        {
            "customer_id": "c0",
            "time": days_ago(i).isoformat(),
            "kind": "contact",
            "channel": "email",
            "direction": "outbound",
            "action": "brie",
        }
        for i in range(1, 4)
    ]
    write_csv(file, rows)
    assert nextbest("load-history", file, *shop).out.strip() == "3 loaded, 0 unchanged, 0 rejected"
    assert nextbest("load-history", file, *shop).out.strip() == "0 loaded, 3 unchanged, 0 rejected"


def test_fit_and_advance(shop, tmp_path):
    """A fit says its parameters and what they rest on; advancing says how many customers it changed."""
    file = tmp_path / "population.parquet"
    people = [{"customer_id": i, "as_of": NOW, **facts} for i, facts in population().items()]
    pl.DataFrame(people, infer_schema_length=None).write_parquet(file)
    assert nextbest("load", file, *shop).code == 0
    ltv = nextbest("fit", "ltv", *shop, *AS_OF)
    assert ltv.code == 0, ltv.err
    for name in ("r", "alpha", "a", "b", "p", "q", "v"):
        assert any(name in line.replace("│", " ").split() for line in ltv.out.splitlines()), name
    grid = nextbest("fit", "grid", *shop, *AS_OF, "--m", "30")
    assert grid.code == 0, grid.err
    assert "peer_segment > household" in grid.out
    advanced = nextbest("stages", "advance", *shop, *AS_OF)
    assert (advanced.code, advanced.out.strip()) == (0, "403 written")
    again = nextbest("stages", "advance", *shop, *AS_OF)
    assert again.out.strip() == "403 unchanged"


def test_nothing_to_fit_on(tmp_path):
    """A new directory is said to be new; a fit on an empty store fails in words, stages advance nobody."""
    empty = ("--rulebook", DIRECTORY, "--data-directory", tmp_path / "data")
    note = f"note: the data directory {tmp_path / 'data'} is new: nothing is stored in it"
    assert nextbest("stages", "advance", *empty).err.splitlines()[0] == note
    assert "note: " not in nextbest("stages", "advance", *empty).err
    for kind in ("ltv", "grid"):
        said = nextbest("fit", kind, *empty)
        assert said.code == 1
        assert said.err.splitlines()[-1].startswith("error: ")
    said = nextbest("stages", "advance", *empty)
    assert (said.code, said.out.strip()) == (0, "no customers")


def test_decide(service, client):
    """`decide` prints figures and ranked actions with what to say and why."""
    said = nextbest("decide", "p0001", "--channel", "pos", "--address", service.address, "--language", "da")
    assert said.code == 0, said.err
    assert said.out.startswith("stage ")
    assert "DKK" in said.out
    assert "do_nothing" in said.out


def test_decide_says_that_no_attitude_is_known(service, put, customer_id):
    """Beside the figures stands that nobody knows what the customer thinks, for those alone (A5)."""
    asked = ("decide", customer_id, "--channel", "pos", "--address", service.address)
    put(customer_id, regular())
    assert "no attitude is known" not in nextbest(*asked).out
    put(
        customer_id,
        regular(nps_relation=None, nps_relation_at=None, satisfaction=None, needs=None),
    )
    said = nextbest(*asked)
    assert said.code == 0, said.err
    assert said.out.splitlines()[1] == "no attitude is known: neither NPS, nor satisfaction, nor preference"


def test_decide_for_a_role_and_outbound(service, put, customer_id):
    """Role, direction and language of the question are passed on; brackets in texts are kept."""
    put(customer_id, regular())
    asked = ("decide", customer_id, "--channel", "email", "--address", service.address)
    assert "brie" in nextbest(*asked, "--outbound", "--role", "agent").out
    put(customer_id, regular(consent=[]))
    assert "brie" not in nextbest(*asked, "--outbound").out


def test_why(service, put, customer_id):
    """`why` prints where each action ended and the actual values, for all actions or those asked about."""
    put(customer_id, regular())
    asked = ("why", customer_id, "--channel", "pos", "--address", service.address)
    everything = nextbest(*asked)
    assert everything.code == 0, everything.err
    assert "the customer is in hear_me, the action is for know_me" in everything.out
    assert "rank 1" in everything.out
    one = nextbest(*asked, "welcome", "--language", "da").out
    assert "kunden er i hear_me" in one
    assert "wine" not in one


def test_decide_names_its_decision(service, put, customer_id):
    """What `decide` says its decision is called is what `why --decision` explains."""
    put(customer_id, regular())
    said = nextbest("decide", customer_id, "--channel", "pos", "--address", service.address)
    word, decision_id = said.out.splitlines()[-1].split()
    assert word == "decision"
    asked = ("why", customer_id, "--decision", decision_id, "--address", service.address)
    explained = nextbest(*asked)
    for _ in range(500):  # the log is written behind the answer
        if explained.code == 0:
            break
        time.sleep(0.02)
        explained = nextbest(*asked)
    assert decision_id in explained.out


def test_who_is_known_by_a_number(service, client, customer_id):
    """A phone or card number stands for the customer, in any spelling; nobody's is said to be nobody's."""
    card = common_pb2.Identifier(type="card", value=customer_id)
    client.put_snapshot(customer_snapshot(customer_id, as_of=NOW, facts=regular()), identifiers=[card])
    spelt = customer_id.upper().replace("-", " ")
    asked = ("--identifier", "card", "--channel", "pos", "--address", service.address)
    assert f"{customer_id} · pos" in nextbest("decide", spelt, *asked).out
    assert f"{customer_id} · pos" in nextbest("why", spelt, *asked).out
    nobody = nextbest("decide", "4000 1", *asked)
    assert nobody.code == 1
    assert nobody.err.startswith("error: no customer has this card")


def test_placements_and_keys_are_passed_on(service, put, customer_id):
    """The answer is for the placement that is named, and a key that the rulebook lacks is refused."""
    put(customer_id, regular())
    asked = ("decide", customer_id, "--channel", "pos", "--address", service.address)
    display = ("--placement", "display", "--key", "intent=question")
    assert "Brie, 20 % off today" in nextbest(*asked, *display).out
    assert "Brie, 10 % off next time" in nextbest(*asked, "--placement", "receipt").out
    assert "contexts[0].key: `mood`" in nextbest(*asked, "--key", "mood=good").err
    assert nextbest(*asked, "--key", "intent").err == "error: --key: `intent` is not of the form KEY=VALUE\n"


def test_why_counts_the_funnel(service, put, customer_id, rulebook):
    """`why` says how many actions came to each gate and how many it stopped, all of them at the first."""
    put(customer_id, regular())
    said = nextbest("why", customer_id, "wine", "--channel", "pos", "--address", service.address)
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in said.out.splitlines()]
    steps = [
        (gate, int(entered), int(stopped)) for gate, entered, stopped in (c for c in cells if len(c) == 3)
    ]
    assert steps[0][:2] == ("treatment", len(rulebook.actions))
    for (_, entered, stopped), (_, following, _) in itertools.pairwise(steps):
        assert following == entered - stopped
    assert sum(stopped for *_, stopped in steps) < len(rulebook.actions)


def test_asking_wrongly(service):
    """What the service refuses is said line by line, without a traceback; exit code 1."""
    asked = ("decide", "p0001", "--channel", "poss", "--role", "boss", "--address", service.address)
    said = nextbest(*asked)
    assert said.code == 1
    lines = said.err.splitlines()
    assert "error: channel: `poss` is not in the rulebook; did you mean `pos`?" in lines
    assert any(line.startswith("error: caller_role: `boss` is not in the rulebook") for line in lines)
    assert "Traceback" not in said.err


def test_asking_about_nobody_or_nobody_to_ask(service):
    """A fallback is said in words and has an exit code of its own; `why` has nothing to explain."""
    unknown = nextbest("decide", "nobody", "--channel", "pos", "--address", service.address)
    assert (unknown.code, unknown.out.strip()) == (
        3,
        "nothing decided: no snapshot of the customer is stored",
    )
    away = nextbest("decide", "p0001", "--channel", "pos", "--address", "127.0.0.1:1")
    assert (away.code, away.out.strip()) == (3, "nothing decided: the service could not be reached")
    why = nextbest("why", "nobody", "--channel", "pos", "--address", service.address)
    assert (why.code, why.err.strip()) == (1, "error: no snapshot is stored for the customer")


@pytest.mark.parametrize("form", ["text", "json", "github"])
def test_ten_errors_in_three_files(form):
    """`rules check` says all ten errors of a rulebook at once, in every format, and exits with 1."""
    said = nextbest("rules", "check", TEN_ERRORS / "rules", "--format", form)
    assert said.code == 1
    assert "10 errors in 3 files" in (said.out if form == "text" else said.err)
    match form:
        case "text":
            assert said.out.count(": error: ") == 10
            assert "help: did you mean `hear_me`?" in said.out
        case "json":
            found = json.loads(said.out)["diagnostics"]
            assert len(found) == 10
            assert {entry["file"] for entry in found} == {
                "actions/a.yaml",
                "segments.yaml",
                "triggers/t.yaml",
            }
        case "github":
            assert sum(line.startswith("::error ") for line in said.out.splitlines()) == 10


@pytest.mark.parametrize(
    "command",
    [("serve", "--port", "0"), ("fit", "ltv"), ("fit", "grid"), ("stages", "advance"), ("warm",)],
)
def test_rulebook_that_does_not_compile(command, tmp_path):
    """No command starts on a rulebook with errors: it shows them, with their places, and exits with 1."""
    data = () if command == ("warm",) else ("--data-directory", tmp_path / "data")
    said = nextbest(*command, "--rulebook", TEN_ERRORS / "rules", *data)
    assert said.code == 1
    assert "actions/a.yaml:3:21" in said.err
    assert "10 errors in 3 files" in said.err
    assert "Traceback" not in said.err


def test_times_that_are_none(shop):
    """A time that is none is said of its option."""
    said = nextbest("stages", "advance", *shop, "--as-of", "yesterday")
    assert (said.code, said.err.splitlines()[-1]) == (
        1,
        "error: as_of: `yesterday` is not an ISO date or date-time",
    )
    said = nextbest("replay", *shop[-2:], "--since", "2026-13-01")
    assert (said.code, said.err.splitlines()[-1]) == (
        1,
        "error: since: `2026-13-01` is not an ISO date or date-time",
    )


def test_settings_that_are_wrong(monkeypatch):
    """A wrong environment variable is named."""
    monkeypatch.setenv("NEXTBEST_PORT", "fifty")
    said = nextbest("decide", "p0001", "--channel", "pos")
    assert said.code == 1
    assert said.err.startswith("error: NEXTBEST_PORT: ")


def test_redis_that_is_away(tmp_path):
    """A Redis that does not answer is said, with its address but without its password."""
    url = "redis://:secret@127.0.0.1:1/0"
    said = nextbest("stages", "advance", "--rulebook", DIRECTORY, "--redis-url", url)
    assert said.code == 1
    assert "127.0.0.1:1" in said.err
    assert "secret" not in said.err


@pytest.mark.parametrize(
    ("arguments", "mentions"),
    [
        ((), "Compile every kernel"),
        (("fit",), "Fit models on the stored snapshots"),
        (("rules",), "check"),
        (("stages",), "advance"),
        (("decide", "--help"), "--channel"),
        (("serve", "--help"), "--as-of"),
    ],
)
def test_help(arguments, mentions):
    """Every command explains itself."""
    said = nextbest(*arguments)
    assert "Usage: " in said.out + said.err
    assert mentions in said.out + said.err
