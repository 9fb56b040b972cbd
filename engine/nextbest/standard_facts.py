"""The standard facts: names and meanings that the engine's own kernels know (domain model, section 1).

A rulebook uses those it has data for and adds its own; open enumerations get their values there.
"""

from nextbest.facts import STAGE_NAMES, Fact, FactGroup, FactSource, FactType

_G = FactGroup
_T = FactType
_CUSTOMER = FactSource.CUSTOMER
_THIRD_PARTY = FactSource.THIRD_PARTY


def _fact(
    name: str,
    kind: FactType,
    group: FactGroup,
    description: str,
    *,
    source: FactSource = FactSource.COMPANY,
    unit: str = "",
    values: tuple[str, ...] = (),
    bounds: tuple[float | None, float | None] = (None, None),
    observed_at: str = "",
) -> Fact:
    return Fact(
        name=name,
        type=kind,
        group=group,
        source=source,
        unit=unit,
        values=values,
        minimum=bounds[0],
        maximum=bounds[1],
        observed_at=observed_at,
        description=description,
    )


CONTRACT_STATES = ("none", "in_force", "cancelled", "expired")
"""States of a contract in code order."""
EXPECTATIONS = (
    "rebate_bonus_points",
    "special_offers",
    "information",
    "early_sale",
    "events",
    "in_store_benefits",
    "online_benefits",
    "better_service",
    "relevant_communication",
    "shared_purpose",
)
"""What members expect of a programme (domain model, section 12)."""
PERIODS = 12
"""Periods kept per customer for the behaviour detectors."""

SPEND = "spend"
"""The series whose state lies in the standard facts."""
_STATE_DIGITS = len("_baseline_variance")
LONGEST_SERIES_ID = 64 - _STATE_DIGITS
"""Longest id of a series, so that the facts of its state have names."""


def series_names(series: str) -> tuple[str, ...]:
    """Names of the facts that hold a series' state: baseline, its latest periods, and until when they go.

    The order is that of `behaviour.detectors.BaselineInput`, and then the end of the latest period taken.
    """
    prefix = "" if series == SPEND else f"{series}_"
    stated = ("baseline_mean", "baseline_variance", "cusum_up", "cusum_down", "baseline_n")
    periods = (f"period_{i}" for i in range(1, PERIODS + 1))
    return tuple(prefix + name for name in (*stated, *periods, "baseline_until"))


def series_facts(series: str, *, unit: str = "money") -> tuple[Fact, ...]:
    """The facts that hold the state of a series (domain model, sections 1 and 7).

    Args:
        series: its id.
        unit: of its values.
    """
    mean, variance, up, down, n, *periods, until = series_names(series)
    return (
        _fact(mean, _T.DOUBLE, _G.TRANSACTION, f"EWMA mean of {series} per period", unit=unit),
        _fact(variance, _T.DOUBLE, _G.TRANSACTION, f"EWMA variance of {series} per period", bounds=(0, None)),
        _fact(up, _T.DOUBLE, _G.TRANSACTION, f"CUSUM+ of {series}", bounds=(0, None)),
        _fact(down, _T.DOUBLE, _G.TRANSACTION, f"CUSUM- of {series}", bounds=(0, None)),
        _fact(
            n,
            _T.INT,
            _G.TRANSACTION,
            f"periods since the detector of {series} (re)started",
            unit="count",
            bounds=(0, None),
        ),
        *(
            _fact(name, _T.DOUBLE, _G.TRANSACTION, f"{series} {i} periods ago", unit=unit)
            for i, name in enumerate(periods, start=1)
        ),
        _fact(until, _T.TIMESTAMP, _G.TRANSACTION, f"end of the latest period of {series} that was taken"),
    )


