"""A till: members are scanned before payment, and what is best for them is shown and printed.

Reads member ids from the command line, or scanned one a line from standard input:

    python clients/examples/pos_terminal.py 4711 4712
    python clients/examples/pos_terminal.py --identifier-type card < scans.txt

The till never waits longer than its budget: when the service is late or away, the sale goes on without
advice. What was shown is reported to the service in the background, after the customer has been served.
"""

import argparse
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from loyalty.nextbest.v1 import common_pb2, decision_pb2
from nextbest_client import (
    ClientError,
    ClientOptions,
    NextBestClient,
    actions_of,
    decide_request,
    is_fallback,
    outcome_of,
)

CHANNEL = "pos"
WARM_UP_MS = 500.0
REPORT_TIMEOUT_MS = 1000.0
OFFER_TEXTS = {
    common_pb2.OFFER_TYPE_PERCENT_OFF: "{value:g} % off {products}",
    common_pb2.OFFER_TYPE_AMOUNT_OFF: "{value:.2f} {currency} off {products}",
    common_pb2.OFFER_TYPE_POINTS: "{value:g} points",
    common_pb2.OFFER_TYPE_GIFT: "{value:g} x {products} for free",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Serve all members; returns the exit code, 1 if the service called a request wrong."""
    arguments = parse(argv)
    options = ClientOptions(timeout_ms=arguments.budget_ms)
    with (
        NextBestClient(arguments.address, options=options) as client,
        ThreadPoolExecutor(max_workers=1) as background,
    ):
        if not client.wait_until_ready(timeout_ms=WARM_UP_MS):
            print(f"nextbest is not reachable at {arguments.address}: selling without it", file=sys.stderr)
        till = Till(client, background, arguments)
        served = [till.serve(member) for member in arguments.members or scanned(sys.stdin)]
    return 0 if all(served) else 1


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("members", metavar="MEMBER", nargs="*", help="scanned ids; none = read from stdin")
    parser.add_argument("--address", default="localhost:50051", help="the service (default: %(default)s)")
    parser.add_argument("--budget-ms", type=float, default=50.0, help="longest wait (default: %(default)s)")
    parser.add_argument("--identifier-type", help="what is scanned, such as card (default: the customer id)")
    parser.add_argument("--placement", action="append", help="display or receipt; may be repeated")
    parser.add_argument("--language", default="", help="language of the texts, such as da or en")
    parser.add_argument("--role", default="", help="the till's role in the rulebook")
    parser.add_argument("--no-report", action="store_true", help="do not report what was shown")
    return parser.parse_args(argv)


def scanned(lines: Iterable[str]) -> Iterable[str]:
    """Ids from a scanner that ends each with a newline."""
    return (line.strip() for line in lines if line.strip())


class Till:
    """One till with its display and receipt printer."""

    def __init__(
        self, client: NextBestClient, background: ThreadPoolExecutor, arguments: argparse.Namespace
    ) -> None:
        self._client = client
        self._background = background
        self._arguments = arguments

    def serve(self, member: str) -> bool:
        """Show and print what is best for a member; returns whether the request was right."""
        started = time.perf_counter()
        try:
            decision = self._client.decide(self._request(member))
        except ClientError as error:
            print(f"{member}: {error}", file=sys.stderr)
            return False
        elapsed_ms = 1000 * (time.perf_counter() - started)
        print(f"{member}: {describe(decision)} ({elapsed_ms:.1f} ms)")
        for action in actions_of(decision):
            show(action, decision.currency)
        if decision.decision_id and actions_of(decision) and not self._arguments.no_report:
            self._background.submit(self._report, decision)
        return True

    def _request(self, member: str) -> decision_pb2.DecideRequest:
        kind = self._arguments.identifier_type
        return decide_request(
            common_pb2.Identifier(type=kind, value=member) if kind else member,
            channel=CHANNEL,
            placements=self._arguments.placement or ("display", "receipt"),
            purchase_phase=common_pb2.PURCHASE_PHASE_BEFORE_PAYMENT,
            caller_role=self._arguments.role,
            language=self._arguments.language,
            view=common_pb2.VIEW_BASIC,
        )

    def _report(self, decision: decision_pb2.DecideResponse) -> None:
        shown = [outcome_of(decision, a, common_pb2.OUTCOME_PRESENTED) for a in actions_of(decision)]
        try:
            self._client.capture_outcomes(decision.customer_id, shown, timeout_ms=REPORT_TIMEOUT_MS)
        except ClientError as error:
            print(f"not reported: {error}", file=sys.stderr)


def describe(decision: decision_pb2.DecideResponse) -> str:
    """The decision in a few words."""
    if is_fallback(decision):
        return f"no advice, {decision.fallback.message or 'a fallback decision'}"
    count = len(actions_of(decision))
    return f"{count} to show" if count else "nothing to show"


def show(action: decision_pb2.RankedAction, currency: str) -> None:
    """Show an action where it belongs, with the offer that the till is to carry out."""
    treatment = action.treatment
    print(f"  {treatment.placement or CHANNEL:<8} {treatment.say or action.customer_reason}")
    if treatment.HasField("offer"):
        print(f"           till: {offer_text(treatment.offer, currency)}")


def offer_text(offer: decision_pb2.Offer, currency: str) -> str:
    """The offer as the till would carry it out."""
    kind = common_pb2.OfferType.Name(offer.type).removeprefix("OFFER_TYPE_").lower()
    text = OFFER_TEXTS.get(offer.type, kind)
    products = offer.product_set or "everything"
    shown = text.format(value=offer.value, currency=currency, products=products)
    return f"{shown} [{offer.code}]" if offer.code else shown


if __name__ == "__main__":
    sys.exit(main())
