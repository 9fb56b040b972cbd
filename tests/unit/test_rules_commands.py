"""`nextbest rules new`, `new-action`, `fmt`, `schema --for`, `show` and `why`, as an author runs them."""

import json
import re
from pathlib import Path

import polars as pl
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.naive.json_schema import draft_7_problems, violations
from typer.testing import CliRunner

from nextbest.cli.commands import app
from nextbest.cli.rules import app as rules_app
from nextbest.errors import NextBestError
from nextbest.rulebook.filled_schema import filled_schema
from nextbest.rulebook.formatting import FormattingError, formatted
from nextbest.rulebook.own_names import own_names
from nextbest.rulebook.schema import MODELS
from nextbest.rulebook.source import load_source
from nextbest.rulebook.starting import NotStartedError, start_action, start_rulebook, templates
from nextbest.rulebook.verify import verify_rulebook

ROOT = Path(__file__).parents[2]
GROCERY, TELECOM = ROOT / "rules" / "grocery", ROOT / "rules" / "telecom"


def run(*arguments: object):
    """Run a command of `nextbest rules`."""
    return CliRunner().invoke(app, ["rules", *map(str, arguments)])


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A rulebook begun from the smallest template."""
    start_rulebook(tmp_path / "shop", "minimal")
    return tmp_path / "shop"


# new, new-action


@pytest.mark.parametrize("template", templates())
def test_new_rulebook_has_no_problems(template: str, tmp_path: Path) -> None:
    """Every template gives a rulebook without errors or warnings, named after its directory."""
    result = run("new", tmp_path / "corner", "--template", template)
    assert result.exit_code == 0, result.output
    assert verify_rulebook(tmp_path / "corner") == []
    assert "\nid: corner\n" in (tmp_path / "corner" / "strategy.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("template", templates())
def test_new_rulebook_finds_its_schemas(template: str, tmp_path: Path) -> None:
    """The first line of each file leads to a schema that lies in the rulebook."""
    start_rulebook(tmp_path / "corner", template)
    files = list((tmp_path / "corner").rglob("*.yaml"))
    assert len(files) >= 4
    for path in files:
        reference = re.match(r"# yaml-language-server: \$schema=(\S+)\n", path.read_text(encoding="utf-8"))
        assert reference is not None, path
        assert (path.parent / reference[1]).resolve().parent == tmp_path / "corner" / ".schema"
        assert (path.parent / reference[1]).exists()


def test_new_overwrites_nothing(shop: Path) -> None:
    """A directory that holds anything is left as it is."""
    before = {path: path.read_bytes() for path in shop.rglob("*") if path.is_file()}
    with pytest.raises(NotStartedError, match="nothing is overwritten"):
        start_rulebook(shop, "minimal")
    assert {path: path.read_bytes() for path in shop.rglob("*") if path.is_file()} == before
    assert run("new", shop).exit_code == 1


def test_new_names_the_templates_there_are(tmp_path: Path) -> None:
    """An unknown template is refused with those that exist, and nothing is written."""
    with pytest.raises(NotStartedError, match="one of grocery, minimal"):
        start_rulebook(tmp_path / "corner", "no_such")
    assert not (tmp_path / "corner").exists()


@pytest.mark.parametrize("template", templates())
def test_new_action_compiles_as_it_is(template: str, tmp_path: Path) -> None:
    """A begun action has the rulebook's languages, issue and channel, so that only its texts are reported."""
    start_rulebook(tmp_path / "corner", template)
    result = run("new-action", tmp_path / "corner", "wine_evening")
    assert result.exit_code == 0, result.output
    assert {found.code for found in verify_rulebook(tmp_path / "corner")} == {"unfinished-text"}


@pytest.mark.parametrize(
    ("action", "why"),
    [
        ("coffee_card", "has an action"),
        ("../outside", "is no id"),
        ("first", "is there already"),
        ("", "no id"),
    ],
)
def test_new_action_refuses(shop: Path, action: str, why: str) -> None:
    """An action that exists, a file that exists and a name that is none are refused."""
    with pytest.raises(NotStartedError, match=why):
        start_action(shop, action)


