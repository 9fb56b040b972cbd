"""A service that starts before anything was loaded or fitted."""

import contextlib

import pytest
from tests.builders.small import DIRECTORY, NOW, regular
from tests.integration.server.conftest import TIMEOUT_MS, serving

from nextbest_client import ClientOptions, NextBestClient, customer_snapshot, decide_request


@pytest.fixture
def rulebook(tmp_path):
    """The small rulebook, in which one action is priced by a model that nobody has fitted."""

    def write(propensity):
        target = tmp_path / "rules"
        for path in DIRECTORY.rglob("*.yaml"):
            copy = target / path.relative_to(DIRECTORY)
            copy.parent.mkdir(parents=True, exist_ok=True)
            text = path.read_text().replace("propensity: {successes: 40, failures: 60}", propensity, 1)
            copy.write_text(text)
        return target

    return write


def test_priors_are_served_until_a_model_is_fitted(tmp_path, rulebook):
    """On an empty store the service starts, says which model is missing, and decides with the prior."""
    rules = rulebook("propensity: {model: later, until_fitted: {successes: 40, failures: 60}}")
    with serving(tmp_path / "data", tmp_path / "log", rulebook=rules) as service:
        with NextBestClient(service.address, options=ClientOptions(timeout_ms=TIMEOUT_MS)) as client:
            client.put_snapshot(customer_snapshot("c1", as_of=NOW, facts=regular()))
            decision = client.decide(decide_request("c1", channel="call_centre", max_results=25))
        assert not decision.HasField("fallback")
        assert decision.results[-1].action == "do_nothing"
        (missing,) = [e for e in service.events() if e["event"] == "priors stand in for propensity models"]
        assert "fit `later`: `nextbest fit propensity MODEL ROWS`" in missing["remedy"]


def test_a_model_without_prior_stops_the_start_with_what_to_run(tmp_path, rulebook):
    """Without a prior there is no service, and its last words are actions, model and command."""
    log = tmp_path / "log"
    with (
        contextlib.suppress(AssertionError),
        serving(tmp_path / "data", log, rulebook=rulebook("propensity: {model: later}")),
    ):
        pytest.fail("it started")
    assert "read propensity models that are not fitted; either fit `later`" in log.read_text()
    assert "Traceback" not in log.read_text()
