"""The two example programs against the fake service."""

import importlib.util
import io
from pathlib import Path

import grpc
import pytest

from loyalty.nextbest.v1 import common_pb2, decision_pb2, interaction_pb2
from nextbest_client import FakeNextBest, recommended

EXAMPLES = Path(__file__).parents[2] / "clients" / "examples"


def load(name):
    """An example as a module."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


call_centre = load("call_centre")
pos_terminal = load("pos_terminal")


@pytest.fixture
def fake():
    """A fake with one customer who has two actions."""
    with FakeNextBest() as running:
        coffee = decision_pb2.Offer(
            type=common_pb2.OFFER_TYPE_PERCENT_OFF, value=20, product_set="coffee", code="C20"
        )
        running.recommend(
            "4711",
            recommended("win_back", say="Your coffee is 20 % off", staff_reason="overdue", offer=coffee),
            recommended("survey", say="How are we doing?", staff_reason="no score yet", score=0.5),
        )
        yield running


def call(fake, *arguments):
    """Run the call-centre example; returns its exit code."""
    return call_centre.main(
        ["4711", "--address", fake.address, "--role", "agent", "--timeout-ms", "10000", *arguments]
    )


def till(fake, *arguments):
    """Run the till; returns its exit code."""
    return pos_terminal.main(["--address", fake.address, "--budget-ms", "10000", *arguments])


def outcomes(fake):
    """Action and outcome of all that was captured."""
    captured = fake.received(interaction_pb2.CaptureOutcomesRequest)
    return [(o.action, o.outcome) for request in captured for o in request.outcomes]


def answering(monkeypatch, *answers):
    """Let a user type the answers, one a question."""
    typed = iter(answers)
    monkeypatch.setattr("builtins.input", lambda _prompt="": next(typed))


class TestCallCentre:
    """The agent's desktop."""

    def test_agent_sees_script_reason_and_score(self, fake, capsys):
        """Each action is shown with what to say, why, and its score; missing figures are unknown."""
        assert call(fake, "--accept", "1", "--language", "da", "--context", "topic=delivery") == 0
        shown = capsys.readouterr().out
        for text in ("Your coffee is 20 % off", "overdue", "1.00 DKK", "How are we doing?", "unknown"):
            assert text in shown
        (request,) = fake.received(decision_pb2.DecideRequest)
        assert (request.channel, request.caller_role, request.language) == ("call_centre", "agent", "da")
        assert request.contexts[0].text == "delivery"

    def test_accepted_action_is_recorded(self, fake):
        """With --accept the chosen action is captured as presented and accepted."""
        call(fake, "--accept", "2")
        assert outcomes(fake) == [
            ("survey", common_pb2.OUTCOME_PRESENTED),
            ("survey", common_pb2.OUTCOME_ACCEPTED),
        ]

    def test_agent_answers_are_recorded(self, fake, monkeypatch):
        """The agent is asked again until the answer makes sense, and it is captured."""
        answering(monkeypatch, "9", "x", "1", "?", "r")
        assert call(fake) == 0
        assert outcomes(fake)[-1] == ("win_back", common_pb2.OUTCOME_REJECTED)

    def test_agent_may_choose_otherwise_with_a_reason(self, fake, monkeypatch):
        """When the agent used none, the best one is captured as not presented, with the reason."""
        answering(monkeypatch, "0", "customer was upset")
        call(fake)
        (request,) = fake.received(interaction_pb2.CaptureOutcomesRequest)
        (captured,) = request.outcomes
        assert captured.outcome == common_pb2.OUTCOME_NOT_PRESENTED
        assert (captured.is_override, captured.override_reason) == (True, "customer was upset")

    def test_number_of_no_action_is_refused(self, fake, capsys):
        """An action that was not shown cannot be accepted."""
        assert call(fake, "--accept", "3") == 1
        assert "no action 3" in capsys.readouterr().err
        assert outcomes(fake) == []

    def test_nothing_to_suggest_is_an_answer(self, fake, capsys):
        """When nothing is worth doing the agent is told so, and nothing is captured."""
        fake.recommend("4711")
        assert call(fake) == 0
        assert "Nothing to suggest" in capsys.readouterr().out
        assert outcomes(fake) == []

    def test_no_advice_says_why(self, fake, capsys):
        """A fallback decision is shown as no advice, with its reason and an exit code of its own."""
        fake.fall_back("4711", decision_pb2.FALLBACK_REASON_CUSTOMER_UNKNOWN)
        assert call(fake) == 3
        assert "No advice for 4711" in capsys.readouterr().out

    def test_wrong_request_says_what_is_wrong(self, fake, capsys):
        """A request that the service refuses ends with its message."""
        fake.fail_next(grpc.StatusCode.INVALID_ARGUMENT, "unknown role `agent`")
        assert call(fake) == 1
        assert "unknown role `agent`" in capsys.readouterr().err

    def test_hanging_up_records_nothing(self, fake, monkeypatch, capsys):
        """End of input instead of an answer records nothing and is no crash."""
        monkeypatch.setattr("sys.stdin", io.StringIO(""))
        assert call(fake) == 0
        assert "nothing was recorded" in capsys.readouterr().err
        assert outcomes(fake) == []