@pytest.mark.parametrize("action", ["true", "1e3", "null", "æblekage"])
def test_new_action_may_have_any_id(shop: Path, action: str) -> None:
    """An id that YAML would read as something else is quoted."""
    start_action(shop, action)
    assert {found.code for found in verify_rulebook(shop)} == {"unfinished-text"}


# fmt

UNTIDY = """\
# top
actions:
-   id: a\x20\x20
    # about when
    when: |
          customer.x\x20\x20
            && y



    list:
    - 1
    -    - 2
         - 3
    # end of list
    map:
        deep: {a: 1,
          b: 'two'   }
        text: >-
              folded
              more
-   id: b # inline
      # deeper
    value:
        [1,
         2]
# closing


"""

TIDY = """\
# top
actions:
  - id: a
    # about when
    when: |
          customer.x\x20\x20
            && y

    list:
      - 1
      - - 2
        - 3
    # end of list
    map:
      deep: {a: 1,
        b: 'two'   }
      text: >-
            folded
            more
  - id: b # inline
    # deeper
    value:
      [1,
       2]
# closing
"""


def test_format_moves_white_space_only() -> None:
    """Two columns a level, one blank line together, no trailing blanks but those of a text."""
    assert formatted(UNTIDY) == TIDY
    assert formatted(UNTIDY.replace("\n", "\r\n")) == TIDY


@given(
    st.recursive(
        st.sampled_from(["1", "word", '"a # b"', "'x: y'", "{a: 1, b: [2, 3]}", "[]", "two words"]),
        lambda inner: (
            st.lists(inner, min_size=1, max_size=3)
            | st.dictionaries(st.sampled_from("abcd"), inner, min_size=1, max_size=3)
        ),
        max_leaves=8,
    ),
    st.randoms(use_true_random=False),
)
@settings(max_examples=100, deadline=None)
def test_format_is_stable_and_loses_nothing(tree, rng) -> None:
    """Whatever the layout of a file, its form is the same, and formatting that again changes nothing."""

    def lines(node, indent):
        pad, step = " " * indent, rng.randint(1, 5)
        comment = [f"{pad}# {rng.randint(0, 99)}"] * rng.randint(0, 1)
        if isinstance(node, str):
            return [*comment, pad + node + " " * rng.randint(0, 2)]
        items = (
            [("-", item) for item in node]
            if isinstance(node, list)
            else [(f"{key}:", value) for key, value in node.items()]
        )
        return comment + [
            line
            for head, value in items
            for line in (
                [f"{pad}{head} {value}"]
                if isinstance(value, str)
                else [pad + head, *lines(value, indent + step)]
            )
        ]

    text = "\n".join(lines(tree, 0)) + "\n"
    once = formatted(text)
    assert formatted(once) == once
    assert re.findall("# .*", once) == re.findall("# .*", text.replace("  \n", "\n").replace(" \n", "\n"))


@pytest.mark.parametrize("text", ["a: *x\n", "a: {b\n", "\ta: 1\n", "a: 1\na: 2\n"])
def test_format_refuses_what_it_cannot_read(text: str) -> None:
    """A file with something wrong in its YAML is not touched."""
    with pytest.raises(FormattingError):
        formatted(text)


def test_fmt_command_changes_files_once(shop: Path) -> None:
    """`--check` fails and writes nothing; `fmt` writes; after that there is nothing to do."""
    path = shop / "actions" / "untidy.yaml"
    path.write_text("actions:\n-   id: x   # why\n", encoding="utf-8")
    assert run("fmt", shop, "--check").exit_code == 1
    assert path.read_text(encoding="utf-8") == "actions:\n-   id: x   # why\n"
    assert run("fmt", shop).output == f"changed {path}\n"
    assert path.read_text(encoding="utf-8") == "actions:\n  - id: x   # why\n"
    assert (run("fmt", shop, "--check").exit_code, run("fmt", shop).output) == (0, "")


def test_fmt_command_leaves_broken_files(shop: Path) -> None:
    """A broken file stays as it is, is named, and the others are formatted all the same."""
    (shop / "actions" / "broken.yaml").write_text("actions: [\n", encoding="utf-8")
    (shop / "segments.yaml").write_text("segments:\n- {id: a, when: 'true'}\n", encoding="utf-8")
    result = run("fmt", shop)
    assert result.exit_code == 1
    assert "broken.yaml: left as it is" in result.output
    assert (shop / "segments.yaml").read_text(encoding="utf-8") == "segments:\n  - {id: a, when: 'true'}\n"


