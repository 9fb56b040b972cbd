"""Names the kernels that a warmed service still had to load or compile for some request; best none."""

import gc
import sys
from collections import Counter

import numpy as np
from numba.core.dispatcher import Dispatcher
from tests.builders.small import DIRECTORY, NOW, newcomer, offended, regular

from nextbest.assembly import assemble
from nextbest.batch.stages import advanced_stages
from nextbest.data.reader import Records
from nextbest.id_check import id_check, id_checks_of
from nextbest.model import DecisionState, EntryKind
from nextbest.rings import CodeTranslation, HistoryCodec, encode_ring, new_entries
from nextbest.rows import RowCodec
from nextbest.rulebook.compile import compile_rulebook
from nextbest.server import warmup
from nextbest.server.deciding import Serving, answers, explained, situation
from nextbest.server.requests import parse_question
from nextbest_client import decide_request

NAMES = ["a", "b", "c"]


def overloads():
    """How many signatures of each kernel are loaded."""
    gc.collect()
    found = Counter()
    for thing in gc.get_objects():
        if isinstance(thing, Dispatcher):
            found[f"{thing.py_func.__module__}.{thing.py_func.__qualname__}"] += len(thing.overloads)
    return found


def new_serving(artifacts):
    """The small rulebook with artifacts."""
    rulebook = compile_rulebook(DIRECTORY)
    translation = CodeTranslation.between({"action": ["brie"]}, {"action": rulebook.action_index})
    state = DecisionState.initial(len(rulebook.actions))
    return Serving(
        assemble(rulebook, artifacts), RowCodec(rulebook.catalogue), HistoryCodec(translation), state
    )


def ring_of(name):
    """A contact, an outcome and an event of a customer."""
    entries = new_entries(3)
    entries["time"] = NOW.timestamp() - np.arange(3, 0, -1) * 86400.0
    entries["kind"] = [EntryKind.CONTACT, EntryKind.OUTCOME, EntryKind.EVENT]
    entries["direction"], entries["channel"], entries["action"] = 1, 0, 0
    return encode_ring(id_check(name.encode()), entries)


def ask(serving, facts):
    """All sorts of requests about customers with these facts."""
    codec, now = serving.rows, NOW.timestamp()
    rows = [codec.encode(name.encode(), now, facts) for name in NAMES]
    rings = [ring_of(name) for name in NAMES]
    for n in (1, 3):
        for direction in (1, 2):
            for contacts in (rings, [None] * 3):
                requests = [
                    decide_request(name, channel=channel, direction=direction, contexts={"items": 3})
                    for name, channel in zip(NAMES[:n], ("call_centre", "pos", "email"), strict=False)
                ]
                questions = [parse_question(r, serving.model.rulebook, codec) for r in requests]
                records = Records(rows[:n], contacts[:n], contacts[:n])
                answers(situation(serving, questions, records, now))
    question = parse_question(requests[0], serving.model.rulebook, codec)
    explained(situation(serving, [question], Records(rows[:1], rings[:1], [None]), now), [], "en")
    batch = codec.decode_batch(rows, id_checks_of([name.encode() for name in NAMES])).rows
    advanced_stages(serving.model, batch, np.full(3, now))


def main():
    """Warm up, ask, and say what was cold."""
    rulebook = compile_rulebook(DIRECTORY)
    serving = new_serving(warmup.stand_ins(rulebook))
    warmup.warm_up(serving, NOW.timestamp())
    before = overloads()
    short, contract = newcomer(exposure_share=0.2), regular(contract_state="in_force")
    for facts in ({}, regular(), short, offended(), contract):
        ask(serving, facts)
    sys.stdout.writelines(f"cold: {name}\n" for name in sorted(overloads() - before))


if __name__ == "__main__":
    main()