class TestTill:
    """The point of sale."""

    def test_offer_is_shown_and_reported(self, fake, capsys):
        """What is best is shown with the till's instruction and the time, and reported as presented."""
        assert till(fake, "4711") == 0
        shown = capsys.readouterr().out
        for text in ("4711: 2 to show", " ms)", "Your coffee is 20 % off", "20 % off coffee [C20]"):
            assert text in shown
        assert {outcome for _, outcome in outcomes(fake)} == {common_pb2.OUTCOME_PRESENTED}
        (request,) = fake.received(decision_pb2.DecideRequest)
        assert request.purchase_phase == common_pb2.PURCHASE_PHASE_BEFORE_PAYMENT
        assert list(request.placements) == ["display", "receipt"]

    def test_members_are_read_from_the_scanner(self, fake, capsys, monkeypatch):
        """Without arguments ids come from standard input, one a line, empty lines passed over."""
        monkeypatch.setattr("sys.stdin", io.StringIO("4711\n\n 4712 \n"))
        assert till(fake, "--no-report") == 0
        shown = capsys.readouterr().out
        assert "4711: 2 to show" in shown
        assert "4712: nothing to show" in shown
        assert outcomes(fake) == []

    def test_card_is_sent_as_identifier(self, fake, capsys):
        """What is scanned can be an identifier instead of the customer id."""
        assert till(fake, "99", "--identifier-type", "card") == 0
        (request,) = fake.received(decision_pb2.DecideRequest)
        assert (request.identifier.type, request.identifier.value) == ("card", "99")
        assert "no advice" in capsys.readouterr().out

    def test_late_service_does_not_stop_the_sale(self, fake, capsys):
        """When the service is late the till goes on without advice."""
        fake.delay(10_000)
        assert pos_terminal.main(["4711", "4712", "--address", fake.address, "--budget-ms", "20"]) == 0
        assert capsys.readouterr().out.count("no advice, the service did not answer in time") == 2

    def test_absent_service_does_not_stop_the_sale(self, fake, capsys):
        """When the service is away the till says so once and goes on without advice."""
        fake.stop()
        assert pos_terminal.main(["4711", "--address", fake.address]) == 0
        shown = capsys.readouterr()
        assert "no advice" in shown.out
        assert "selling without it" in shown.err

    def test_refused_request_does_not_stop_the_next(self, fake, capsys):
        """A request that the service calls wrong is reported, and the next member is served."""
        fake.fail_next(grpc.StatusCode.INVALID_ARGUMENT, "customer_id is empty")
        assert till(fake, "x", "4711") == 1
        shown = capsys.readouterr()
        assert "x: customer_id is empty" in shown.err
        assert "4711: 2 to show" in shown.out

    def test_failed_report_is_said(self, fake, capsys):
        """A report that fails does not disturb the sale, but is said."""
        fake.answer_with(
            lambda request: (
                fake.fail_next(grpc.StatusCode.INTERNAL, "store is full")
                or decision_pb2.DecideResponse(decision_id="d", results=[recommended("win_back")])
            )
        )
        assert till(fake, "4711") == 0
        assert "not reported: store is full" in capsys.readouterr().err
