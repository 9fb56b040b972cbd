"""Every compiled kernel is compared with something that was written without it; this is the list.

A kernel that others call is compared through them. Only those that no kernel calls, and those with an
oracle of their own, stand in the table.
"""

import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import nextbest

TESTS = Path(__file__).parents[1]
INDEPENDENT = re.compile(
    r"^(from|import) (tests\.naive|mpmath|scipy|fractions|hashlib|datetime|sklearn)"
    r"|oracles.*\.(json|csv)"
    r"|^from tests\.(builders\.(worlds|random_customers)|conformance\.deciding) import",
    re.MULTILINE,
)
"""What a test module that compares with an oracle imports or reads; worlds compare with `naive_decide`."""

BY_HAND = {"unit/test_rings.py"}
"""Where every expected number is written out."""
COMPARED = {
    "conformance/test_decide.py": {
        "action.": "kernels_decide_as_plain_python_does",
    },
    "conformance/test_expressions_naive.py": {
        "rulebook.kernel.match_blocks": "conditions_agree_with_the_oracle",
    },
    "unit/potential/test_gap.py": {
        "potential.gap.gaps": "gap_and_reached_equal_the_oracle",
        "potential.gap.reached": "gap_and_reached_equal_the_oracle",
    },
    "unit/potential/test_grid.py": {
        "potential.cells.": "cells_and_counts_equal_counting_by_hand",
        "potential.cells.locate": "a_customer_is_in_the_deepest_cell_known",
        "potential.counting.": "cells_and_counts_equal_counting_by_hand",
        "potential.tables.": "quantiles_equal_the_oracle",
        "potential.tables._back_off_mean": "means_equal_the_oracle",
        "potential.tables._means": "means_equal_the_oracle",
        "potential.tables.potential": "leaving_one_out_equals_taking_the_customer_out",
    },
    "unit/potential/test_lifetime_table.py": {
        "potential.lifetime_table.fill_table": "the_table_gives_what_many_digits_give",
    },
    "unit/potential/test_ltv_calibration.py": {
        "potential.ltv_calibration.expected_frequencies": "classes_equal_the_oracle",
        "potential.ltv_calibration.frequency_probabilities": "probabilities_equal_the_oracle",
    },
    "unit/potential/test_peer_windows.py": {
        "potential.peer_windows._fill": "a_peers_column_is_the_offer_of_the_customers_cell",
    },
    "unit/potential/test_peers.py": {
        "potential.peers.": "figures_equal_counting_by_hand",
        "potential.peers.peer_offers": "offers_equal_the_oracle",
        "potential.peers.wilson_low": "the_bound_equals_the_oracle",
    },
    "unit/potential/test_position.py": {
        "potential.position._add": "nobody_is_lost_and_parts_add_up",
        "potential.position.position": "places_equal_the_oracle",
    },
    "unit/potential/test_selection.py": {
        "potential.selection.pinball": "pinball_equals_the_oracle",
    },
    "unit/potential/test_shares.py": {
        "potential.shares.estimated_share_of_wallet": "wallet_share_equals_the_oracle",
        "potential.shares.share_of_life": "share_of_life_equals_the_oracle",
    },
    "unit/potential/test_sketch.py": {
        "potential.sketch._fill_buckets": "buckets_equal_the_rounded_up_logarithm",
    },
    "unit/potential/test_value.py": {
        "potential.value.add_terms": "components_equal_the_oracle_and_add_up",
        "potential.value.complete": "defaults_equal_the_oracle",
        "potential.value.credit_terms": "short_histories_borrow_from_peers",
        "potential.value.mutual_segments": "mutual_segments_equal_the_oracle",
    },
    "unit/test_bucketing.py": {
        "learning.bucketing.fnv1a": "whatever_text_falls_where_plain_integers_say",
    },
    "unit/test_changes.py": {
        "behaviour.changes.compare_rows": "rows_are_compared_as_dictionaries_are",
        "behaviour.changes.number_changes": "numbers_change_as_the_oracle_says",
    },
    "unit/test_contact.py": {
        "action.contact.contact_pressure": "pressure_agrees_with_the_oracle",
    },
    "unit/test_detectors.py": {
        "behaviour.detectors.advance_baselines": "evidence_of_one_period",
        "behaviour.detectors.fire": "cool_down_equals_the_oracle",
        "behaviour.detectors.robust_z": "robust_z_equals_the_oracle",
        "behaviour.detectors.scan_series": "detector_equals_the_oracle",
        "behaviour.detectors.silent_drops": "silent_drop_equals_the_oracle",
    },
    "unit/test_draws.py": {
        "action.draws.beta_draws": "drawn_propensities_are_those_of_the_oracle",
        "action.draws.uniforms": "uniform_numbers_are_bit_for_bit_those_of_plain_integers",
    },
    "unit/test_figures.py": {
        "figure_kernel.fill_figures": "figures_are_the_oracles",
        "potential.gap.peer_gaps": "figures_are_the_oracles",
    },
    "unit/test_finance.py": {
        "potential.finance.portfolio_figures": "figures_equal_the_oracle",
    },
    "unit/test_forgive.py": {
        "behaviour.forgive.forgive_modes": "mode_equals_the_oracle",
        "behaviour.forgive.forgive_term": "a_term_follows_its_fact",
    },
    "unit/test_hostile_lifetimes.py": {
        "potential.bgnbd.alive_rows": "lifetime_kernels_equal_their_oracle",
        "potential.bgnbd.expected_purchases_rows": "expected_purchases_equal_many_digits",
        "potential.ltv.contract_ltv_growth": "closed_forms_equal_fractions",
        "potential.ltv.contract_ltv_horizon": "contracts_equal_their_sums",
        "potential.ltv.contract_ltv_immediate": "closed_forms_equal_fractions",
        "potential.ltv.contract_rows": "contracts_equal_their_sums",
        "potential.ltv.mean_lifetime_years": "closed_forms_equal_fractions",
        "potential.ltv.rfm_or_default": "unknown_histories_are_read_as_section_1_has_it",
        "potential.ltv_calibration.expected_after": "calibration_expects_what_the_oracle_does",
        "potential.ltv_calibration.expected_of_new": "calibration_expects_what_the_oracle_does",
        "potential.retention.retention_rows": "retention_equals_the_beta_functions",
    },
    "unit/test_hostile_money.py": {
        "potential.value.activity_rates": "cost_drivers_equal_fractions",
        "potential.value.annual_rate": "annual_rates_and_segments_equal_their_oracle",
        "potential.value.cost_by_activity": "cost_drivers_equal_fractions",
        "potential.value.cost_to_serve": "cost_drivers_equal_fractions",
        "potential.value.profit_terms": "money_equals_plain_sums",
        "potential.value.value_for_money": "value_for_money_equals_its_fraction",
        "potential.value.value_terms": "money_equals_plain_sums",
        "valuation.take_columns": "columns_are_taken_as_they_are",
    },
    "unit/test_index.py": {
        "behaviour.index.index_breakdown": "index_equals_the_oracle",
        "behaviour.index.level_of": "level_equals_the_oracle",
        "behaviour.index.purchase_frequencies": "frequencies_equal_the_oracle",
    },
    "unit/test_local_time.py": {
        "local_time.": "hour_is_that_on_the_wall",
    },
    "unit/test_ltv.py": {
        "potential.ltv.berger_nasr_ltv": "berger_nasr_is_the_sum_of_its_terms",
        "potential.ltv.investment_ceiling_rows": "the_ceiling_equals_the_oracle",
        "potential.ltv.ltv_rows": "ltv_equals_the_oracle_in_every_column",
        "potential.ltv.word_of_mouth_rows": "word_of_mouth_equals_the_oracle",
    },
    "unit/test_overdue.py": {
        "behaviour.overdue.count_at_least_rows": "count_tails_equal_the_sum_of_probabilities",
        "behaviour.overdue.count_at_most_rows": "count_tails_equal_the_sum_of_probabilities",
        "behaviour.overdue.gap_quantile_rows": "survival_and_due_by_equal_the_oracle",
        "behaviour.overdue.gap_survival_rows": "survival_and_due_by_equal_the_oracle",
    },
    "unit/test_propensity.py": {
        "learning.propensity.score_propensity": "kernel_scores_as_the_naive_sum_does",
        "learning.propensity_fit._standardised": "the_fit_sees_facts_as_scoring_does",
    },
    "unit/test_quality.py": {
        "behaviour.quality.attitude_coverage": "attitude_coverage_equals_the_oracle",
        "behaviour.quality.attitude_known": "transactions_tell_no_attitude",
        "behaviour.quality.data_quality": "quality_equals_the_oracle",
        "behaviour.quality.fact_states": "states_equal_the_oracle",
    },
    "unit/test_rings.py": {
        "rings.translate_codes": "codes_become_the_rulebooks_indices",
    },
    "unit/test_rows.py": {
        "id_check.blake2b_64_column": "id_checks_equal_hashlib",
    },
    "unit/test_score.py": {
        "action.score.mutual_score": "the_kernel_agrees_with_the_oracle",
    },
    "unit/test_stage.py": {
        "behaviour.stage.advance_stages": "transitions_equal_the_oracle_everywhere",
        "behaviour.stage.effective_stages": "effective_stage",
        "behaviour.stage.loyalty_figures": "figures_equal_the_oracle",
    },
    "unit/test_windows.py": {
        "rulebook.windows.fill_ring": "windows_agree_with_the_oracle",
    },
}
"""By test module: a kernel, or all of a package or module with a full stop, and the test that compares it."""
KEYS = [key for tests in COMPARED.values() for key in tests]
PLACES = sorted({(file, test) for file, tests in COMPARED.items() for test in tests.values()})