# schema --for


@pytest.mark.parametrize(
    "directory",
    [GROCERY, TELECOM, ROOT / "tests" / "golden" / "lint" / "base", ROOT / "tests" / "rulebooks" / "full"],
    ids=["grocery", "telecom", "cafe", "full"],
)
def test_filled_schemas_take_what_compiles(directory: Path) -> None:
    """What compiles is valid by the rulebook's own schemas, which draft 7 can express."""
    source = load_source(directory)
    own = own_names(source)
    for file in source.files:
        schema = filled_schema(file.kind, own)
        assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
        assert draft_7_problems(schema) == []
        assert violations(file.value, schema, schema) == [], file.path


@pytest.mark.parametrize(
    ("kind", "change", "path"),
    [
        ("actions", {"triggers": ["complaint_pendin"]}, "$.actions[0].triggers[0]"),
        ("actions", {"segments": ["familie"]}, "$.actions[0].segments[0]"),
        ("actions", {"issue": "repai"}, "$.actions[0].issue"),
        ("actions", {"promises": ["loyal_firs"]}, "$.actions[0].promises[0]"),
        ("actions", {"topics": ["alcool"]}, "$.actions[0].topics[0]"),
        ("actions", {"treatments": {"poss": {"say": "a"}}}, "$.actions[0].treatments"),
        ("actions", {"authority": "team_lea"}, "$.actions[0].authority"),
    ],
)
def test_filled_schema_refuses_names_the_rulebook_does_not_have(kind: str, change: dict, path: str) -> None:
    """A misspelt name is marked where it stands, while the editor is still open."""
    source = load_source(GROCERY)
    schema = filled_schema(kind, own_names(source))
    value = next(file.value for file in source.files if file.path == "actions/repair.yaml")
    value = {"actions": [{**value["actions"][0], **change}]}
    found = violations(value, schema, schema)
    assert found
    assert all(line.startswith(path) for line in found)


def test_filled_schema_explains_names() -> None:
    """The editor shows what a trigger means, and offers facts and triggers inside expressions."""
    schema = filled_schema("actions", own_names(load_source(GROCERY)))
    entry = schema["definitions"]["ActionEntry"]["properties"]
    assert "overdue_purchase" in entry["triggers"]["items"]["enum"]
    assert "`overdue_purchase`: " in entry["triggers"]["items"]["description"]
    assert {"customer.discount_share", "customer.stage", "context.intent", "trigger.overdue_purchase"} <= set(
        entry["when"]["examples"]
    )
    treatments = entry["treatments"]
    assert {"pos", "pos/receipt", "email"} <= set(treatments["properties"])


def test_filled_schema_survives_broken_rules(shop: Path) -> None:
    """Names are found while other files, or other keys, are wrong."""
    (shop / "actions" / "broken.yaml").write_text("actions: [\n", encoding="utf-8")
    (shop / "segments.yaml").write_text("segments: [{id: night_owls}, 3]\n", encoding="utf-8")
    own = own_names(load_source(shop))
    assert list(own.of("segment")) == ["night_owls"]
    assert "coffee_card" in own.of("action")


@pytest.mark.parametrize("value", ["3", "[]", "{channels: 3}", "{channels: {pos: 3}}", "{channels: []}"])
def test_names_are_found_in_any_shape(shop: Path, value: str) -> None:
    """Files of the wrong shape have no names, and nothing fails."""
    for name in ("policies.yaml", "segments.yaml", "strategy.yaml", "facts.yaml"):
        (shop / name).write_text(value + "\n", encoding="utf-8")
    own = own_names(load_source(shop))
    for kind in MODELS:
        assert filled_schema(kind, own)["$schema"]


def test_schemas_of_a_rulebook_follow_its_names(shop: Path) -> None:
    """`--check` fails once a name was added, until the schemas are written again."""
    assert run("schema", "--for", shop, "--check").exit_code == 0
    (shop / "segments.yaml").write_text("segments: [{id: owls, when: true}]\n", encoding="utf-8")
    assert run("schema", "--for", shop, "--check").exit_code == 1
    assert run("schema", "--for", shop).exit_code == 0
    assert run("schema", "--for", shop, "--check").exit_code == 0
    assert "owls" in (shop / ".schema" / "actions.schema.json").read_text(encoding="utf-8")


