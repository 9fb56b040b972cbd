"""Run every kernel of the request path once, so that no customer waits for a compiler."""

import time

import numpy as np

from loyalty.nextbest.v1 import common_pb2, decision_pb2
from nextbest.assembly import OUTCOMES, Artifacts, FittedGrid, assemble
from nextbest.batch.stages import advanced_stages
from nextbest.data.reader import Records
from nextbest.id_check import id_check, id_checks_of
from nextbest.learning.propensity import TABLE_COLUMNS, PropensityModel
from nextbest.model import NO_CODE, DecisionState, EntryKind
from nextbest.potential.grid import PeerGrid
from nextbest.potential.ltv_parameters import BgNbd, GammaGamma, LtvParameters
from nextbest.rings import HistoryCodec, encode_ring, new_entries
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
    """Decide and explain for nobody, alone and in a batch, with and without history."""
    started = time.perf_counter()
    rulebook = serving.model.rulebook
    request = decision_pb2.DecideRequest(
        customer_id=_CUSTOMER,
        channel=rulebook.channels[0].id,
        direction=common_pb2.DIRECTION_OUTBOUND,
    )
    question = parse_question(request, rulebook, serving.rows)
    row = serving.rows.encode(_CUSTOMER.encode(), now, {})
    entries = new_entries(1)
    entries["time"], entries["kind"], entries["action"] = now, EntryKind.CONTACT, NO_CODE
    ring = encode_ring(id_check(_CUSTOMER.encode()), entries)
    for ring_bytes in (None, ring):
        for n in (1, 2):
            records = Records([row] * n, [ring_bytes] * n, [ring_bytes] * n)
            found = situation(serving, [question] * n, records, lambda: now)
            answers(found)
        explained(situation(serving, [question], Records([row], [ring_bytes], [None]), lambda: now), [], "en")
    logger().info("warm", seconds=round(time.perf_counter() - started, 3), time=float(np.round(now, 3)))


def warm_cache(rulebook: Rulebook) -> None:
    """Compile every kernel of the request path and of the population runs into numba's cache.

    Stand-in models take the place of fitted ones: only the types matter.
    """
    model = assemble(rulebook, _stand_ins(rulebook))
    codec = RowCodec(rulebook.catalogue)
    state = DecisionState.initial(len(rulebook.actions))
    warm_up(Serving(model, codec, HistoryCodec(), state), _NOW)
    rows = codec.decode_batch([codec.encode(b"1", _NOW, {})], id_checks_of([b"1"])).rows
    advanced_stages(model, rows, np.array([_NOW]))


def _stand_ins(rulebook: Rulebook) -> Artifacts:
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
