"""The same rules, gates and ranking in polars: what the population run is measured beside.

Customers, their figures and history entries come as frames in polars' own types. Conditions are evaluated
once for all customers; each action then takes the customers who pass what needs no history, in one lazy query
each, collected together; what history forbids is joined away; the rest is scored, sorted and cut to three.
"""

from functools import reduce
from operator import and_, or_

import numpy as np
import polars as pl

from decide_workload import (
    AUTHORITIES,
    CHANNELS,
    CONTACT_PRICE,
    CUSTOMER_WEIGHT,
    EVIDENCE,
    HOLD_DAYS,
    HOLD_SCORE,
    NOW,
    OUTCOMES,
    PRESSURE_CAP,
    PRICES,
    PURPOSES,
    QUALITY_FLOOR,
    QUIET,
    THRESHOLDS,
    TOPICS,
    VALUE_OF_TIME,
    WEIGHTS,
    WINDOWS,
    ZONES,
    Script,
)
from nextbest.model import DAY_S, NO_CODE, EntryKind, Outcome
from nextbest.rulebook.rulebook import Rulebook
from workload import STAGES

CODES = {name: int(Outcome[name.upper()]) for name in OUTCOMES}
ANSWERS = [CODES["clicked"], CODES["accepted"], CODES["rejected"]]
truncated = pl.col("truncated")
is_outbound = pl.col("outbound")


