"""Random rulebooks as directories of YAML, so that the real compiler reads what the oracle reads."""

import yaml
from tests.naive.plain import STAGES

CHANNELS = ("call_centre", "pos", "email", "sms", "push", "location")
PLACEMENTS = {"pos": ("receipt", "display"), "email": ("top", "foot")}
PURPOSES = ("marketing", "service", "survey")
CONSENTS = tuple(f"{c}_{p}" for c in CHANNELS for p in PURPOSES)
NEEDS = ("recipes", "save_money", "quick_meals")
TOPICS = ("alcohol", "credit", "surveys")
ZONES = ("UTC", "Europe/Copenhagen", "America/New_York", "Asia/Kolkata")
INTENTS = ("buy", "service", "browse")
DESIRED = (
    "up_sell",
    "cross_sell",
    "communication",
    "information",
    "service",
    "transaction",
    "collect_information",
    "listen",
    "repair",
)
OUTCOMES = ("presented", "clicked", "accepted", "rejected", "ignored", "complained")
CONDITIONS = (
    "customer.discount_share < 0.5",
    "customer.discount_share >= 0.2 && customer.satisfaction > 40.0",
    "!customer.complaint_open",
    "customer.complaint_open || customer.nps_relation <= 6",
    "customer.satisfaction > 50.0 || customer.revenue_net > 100.0",
    "has(customer.nps_relation)",
    "'recipes' in customer.needs",
    "!('save_money' in customer.needs)",
    "customer.stage != 'know_me'",
    "customer.value_gap > 0.0",
    "customer.level >= 1 ? customer.revenue_net > 200.0 : true",
    "context.intent == 'buy'",
    "context.urgency > 0.5 || context.direction == 'inbound'",
    "context.channel in ['pos', 'call_centre']",
    "context.phase == 'before_payment'",
    "'receipt' in context.placement",
    "true",
)
STRENGTHS = (
    "customer.discount_share",
    "customer.satisfaction / 80.0",
    "1.0",
    "1.0",
    "0.6",
    "context.urgency",
)
PROPENSITIES = (
    "0.1",
    "1",
    "customer.discount_share",
    "customer.stage == 'grow_me' ? 0.4 : 0.05",
    "customer.satisfaction / 50.0 - 0.5",
    "min(0.9, context.urgency)",
)
EVIDENCE = (
    "explicit_request",
    "declared_preference",
    "open_need",
    "inbound_topic",
    "peers_uptake",
    "own_interest",
    "season",
)
STANDARD = (
    "consent",
    "time_zone",
    "needs",
    "blocked_topics",
    "touchpoint_score",
    "touchpoint_score_at",
    "discount_share",
    "satisfaction",
    "complaint_open",
    "nps_relation",
    "nps_relation_at",
    "satisfaction_at",
    "revenue_net",
    "last_purchase",
)