STANDARD_FACTS: tuple[Fact, ...] = (
    _fact(
        "consent", _T.SET, _G.MASTER, "channel × purpose pairs the customer has agreed to", source=_CUSTOMER
    ),
    _fact("geo", _T.ENUM, _G.EXTERNAL_GEO, "area", source=_THIRD_PARTY),
    _fact(
        "registry_status", _T.ENUM, _G.EXTERNAL_REGISTRY, "status in a public registry", source=_THIRD_PARTY
    ),
    _fact(
        "partner_programmes",
        _T.SET,
        _G.EXTERNAL_PARTNER,
        "partners the customer also belongs to",
        source=_THIRD_PARTY,
    ),
    _fact("time_zone", _T.ENUM, _G.MASTER, "IANA time zone"),
    _fact("peer_segment", _T.ENUM, _G.PROFILE, "first peer dimension"),
    _fact("household", _T.ENUM, _G.PROFILE, "household type", source=_CUSTOMER),
    _fact("behaviour_cluster", _T.ENUM, _G.PROFILE, "cluster of category shares"),
    _fact("channel_mix", _T.ENUM, _G.DISTRIBUTION, "how the customer shops"),
    _fact("preferred_channel", _T.ENUM, _G.COMMUNICATION, "declared channel", source=_CUSTOMER),
    _fact(
        "newsletter_opened_share",
        _T.DOUBLE,
        _G.INFORMATION,
        "share of information opened in 12 months",
        unit="share",
        bounds=(0, 1),
    ),
    _fact("service_grade", _T.ENUM, _G.SERVICE_LEVEL, "agreed service level"),
    _fact(
        "on_time_share",
        _T.DOUBLE,
        _G.SERVICE_LEVEL,
        "deliveries on time in 12 months",
        unit="share",
        bounds=(0, 1),
    ),
    _fact("joined", _T.TIMESTAMP, _G.RELATION, "joined the programme"),
    _fact("first_purchase", _T.TIMESTAMP, _G.TRANSACTION, "none = prospect"),
    _fact("last_purchase", _T.TIMESTAMP, _G.TRANSACTION, "latest purchase"),
    _fact("renewal", _T.TIMESTAMP, _G.RELATION, "next contract renewal"),
    _fact("contract_state", _T.ENUM, _G.RELATION, "state of the contract", values=CONTRACT_STATES),
    _fact("contract_margin", _T.DOUBLE, _G.RELATION, "yearly margin of the contract", unit="money"),
    _fact(
        "contract_retention",
        _T.DOUBLE,
        _G.RELATION,
        "yearly retention rate of the contract",
        unit="share",
        bounds=(0, 1),
    ),
    _fact("lock_in", _T.BOOL, _G.RELATION, "bound by a contract or lacking alternatives"),
    _fact(
        "repeat_purchases",
        _T.INT,
        _G.TRANSACTION,
        "repeat buying occasions x",
        unit="count",
        bounds=(0, None),
    ),
    _fact(
        "recency_weeks",
        _T.DOUBLE,
        _G.TRANSACTION,
        "week of the latest purchase t_x",
        unit="weeks",
        bounds=(0, None),
    ),
    _fact(
        "observed_weeks", _T.DOUBLE, _G.TRANSACTION, "length of observation T", unit="weeks", bounds=(0, None)
    ),
    _fact(
        "mean_repeat_value",
        _T.DOUBLE,
        _G.TRANSACTION,
        "mean value of repeat purchases",
        unit="money",
        bounds=(0, None),
    ),
    _fact("revenue_net", _T.DOUBLE, _G.TRANSACTION, "yearly revenue after immediate discounts", unit="money"),
    _fact("cogs", _T.DOUBLE, _G.TRANSACTION, "yearly cost of goods sold", unit="money", bounds=(0, None)),
    _fact(
        "margin_rate",
        _T.DOUBLE,
        _G.TRANSACTION,
        "margin share, used without cogs",
        unit="share",
        bounds=(-1, 1),
    ),
    _fact(
        "discount", _T.DOUBLE, _G.TRANSACTION, "yearly immediate discounts", unit="money", bounds=(0, None)
    ),
    _fact(
        "discount_share",
        _T.DOUBLE,
        _G.TRANSACTION,
        "discount / (revenue + discount)",
        unit="share",
        bounds=(0, 1),
    ),
    _fact(
        "returns_value", _T.DOUBLE, _G.TRANSACTION, "yearly value returned", unit="money", bounds=(0, None)
    ),
    _fact(
        "points_earned",
        _T.DOUBLE,
        _G.TRANSACTION,
        "points earned in 12 months",
        unit="count",
        bounds=(0, None),
    ),
    _fact(
        "points_redeemed",
        _T.DOUBLE,
        _G.TRANSACTION,
        "points redeemed in 12 months",
        unit="count",
        bounds=(0, None),
    ),
    _fact(
        "immediate_rewards",
        _T.DOUBLE,
        _G.TRANSACTION,
        "yearly immediate rewards and discounts",
        unit="money",
        bounds=(0, None),
    ),
    _fact(
        "saved_rewards",
        _T.DOUBLE,
        _G.TRANSACTION,
        "face value of the rewards saved up in 12 months",
        unit="money",
        bounds=(0, None),
    ),
    _fact(
        "exposure_share",
        _T.DOUBLE,
        _G.TRANSACTION,
        "share of the fit window that was observed; 1 = full",
        unit="share",
        bounds=(0, 1),
    ),
    _fact("n_calls", _T.INT, _G.SERVICE, "calls in 12 months", unit="count", bounds=(0, None)),
    _fact("n_visits", _T.INT, _G.SERVICE, "store visits in 12 months", unit="count", bounds=(0, None)),
    _fact("n_mailings", _T.INT, _G.COMMUNICATION, "mailings in 12 months", unit="count", bounds=(0, None)),
    _fact("n_deliveries", _T.INT, _G.DISTRIBUTION, "deliveries in 12 months", unit="count", bounds=(0, None)),
    _fact("n_returns", _T.INT, _G.DISTRIBUTION, "returns in 12 months", unit="count", bounds=(0, None)),
    _fact("n_events", _T.INT, _G.SERVICE, "events attended in 12 months", unit="count", bounds=(0, None)),
    _fact("n_advice", _T.INT, _G.SERVICE, "times advised in 12 months", unit="count", bounds=(0, None)),
    _fact(
        "minutes_spent",
        _T.DOUBLE,
        _G.SERVICE,
        "customer's own time in 12 months",
        unit="minutes",
        bounds=(0, None),
    ),
    _fact("complaint_count", _T.INT, _G.SERVICE, "complaints in 12 months", unit="count", bounds=(0, None)),
    _fact(
        "spent_on_customer",
        _T.DOUBLE,
        _G.SERVICE,
        "spent on the customer in 12 months",
        unit="money",
        bounds=(0, None),
    ),
    _fact("web_visits", _T.INT, _G.WEB, "visits in 12 months", unit="count", bounds=(0, None)),
    _fact(
        "nps_relation",
        _T.INT,
        _G.SATISFACTION,
        "relation NPS; touchpoint scores are kept apart",
        source=_CUSTOMER,
        unit="score",
        bounds=(0, 10),
        observed_at="nps_relation_at",
    ),
    _fact("nps_relation_at", _T.TIMESTAMP, _G.SATISFACTION, "time of the relation NPS", source=_CUSTOMER),
    _fact(
        "touchpoint_score",
        _T.INT,
        _G.SATISFACTION,
        "latest touchpoint score",
        source=_CUSTOMER,
        unit="score",
        bounds=(0, 10),
        observed_at="touchpoint_score_at",
    ),
    _fact(
        "touchpoint_score_at", _T.TIMESTAMP, _G.SATISFACTION, "time of the touchpoint score", source=_CUSTOMER
    ),
    _fact(
        "satisfaction",
        _T.DOUBLE,
        _G.SATISFACTION,
        "satisfaction index",
        source=_CUSTOMER,
        unit="score",
        bounds=(0, 100),
        observed_at="satisfaction_at",
    ),
    _fact(
        "satisfaction_at", _T.TIMESTAMP, _G.SATISFACTION, "time of the satisfaction score", source=_CUSTOMER
    ),
    _fact(
        "share_of_wallet",
        _T.DOUBLE,
        _G.SATISFACTION,
        "share of the customer's spend in the category",
        source=_CUSTOMER,
        unit="share",
        bounds=(0, 1),
    ),
    _fact(
        "referrals",
        _T.INT,
        _G.EXTERNAL_SOCIAL,
        "recommendations made",
        source=_CUSTOMER,
        unit="count",
        bounds=(0, None),
    ),
    _fact(
        "positive_mentions",
        _T.INT,
        _G.EXTERNAL_SOCIAL,
        "positive mentions",
        source=_THIRD_PARTY,
        unit="count",
        bounds=(0, None),
    ),
    _fact(
        "negative_mentions",
        _T.INT,
        _G.EXTERNAL_SOCIAL,
        "negative mentions",
        source=_THIRD_PARTY,
        unit="count",
        bounds=(0, None),
    ),
    _fact(
        "complaint_severity",
        _T.INT,
        _G.SATISFACTION,
        "0 none to 3 grave",
        source=_CUSTOMER,
        unit="score",
        bounds=(0, 3),
        observed_at="complaint_at",
    ),
    _fact("complaint_open", _T.BOOL, _G.SATISFACTION, "the complaint is open"),
    _fact("complaint_at", _T.TIMESTAMP, _G.SATISFACTION, "time of the complaint"),
    _fact("needs", _T.SET, _G.PROFILE, "declared needs", source=_CUSTOMER),
    _fact("blocked_topics", _T.SET, _G.COMMUNICATION, "topics the customer does not want", source=_CUSTOMER),
    _fact(
        "expectations",
        _T.SET,
        _G.PROFILE,
        "what the customer expects of the programme",
        source=_CUSTOMER,
        values=EXPECTATIONS,
    ),
    _fact("owned_categories", _T.SET, _G.TRANSACTION, "categories bought in 12 months"),
    *series_facts(SPEND),
    _fact(
        "held_stage",
        _T.ENUM,
        _G.RELATION,
        "stage as advanced when the snapshot was written",
        values=STAGE_NAMES,
    ),
    _fact("stage_since", _T.TIMESTAMP, _G.RELATION, "since when the stage is held"),
    _fact("cancelled_at", _T.TIMESTAMP, _G.RELATION, "when the contract ended or was cancelled"),
    _fact(
        "up_qualified_since",
        _T.TIMESTAMP,
        _G.RELATION,
        "since when the customer qualifies for the next stage",
    ),
)
"""Facts of the domain model's section 1, in catalogue order."""

STAGE_FACTS = ("held_stage", "stage_since", "up_qualified_since")
"""Stage state: whoever writes a snapshot without it keeps what is stored (domain model, section 6)."""
