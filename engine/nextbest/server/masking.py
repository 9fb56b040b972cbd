"""Facts that must not get into the decision log: without them a decision cannot be made again."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from loyalty.nextbest.v1 import decision_pb2
from nextbest.decision_record import DecisionRecord
from nextbest.errors import InvalidInput, Violation
from nextbest.facts import HEADER_WORDS, Catalogue, FactType
from nextbest.rows import RowCodec
from nextbest.rulebook.rulebook import Rulebook
from nextbest.rulebook.suggest import did_you_mean

CONTEXT = "context."


class Masking:
    """Leaves named facts and context keys out of records."""

    def __init__(self, names: Iterable[str], rulebook: Rulebook) -> None:
        """Check the names.

        Raises:
            InvalidInput: with every name that is neither a fact nor a declared `context.<key>`.
        """
        self._names = tuple(sorted(set(names)))
        known = [fact.name for fact in rulebook.catalogue.facts]
        known += [CONTEXT + fact.name for fact in rulebook.context_facts]
        unknown = [name for name in self._names if name not in known]
        if unknown:
            raise InvalidInput([_unknown(name, known) for name in unknown])

    def masked(self, record: DecisionRecord, codec: RowCodec) -> DecisionRecord:
        """The record without what is masked, and without whatever could give it away.

        Texts may quote a fact, and figures, scores and propensities may equal one (value is revenue less
        some): of the answer stay the actions, treatments and offers in their order.

        Args:
            record: as it was made.
            codec: reads the row's catalogue; a row of a catalogue that it does not know is left out.
        """
        if not self._names:
            return record
        catalogue = codec.catalogue_of(record.row)
        return replace(
            record,
            row=b"" if catalogue is None else _masked_row(record.row, catalogue, self._names),
            request=self._masked_request(record.request),
            figures=b"",
            chosen=b"",
            selection=b"",
            answer=_masked_answer(record.answer),
            masked=self._names,
        )

    def _masked_request(self, data: bytes) -> bytes:
        request = decision_pb2.DecideRequest.FromString(data)
        kept = [context for context in request.contexts if CONTEXT + context.key not in self._names]
        del request.contexts[:]
        request.contexts.extend(kept)
        return request.SerializeToString()


def _unknown(name: str, known: list[str]) -> Violation:
    hint = did_you_mean(name, known)
    problem = f"`{name}` is neither a fact nor a declared context key"
    return Violation("decision_log_masked", f"{problem}; {hint}" if hint else problem)


def _masked_row(row: bytes, catalogue: Catalogue, names: Iterable[str]) -> bytes:
    if len(row) != catalogue.row_bytes:
        return b""  # damaged: where the facts lie is not known
    words = np.frombuffer(bytearray(row), np.dtype("<u8"))
    first_word = HEADER_WORDS + catalogue.n_numbers
    for name in names:
        place = catalogue.bits.get(name)
        if place is not None:
            own = 1 << place.shift if catalogue[name].type is FactType.BOOL else 2**64 - 1
            words[first_word + place.word] &= np.uint64(~own & (2**64 - 1))
            known = first_word + catalogue.n_words + place.known_word
            words[known] &= np.uint64(~(1 << place.known_bit) & (2**64 - 1))
        elif name in catalogue:
            words.view("<f8")[HEADER_WORDS + catalogue.columns[name]] = np.nan
    return words.tobytes()


def _masked_answer(data: bytes) -> bytes:
    answer = decision_pb2.DecideResponse.FromString(data)
    answer.ClearField("figures")
    for result in answer.results:
        for field in ("customer_reason", "staff_reason", "score", "breakdown", "propensity"):
            result.ClearField(field)
        if result.HasField("treatment"):
            result.treatment.ClearField("say")
    return answer.SerializeToString()
