"""Run every kernel of the request path once, so that no customer waits for a compiler."""

import time
from dataclasses import replace

import numpy as np

from loyalty.nextbest.v1 import common_pb2, decision_pb2
from nextbest.action.comparison import decisive_term
from nextbest.assembly import OUTCOMES, Artifacts, FittedGrid, assemble
from nextbest.batch.writing import advanced_row
from nextbest.behaviour.detectors import BaselineInput
from nextbest.data.reader import Records
from nextbest.id_check import id_check
from nextbest.learning.propensity import TABLE_COLUMNS, PropensityModel
from nextbest.model import NO_CODE, CellEvidence, DecisionState, EntryKind, Term
from nextbest.potential.grid import PeerGrid
from nextbest.potential.ltv_parameters import BgNbd, GammaGamma, LtvParameters
from nextbest.rings import CodeTranslation, HistoryCodec, encode_ring, new_entries
from nextbest.rows import RowCodec
from nextbest.rulebook.rulebook import Rulebook
from nextbest.server.deciding import Serving, answers, explained, situation
from nextbest.server.requests import parse_question
from nextbest.telemetry import logger

_CUSTOMER = "warm-up"
_NOW = 1.5e9
_CDNOW = LtvParameters(
    bgnbd=BgNbd(0.243, 4.414, 0.793, 2.426),
    gamma_gamma=GammaGamma(6.25, 3.74, 15.44),
    margin=0.3,
    yearly_discount=0.1,
    step_weeks=4.0,
    steps=39,
    standard_errors={},
    log_likelihood=-9582.4,
    gamma_gamma_log_likelihood=0.0,
    penalised=False,
    n=2357,
    n_repeat=946,
    frequency_top_quartile=0.05,
    warnings=(),
)
"""The published fit of CDNOW; any other would do."""


def warm_up(serving: Serving, now: float) -> None:
    """Decide, explain and write snapshots for nobody: alone and in a batch, with and without history.

    What a request may need and this does not run is compiled or loaded while a customer waits.
    """
    started = time.perf_counter()
    rulebook = serving.model.rulebook
    if not rulebook.channels:
        return  # a rulebook without actions: there is nothing to ask for
    request = decision_pb2.DecideRequest(
        customer_id=_CUSTOMER,
        channel=rulebook.channels[0].id,
        direction=common_pb2.DIRECTION_OUTBOUND,
    )
    question = parse_question(request, rulebook, serving.rows)
    row, ring = _short_history(serving.rows, now), _one_contact(now)
    for ring_bytes in (None, ring):
        for n in (1, 2):
            records = Records([row] * n, [ring_bytes] * n, [ring_bytes] * n)
            found = situation(serving, [question] * n, records, now)
            answers(found)
        explained(situation(serving, [question], Records([row], [ring_bytes], [None]), now), [], "en")
    for n in (1, 2):  # once something is learnt, a customer's peer cell is looked up
        answers(situation(_taught(serving), [question] * n, Records([row] * n, [None] * n, [None] * n), now))
    _write_twice(serving, row, now)
    decisive_term(np.ones(len(Term)), None, classic=False)  # nobody is beaten above
    logger().info("warm", seconds=round(time.perf_counter() - started, 3), time=float(np.round(now, 3)))


def _taught(serving: Serving) -> Serving:
    """The same with some evidence of a peer cell."""
    peers, state = serving.model.peers, serving.state
    if peers is None or len(peers.tables.tree.parent) < 2 or not len(state.posteriors):
        return serving
    first = np.zeros(1, np.int32)
    cells = CellEvidence(first, first, first + np.int32(1), np.ones((1, 2)))
    return replace(serving, state=replace(state, cells=cells))


def _write_twice(serving: Serving, row: bytes, now: float) -> None:
    """Write a snapshot, and another with a period of every series after it."""
    model, codec = serving.model, serving.rows
    periods = {series.facts[BaselineInput.PERIOD_1]: 1.0 for series in model.rulebook.series}
    first = advanced_row(model, codec, _CUSTOMER, None, row, now=now)
    later = codec.with_numbers(row, periods)
    advanced_row(model, codec, _CUSTOMER, first, later, now=now)


def _short_history(codec: RowCodec, now: float) -> bytes:
    """The row of someone who was seen for part of a year, which takes the longest way to their value."""
    short = {"exposure_share": 0.5} if "exposure_share" in codec.catalogue else {}
    return codec.encode(_CUSTOMER.encode(), now, short)


def _one_contact(now: float) -> bytes:
    entries = new_entries(1)
    entries["time"], entries["kind"], entries["action"] = now, EntryKind.CONTACT, NO_CODE
    return encode_ring(id_check(_CUSTOMER.encode()), entries)


def warm_cache(rulebook: Rulebook) -> None:
    """Compile every kernel of the request path and of the population runs into numba's cache.

    Stand-in models take the place of fitted ones: only the types matter.
    """
    model = assemble(rulebook, stand_ins(rulebook))
    codec = RowCodec(rulebook.catalogue)
    state = DecisionState.initial(len(rulebook.actions))
    histories = HistoryCodec(CodeTranslation.between({}, {}))
    warm_up(Serving(model, codec, histories, state), _NOW)


def stand_ins(rulebook: Rulebook) -> Artifacts:
    """Artifacts of the right types, fitted on nobody."""
    dimensions = rulebook.strategy.peer_dimensions
    codes = np.zeros((8, len(dimensions)))
    values = np.arange(16, dtype=np.float64).reshape(8, 2)
    grid = PeerGrid.build(codes, values, dimensions=dimensions, outcomes=OUTCOMES)
    nothing = np.empty((0, len(TABLE_COLUMNS)))
    return Artifacts(
        ltv=_CDNOW,
        grid=FittedGrid(PeerGrid.merge([grid, grid]), _NOW) if dimensions else None,
        propensity={
            name: PropensityModel(name, (), nothing.copy(), np.array([0.0, 1.0, 0.0]))
            for name in rulebook.propensity_models
        },
    )
