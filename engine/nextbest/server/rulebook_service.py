"""RulebookService: describes the rulebook in use. Publishing over the wire is not built yet."""

from collections.abc import Iterator

import grpc.aio
import numpy as np

from loyalty.nextbest.v1 import common_pb2, rulebook_pb2, rulebook_pb2_grpc
from nextbest.errors import InvalidInput, NotBuilt, Violation
from nextbest.facts import Fact
from nextbest.model import Stage
from nextbest.rulebook.rulebook import Rulebook
from nextbest.server.guard import guarded
from nextbest.server.live import LiveServing
from nextbest.server.requests import choose_language
from nextbest.server.responses import DESIRED_ACTIONS, timestamp, treatment_message


class RulebookService(rulebook_pb2_grpc.RulebookServiceServicer):
    """Says what the active rulebook holds."""

    def __init__(self, serving: LiveServing) -> None:
        self._serving = serving

    @guarded
    async def Describe(
        self,
        request: rulebook_pb2.DescribeRequest,
        context: grpc.aio.ServicerContext[rulebook_pb2.DescribeRequest, rulebook_pb2.DescribeResponse],
    ) -> rulebook_pb2.DescribeResponse:
        """Describe the active revision."""
        serving = self._serving()
        model, rulebook = serving.model, serving.model.rulebook
        if request.revision not in ("", rulebook.revision):
            problem = f"`{request.revision}` is not the active revision `{rulebook.revision}`"
            raise InvalidInput([Violation("revision", problem)])
        language = choose_language(request.language, rulebook.languages)
        revision = rulebook_pb2.RulebookRevision(
            revision=rulebook.revision, digest=rulebook.digest, state=rulebook_pb2.RULEBOOK_STATE_ACTIVE
        )
        return rulebook_pb2.DescribeResponse(
            revision=revision,
            name=rulebook.id,
            model_digest=model.digest,
            currency=rulebook.currency,
            languages=rulebook.languages,
            roles=[role.id for role in rulebook.roles],
            channels=_channels(rulebook),
            contexts=[_name(fact) for fact in rulebook.context_facts],
            facts=[_fact(fact) for fact in rulebook.catalogue.facts],
            catalogue_fingerprint=f"{rulebook.catalogue.fingerprint:016x}",
            segments=[rulebook_pb2.NameInfo(name=segment.id) for segment in rulebook.segments],
            triggers=[rulebook_pb2.NameInfo(name=t.id, description=t.source) for t in rulebook.triggers],
            actions=[_action(rulebook, index, language) for index in range(len(rulebook.actions))],
            artifacts=[
                rulebook_pb2.ArtifactInfo(kind=role.split("/")[0], name=role, digest=digest)
                for role, digest in model.artifacts.digests.items()
            ],
            reason_codes=rulebook.strategy.reason_codes,
        )

    @guarded
    async def Validate(
        self,
        request: rulebook_pb2.ValidateRequest,
        context: grpc.aio.ServicerContext[rulebook_pb2.ValidateRequest, rulebook_pb2.ValidateResponse],
    ) -> rulebook_pb2.ValidateResponse:
        """Not built yet."""
        raise NotBuilt("validating over the wire")

    @guarded
    async def Publish(
        self,
        request: rulebook_pb2.PublishRequest,
        context: grpc.aio.ServicerContext[rulebook_pb2.PublishRequest, rulebook_pb2.PublishResponse],
    ) -> rulebook_pb2.PublishResponse:
        """Not built yet."""
        raise NotBuilt("publishing")

    @guarded
    async def Activate(
        self,
        request: rulebook_pb2.ActivateRequest,
        context: grpc.aio.ServicerContext[rulebook_pb2.ActivateRequest, rulebook_pb2.ActivateResponse],
    ) -> rulebook_pb2.ActivateResponse:
        """Not built yet."""
        raise NotBuilt("activating")

    @guarded
    async def Rollback(
        self,
        request: rulebook_pb2.RollbackRequest,
        context: grpc.aio.ServicerContext[rulebook_pb2.RollbackRequest, rulebook_pb2.RollbackResponse],
    ) -> rulebook_pb2.RollbackResponse:
        """Not built yet."""
        raise NotBuilt("rolling back")

    @guarded
    async def Simulate(
        self,
        request: rulebook_pb2.SimulateRequest,
        context: grpc.aio.ServicerContext[rulebook_pb2.SimulateRequest, rulebook_pb2.SimulateResponse],
    ) -> rulebook_pb2.SimulateResponse:
        """Not built yet."""
        raise NotBuilt("simulating")


def _name(fact: Fact) -> rulebook_pb2.NameInfo:
    return rulebook_pb2.NameInfo(
        name=fact.name, description=fact.description, type=_type(fact), values=fact.values
    )


def _type(fact: Fact) -> rulebook_pb2.ValueType.ValueType:
    return rulebook_pb2.ValueType.Value(f"VALUE_TYPE_{fact.type.name}")


def _fact(fact: Fact) -> rulebook_pb2.FactInfo:
    message = rulebook_pb2.FactInfo(
        name=fact.name,
        type=_type(fact),
        unit=fact.unit,
        group=fact.group,
        source=fact.source,
        values=fact.values,
        observed_at=fact.observed_at,
        quality_weight=fact.quality_weight,
        description=fact.description,
    )
    if fact.minimum is not None:
        message.minimum = fact.minimum
    if fact.maximum is not None:
        message.maximum = fact.maximum
    return message


def _channels(rulebook: Rulebook) -> Iterator[rulebook_pb2.ChannelInfo]:
    for index, channel in enumerate(rulebook.channels):
        message = rulebook_pb2.ChannelInfo(
            name=channel.id,
            placements=_placements(rulebook, index),
            contact_weight=channel.pressure_weight,
            inbound_relevance_threshold=channel.inbound_threshold,
            outbound_relevance_threshold=channel.outbound_threshold,
        )
        if channel.max_text_length is not None:
            message.max_text_length = channel.max_text_length
        yield message


def _placements(rulebook: Rulebook, channel: int) -> list[str]:
    used = {t.placement for t in rulebook.treatments if t.channel == channel and t.placement >= 0}
    return [rulebook.placements[placement] for placement in sorted(used)]


def _action(rulebook: Rulebook, index: int, language: str) -> rulebook_pb2.ActionInfo:
    action, tables = rulebook.actions[index], rulebook.action_tables
    message = rulebook_pb2.ActionInfo(
        action=action.id,
        desired_action=DESIRED_ACTIONS[action.desired_action],
        issue=action.issue,
        group=action.group,
        stages=[
            common_pb2.Stage.ValueType(stage + 1) for stage in Stage if int(tables.stages[index]) >> stage & 1
        ],
        segments=[
            segment.id for i, segment in enumerate(rulebook.segments) if int(tables.segments[index]) >> i & 1
        ],
        triggers=[rulebook.triggers[t].id for t in tables.triggers_of(index)],
        treatments=[
            treatment_message(rulebook, rulebook.treatments[t], -1, language)
            for t in tables.treatments_of(index)
        ],
        capabilities=action.tags,
        roles=[role.id for role in rulebook.roles if role.authority >= int(tables.authority[index])],
        promises=action.promises,
        owner=action.owner,
        mandatory=bool(tables.mandatory[index]),
        priority=int(tables.priority[index]),
    )
    if np.isfinite(tables.valid_from[index]):
        message.valid_from.CopyFrom(timestamp(float(tables.valid_from[index])))
    if np.isfinite(tables.valid_until[index]):
        message.valid_until.CopyFrom(timestamp(float(tables.valid_until[index])))
    return message
