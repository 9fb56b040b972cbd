"""What a compiled rulebook holds: names, defaults, tables, and that nothing depends on file order."""

import dataclasses
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from nextbest.errors import RulebookCompileError
from nextbest.fact_values import FactChecks, shown
from nextbest.facts import FactType
from nextbest.model import Outcome, Stage
from nextbest.parameters import STAGE_PARAMETERS, default_stage_parameters
from nextbest.rulebook.actions import PolicyScope, PropensityKind
from nextbest.rulebook.compile import check_rulebook, compile_rulebook, compile_source
from nextbest.rulebook.diagnostics import Severity
from nextbest.rulebook.rulebook import Rulebook
from nextbest.rulebook.source import load_source
from nextbest.rulebook.strategy import Arbitration
from nextbest.rulebook.verify import verify_rulebook
from nextbest.standard_facts import STANDARD_FACTS

GROCERY = Path(__file__).parents[2] / "rules" / "grocery"

STRATEGY = """\
id: shop
currency: DKK
languages: [en]
time_zone: Europe/Copenhagen
goals: [{id: keep, measure: retention, text: Keep}]
priorities:
  - {issue: loyalty, lever: 10, text: Loyal first}
  - {issue: growth, text: Growth}
plan: [{step: Train, owner: agent}]
roles: [{id: till, text: Till}, {id: agent, authority: 2, text: Agent}]
promises: {fair: Fair}
groups: [{id: offers, issue: loyalty, lever: 20}, {id: other}]
"""
FACTS = """\
standard: all
values:
  consent: [email_marketing, email_service]
  needs: [coffee, bread]
  blocked_topics: [alcohol, tobacco]
  household: [single, family]
context: [{name: queue, type: int, description: people waiting}]
events: [purchase]
"""
ACTION = """\
actions:
  - id: coffee
    desired_action: cross_sell
    reason: Because
    treatments: {pos: {say: Coffee}}
    propensity: {successes: 2, failures: 38}
    relevance: {season: 1}
"""


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., Rulebook]:
    """Compile a small rulebook whose files are given or defaulted; `_` in a name stands for `/`."""

    def compile_files(**files: str) -> Rulebook:
        contents = {"strategy": STRATEGY, "facts": FACTS, "actions_a": ACTION} | files
        for name, text in contents.items():
            path = tmp_path / f"{name.replace('_', '/', 1)}.yaml"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return compile_rulebook(tmp_path)

    return compile_files


def action(**changes: str) -> str:
    """The small action with keys added or replaced, values as YAML."""
    keys = {
        "id": "coffee",
        "desired_action": "cross_sell",
        "reason": "Because",
        "treatments": "{pos: {say: Coffee}}",
        "propensity": "{successes: 2, failures: 38}",
        "relevance": "{season: 1}",
    } | changes
    return "actions:\n  - " + "\n    ".join(f"{key}: {value}" for key, value in keys.items()) + "\n"


def test_defaults_are_those_of_the_domain_model(build: Callable[..., Rulebook]) -> None:
    """What strategy.yaml leaves out is what the domain model says."""
    strategy = build().strategy
    assert strategy.customer_weight.tolist() == [0.5, 0.6, 0.7, 0.7]
    assert strategy.stretch.tolist() == [0.7, 0.8, 0.9, 0.5]
    assert strategy.pressure_cap.tolist() == [4, 6, 8, 3]
    assert strategy.budget_split.tolist() == [0.20, 0.58, 0.22]
    assert (strategy.gap_cap, strategy.gap_floor, strategy.data_quality_floor) == (5, 100, 0.4)
    assert (strategy.sell_hold_score, strategy.sell_hold_days, strategy.ceiling_share) == (6, 14, 0.10)
    assert (strategy.ltv_step_weeks, strategy.ltv_steps, strategy.ltv_discount_rate) == (4, 39, 0.10)
    assert strategy.referral_weight == 1
    assert strategy.arbitration is Arbitration.MUTUAL
    value = build().value
    assert (value.quality_rate, value.credibility_years) == (0.25, 0.25)