class RulebookGenerator:
    """Draws documents; most gates are left open most of the time, so that all of them are reached."""

    def __init__(self, rng, *, windows=True):
        self.rng = rng
        self.windows = windows
        self.strictness = rng.choice((0.0, 0.0, 0.1, 0.3, 1.0))
        """Scales the chance that an action has a gate of its own."""

    def documents(self, n_actions=None):
        """File name → content."""
        rng = self.rng
        count = rng.randint(1, 14) if n_actions is None else n_actions
        self.triggers = [f"t{i}" for i in range(rng.randint(1, 4))]
        self.segments = [f"s{i}" for i in range(rng.randint(1, 3))]
        self.groups = [f"g{i}" for i in range(3)]
        names = [f"a{i:02}" for i in range(count)]
        rng.shuffle(names)
        actions = [self.action(name) for name in names]
        for _ in range(count // 4 if self.maybe(0.6) else 4 * count):
            # ties are broken by priority and id
            at, twin = rng.randrange(count), rng.randrange(count)
            actions[at] = {**actions[twin], "id": names[at], "priority": rng.choice((0, 0, 1))}
        cut = rng.randint(0, len(actions))
        return {
            "strategy.yaml": self.strategy(),
            "facts.yaml": facts(),
            "policies.yaml": self.policies(),
            "segments.yaml": {"segments": [{"id": s, "when": self.condition()} for s in self.segments]},
            "triggers/all.yaml": {"triggers": [self.trigger(t) for t in self.triggers]},
            "actions/one.yaml": {"actions": actions[:cut]},
            "actions/two.yaml": {"actions": actions[cut:]},
        }

    def maybe(self, chance):
        """True so often."""
        return self.rng.random() < chance

    def number(self, *choices):
        """One of the choices, or a number between the least and the greatest."""
        rng = self.rng
        return rng.choice(choices) if self.maybe(0.7) else round(rng.uniform(min(choices), max(choices)), 4)

    def condition(self, *, triggers=False):
        """A condition, sometimes over windows or triggers."""
        rng = self.rng
        if self.strictness == 0 and self.maybe(0.7):
            return "true"
        if self.windows and self.maybe(0.1):
            days, outcome = rng.choice((7, 30, 60)), rng.choice(OUTCOMES)
            return f'count(history.contacts, {days}, entry.outcome == "{outcome}") < {rng.randint(1, 3)}'
        if triggers and self.maybe(0.15):
            return f"{rng.choice(('', '!'))}trigger.{rng.choice(self.triggers)}"
        if self.maybe(0.2):
            return f"({rng.choice(CONDITIONS)}) {rng.choice(('&&', '||'))} ({rng.choice(CONDITIONS)})"
        return rng.choice(CONDITIONS)

    def trigger(self, name):
        """A snapshot trigger."""
        entry = {"id": name, "when": self.condition()}
        if self.maybe(0.6):
            entry["cool_down"] = self.rng.choice(("1d", "7d", "28d", "36h"))
        return entry

    def strategy(self):
        """Everything above the rules, with random weights."""
        rng = self.rng
        stages = {
            stage: {
                "customer_weight": self.number(0, 0.5, 0.7, 1),
                "pressure_cap": self.number(0, 3, 6, 20),
            }
            for stage in STAGES
            if self.maybe(0.5)
        }
        if self.maybe(0.4):
            stages["reached"] = {"customer_weight": self.number(0, 0.8, 1)}
        return {
            "id": "generated",
            "currency": "EUR",
            "languages": ["en", "da"],
            "time_zone": rng.choice(ZONES),
            "goals": [{"id": "g", "measure": "profit", "text": "Profit"}],
            "priorities": [
                {"issue": "repair", "text": "First", "lever": self.number(0, 20, 100, -50)},
                {"issue": "growth", "text": "Then", "lever": self.number(0, -20)},
            ],
            "plan": [{"step": "Do", "owner": "agent"}],
            "roles": [
                {"id": "till", "authority": rng.choice((0, 1)), "text": "Till"},
                {"id": "agent", "authority": 2, "text": "Agent"},
                {"id": "lead", "authority": 5, "text": "Lead"},
            ],
            "promises": {"fair": "Fair"},
            "stages": stages,
            "objective": rng.choice(("share_of_market", "share_of_wallet", "share_of_life")),
            "market_size": 1e9,
            "groups": [
                {"id": g, "lever": self.number(0, 10, -100), "issue": rng.choice(("repair", "growth"))}
                for g in self.groups
            ],
            "value": {"value_of_time": self.number(0, 0.5, 2)},
            "data_quality": {"floor": self.number(0, 0.4)},
            "sell_hold": {"score": rng.choice((3, 6)), "within": rng.choice(("7d", "14d"))},
            "arbitration": "classic" if self.maybe(0.15) else "mutual",
            "learning": self.learning(),
        }

    def learning(self):
        """Half of the time what is the default; else some maturity and some exploration."""
        rng = self.rng
        if self.maybe(0.5):
            return {}
        return {
            "parent_weight": self.number(1, 30, 200),
            "maturity": {"trials": self.number(0, 0, 50, 400), "least_reach": rng.choice((0.02, 0.3))},
            "explore": {"method": rng.choice(("none", "epsilon", "thompson")), "share": rng.choice((0.3, 1))},
        }

    def policies(self):
        """Every channel, some with thresholds, weights and quiet hours of their own; shared limits."""
        rng = self.rng
        channels = {}
        for name in CHANNELS:
            entry = {"placements": list(PLACEMENTS.get(name, ()))}
            if self.maybe(0.6):
                entry["threshold"] = {"inbound": self.number(0, 0.2), "outbound": self.number(0, 0.3, 0.6)}
            if self.maybe(0.3):
                entry["pressure_weight"] = self.number(0, 1, 3)
            if self.maybe(0.3 * self.strictness):
                start, end = rng.sample((0, 6, 7.5, 9, 12, 20, 21.5, 23.99), 2)
                entry["quiet_hours"] = {"start": start, "end": end}
            if self.maybe(0.1):
                entry["location_bound"] = True
            if self.maybe(0.2):
                entry["consent"] = rng.sample(CONSENTS, rng.randint(0, 2))
            channels[name] = entry
        weights = {kind: self.number(0.1, 0.9, 1) for kind in EVIDENCE if self.maybe(0.2)}
        limits = [self.limit(rng.choice(("channel", "all"))) for _ in range(rng.choice((0, 0, 1)))]
        return {"channels": channels, "relevance": weights, "limits": limits}

    def limit(self, scope):
        """A contact limit."""
        rng = self.rng
        entry = {
            "outcome": rng.choice(OUTCOMES) if self.maybe(0.5) else rng.sample(OUTCOMES, 2),
            "at_least": rng.randint(1, 3),
            "within": rng.choice(("1d", "15d", "60d")),
            "pause": rng.choice(("12h", "7d", "30d")),
            "scope": scope,
        }
        if self.maybe(0.3):
            entry["within"] = self.period()
            del entry["pause"]
        if scope == "channel" and self.maybe(0.5):
            entry["channel"] = rng.choice(CHANNELS)
        return entry

    def cap(self):
        """A cap on an action's contacts."""
        rng = self.rng
        within = self.period() if self.maybe(0.3) else rng.choice(("7d", "60d"))
        return {"at_most": rng.randint(0, 2), "within": within}

    def period(self):
        """A part of the calendar."""
        calendar = self.rng.choice(("day", "week", "month", "quarter", "year"))
        return {"calendar": calendar, "time_zone": self.rng.choice(ZONES)}

    def action(self, name):
        """An action."""
        rng = self.rng
        entry = {
            "id": name,
            "desired_action": rng.choice(DESIRED),
            "reason": {"en": "For you", "da": "Til dig"},
            "treatments": self.treatments(),
            "effect": self.effect(),
            "cost": {"contact": self.number(0, 0.1, 2), "accepted": self.number(0, 4, 4, 60)},
            "propensity": self.propensity(),
        }
        if not self.maybe(0.03):
            kinds = rng.sample(EVIDENCE, rng.randint(1, 3))
            entry["relevance"] = {
                kind: rng.choice(STRENGTHS) if self.maybe(0.4) else self.condition(triggers=True)
                for kind in kinds
            }
        strict = self.strictness
        optional = {
            "group": (0.5, lambda: rng.choice(self.groups)),
            "issue": (0.3, lambda: rng.choice(("repair", "growth"))),
            "benefit_group": (0.7, lambda: "x"),
            "purpose": (0.2, lambda: rng.choice(PURPOSES)),
            "stages": (0.2 + 0.2 * strict, self.stages),
            "segments": (
                0.15 * strict,
                lambda: rng.sample(self.segments, rng.randint(1, len(self.segments))),
            ),
            "triggers": (
                0.1 + 0.3 * strict,
                lambda: rng.sample(self.triggers, rng.randint(1, len(self.triggers))),
            ),
            "when": (0.4, lambda: self.condition(triggers=True)),
            "topics": (0.15 * strict, lambda: rng.sample(TOPICS, rng.randint(1, 2))),
            "mandatory": (0.07, lambda: True),
            "authority": (0.15 * strict, lambda: rng.choice((0, 1, 3, "agent", "lead"))),
            "valid": (0.2 * strict, self.validity),
            "max_snapshot_age": (0.15 * strict, lambda: rng.choice(("1d", "7d", "30d"))),
            "uplift": (0.2, lambda: {"base": self.number(0, 0.05, 0.3)}),
            "need": (0.2, lambda: "create"),
            "intent": (0.2, lambda: "inside_out"),
            "context": (0.4, self.contexts),
            "lever": (0.2, lambda: self.number(-100, 0, 30, 300)),
            "priority": (0.3, lambda: rng.randint(-2, 2)),
            "value": (0.5, lambda: self.number(0, 1, 10)),
            "reward": (0.7, self.reward),
            "caps": (0.2, lambda: [self.cap()]),
        }
        for key, (chance, draw) in optional.items():
            if self.maybe(chance):
                entry[key] = draw()
        if self.maybe(0.25):
            scopes = ["action", "channel", "all"] + ["group"] * ("group" in entry)
            entry["limits"] = [self.limit(rng.choice(scopes)) for _ in range(rng.randint(1, 2))]
        return entry

    def treatments(self):
        """In most channels, some with several placements."""
        keys = []
        for channel in CHANNELS:
            if self.maybe(0.2 * self.strictness):
                continue
            places = PLACEMENTS.get(channel, ())
            some = [p for p in places if self.maybe(0.7)]
            keys += [f"{channel}/{p}" for p in some]
            if not some or self.maybe(0.3):
                keys.append(channel)
        self.rng.shuffle(keys)
        treatments = {key: {"say": "Hello"} for key in keys or ["pos"]}
        for treatment in treatments.values():
            if self.maybe(0.2 * self.strictness):
                treatment["consent"] = self.rng.sample(CONSENTS, self.rng.randint(0, 2))
        return treatments

    def stages(self):
        """Some stages, often those of new customers."""
        return ["know_me"] if self.maybe(0.3) else self.rng.sample(STAGES, self.rng.randint(1, 3))

    def effect(self):
        """Worth to both sides, now and then negative."""
        effect = {
            "customer_gap": self.number(0, 0.1, 0.5),
            "profit_gap": self.number(0, 0.1, 0.4),
            "yearly": self.number(0, 0, 10) if self.maybe(0.9) else -5.0,
        }
        if self.maybe(0.3):
            effect["once"] = self.number(0, 5, 20) if self.maybe(0.8) else -20.0
        if self.maybe(0.3):
            effect["minutes"] = self.number(0, 1, 5)
        if self.maybe(0.3):
            effect["ltv"] = self.number(0, 50, -50)
        elif self.maybe(0.6):
            effect["recurring"] = self.number(0, 0.5, 1)
        if self.maybe(0.3):
            effect["horizon"] = self.rng.choice(("short", "long"))
        return effect

    def propensity(self):
        """A prior or an expression."""
        if self.maybe(0.6):
            return {"successes": self.number(1, 8, 30), "failures": self.number(1, 40, 100)}
        return self.rng.choice(PROPENSITIES)

    def contexts(self):
        """Situations that weigh."""
        return [
            {"when": self.condition(), "weight": self.number(-100, -30, 20, 150)}
            for _ in range(self.rng.randint(1, 2))
        ]

    def validity(self):
        """Days around the tests' time."""
        days = {"from": self.rng.choice(("2023-11-01", "2023-11-14", "2023-11-15", "2023-12-01"))}
        if self.maybe(0.5):
            days["through"] = self.rng.choice(("2023-12-24", "2024-01-31"))
        return days if self.maybe(0.7) else {"through": self.rng.choice(("2023-11-13", "2023-11-14"))}

    def reward(self):
        """A reward."""
        rng = self.rng
        return {
            "type": rng.choice(("monetary", "emotional")),
            "timing": rng.choice(("immediate", "saved")),
            "worth": self.number(0, 5, 20),
        }


def facts():
    """The catalogue of all generated rulebooks."""
    return {
        "standard": list(STANDARD),
        "values": {
            "consent": list(CONSENTS),
            "time_zone": list(ZONES),
            "needs": list(NEEDS),
            "blocked_topics": list(TOPICS),
        },
        "context": [
            {"name": "intent", "type": "enum", "description": "Why", "values": list(INTENTS)},
            {"name": "urgency", "type": "double", "description": "How much"},
        ],
    }


class _Plain(yaml.CSafeDumper):
    """Writes a value that is used twice out twice: rule files know no aliases."""

    def ignore_aliases(self, data):
        return True


def write(documents, directory):
    """Write documents as YAML files."""
    for name, content in documents.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = yaml.dump(content, Dumper=_Plain, sort_keys=False, allow_unicode=True)
        path.write_text(text, encoding="utf-8")