def test_editor_settings_cover_every_kind_of_file() -> None:
    """Visual Studio Code finds a schema for each rule file, shipped or begun beside the shipped ones."""
    settings = json.loads((ROOT / ".vscode" / "settings.json").read_text(encoding="utf-8"))["yaml.schemas"]
    assert set(settings) == {f"./rules/.schema/{kind}.schema.json" for kind in MODELS}
    assert all((ROOT / path).exists() for path in settings)
    for path in (ROOT / "rules").rglob("*.yaml"):
        kind = path.parent.name if path.parent.parent.parent.name == "rules" else path.stem
        pattern = settings[f"./rules/.schema/{kind}.schema.json"]
        assert path.relative_to(ROOT).match(pattern), path


# why

ANNA = """\
customer_id: anna
as_of: 2025-06-01
household: couple
coffees_per_week: 3
complaint_open: false
needs: [coffee]
last_purchase: 2025-05-20
"""
FACTS = {
    "household": "couple",
    "coffees_per_week": 3.0,
    "complaint_open": False,
    "needs": ["coffee"],
    "last_purchase": "2025-05-20",
}


def explained(shop: Path, file: Path, *arguments: object) -> dict:
    """What `why --json` says of anna."""
    result = run("why", "anna", "--snapshot", file, "--rulebook", shop, "--json", *arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout)


@pytest.fixture
def anna(tmp_path: Path) -> Path:
    """A snapshot of anna as YAML."""
    (tmp_path / "anna.yaml").write_text(ANNA, encoding="utf-8")
    return tmp_path / "anna.yaml"


def test_why_says_that_no_attitude_is_known(shop: Path, anna: Path) -> None:
    """A snapshot with neither NPS nor preference is flagged, as text and as data; one with is not (A5)."""
    asked = ("why", "anna", "--snapshot", anna, "--rulebook", shop)
    assert "no attitude" not in run(*asked).output
    assert explained(shop, anna)["attitude_known"] is True
    anna.write_text(ANNA.replace("needs: [coffee]\n", ""), encoding="utf-8")
    assert "no attitude is known: neither NPS" in run(*asked).output
    assert explained(shop, anna)["attitude_known"] is False


def test_why_says_where_each_action_ended(shop: Path, anna: Path) -> None:
    """Each action has its gate, with the actual and the required value, without service or store."""
    by_action = {c["action"]: c for c in explained(shop, anna)["candidates"]}
    assert set(by_action) == {"coffee_card", "sorry"}
    card, sorry = by_action["coffee_card"], by_action["sorry"]
    assert (card["gate"], card["reason"]) == ("data_quality", "data_quality_low")
    assert (card["actual"], card["required"]) == (pytest.approx(1 / 3), 0.4)
    assert (sorry["gate"], sorry["actual_text"], sorry["required_text"]) == (
        "stage_segment",
        "know_me",
        "forgive_me",
    )


def test_why_prints_actual_and_required(shop: Path, anna: Path) -> None:
    """The table for people has the same values, and says which fitted models are missing."""
    result = run("why", "anna", "coffee_card", "--snapshot", anna, "--rulebook", shop)
    assert result.exit_code == 0, result.output
    assert "33.33%" in result.output
    assert "40%" in result.output
    assert "sorry" not in result.output
    assert "no fitted ltv and grid" in result.output


def test_why_decides_at_the_time_it_is_given(shop: Path, anna: Path) -> None:
    """Without `--as-of` it is the snapshot's time; later, the snapshot is older."""
    assert explained(shop, anna)["figures"]["snapshot_age_days"] == 0
    assert explained(shop, anna, "--as-of", "2025-06-11")["figures"]["snapshot_age_days"] == 10