@pytest.fixture(scope="module")
def kernels():
    """Every dispatcher of the engine by name, without `nextbest.`."""
    found = {}
    for module in pkgutil.walk_packages(nextbest.__path__, "nextbest."):
        if not module.name.endswith("__main__"):
            for value in vars(importlib.import_module(module.name)).values():
                if hasattr(value, "py_func"):
                    function = value.py_func
                    found[f"{function.__module__}.{function.__qualname__}"] = value
    return {name.removeprefix("nextbest."): kernel for name, kernel in found.items()}


def reached_from(kernel):
    """Names of a kernel and of all that its machine code holds."""
    return {name.removeprefix("nextbest.") for name, _ in kernel._cache._cache_file._source_stamp}


def listed(name):
    """Whether a kernel stands in the table, itself or with its module or package."""
    return name in KEYS or any(key.endswith(".") and name.startswith(key) for key in KEYS)


def test_every_kernel_is_compared(kernels):
    """A kernel stands in the table, or one that does calls it."""
    compared = {inner for name, kernel in kernels.items() if listed(name) for inner in reached_from(kernel)}
    assert sorted(set(kernels) - compared) == [], "write a test against an oracle and name it in COMPARED"
    assert len(kernels) > 300


@pytest.mark.parametrize("key", KEYS)
def test_no_entry_outlives_its_kernel(kernels, key):
    """An entry names a kernel, or a module that has some."""
    assert any(name.startswith(key) if key.endswith(".") else name == key for name in kernels)


@pytest.mark.parametrize(("file", "test"), PLACES)
def test_the_comparison_exists_and_is_with_something_else(file, test):
    """The test is where the table says, in a module that reads an oracle which is no kernel."""
    text = (TESTS / file).read_text(encoding="utf-8")
    assert re.search(rf"^def test_{test}\(", text, re.MULTILINE)
    assert file in BY_HAND or INDEPENDENT.search(text), file