class Peer:
    """The query, written once for a set of rules."""

    def __init__(self, rules: Script, rulebook: Rulebook) -> None:
        self._rules = rules
        self._channel = {name: rulebook.channel_index[name] for name in CHANNELS}
        self._conditions = {text: f"c{i}" for i, text in enumerate(rules.peers)}
        self._trigger_bit = {entry["id"]: i for i, entry in enumerate(rules.triggers)}
        self._segment = {entry["id"]: entry["when"] for entry in rules.segments}
        self._loyal = self._loyal_worth()
        self._table = self._action_table()

    def run(self, customers: pl.DataFrame, entries: pl.DataFrame) -> pl.DataFrame:
        """Columns customer, action, score: up to three rows a customer, best first."""
        wide = self._wide(customers, entries)
        lazy = wide.lazy()
        candidates = pl.concat(
            pl.collect_all([self._candidates(lazy, i, entry) for i, entry in enumerate(self._rules.actions)])
        )
        return self._ranked(self._scored(candidates, wide, entries))

    def _by_channel(self, values: dict[str, object], default: object) -> pl.Expr:
        mapped = {self._channel[name]: value for name, value in values.items()}
        return pl.col("channel").replace_strict(mapped, default=default, return_dtype=pl.Float64)

    def _wide(self, customers: pl.DataFrame, entries: pl.DataFrame) -> pl.DataFrame:
        """Every condition, and what concerns a customer whatever the action."""
        joined = customers.lazy()
        for part in self._history(customers.select("customer", "channel"), entries):
            joined = joined.join(part.lazy(), on="customer", how="left", maintain_order="left")
        counts = [
            pl.when(truncated <= NOW - days * DAY_S)
            .then(pl.col(f"{outcome}_{days}").fill_null(0))
            .alias(f"{outcome}_{days}")
            for outcome, days in WINDOWS
        ]
        joined = joined.with_columns(
            *counts, pl.col("cooling").fill_null(0), pl.col("raw_pressure", "streak").fill_null(0)
        ).collect()
        conditions = [self._rules.peers[text].alias(name) for text, name in self._conditions.items()]
        wide = joined.lazy().with_columns(*conditions, *self._situation())
        return wide.with_columns(self._calm()).collect()

    def _history(self, channels: pl.DataFrame, entries: pl.DataFrame) -> list[pl.DataFrame]:
        """What a customer's history says, one frame a question."""
        now = int(NOW)
        contact = pl.col("kind") == int(EntryKind.CONTACT)
        outbound = pl.col("direction") == 1
        age_days = (now - pl.col("time")) / DAY_S
        weight = self._by_channel(WEIGHTS, 0.0) * (2.0 ** (-age_days / 7.0))
        plain = entries.group_by("customer").agg(
            weight.filter(contact & outbound).sum().alias("raw_pressure"),
            pl.col("at")
            .filter(
                outbound
                & (pl.col("outcome") == CODES["ignored"])
                & (
                    pl.col("at")
                    > pl.col("at").filter(outbound & pl.col("outcome").is_in(ANSWERS)).max().fill_null(-1)
                )
            )
            .len()
            .alias("streak"),
            pl.col("time")
            .filter(contact & outbound & (pl.col("channel") == self._channel["location"]))
            .max()
            .alias("located"),
            pl.col("time").filter(pl.col("outcome") == CODES["complained"]).max().alias("complained"),
            *(
                ((pl.col("outcome") == CODES[outcome]) & (pl.col("time") > now - days * int(DAY_S)))
                .sum()
                .alias(f"{outcome}_{days}")
                for outcome, days in WINDOWS
            ),
        )
        return [plain, self._rejected_on_channel(channels, entries), self._cooling(entries)]

    def _rejected_on_channel(self, channels: pl.DataFrame, entries: pl.DataFrame) -> pl.DataFrame:
        """Whether two rejections on the request's channel, 14 days apart at most, pause for 10 days."""
        now, time = int(NOW), pl.col("time")
        rejected = entries.lazy().filter(pl.col("outcome") == CODES["rejected"])
        on_channel = rejected.join(channels.lazy(), on=["customer", "channel"], maintain_order="left")
        recent = on_channel.with_columns(before=time.shift(1).over("customer")).filter(
            time > now - 10 * DAY_S
        )
        return (
            recent.group_by("customer")
            .agg(
                ((time - pl.col("before")) < 14 * DAY_S).any().alias("channel_paused"),
                time.max().alias("channel_latest"),
            )
            .collect()
        )

    def _cooling(self, entries: pl.DataFrame) -> pl.DataFrame:
        """Bit set of the triggers that cool down."""
        triggers = self._rules.triggers
        causes = pl.DataFrame(
            [
                (i, self._trigger_bit[name])
                for i, entry in enumerate(self._rules.actions)
                for name in entry.get("triggers", ())
            ],
            schema={"action": pl.UInt32, "cause": pl.UInt32},
            orient="row",
        )
        days = pl.DataFrame(
            {
                "cause": pl.Series(range(len(triggers)), dtype=pl.UInt32),
                "days": [int(entry["cool_down"][:-1]) for entry in triggers],
                "bit": pl.Series([1 << i for i in range(len(triggers))], dtype=pl.Int64),
            }
        )
        contacts = entries.lazy().filter(pl.col("kind") == int(EntryKind.CONTACT))
        named = contacts.filter(pl.col("trigger") != NO_CODE).select(
            "customer", "time", cause=pl.col("trigger")
        )
        unnamed = (
            contacts.filter(pl.col("trigger") == NO_CODE)
            .join(causes.lazy(), on="action")
            .select("customer", "time", "cause")
        )
        return (
            pl.concat([named, unnamed])
            .join(days.lazy(), on="cause")
            .filter((int(NOW) - pl.col("time")) < pl.col("days") * DAY_S)
            .unique(["customer", "cause"])
            .group_by("customer")
            .agg(cooling=pl.col("bit").sum())
            .collect()
        )

    def _situation(self) -> list[pl.Expr]:
        """Consent, quiet hours, pressure and thresholds of the request's channel."""
        by_purpose = [
            reduce(
                or_,
                (
                    (pl.col("channel") == self._channel[c]) & pl.col(f"consent_{c}_{purpose}")
                    for c in CHANNELS[:3]
                ),
                ~is_outbound,
            ).alias(f"may_{purpose}")
            for purpose in PURPOSES
        ]
        local = [
            pl.from_epoch("now").dt.replace_time_zone("UTC").dt.convert_time_zone(zone) for zone in ZONES
        ]
        hours = [moment.dt.hour() + moment.dt.minute() / 60.0 for moment in local]
        zone = pl.col("time_zone")
        hour = reduce(
            lambda other, i: pl.when(zone == i).then(hours[i]).otherwise(other), range(1, 4), hours[0]
        )
        quiet = reduce(
            or_,
            (
                (pl.col("channel") == self._channel[c]) & ((hour >= start) | (hour < end))
                for c, (start, end) in QUIET.items()
            ),
        )
        stage, pressure = pl.col("stage"), pl.col("raw_pressure") * (1.0 + 0.25 * pl.col("streak"))
        caps = stage.replace_strict(dict(enumerate(PRESSURE_CAP.values())), return_dtype=pl.Float64)
        lost = [truncated > NOW - days * DAY_S for days in (10, 20)]
        partly = truncated > pl.col("channel_latest") - 14 * DAY_S
        unknown = reduce(or_, lost) | partly.fill_null(value=False)
        complained = (pl.col("complained") > NOW - 20 * DAY_S).fill_null(value=False)
        held = (pl.col("touchpoint_score") <= HOLD_SCORE) & (
            (NOW - pl.col("touchpoint_score_at")) / DAY_S
        ).is_between(0, HOLD_DAYS, closed="left")
        thresholds = [self._by_channel({c: t[i] for c, t in THRESHOLDS.items()}, 1.0) for i in (0, 1)]
        return [
            *by_purpose,
            (is_outbound & quiet).alias("quiet"),
            held.fill_null(value=False).alias("held"),
            (pl.col("data_quality") < QUALITY_FLOOR).fill_null(value=False).alias("poor"),
            pressure.alias("pressure"),
            caps.alias("cap"),
            (pl.col("channel_paused").fill_null(value=False) | complained | (is_outbound & unknown)).alias(
                "paused"
            ),
            pl.when(is_outbound).then(thresholds[1]).otherwise(thresholds[0]).alias("threshold"),
            pl.when(is_outbound).then(self._by_channel(WEIGHTS, 0.0)).otherwise(0.0).alias("weight"),
            pl.when((pl.col("profit_reached") == 1.0) & (stage != STAGES.index("forgive_me")))
            .then(CUSTOMER_WEIGHT["grow_me"])
            .otherwise(
                stage.replace_strict(dict(enumerate(CUSTOMER_WEIGHT.values())), return_dtype=pl.Float64)
            )
            .alias("lambda"),
            stage.replace_strict(dict(enumerate(PRICES)), return_dtype=pl.Float64).alias("price"),
            pl.col("value_gap", "profit_gap").fill_null(0.0),
            pl.col("multiplier").fill_null(1.0),
        ]

    def _calm(self) -> list[pl.Expr]:
        """Pressure and location gates, and the pressure factor."""
        pressure, cap = pl.col("pressure"), pl.col("cap")
        located = (pl.col("channel") == self._channel["location"]) & (
            NOW - pl.col("located") < 7 * DAY_S
        ).fill_null(value=False)
        stopped = (truncated > NOW - 70 * DAY_S) | (pressure + pl.col("weight") > cap) | located
        factor = (1.0 - pressure / cap).clip(0.0).sqrt()
        return [
            (is_outbound & stopped).alias("pressed"),
            pl.when(is_outbound).then(factor).otherwise(1.0).alias("q"),
        ]

    def _true(self, text: str) -> pl.Expr:
        return pl.col(self._conditions[text]).fill_null(value=False)

    def _fired(self, name: str) -> pl.Expr:
        bit = self._trigger_bit[name]
        days = int(self._rules.triggers[bit]["cool_down"][:-1])
        lost = is_outbound & (NOW - truncated < days * DAY_S)
        cooling = (pl.col("cooling") // (1 << bit)) % 2 == 1
        return self._true(self._rules.triggers[bit]["when"]) & ~cooling & ~lost

    def _loyal_worth(self) -> dict[str, float]:
        """Best reward open to Grow me by benefit group."""
        best: dict[str, float] = {}
        for entry in self._rules.actions:
            group = entry.get("benefit_group")
            if group is not None:
                open_to_grow = entry["reward"]["worth"] if "grow_me" in entry["stages"] else 0.0
                best[group] = max(best.get(group, 0.0), open_to_grow)
        return best

    def _fits(self, entry: dict) -> pl.Expr:
        """A treatment for the channel."""
        channels = [key.partition("/")[0] for key in entry["treatments"]]
        return reduce(or_, [pl.col("channel") == self._channel[channel] for channel in channels])

    def _admitted(self, entry: dict) -> pl.Expr:
        """Every gate that asks nothing of this action's history."""
        stages = [STAGES.index(name) for name in entry["stages"]]
        gates = [
            pl.col("stage").is_in(pl.Series(stages, dtype=pl.UInt8).implode()),
            self._true(entry["when"]),
            pl.col(f"may_{entry['purpose']}"),
            ~pl.col("quiet"),
            ~pl.col("paused"),
            self._fits(entry),
        ]
        if "segments" in entry:
            gates.append(reduce(or_, (self._true(self._segment[name]) for name in entry["segments"])))
        if "triggers" in entry:
            gates.append(reduce(or_, (self._fired(name) for name in entry["triggers"])))
        gates += [~pl.col(f"topic_{topic}") for topic in entry.get("topics", ()) if topic in TOPICS]
        if entry.get("authority", 0) > min(AUTHORITIES.values()):
            gates.append(pl.col("authority") >= entry["authority"])
        if "max_snapshot_age" in entry:
            gates.append(pl.col("snapshot_age_days") <= int(entry["max_snapshot_age"][:-1]))
        if entry["desired_action"] not in ("service", "information"):
            gates.append(~pl.col("poor"))
        if entry["desired_action"] in ("cross_sell", "up_sell"):
            gates.append(~pl.col("held"))
        if not entry.get("mandatory"):
            gates.append(~pl.col("pressed"))
        if entry.get("reward", {}).get("worth", 0) > self._loyal.get(entry.get("benefit_group"), np.inf):
            gates.append(pl.col("stage") != STAGES.index("know_me"))
        return reduce(and_, gates)

    def _candidates(self, wide: pl.LazyFrame, i: int, entry: dict) -> pl.LazyFrame:
        """Who may get one action, with what the score needs."""
        effect, prior = entry["effect"], entry["propensity"]
        if isinstance(prior, str):
            fact, factor = prior.removeprefix("customer.").split(" * ")
            p = (pl.col(fact) * float(factor)).clip(0.0, 1.0)
        else:
            p = pl.lit(prior["successes"] / (prior["successes"] + prior["failures"]))
        selected = wide.filter(self._admitted(entry) & (not _never_valid(entry))).select(
            "customer",
            "outbound",
            "truncated",
            action=pl.lit(i, pl.UInt32),
            p=p,
            rho=self._asked(entry),
            context=self._context(entry),
            declared=self._declared(entry),
            gap=pl.col("value_gap") * effect["customer_gap"] + effect["yearly"],
            profit=pl.col("profit_gap") * effect["profit_gap"],
            multiplier=1.0
            + effect.get("recurring", 0.0)
            * ((1.0 if effect.get("horizon") == "short" else pl.col("multiplier")) - 1.0),
        )
        effort = effect.get("minutes", 0.0) * VALUE_OF_TIME
        worth = pl.col("p") * (pl.col("gap") + _once(entry)) - effort
        return selected.filter(worth >= 0.0)

    def _asked(self, entry: dict) -> pl.Expr:
        rho = pl.lit(0.0)
        for kind, text in entry["relevance"].items():
            rho = rho + EVIDENCE[kind] * self._strength(text) * (1.0 - rho)
        return rho

    def _strength(self, text: str) -> pl.Expr:
        return pl.col(self._conditions[text]).cast(pl.Float64).fill_null(0.0)

    def _declared(self, entry: dict) -> pl.Expr:
        text = entry["relevance"].get("declared_preference")
        return pl.lit(value=False) if text is None else self._strength(text) > 0.0

    def _context(self, entry: dict) -> pl.Expr:
        weight = pl.lit(1.0)
        for one in entry["context"]:
            weight = weight + pl.when(self._true(one["when"])).then(one["weight"] / 100.0).otherwise(0.0)
        return weight.clip(0.0)

    def _action_table(self) -> pl.DataFrame:
        """What the score and the limits know of an action."""

        def limit(entry: dict, scope: str) -> bool:
            return any(one["scope"] == scope for one in entry.get("limits", ()))

        return pl.DataFrame(
            [
                {
                    "action": i,
                    "group": int(entry["group"].removeprefix("group_")),
                    "priority": entry["priority"],
                    "mandatory": bool(entry.get("mandatory")),
                    "creates": entry.get("need") == "create",
                    "pushes": entry.get("intent") == "inside_out",
                    "base": entry.get("uplift", {}).get("base", 0.0),
                    "once": _once(entry),
                    "ltv": 0.0
                    if entry["effect"].get("horizon") == "short"
                    else entry["effect"].get("ltv", 0.0),
                    "lever": min(max(1.0 + entry["lever"] / 100.0, 0.5), 2.0),
                    "contact": entry["cost"]["contact"],
                    "accepted": entry["cost"]["accepted"],
                    "capped_s": max(
                        (int(cap["within"][:-1]) * DAY_S for cap in entry.get("caps", ())), default=0.0
                    ),
                    "by_action": limit(entry, "action"),
                    "by_group": limit(entry, "group"),
                }
                for i, entry in enumerate(self._rules.actions)
            ],
            schema_overrides={"action": pl.UInt32},
        )

    def _scored(self, candidates: pl.DataFrame, wide: pl.DataFrame, entries: pl.DataFrame) -> pl.LazyFrame:
        """Candidates whom history lets through, with their scores."""
        now = int(NOW)
        people = wide.lazy().select(
            "customer", "threshold", "q", "weight", "lambda", "price", "investment_ceiling"
        )
        table = self._table.lazy()
        rejected = entries.lazy().filter(pl.col("outcome") == CODES["rejected"])
        lately = rejected.group_by("customer", "action").agg(rejected_at=pl.col("time").max())
        of_group = (
            rejected.filter(pl.col("time") > now - 30 * DAY_S)
            .join(table.select("action", "group"), on="action")
            .select("customer", "group", group_paused=pl.lit(value=True))
            .unique()
        )
        opted = (
            entries.lazy()
            .filter(pl.col("outcome") == CODES["opted_out"])
            .select("customer", "action", opted=pl.lit(value=True))
            .unique()
        )
        contacted = (
            entries.lazy()
            .filter(pl.col("kind") == int(EntryKind.CONTACT))
            .group_by("customer", "action")
            .agg(contacted_at=pl.col("time").max())
        )
        joined = (
            candidates.lazy()
            .join(table, on="action")
            .join(lately, on=["customer", "action"], how="left")
            .join(opted, on=["customer", "action"], how="left")
            .join(contacted, on=["customer", "action"], how="left")
            .join(of_group, on=["customer", "group"], how="left")
            .join(people, on="customer")
        )
        return (
            joined.filter(*self._history_gates())
            .with_columns(rho=self._damped())
            .filter(pl.col("mandatory") | (pl.col("rho") >= pl.col("threshold")))
            .with_columns(score=self._score())
        )

    @staticmethod
    def _history_gates() -> list[pl.Expr]:
        """Limits of scope action and group, caps, and the ceiling."""
        since = NOW - 30 * DAY_S
        lost = is_outbound & (truncated > since)
        by_action = pl.col("by_action") & ((pl.col("rejected_at") > since).fill_null(value=False) | lost)
        by_group = pl.col("by_group") & (pl.col("group_paused").fill_null(value=False) | lost)
        start = NOW - pl.col("capped_s")
        capped = (pl.col("capped_s") > 0) & (
            (pl.col("contacted_at") > start).fill_null(value=False) | (is_outbound & (truncated > start))
        )
        cost = pl.col("contact") + pl.col("p") * pl.col("accepted")
        dear = ~pl.col("mandatory") & (cost > pl.col("investment_ceiling")).fill_null(value=False)
        return [~by_action, ~by_group, ~capped, ~dear]

    @staticmethod
    def _damped() -> pl.Expr:
        rejected = (pl.col("rejected_at") > NOW - 60 * DAY_S).fill_null(value=False)
        rho = pl.col("rho") * pl.when(rejected).then(0.25).otherwise(1.0)
        rho = rho * pl.when("creates").then(0.7).otherwise(1.0)
        rho = pl.when(pl.col("pushes") & ~pl.col("declared")).then(rho.clip(upper_bound=0.3)).otherwise(rho)
        return pl.when(pl.col("opted").fill_null(value=False)).then(0.0).otherwise(rho)

    @staticmethod
    def _score() -> pl.Expr:
        gain_c = pl.col("gap") * pl.col("multiplier") + pl.col("once")
        gain_p = pl.col("profit") * pl.col("multiplier") + pl.col("ltv")
        gain = pl.col("lambda") * gain_c + (1.0 - pl.col("lambda")) * gain_p
        benefit = (pl.col("p") - pl.col("base")) * gain
        factors = pl.col("rho") * pl.col("context") * pl.col("lever") * pl.col("q")
        benefit = pl.when(benefit > 0.0).then(benefit * factors).otherwise(benefit)
        cost = pl.col("contact") + pl.col("p") * pl.col("accepted")
        return benefit - (1.0 + pl.col("price")) * cost - CONTACT_PRICE * pl.col("weight")

    @staticmethod
    def _ranked(scored: pl.LazyFrame) -> pl.DataFrame:
        """One of a group, three a customer."""
        return (
            scored.filter(pl.col("mandatory") | (pl.col("score") > 0.0))
            .select("customer", "action", "score", "mandatory", "priority", "group")
            .sort(
                ["customer", "mandatory", "score", "priority", "action"],
                descending=[False, True, True, True, False],
            )
            .unique(["customer", "group"], keep="first", maintain_order=True)
            .group_by("customer", maintain_order=True)
            .head(3)
            .select("customer", "action", "score")
            .collect()
        )


def _once(entry: dict) -> float:
    """What accepting is worth once: said, or the reward's worth."""
    return entry["effect"].get("once", entry.get("reward", {}).get("worth", 0.0))


def _never_valid(entry: dict) -> bool:
    """Whether the action's days do not include the run's."""
    return "valid" in entry
