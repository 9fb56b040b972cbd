"""Forgive me: win the customer back, limit the damage, or apologise and close; never silence.

Source: domain model, section 6, forgive mode.
"""

import math
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from nextbest.kernels import kernel, lean_kernel
from nextbest.model import F64, I64
from nextbest.parameters import StageParameter


class ForgiveInput(IntEnum):
    """Columns of what the choice of mode reads; NaN = unknown."""

    BACK_PROBABILITY = 0
    """p_back, that the customer comes back."""
    BACK_LTV = 1
    """LTV_back, lifetime value once back, money."""
    BACK_COST = 2
    """c of the attempt to win back, money."""
    BACK_REWARD = 3
    """What a returning customer is paid, money."""
    REACH = 4
    """People whom the customer's word reaches."""
    HARM_AVOIDED = 5
    """Δp, by how much damage control lowers the chance that each of them turns away."""
    REFERRAL_WORTH = 6
    """v_ref, worth of a recommendation, money."""
    DAMAGE_COST = 7
    """c of damage control, money."""


class TermPart(IntEnum):
    """Columns of the terms that inputs are read with."""

    TIMES = 0
    PLUS = 1
    OTHERWISE = 2
    """What holds where the fact is unknown, or nothing is named; NaN = unknown."""
    LOW = 3
    HIGH = 4


class ForgiveMode(IntEnum):
    """What is done in Forgive me."""

    WIN_BACK = 0
    DAMAGE_CONTROL = 1
    APOLOGY = 2
    """An apology and a closing message; mandatory."""


class ForgiveChoice(NamedTuple):
    """The mode of n customers, with the figures that decided it."""

    mode: I64
    """(n,) of `ForgiveMode`."""
    win_back_value: F64
    """(n,) expected value, money, NaN = unknown."""
    damage_value: F64
    """(n,) expected value, money, NaN = unknown."""


@lean_kernel
def forgive_term(value: float, term: F64) -> float:
    """One input of the choice from a fact: times·value + plus, or `otherwise` where the fact is unknown.

    Args:
        value: the fact, NaN = unknown.
        term: (5,) by `TermPart`; the result is held within its bounds, NaN stays NaN.

    Oracle: `tests.naive.forgive.term`.
    """
    if math.isnan(value):
        found = term[TermPart.OTHERWISE]
    else:
        found = term[TermPart.TIMES] * value + term[TermPart.PLUS]
    return min(max(found, term[TermPart.LOW]), term[TermPart.HIGH]) if not math.isnan(found) else found


@lean_kernel
def win_back_value(case: F64) -> float:
    """EV_win = p_back·LTV_back − c − p_back·reward, NaN if anything is unknown."""
    gain = case[ForgiveInput.BACK_LTV] - case[ForgiveInput.BACK_REWARD]
    return case[ForgiveInput.BACK_PROBABILITY] * gain - case[ForgiveInput.BACK_COST]


@lean_kernel
def damage_value(case: F64, parameters: F64) -> float:
    """EV_damage = reach·Δp·v_ref·5 − c, NaN if anything is unknown."""
    loss = case[ForgiveInput.REFERRAL_WORTH] * parameters[StageParameter.NEGATIVE_MENTION_FACTOR]
    return case[ForgiveInput.REACH] * case[ForgiveInput.HARM_AVOIDED] * loss - case[ForgiveInput.DAMAGE_COST]


@lean_kernel
def forgive_mode(win: float, damage: float) -> int:
    """The larger of the two if above 0, winning back on a tie, else the apology."""
    if win > 0.0 and not damage > win:
        return ForgiveMode.WIN_BACK.value
    if damage > 0.0:
        return ForgiveMode.DAMAGE_CONTROL.value
    return ForgiveMode.APOLOGY.value


@kernel
def forgive_modes(cases: F64, parameters: F64) -> ForgiveChoice:
    """Mode of n customers in Forgive me.

    Args:
        cases: (n, inputs) of `ForgiveInput`, NaN = unknown; a value it leaves unknown is no reason to act.
        parameters: (stage parameters,).

    Oracle: `tests.naive.forgive.forgive_mode`.
    """
    n = len(cases)
    mode, win, damage = np.empty(n, np.int64), np.empty(n), np.empty(n)
    for i in range(n):
        win[i] = win_back_value(cases[i])
        damage[i] = damage_value(cases[i], parameters)
        mode[i] = forgive_mode(win[i], damage[i])
    return ForgiveChoice(mode, win, damage)
