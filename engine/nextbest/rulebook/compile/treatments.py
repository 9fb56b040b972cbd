"""Treatments: an action in a channel and placement, its texts, payload and consent."""

from collections.abc import Iterable

from nextbest.facts import Catalogue
from nextbest.model import DesiredAction
from nextbest.rulebook.actions import Offer, Treatment
from nextbest.rulebook.compile.channels import DEFAULTS, Channels, check_members
from nextbest.rulebook.compile.report import At, Report
from nextbest.rulebook.compile.texts import Languages, check_quotes
from nextbest.rulebook.documents.actions import ActionEntry, OfferEntry, TreatmentEntry
from nextbest.rulebook.suggest import nearest
from nextbest.rulebook.texts import Texts

SERVICE_ACTIONS = frozenset({DesiredAction.SERVICE, DesiredAction.INFORMATION, DesiredAction.REPAIR})
SURVEY_ACTIONS = frozenset({DesiredAction.COLLECT_INFORMATION, DesiredAction.LISTEN})
MOST_PER_CENT = 100


def purpose_of(entry: ActionEntry) -> str:
    """Purpose for which an outbound contact needs consent."""
    if entry.purpose is not None:
        return entry.purpose
    if entry.desired_action in SERVICE_ACTIONS:
        return "service"
    return "survey" if entry.desired_action in SURVEY_ACTIONS else "marketing"


def _channel_hint(name: str, known: Iterable[str]) -> str:
    """How to have a well-known channel that policies.yaml does not list; empty for any other."""
    near = nearest(name, known)
    instead = f"did you mean `{near[0]}`? otherwise " if near else ""
    return f"{instead}add `{name}: {{}}` under `channels` in policies.yaml" if name in DEFAULTS else ""


class TreatmentCompiler:
    """Compiles the treatments of one action after the other."""

    def __init__(
        self, channels: Channels, languages: Languages, catalogue: Catalogue, report: Report
    ) -> None:
        self._channels = channels
        self._languages = languages
        self._catalogue = catalogue
        self._report = report

    def compile(self, entry: ActionEntry, action: int, at: At) -> list[tuple[Treatment, int]]:
        """The action's treatments in the order of the file, each with its consent bits."""
        compiled: list[tuple[Treatment, int]] = []
        for key, treatment in entry.treatments.items():
            place = at / "treatments" / key
            channel, placement = self._where(key, place)
            if channel < 0:
                continue
            name = self._channels.channels[channel].id
            say = self._texts(treatment, channel, place)
            staff = self._languages.resolve(treatment.staff, place / "staff", self._report)
            offer = self._offer(treatment.offer, place / "offer") if treatment.offer else None
            row = Treatment(f"{entry.id}/{key}", action, channel, placement, say, staff, offer)
            compiled.append((row, self._consent(treatment, name, purpose_of(entry), place)))
        return compiled

    def _where(self, key: str, at: At) -> tuple[int, int]:
        name, _, placement = key.partition("/")
        channel = self._channels.index.get(name, -1)
        if channel < 0:
            known = self._channels.known
            self._report.unknown_key(at, "channel", name, known, _channel_hint(name, known))
        elif placement and placement not in self._channels.entries[name].placements:
            self._report.unknown_key(at, "placement", placement, self._channels.entries[name].placements)
            return -1, -1
        return channel, self._channels.placement_index[placement] if channel >= 0 and placement else -1

    def _texts(self, treatment: TreatmentEntry, channel: int, at: At) -> Texts:
        say = self._languages.resolve(treatment.say, at / "say", self._report)
        check_quotes(treatment.say, at / "say", self._report, self._catalogue, shows_figures=False)
        check_quotes(treatment.staff, at / "staff", self._report, self._catalogue, shows_figures=True)
        limit = self._channels.channels[channel].max_text_length
        for language, text in say.items():
            if limit is not None and len(text) > limit:
                place = at / "say" / language if isinstance(treatment.say, dict) else at / "say"
                name = self._channels.channels[channel].id
                message = f"text of {len(text)} characters, at most {limit} fit in `{name}`"
                self._report.error(place, "text-too-long", message)
        return say

    def _offer(self, entry: OfferEntry, at: At) -> Offer:
        known = self._channels.product_sets
        if entry.products and known and entry.products not in known:
            self._report.unknown(at / "products", "product set", entry.products, known)
        if entry.type == "percent_off" and entry.value > MOST_PER_CENT:
            self._report.error(at / "value", "invalid-value", f"`{entry.value:g}` is more than 100 per cent")
        return Offer(entry.type, float(entry.value), entry.products, entry.code)

    def _consent(self, treatment: TreatmentEntry, channel: str, purpose: str, at: At) -> int:
        catalogue, report = self._catalogue, self._report
        if treatment.consent is not None:
            return check_members(treatment.consent, at / "consent", "consent", catalogue, report)
        names = self._channels.consent(channel, purpose, catalogue)
        if names is None:
            if "consent" not in report.broken:
                message = f"nothing says which consent an outbound contact by `{channel}` for {purpose} needs"
                name = f"{channel}_{purpose}"
                hint = f"add `{name}` to the values of `consent`, or say `consent: []` if none is needed"
                report.key_error(at, "missing-consent", message, hint)
            return 0
        values = catalogue["consent"].values if "consent" in catalogue else ()
        return sum(1 << values.index(name) for name in names if name in values)
