"""Would the customer have asked for this? The ask-likelihood ρ of the domain model's section 8."""

import numpy as np

from nextbest.action.contact import SEEN_OPTED_OUT, SEEN_REJECTED_LATELY
from nextbest.action.tables import Batch, Code, Tables
from nextbest.kernels import lean_kernel
from nextbest.model import U64

REJECTED_FACTOR = 0.25
"""A recent rejection of the same action multiplies its relevance by this."""
CREATED_NEED_FACTOR = 0.7
STOCK_PUSH_CAP = 0.3

_FIRST_EVIDENCE, _LAST_EVIDENCE = int(Code.FIRST_EVIDENCE), int(Code.LAST_EVIDENCE)
_CREATES_NEED, _INSIDE_OUT = int(Code.CREATES_NEED), int(Code.INSIDE_OUT)


@lean_kernel
def holds(plane: U64, customer: int, condition: int) -> bool:
    """Read one customer's bit of one condition from a plane (blocks, conditions)."""
    return ((plane[customer >> 6, condition] >> np.uint64(customer & 63)) & np.uint64(1)) != np.uint64(0)


@lean_kernel
def evidence_strength(tables: Tables, batch: Batch, customer: int, k: int) -> float:
    """Strength e of evidence k in [0, 1]; unknown counts 0."""
    condition = tables.evidence[k, 0]
    if condition >= 0:
        return 1.0 if holds(batch.true, customer, condition) else 0.0
    value = batch.values[customer, tables.evidence[k, 1]]
    return 0.0 if np.isnan(value) else min(max(value, 0.0), 1.0)


@lean_kernel
def relevance(tables: Tables, batch: Batch, customer: int, action: int) -> float:
    """Ask-likelihood ρ = 1 − Π(1 − w·e) with the dampers of section 8, in their order.

    Args:
        tables: The packed rulebook.
        batch: The requests.
        customer: Row of the batch.
        action: Row of the tables.

    An action that the customer opted out of counts 0; a blocked topic has a gate of its own.

    Source: domain model, section 8. Oracle: tests/naive/relevance.py.
    """
    seen = batch.seen[action, customer & 63]
    if seen & SEEN_OPTED_OUT != 0:
        return 0.0
    codes = tables.codes
    rho = 0.0
    declared = False
    for k in range(codes[action, _FIRST_EVIDENCE], codes[action, _LAST_EVIDENCE]):
        strength = evidence_strength(tables, batch, customer, k)
        # 1 − Π(1 − w·e) step by step: one piece of evidence alone counts exactly w·e, so that a
        # weight of .2 reaches a threshold of .2
        rho += tables.evidence_weights[k] * strength * (1.0 - rho)
        declared = declared or (strength > 0.0 and tables.evidence[k, 2] == 1)
    if seen & SEEN_REJECTED_LATELY != 0:
        rho *= REJECTED_FACTOR
    if codes[action, _CREATES_NEED] == 1:
        rho *= CREATED_NEED_FACTOR
    if codes[action, _INSIDE_OUT] == 1 and not declared:
        rho = min(rho, STOCK_PUSH_CAP)
    return rho