@pytest.mark.parametrize("archetype", ["cluster", "licence", None])
def test_only_brands_may_assume_a_price_premium(build: Callable[..., Rulebook], archetype: str | None):
    """A premium in a strategy of another archetype is an error at its place; a brand's is taken (B15)."""
    premium = "price_premium: {share: 0.03, from_level: 2}\n"
    own = "" if archetype is None else f"archetype: {archetype}\n"
    with pytest.raises(RulebookCompileError, match=f"of a brand, not of a {archetype or 'cluster'}"):
        build(strategy=STRATEGY + own + premium)
    strategy = build(strategy=STRATEGY + "archetype: brand\n" + premium).strategy
    assert (strategy.premium_share, strategy.premium_level) == (0.03, 2.0)
    assert np.isnan(build(strategy=STRATEGY + "archetype: brand\n").strategy.premium_share)


@pytest.mark.parametrize(
    ("growth", "most"), [("0.05", 1.0), ("0.0999", 1.0), ("0.1", 0.999999), ("0.25", 0.879999), ("-0.2", 1.0)]
)
def test_growth_bounds_the_retention_of_snapshots(build: Callable[..., Rulebook], growth: str, most: float):
    """A snapshot whose retention would make its contract worth endlessly much is refused; why is said."""
    lifetime = f"lifetime: {{contract_growth: {growth}, discount_rate: 0.1}}\n"
    facts = "standard: [contract_state, contract_margin, contract_retention]\n"
    checks = FactChecks(build(strategy=STRATEGY + lifetime, facts=facts).catalogue)
    for retention, refused in ((most, False), (min(1.0, most + 2e-6), most < 1.0)):
        found = checks.misfits(np.array([[np.nan, 900.0, retention]]))
        assert [m.fact for m in found] == ["contract_retention"] * refused
        for misfit in found:
            assert misfit.describe(0) == (
                f"`{shown(retention)}` is above {most!r}; with `lifetime.contract_growth` {growth} and"
                " `discount_rate` 0.1 such a contract would be worth endlessly much: lower the growth"
                " below the discount rate"
            )


@pytest.mark.parametrize(
    ("name", "leaks"),
    [
        *((name, True) for name in ("ltv_quintile", "spend_band", "frequency", "zbar", "potential_band")),
        *((name, False) for name in ("category_mix", "tenure_band")),
    ],
)
def test_dimensions_named_for_an_outcome_are_refused(build: Callable[..., Rulebook], name: str, leaks: bool):
    """Who peers are may not follow from what is to be reached; a dimension's name can say that it does."""
    fact = f"facts: [{{name: {name}, type: enum, values: [a, b], group: profile, description: Band}}]\n"
    strategy = STRATEGY + f"potential: {{peer_dimensions: [{name}]}}\n"
    if not leaks:
        assert build(strategy=strategy, facts=FACTS + fact).strategy.peer_dimensions == (name,)
        return
    with pytest.raises(RulebookCompileError, match=f"`{name}` follows from the outcome, by its name"):
        build(strategy=strategy, facts=FACTS + fact)


def test_stage_constants_default_and_change(build: Callable[..., Rulebook]) -> None:
    """Without stages.yaml the constants are the model's; one that is given replaces its default."""
    assert np.array_equal(build().stages.array, default_stage_parameters())
    stages = build(stages="grow_index: 0.6\n").stages
    assert list(stages.numbers) == [name for name, _ in STAGE_PARAMETERS]
    assert stages.numbers["grow_index"] == 0.6
    changed = np.flatnonzero(stages.array != default_stage_parameters())
    assert [STAGE_PARAMETERS[i][0] for i in changed] == ["grow_index"]


def test_catalogue_has_standard_facts_then_own(build: Callable[..., Rulebook]) -> None:
    """Selected standard facts keep their order whatever the list's; own facts follow; open values are set."""
    facts = """\
standard: [household, consent]
values: {household: [single, family], consent: [email_marketing]}
quality: {household: {weight: 2}}
facts:
  - {name: shoe_size, type: int, group: profile, minimum: 15, maximum: 55, description: shoe size}
  - {name: colours, type: set, values: [red, blue], group: profile, source: customer, description: colours}
"""
    catalogue = build(facts=facts).catalogue
    assert [fact.name for fact in catalogue.facts] == ["consent", "household", "shoe_size", "colours"]
    assert catalogue["household"].values == ("single", "family")
    assert catalogue["household"].quality_weight == 2
    assert (catalogue["shoe_size"].minimum, catalogue["shoe_size"].maximum) == (15, 55)
    assert catalogue["colours"].type is FactType.SET


