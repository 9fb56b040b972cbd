"""A rulebook whose triggers are fired by detectors, and a customer to detect something in."""

from tests.builders.rulebooks import write
from tests.builders.worlds import action, documents

from nextbest.rulebook.compile import compile_rulebook

TIMES = ("fell_at", "rose_at", "silent_at", "other_at", "more_at")
NUMBERS = ("seen", "usual", "how_far", "how_far_robustly", "how_likely", "was", "is_now")
TRIGGERS = [
    {"id": "fell", "kind": "detector", "fired_at": "fell_at", "hold": "14d", "cool_down": "30d"},
    {"id": "rose", "kind": "detector", "detects": "rise", "fired_at": "rose_at", "hold": "14d"},
    {"id": "silent", "kind": "detector", "detects": "silent_drop", "fired_at": "silent_at", "hold": "14d"},
]


def rulebook_of(directory, triggers=TRIGGERS, series=None, times=TIMES):
    """A rulebook with all standard facts, a fact for each trigger's time, and these triggers."""
    files = documents(action(), triggers=triggers)
    files["strategy.yaml"]["languages"] = ["en", "da"]
    files["facts.yaml"] = {
        "standard": "all",
        "values": {
            name: ["x"]
            for name in (
                "geo", "registry_status", "time_zone", "peer_segment", "household", "behaviour_cluster",
                "channel_mix", "preferred_channel", "service_grade", "partner_programmes", "needs",
                "blocked_topics", "owned_categories",
            )
        } | {"consent": ["email_marketing", "email_service", "location_marketing"]},
        "facts": [
            {"name": name, "type": "timestamp", "group": "relation", "description": name}
            for name in times
        ] + [
            {"name": name, "type": "double", "group": "relation", "description": name} for name in NUMBERS
        ],
        "series": [
            {"id": "spend", "period": "7d", "variance_floor": 1.0, "mad_floor": 1.0},
        ] if series is None else series,
    }  # fmt: skip
    write(files, directory)
    return compile_rulebook(directory)


def steady(**facts):
    """Facts of a customer whose spend has been about 100 for ten periods."""
    state = {"baseline_mean": 100.0, "baseline_variance": 100.0, "baseline_n": 10, "cusum_up": 0.0,
             "cusum_down": 3.0} | {f"period_{i}": 100.0 for i in range(1, 11)}  # fmt: skip
    return {k: v for k, v in (state | facts).items() if v is not None}