@pytest.mark.parametrize("form", ["json", "list", "parquet", "csv"])
def test_why_reads_every_form_of_snapshot(shop: Path, anna: Path, tmp_path: Path, form: str) -> None:
    """Facts as YAML or JSON, one customer or several, and rows of tables give the same answer."""
    path = tmp_path / f"customers.{'yaml' if form == 'list' else form}"
    facts = {"customer_id": "anna", "as_of": "2025-06-01", **FACTS}
    if form == "json":
        path.write_text(json.dumps(facts), encoding="utf-8")
    elif form == "list":
        path.write_text(
            json.dumps([{**facts, "customer_id": "bo", "coffees_per_week": 0.0}, facts]), encoding="utf-8"
        )
    else:
        table = facts | {"as_of": "2025-06-01T00:00:00Z", "last_purchase": "2025-05-20T00:00:00Z"}
        frame = pl.DataFrame([table | {"customer_id": "bo", "coffees_per_week": 0.0}, table])
        if form == "csv":
            frame.with_columns(pl.col("needs").list.join("|")).write_csv(path)
        else:
            frame.write_parquet(path)
    assert explained(shop, path) == explained(shop, anna)


@pytest.mark.parametrize(
    ("text", "arguments", "why"),
    [
        ("customer_id: bo\n", [], "`anna` is not in"),
        ("household: couple\n", [], "as_of"),
        ("as_of: 2025-06-01\ncoffee_per_week: 3\n", [], "did you mean `coffees_per_week`?"),
        ("as_of: 2025-06-01\nhousehold: dog\n", [], "`dog` is not one of"),
        ("as_of: 2025-06-01\nlast_purchase: lately\n", [], "`lately` is not an ISO date"),
        ("as_of: [\n", [], "anna.yaml"),
        ("- 3\n", [], "expected facts by name"),
        (ANNA, ["--channel", "po"], "did you mean `pos`?"),
        (ANNA, ["--role", "til"], "did you mean `till`?"),
        (ANNA, ["--key", "mood=good"], "`mood` is not in the rulebook"),
        (ANNA, ["cofee_card"], "did you mean `coffee_card`?"),
    ],
)
def test_why_says_what_is_wrong(shop: Path, anna: Path, text: str, arguments: list[str], why: str) -> None:
    """A fact, name or file that does not fit is named, with the nearest one that would."""
    anna.write_text(text, encoding="utf-8")
    with pytest.raises(NextBestError) as caught:
        CliRunner().invoke(
            app,
            ["rules", "why", "anna", *arguments, "--snapshot", str(anna), "--rulebook", str(shop)],
            catch_exceptions=False,
        )
    assert why in str(caught.value)


SUBSCRIBER = """\
customer_id: bo
as_of: 2026-05-01
contract_state: in_force
renewal: 2026-06-10
overpaid_per_month: 45
"""
HOUSEHOLD = "customer_id: bo\nas_of: 2017-06-26\nlast_purchase: 2017-06-20\n"


@pytest.mark.parametrize(
    ("rulebook", "text", "channel"), [(GROCERY, HOUSEHOLD, "pos"), (TELECOM, SUBSCRIBER, "call_centre")]
)
def test_why_answers_for_both_shipped_rulebooks(
    tmp_path: Path, rulebook: Path, text: str, channel: str
) -> None:
    """Each action of a shipped rulebook ends somewhere for a customer of a snapshot file, and says why."""
    (tmp_path / "bo.yaml").write_text(text, encoding="utf-8")
    arguments = ["--snapshot", tmp_path / "bo.yaml", "--rulebook", rulebook, "--channel", channel]
    result = run("why", "bo", *arguments, "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    candidates = json.loads(result.stdout)["candidates"]
    assert {c["action"] for c in candidates} == set(own_names(load_source(rulebook)).of("action"))
    assert all(c["because"] for c in candidates if not c["rank"])


def test_help_shows_defaults() -> None:
    """Every option of `nextbest rules` that has a default shows it."""
    group = typer.main.get_command(rules_app)
    shown = 0
    for name, command in group.commands.items():
        output = CliRunner().invoke(app, ["rules", name, "--help"], env={"COLUMNS": "300"}).output
        for option in command.params:
            if option.default not in (None, False, (), "") and option.name != "help":
                default = getattr(option.default, "value", option.default)
                assert f"[default: {default}]" in output, (name, option.name)
                shown += 1
    assert shown >= 8