def test_all_standard_facts_are_there_by_default(build: Callable[..., Rulebook]) -> None:
    """`standard: all` carries every standard fact in catalogue order."""
    names = [fact.name for fact in build().catalogue.facts]
    assert names == [fact.name for fact in STANDARD_FACTS]


def test_context_and_events_are_declared(build: Callable[..., Rulebook]) -> None:
    """Context keys become columns in file order, event kinds codes in file order."""
    rulebook = build()
    assert [fact.name for fact in rulebook.context_facts] == ["queue"]
    assert rulebook.event_kinds == ("purchase",)


def test_known_channels_have_the_models_thresholds(build: Callable[..., Rulebook]) -> None:
    """Channels by their well-known names come with thresholds and weights of section 8."""
    policies = "channels: {pos: {}, call_centre: {}, email: {}, sms: {}, push: {}, location: {}}\n"
    rulebook = build(policies=policies)
    tables, index = rulebook.channel_tables, rulebook.channel_index
    outbound = {name: (tables.threshold[i, 1], tables.weight[i, 1]) for name, i in index.items()}
    assert outbound["email"] == (0.5, 1)
    assert outbound["call_centre"] == (0.6, 3)
    assert outbound["sms"] == (0.6, 2)
    assert outbound["push"] == (0.7, 1.5)
    assert outbound["location"] == (0.8, 2)
    assert tables.threshold[index["call_centre"], 0] == 0.2
    assert tables.threshold[index["pos"], 0] == 0.3
    assert tables.weight[:, 0].tolist() == [0.0] * 6
    assert tables.location_bound.tolist() == [0, 0, 0, 0, 0, 1]


def test_channels_follow_from_treatments(build: Callable[..., Rulebook]) -> None:
    """Without policies.yaml the channels are the known ones that treatments use."""
    rulebook = build(actions_a=action(treatments="{web/home: {say: A}, pos: {say: B}}"))
    assert [channel.id for channel in rulebook.channels] == ["pos", "web"]
    assert rulebook.placements == ("home",)
    assert [t.id for t in rulebook.treatments] == ["coffee/web/home", "coffee/pos"]
    assert [(t.channel, t.placement) for t in rulebook.treatments] == [(1, 0), (0, -1)]


def test_action_numbers_reach_their_columns(build: Callable[..., Rulebook]) -> None:
    """Every number of an action lands in its column, with durations in seconds or days as named."""
    text = action(
        stages="[grow_me, know_me]",
        topics="[tobacco]",
        authority="agent",
        max_snapshot_age="36h",
        effect="{customer_gap: 0.1, profit_gap: 0.2, recurring: 0.5, yearly: 3, once: -2, minutes: 4}",
        cost="{contact: 0.1, accepted: 4}",
        uplift="{base: 0.05}",
        need="create",
        intent="inside_out",
        priority="7",
        value="9",
        reward="{type: monetary, worth: 6}",
        benefit_group="welcome",
    )
    tables = build(actions_a=text).action_tables
    row = {
        field.name: getattr(tables, field.name)[0]
        for field in dataclasses.fields(tables)
        if len(getattr(tables, field.name)) == 1
    }
    assert row["stages"] == 1 << Stage.KNOW_ME | 1 << Stage.GROW_ME
    assert (row["topics"], row["authority"], row["max_snapshot_age_days"]) == (0b10, 2, 1.5)
    assert (row["customer_gap_share"], row["profit_gap_share"], row["recurring"]) == (0.1, 0.2, 0.5)
    assert (row["yearly_gain"], row["once_gain"], row["minutes"]) == (3, -2, 4)
    assert (row["contact_cost"], row["accepted_cost"]) == (0.1, 4)
    assert (row["base_propensity"], row["uses_uplift"]) == (0.05, 1)
    assert (row["creates_need"], row["inside_out"], row["sells"], row["cares"]) == (1, 1, 1, 0)
    assert (row["priority"], row["classic_value"], row["reward_worth"], row["benefit_group"]) == (7, 9, 6, 0)
    assert (row["prior_successes"], row["prior_failures"]) == (2, 38)


