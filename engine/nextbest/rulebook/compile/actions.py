"""actions/*.yaml → actions, their treatments, and the numbers that kernels read of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from nextbest.facts import STAGE_NAMES, Catalogue
from nextbest.model import DAY_S, DesiredAction
from nextbest.rulebook.actions import Action, ActionTables, Evidence, PropensityKind, Reward, Treatment
from nextbest.rulebook.compile.channels import Channels, check_members
from nextbest.rulebook.compile.clock import day_end, day_start
from nextbest.rulebook.compile.columns import Row, list_columns, plain_columns
from nextbest.rulebook.compile.decision_tables import Choices, all_of
from nextbest.rulebook.compile.expressions import NONE, Expressions
from nextbest.rulebook.compile.limits import LimitCompiler
from nextbest.rulebook.compile.reading import Read
from nextbest.rulebook.compile.report import At, Report
from nextbest.rulebook.compile.strategy import Names
from nextbest.rulebook.compile.texts import check_quotes
from nextbest.rulebook.compile.treatments import TreatmentCompiler
from nextbest.rulebook.documents.actions import ActionEntry, ActionsFile, FittedModel, Prior
from nextbest.rulebook.periods import Period
from nextbest.rulebook.strategy import Arbitration

SELLING = frozenset({DesiredAction.UP_SELL, DesiredAction.CROSS_SELL})
CARING = frozenset(
    {
        DesiredAction.SERVICE,
        DesiredAction.INFORMATION,
        DesiredAction.REPAIR,
        DesiredAction.LISTEN,
        DesiredAction.COLLECT_INFORMATION,
    }
)
"""Pass a low data quality (domain model, section 12)."""
DECLARED = frozenset({Evidence.EXPLICIT_REQUEST, Evidence.DECLARED_PREFERENCE})
LEVER_BOUNDS = (0.5, 2.0)
"""Bounds of L; classic arbitration has none (section 9)."""
RESERVED_ID = "do_nothing"

Entries = list[Sequence[float | int]]


@dataclass(frozen=True, slots=True)
class PlacedAction:
    """An action and where it stands."""

    entry: ActionEntry
    at: At


@dataclass(frozen=True)
class ActionNames:
    """All that an action may refer to."""

    strategy: Names
    channels: Channels
    catalogue: Catalogue
    segments: dict[str, int]
    triggers: dict[str, int]
    benefit_groups: dict[str, int]
    choices: Choices


@dataclass
class CompiledActions:
    """What comes of the action files."""

    actions: tuple[Action, ...]
    treatments: tuple[Treatment, ...]
    tables: ActionTables
    propensity_models: tuple[str, ...]
    periods: tuple[Period, ...]
    """Parts of the calendar in which limits and caps count."""


def ordered_actions(reads: Iterable[Read[ActionsFile]], report: Report) -> list[PlacedAction]:
    """All actions by id, each once, so that the order of files and entries does not matter."""
    actions: dict[str, PlacedAction] = {}
    for read in reads:
        for i, entry in enumerate(read.document.actions):
            at = read.at / "actions" / i
            if entry.id == RESERVED_ID:
                message = f"`{RESERVED_ID}` is always an option"
                report.error(at / "id", "reserved-name", message, "leave it out")
            elif entry.id in actions:
                first = actions[entry.id].at.file.path
                message = f"action `{entry.id}` is declared twice"
                report.error(at / "id", "duplicate-id", message, f"first in `{first}`")
            else:
                actions[entry.id] = PlacedAction(entry, at)
    return [actions[name] for name in sorted(actions)]


def benefit_groups(placed: Iterable[PlacedAction]) -> dict[str, int]:
    """Index of each benefit group that actions name."""
    names = sorted({p.entry.benefit_group for p in placed if p.entry.benefit_group is not None})
    return {name: i for i, name in enumerate(names)}


def compile_actions(
    placed: Sequence[PlacedAction], names: ActionNames, expressions: Expressions, report: Report
) -> CompiledActions:
    """Actions in the order given, with their tables."""
    treatments = TreatmentCompiler(names.channels, names.strategy.languages, names.catalogue, report)
    limits = LimitCompiler(names.channels, report)
    limits.check_shared()
    compiler = _ActionCompiler(names, expressions, treatments, limits, report)
    for i, action in enumerate(placed):
        compiler.add(action.entry, i, action.at)
    return compiler.finished()


@dataclass
class _ActionCompiler:
    names: ActionNames
    expressions: Expressions
    treatment_compiler: TreatmentCompiler
    limits: LimitCompiler
    report: Report
    actions: list[Action] = field(default_factory=list)
    treatments: list[Treatment] = field(default_factory=list)
    models: dict[str, int] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    lists: dict[str, list[Entries]] = field(default_factory=dict)

    def add(self, entry: ActionEntry, index: int, at: At) -> None:
        issue = self._issue(entry, at)
        self._check_alone(entry, at)
        self._check_survey_reward(entry, at)
        self.actions.append(self._action(entry, issue, at))
        self.rows.append(
            {
                **self._audience(entry, at),
                **_effect(entry, self.names.strategy.is_short),
                **self._propensity(entry, at),
                **self._rank(entry, issue),
                "id_order": index,
            }
        )
        self._append("trigger", self._triggers(entry, at))
        self._append("evidence", self._evidence(entry, at))
        self._append("context", self._context(entry, at))
        self._append("policy", self.limits.policies(entry, at))
        self._append("cap", self.limits.caps(entry, at))
        self._append("treatment", self._treatments(entry, index, at))

    def finished(self) -> CompiledActions:
        columns = plain_columns(self.rows)
        for name in ("trigger", "evidence", "context", "policy", "cap", "treatment"):
            columns |= list_columns(name, self.lists.get(name, []))
        tables = ActionTables(**columns)
        return CompiledActions(
            actions=tuple(self.actions),
            treatments=tuple(self.treatments),
            tables=tables,
            propensity_models=tuple(self.models),
            periods=tuple(self.limits.periods),
        )

    def _append(self, name: str, entries: Entries) -> None:
        self.lists.setdefault(name, []).append(entries)

    def _check_alone(self, entry: ActionEntry, at: At) -> None:
        """What is wrong with an action whatever else the rulebook holds."""
        report = self.report
        if entry.desired_action is DesiredAction.DO_NOTHING:
            hint = "doing nothing always competes; leave the action out"
            report.error(at / "desired_action", "reserved-name", "`do_nothing` is no action to declare", hint)
        if entry.effect.recurring is not None and entry.effect.ltv is not None:
            message = "`recurring` and `ltv` both count the years to come"
            report.key_error(at / "effect" / "ltv", "double-counting", message, "give one of them")
        if entry.survey is not None and len(entry.survey.questions) > 1:
            message = f"a survey asks one scored question, not {len(entry.survey.questions)}"
            report.error(
                at / "survey" / "questions" / 1, "survey-questions", message, "ask it in another action"
            )
        if not entry.relevance and not entry.mandatory and "relevance" not in report.broken:
            message = (
                f"nothing says that a customer would have asked for `{entry.id}`: it will never be relevant"
            )
            report.warning(at / "id", "no-evidence", message, "add `relevance`")
        valid = entry.valid
        if valid.start is not None and valid.through is not None and valid.through < valid.start:
            report.error(
                at / "valid" / "through", "invalid-value", f"`{valid.through}` is before `{valid.start}`"
            )

    def _check_survey_reward(self, entry: ActionEntry, at: At) -> None:
        """A question is worth a thank-you, not more."""
        most = self.names.channels.survey_reward
        asks = entry.survey is not None or "survey" in entry.tags
        if asks and entry.reward is not None and entry.reward.worth > most:
            message = f"a question is rewarded with {entry.reward.worth:g}, more than {most:g}"
            hint = "reward less, or raise `survey_reward` in policies.yaml"
            self.report.error(at / "reward" / "worth", "survey-reward", message, hint)

    def _issue(self, entry: ActionEntry, at: At) -> str:
        strategy = self.names.strategy
        if entry.group is not None and entry.group not in strategy.groups:
            self.report.unknown(at / "group", "group", entry.group, strategy.groups)
        if entry.issue is not None:
            if entry.issue not in strategy.issues:
                self.report.unknown(at / "issue", "priority", entry.issue, strategy.issues)
            return entry.issue
        group = strategy.groups.get(entry.group or "")
        return group.issue or "" if group else ""

    def _action(self, entry: ActionEntry, issue: str, at: At) -> Action:
        languages, catalogue = self.names.strategy.languages, self.names.catalogue
        check_quotes(entry.reason, at / "reason", self.report, catalogue, shows_figures=False)
        for i, promise in enumerate(entry.promises):
            if promise not in self.names.strategy.promises:
                self.report.unknown(at / "promises" / i, "promise", promise, self.names.strategy.promises)
        return Action(
            id=entry.id,
            desired_action=entry.desired_action,
            issue=issue,
            group=entry.group or "",
            reason=languages.resolve(entry.reason, at / "reason", self.report),
            condition_source=self._condition_source(entry),
            propensity_source=entry.propensity if isinstance(entry.propensity, str) else "",
            propensity_model=entry.propensity.model if isinstance(entry.propensity, FittedModel) else "",
            tags=tuple(entry.tags),
            owner=entry.owner or "",
            promises=tuple(entry.promises),
            reward=Reward(entry.reward.type, entry.reward.timing) if entry.reward else None,
        )

    def _audience(self, entry: ActionEntry, at: At) -> Row:
        names, report, zone = self.names, self.report, self.names.strategy.time_zone
        stages = sum(1 << STAGE_NAMES.index(stage) for stage in set(entry.stages or STAGE_NAMES))
        segments = 0
        for i, name in enumerate(entry.segments):
            found = report.index(at / "segments" / i, "segment", name, names.segments)
            segments |= 1 << found if found >= 0 else 0
        start, through = entry.valid.start, entry.valid.through
        age = entry.max_snapshot_age
        return {
            "stages": stages,
            "segments": segments,
            "condition": self._condition(entry, at),
            "sells": entry.desired_action in SELLING,
            "cares": entry.desired_action in CARING,
            "mandatory": entry.mandatory,
            "authority": self._authority(entry, at),
            "valid_from": day_start(start, zone) if start else -float("inf"),
            "valid_until": day_end(through, zone) if through else float("inf"),
            "topics": check_members(entry.topics, at / "topics", "blocked_topics", names.catalogue, report),
            "max_snapshot_age_days": float("inf") if age is None else age / DAY_S,
        }

    def _condition(self, entry: ActionEntry, at: At) -> int:
        """Output of `when`, and of what decision tables ask for besides."""
        gate = self.names.choices.gates.get(entry.id)
        if gate is None:
            return NONE if entry.when is None else self.expressions.condition(entry.when, at / "when")
        if entry.when is None:
            return self.expressions.composed(gate, at / "id")
        own = self.expressions.checked_condition(entry.when, at / "when")
        return NONE if own is None else self.expressions.composed(all_of([own, gate]), at / "when")

    def _condition_source(self, entry: ActionEntry) -> str:
        gate = self.names.choices.gates.get(entry.id)
        sources = [entry.when or "", gate.source if gate else ""]
        given = [source for source in sources if source]
        return given[0] if len(given) == 1 else " && ".join(f"({source})" for source in given)

    def _authority(self, entry: ActionEntry, at: At) -> int:
        if isinstance(entry.authority, int):
            return entry.authority
        known = self.names.strategy.authority
        if entry.authority not in known:
            self.report.unknown(at / "authority", "role", entry.authority, known)
        return known.get(entry.authority, 0)

    def _propensity(self, entry: ActionEntry, at: At) -> Row:
        given, kind, index = entry.propensity, PropensityKind.POSTERIOR, NONE
        stated = given.until_fitted if isinstance(given, FittedModel) else given
        prior = (stated.successes, stated.failures) if isinstance(stated, Prior) else (0.0, 0.0)
        if isinstance(given, FittedModel):
            kind, index = PropensityKind.MODEL, self.models.setdefault(given.model, len(self.models))
        elif isinstance(given, str):
            kind, index = PropensityKind.EXPRESSION, self.expressions.share(given, at / "propensity")
        return {
            "propensity_kind": kind,
            "propensity_index": index,
            "prior_successes": prior[0],
            "prior_failures": prior[1],
            "base_propensity": entry.uplift.base if entry.uplift else 0.0,
            "uses_uplift": entry.uplift is not None,
        }

    def _rank(self, entry: ActionEntry, issue: str) -> Row:
        strategy = self.names.strategy
        group = strategy.groups.get(entry.group or "")
        per_cent = strategy.issues.get(issue, 0.0) + (group.lever if group else 0.0) + entry.lever
        lever = 1.0 + per_cent / 100.0
        if strategy.arbitration is not Arbitration.CLASSIC:
            lever = min(max(lever, LEVER_BOUNDS[0]), LEVER_BOUNDS[1])
        return {
            "lever": lever,
            "group": strategy.group_index.get(entry.group or "", NONE),
            "benefit_group": self.names.benefit_groups.get(entry.benefit_group or "", NONE),
            "reward_worth": entry.reward.worth if entry.reward else 0.0,
            "priority": entry.priority,
            "classic_value": entry.value,
        }

    def _triggers(self, entry: ActionEntry, at: At) -> Entries:
        found = [
            self.report.index(at / "triggers" / i, "trigger", name, self.names.triggers)
            for i, name in enumerate(entry.triggers)
        ]
        return [(index,) for index in found if index >= 0]

    def _evidence(self, entry: ActionEntry, at: At) -> Entries:
        rows: Entries = []
        given = {Evidence[name.upper()]: (name, source) for name, source in entry.relevance.items()}
        # by kind, not as written: a product of floats depends on the order, and keys have none
        for kind in sorted(given):
            name, source = given[kind]
            condition, value = self.expressions.evidence(source, at / "relevance" / name)
            rows.append((self.names.channels.evidence_weights[kind], condition, value, kind in DECLARED))
        return rows

    def _context(self, entry: ActionEntry, at: At) -> Entries:
        own = [
            (self.expressions.condition(context.when, at / "context" / i / "when"), context.weight)
            for i, context in enumerate(entry.context)
        ]
        levers = self.names.choices.levers.get(entry.id, ())
        return [*own, *((self.expressions.composed(typed, at / "id"), weight) for typed, weight in levers)]

    def _treatments(self, entry: ActionEntry, index: int, at: At) -> Entries:
        compiled = self.treatment_compiler.compile(entry, index, at)
        self.treatments += [treatment for treatment, _ in compiled]
        return [(treatment.channel, treatment.placement, consent) for treatment, consent in compiled]


def _effect(entry: ActionEntry, is_short: bool) -> Mapping[str, float | int]:  # noqa: FBT001  (a default)
    effect, cost = entry.effect, entry.cost
    worth = entry.reward.worth if entry.reward else 0.0
    recurring = effect.recurring if effect.recurring is not None else 0.0
    return {
        "customer_gap_share": effect.customer_gap,
        "profit_gap_share": effect.profit_gap,
        "recurring": recurring if effect.ltv is None else float("nan"),
        "yearly_gain": effect.yearly,
        "once_gain": worth if effect.once is None else effect.once,
        "ltv_gain": effect.ltv or 0.0,
        "short_horizon": is_short if effect.horizon is None else effect.horizon == "short",
        "contact_cost": cost.contact,
        "accepted_cost": cost.accepted,
        "minutes": effect.minutes,
        "creates_need": entry.need == "create",
        "inside_out": entry.intent == "inside_out",
    }
