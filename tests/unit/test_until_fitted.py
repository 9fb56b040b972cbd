"""What is served while a propensity model that the rule files name is not fitted."""

import numpy as np
import pytest
from tests.builders.rulebooks import write
from tests.builders.worlds import action, documents

from nextbest.action.terms import terms_of
from nextbest.assembly import Artifacts, assemble
from nextbest.errors import ArtifactError
from nextbest.learning.propensity import PropensityModel
from nextbest.model import DecisionState
from nextbest.rulebook.compile import compile_rulebook

PRIOR = {"successes": 3, "failures": 9}


def model_action(name, *, prior=PRIOR):
    """An action priced by the model of its own name."""
    return action(name, propensity={"model": name} | ({"until_fitted": prior} if prior else {}))


@pytest.fixture
def compiled(tmp_path):
    """Compiles actions."""

    def compile_actions(*actions):
        write(documents(*actions), tmp_path)
        return compile_rulebook(tmp_path)

    return compile_actions


def fitted(*names):
    """Artifacts with a constant model of each name."""
    empty = np.empty((0, 6))
    models = {n: PropensityModel(n, (), empty.copy(), np.array([-1.0, 1.0, 0.0])) for n in names}
    return Artifacts(propensity=models)


def posterior_means(model):
    """Propensity of each action in the first stage as priors give it; NaN = from elsewhere."""
    terms, _ = terms_of(model.rulebook, DecisionState.initial(len(model.rulebook.actions)))
    return terms.propensity[0, 0]


def test_prior_holds_until_the_model_is_fitted(compiled):
    """An action whose model is not fitted is priced by its prior, and the model says so."""
    model = assemble(compiled(model_action("a"), model_action("b")), fitted("b"))
    assert model.unfitted == ("a",)
    assert posterior_means(model) == pytest.approx([0.25, np.nan], nan_ok=True)
    assert [propensity.model.id for propensity in model.propensities] == ["b"]
    assert model.rulebook.action_tables.propensity_index.tolist() == [-1, 0]


def test_a_fitted_model_replaces_its_prior(compiled):
    """Once every model is fitted nothing is left of the priors, and the rulebook is the compiled one."""
    rulebook = compiled(model_action("a"))
    model = assemble(rulebook, fitted("a"))
    assert model.rulebook is rulebook
    assert model.unfitted == ()
    assert np.isnan(posterior_means(model)).all()


def test_two_actions_of_one_unfitted_model_have_their_own_priors(compiled):
    """The prior belongs to the action, not to the model."""
    actions = [
        action(name, propensity={"model": "shared", "until_fitted": {"successes": s, "failures": 10 - s}})
        for name, s in (("a", 1), ("b", 4))
    ]
    assert posterior_means(assemble(compiled(*actions), Artifacts())) == pytest.approx([0.1, 0.4])


def test_models_without_prior_are_all_named_with_what_to_run(compiled):
    """The error names every action and model that stops the start, the command, and the other way out."""
    rulebook = compiled(
        model_action("a", prior=None), model_action("b"), model_action("c", prior=None), action("d")
    )
    with pytest.raises(ArtifactError) as caught:
        assemble(rulebook, Artifacts())
    assert str(caught.value) == (
        "actions `a`, `c` of rulebook `small` read propensity models that are not fitted;"
        " either fit `a`, `c`: `nextbest fit propensity MODEL ROWS`, where ROWS is a Parquet"
        " or CSV file of contacts with their outcomes (docs/learning.md), or write what holds until then:"
        " `propensity: {model: a, until_fitted: {successes: 2, failures: 38}}`"
    )


def test_digest_tells_a_prior_from_a_model(compiled):
    """A model that takes the place of a prior changes the model digest."""
    rulebook, models = compiled(model_action("a")), fitted("a")
    with_model = Artifacts(propensity=models.propensity, digests={"propensity/a": "00"})
    assert assemble(rulebook, Artifacts()).digest != assemble(rulebook, with_model).digest