def test_defaults_of_an_action_are_harmless(build: Callable[..., Rulebook]) -> None:
    """An action that says little is for everybody, always valid, free, and pauses nothing."""
    tables = build().action_tables
    assert (tables.stages[0], tables.segments[0], tables.condition[0]) == (0b1111, 0, -1)
    assert (tables.valid_from[0], tables.valid_until[0]) == (-np.inf, np.inf)
    assert tables.max_snapshot_age_days[0] == np.inf
    assert tables.lever[0] == 1
    assert (tables.group[0], tables.benefit_group[0], tables.mandatory[0]) == (-1, -1, 0)
    for starts in (tables.trigger_starts, tables.context_starts, tables.policy_starts, tables.cap_starts):
        assert starts.tolist() == [0, 0]


def test_reward_is_the_gain_unless_said(build: Callable[..., Rulebook]) -> None:
    """The reward's worth counts once as the customer's gain where no other gain is given."""
    tables = build(actions_a=action(reward="{type: monetary, worth: 6}")).action_tables
    assert tables.once_gain[0] == 6


def test_lifetime_gain_excludes_recurring(build: Callable[..., Rulebook]) -> None:
    """Where ΔLTV is declared, ψ is NaN; giving both is an error."""
    tables = build(actions_a=action(effect="{ltv: 50}")).action_tables
    assert np.isnan(tables.recurring[0])
    assert tables.ltv_gain[0] == 50
    with pytest.raises(RulebookCompileError, match="both count the years to come"):
        build(actions_a=action(effect="{ltv: 50, recurring: 0}"))


@pytest.mark.parametrize(
    ("keys", "lever"),
    [
        ({"group": "offers"}, 1.3),
        ({"group": "offers", "lever": "5"}, 1.35),
        ({"group": "offers", "issue": "growth"}, 1.2),
        ({"group": "offers", "lever": "100"}, 2.0),
        ({"lever": "-80"}, 0.5),
    ],
)
def test_levers_of_issue_group_and_action_add_up(
    build: Callable[..., Rulebook], keys: Mapping[str, str], lever: float
) -> None:
    """L = 1 + (issue + group + action)/100 within its bounds; a group's issue holds unless one is given."""
    tables = build(actions_a=action(**keys)).action_tables
    assert tables.lever[0] == pytest.approx(lever)


def test_classic_levers_have_no_bounds(build: Callable[..., Rulebook]) -> None:
    """Classic arbitration does not clip levers."""
    tables = build(strategy=STRATEGY + "arbitration: classic\n", actions_a=action(lever="300")).action_tables
    assert tables.lever[0] == 4


def test_validity_is_in_local_days(build: Callable[..., Rulebook]) -> None:
    """`from` begins and `through` ends a day in the strategy's time zone, summer time included."""
    text = action(valid="{from: 2025-03-30, through: 2025-10-26}")
    tables = build(actions_a=text).action_tables
    assert tables.valid_from[0] == 1743289200  # 2025-03-29T23:00:00Z
    assert tables.valid_until[0] == 1761519600  # 2025-10-26T23:00:00Z


@pytest.mark.parametrize(
    ("propensity", "kind", "index"),
    [
        ("{successes: 1, failures: 9}", PropensityKind.POSTERIOR, -1),
        ("0.1", PropensityKind.EXPRESSION, 0),
        ("customer.discount_share * 0.5", PropensityKind.EXPRESSION, 0),
        ("{model: redemption}", PropensityKind.MODEL, 0),
    ],
)
def test_propensity_is_a_prior_an_expression_or_a_model(
    build: Callable[..., Rulebook], propensity: str, kind: PropensityKind, index: int
) -> None:
    """The three ways of giving a propensity are told apart by their shape."""
    rulebook = build(actions_a=action(propensity=propensity))
    assert rulebook.action_tables.propensity_kind[0] == kind
    assert rulebook.action_tables.propensity_index[0] == index
    assert rulebook.propensity_models == (("redemption",) if kind is PropensityKind.MODEL else ())


def test_evidence_is_a_condition_or_a_strength(build: Callable[..., Rulebook]) -> None:
    """Evidence of type bool reads a condition, a number reads a value; the customer's own word is marked."""
    relevance = "{declared_preference: '\"coffee\" in customer.needs', own_interest: customer.discount_share}"
    rulebook = build(actions_a=action(relevance=relevance), policies="relevance: {own_interest: 0.2}\n")
    tables = rulebook.action_tables
    assert tables.evidence_condition.tolist() == [0, -1]
    assert tables.evidence_value.tolist() == [-1, 0]
    assert tables.declared.tolist() == [1, 0]
    assert tables.evidence_weight.tolist() == [0.8, 0.2]


def test_limits_of_action_and_policies_are_joined(build: Callable[..., Rulebook]) -> None:
    """An action's own limits come first, then those that hold for every action."""
    policies = """\
channels: {pos: {}, web: {}}
limits:
  - {scope: channel, channel: web, outcome: ignored, at_least: 5, within: 30d, pause: 14d}
  - {scope: group, outcome: rejected, at_least: 1, within: 1d, pause: 1d}
"""
    text = action(
        limits="[{outcome: [rejected, complained], at_least: 2, within: 15d, pause: 30d}]",
        caps="[{at_most: 3, within: 2w}]",
    )
    tables = build(actions_a=text, policies=policies).action_tables
    assert tables.policy_starts.tolist() == [0, 2]
    assert tables.policy_scope.tolist() == [PolicyScope.ACTION, PolicyScope.CHANNEL]
    assert tables.policy_outcomes[0] == 1 << Outcome.REJECTED | 1 << Outcome.COMPLAINED
    assert tables.policy_at_least.tolist() == [2, 5]
    assert tables.policy_within_s.tolist() == [15 * 86400, 30 * 86400]
    assert tables.policy_pause_s.tolist() == [30 * 86400, 14 * 86400]
    assert tables.policy_channel.tolist() == [-1, 1]
    assert (tables.cap_count.tolist(), tables.cap_within_s.tolist()) == ([3], [14 * 86400])


@pytest.mark.parametrize(
    ("treatment", "policies", "bits"),
    [
        ("{email: {say: A}}", "", 0b01),
        ("{email: {say: A, consent: [email_marketing, email_service]}}", "", 0b11),
        ("{email: {say: A, consent: []}}", "", 0),
        ("{email: {say: A}}", "channels: {email: {consent: [email_service]}}\n", 0b10),
        ("{pos: {say: A}}", "", 0),
    ],
)
def test_consent_is_the_treatments_the_channels_or_the_purposes(
    build: Callable[..., Rulebook], treatment: str, policies: str, bits: int
) -> None:
    """Consent comes from the treatment, else the channel, else `<channel>_<purpose>`."""
    tables = build(actions_a=action(treatments=treatment), policies=policies).action_tables
    assert tables.treatment_consent.tolist() == [bits]


def test_triggers_read_expressions_or_stored_times(build: Callable[..., Rulebook]) -> None:
    """A snapshot trigger is its expression; one found off the request path holds a while after it fired."""
    triggers = """\
triggers:
  - {id: overdue, when: customer.overdue_survival < 0.05, cool_down: 36h}
  - {id: dropped, kind: detector, detects: fewer_purchases, fired_at: complaint_at, hold: 14d}
"""
    rulebook = build(triggers_t=triggers, actions_a=action(triggers="[overdue, dropped]"))
    assert [(t.id, t.kind, t.cool_down_days) for t in rulebook.triggers] == [
        ("dropped", "detector", 0),
        ("overdue", "snapshot", 1.5),
    ]
    assert rulebook.action_tables.trigger_index.tolist() == [1, 0]
    assert "complaint_at" in rulebook.triggers[0].source


def test_order_of_files_and_entries_changes_nothing(build: Callable[..., Rulebook], tmp_path: Path) -> None:
    """Actions and triggers are compiled in the order of their ids, wherever they stand."""
    first, second = action(id="a"), action(id="b", when="customer.complaint_open")
    one = build(actions_a=first, actions_b=second)
    shutil.rmtree(tmp_path / "actions")
    two = build(actions_a=second, actions_z=first)
    assert [a.id for a in one.actions] == [a.id for a in two.actions] == ["a", "b"]
    for field in dataclasses.fields(one.action_tables):
        mine, theirs = getattr(one.action_tables, field.name), getattr(two.action_tables, field.name)
        assert np.array_equal(mine, theirs, equal_nan=mine.dtype.kind == "f"), field.name


def test_tables_cannot_be_written(build: Callable[..., Rulebook]) -> None:
    """A compiled rulebook is immutable down to its arrays."""
    tables = build().action_tables
    with pytest.raises(ValueError, match="read-only"):
        tables.lever[0] = 2


def test_texts_have_the_default_language(build: Callable[..., Rulebook]) -> None:
    """A plain text is in the default language; other languages are kept beside it."""
    strategy = STRATEGY.replace("languages: [en]", "languages: [en, da]")
    rulebook = build(strategy=strategy, actions_a=action(reason="{en: Because, da: Fordi}"))
    assert rulebook.actions[0].reason == {"en": "Because", "da": "Fordi"}
    assert rulebook.treatments[0].say == {"en": "Coffee"}
    assert rulebook.treatments[0].staff == {"en": ""}


def test_warnings_do_not_stop_a_rulebook(build: Callable[..., Rulebook], tmp_path: Path) -> None:
    """What is merely doubtful is reported beside the compiled rulebook."""
    build(actions_a=action(relevance="{}"))
    _, warnings = compile_source(load_source(tmp_path))
    assert [(w.severity, w.code) for w in warnings] == [(Severity.WARNING, "no-evidence")]


def test_compile_error_carries_all_diagnostics(build: Callable[..., Rulebook], tmp_path: Path) -> None:
    """The exception holds every diagnostic and reads like the report."""
    with pytest.raises(RulebookCompileError) as caught:
        build(actions_a=action(group="offer", issue="nothing"))
    assert [d.code for d in check_rulebook(tmp_path)] == ["unknown-group", "unknown-priority"]
    assert len(caught.value.diagnostics) == 2
    assert "did you mean `offers`?" in str(caught.value)


def test_mentions_of_broken_names_are_not_reported(build: Callable[..., Rulebook]) -> None:
    """What refers to an entry that was reported is not reported as unknown as well."""
    facts = FACTS.replace(
        "context:", "facts: [{name: shoe, type: wrong, group: profile, description: x}]\ncontext:"
    )
    with pytest.raises(RulebookCompileError) as caught:
        build(facts=facts, actions_a=action(when="customer.shoe > 1"))
    assert len(caught.value.diagnostics) == 1


@pytest.mark.parametrize("key", ["languages", "priorities", "roles", "promises", "groups"])
def test_missing_declarations_make_no_echoes(build: Callable[..., Rulebook], key: str) -> None:
    """Where a list of names is missing or wrong, only that is reported, not every use of a name."""
    strategy = (
        STRATEGY.replace("priorities:", "priorities_x:")
        if key == "priorities"
        else "\n".join(f"{key}: 5" if line.startswith(f"{key}:") else line for line in STRATEGY.splitlines())
    )
    text = action(reason="{da: Fordi}", issue="growth", group="offers", authority="agent", promises="[fair]")
    if key != "languages":
        text = text.replace("{da: Fordi}", "Because")
    with pytest.raises(RulebookCompileError) as caught:
        build(strategy=strategy, actions_a=text)
    errors = [d for d in caught.value.diagnostics if d.file != "strategy.yaml"]  # type: ignore[attr-defined]
    assert errors == []


def test_unreadable_files_make_no_echoes(build: Callable[..., Rulebook]) -> None:
    """When a file of triggers cannot be read, references to triggers are not called unknown."""
    with pytest.raises(RulebookCompileError) as caught:
        build(triggers_t="triggers: [", actions_a=action(triggers="[overdue]", when="trigger.overdue"))
    assert [d.code for d in caught.value.diagnostics] == ["yaml-syntax"]  # type: ignore[attr-defined]


def test_grocery_rulebook_compiles_without_a_word() -> None:
    """The shipped grocery rulebook has neither errors nor warnings and covers all four stages."""
    assert verify_rulebook(GROCERY) == []
    rulebook = compile_rulebook(GROCERY)
    assert len(rulebook.actions) >= 12
    assert int(np.bitwise_or.reduce(rulebook.action_tables.stages)) == 0b1111
    for stage in Stage:
        assert (rulebook.action_tables.stages >> stage & 1).sum() >= 3
    assert {"en", "da"} == set(rulebook.languages)
    assert all(set(t.say) == {"en", "da"} for t in rulebook.treatments)
    assert rulebook.action_tables.mandatory[rulebook.action_index["apology"]] == 1
    assert set(rulebook.channel_index) == {"pos", "call_centre", "mail", "email"}


def test_same_files_give_the_same_digest() -> None:
    """Equal files have equal digests, and the revision names both."""
    first, second = compile_rulebook(GROCERY), compile_rulebook(GROCERY)
    assert first.digest == second.digest
    assert first.revision == f"grocery@{first.digest[:12]}"
