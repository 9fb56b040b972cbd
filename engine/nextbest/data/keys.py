"""Names of everything in Redis, and which ids may be part of a name."""

import re
from dataclasses import dataclass

from nextbest.errors import InvalidInput, Violation
from nextbest.id_check import MAX_ID_BYTES

MAX_REQUEST_ID_BYTES = 64
"""Longest request id; the contract says so."""

ID_FORBIDDEN = r"[\x00-\x1f\x7f-\x9f{}]"
"""Control characters break logs; braces break the hash tag that keeps a customer's keys together."""
_FORBIDDEN = re.compile(ID_FORBIDDEN)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_PREFIX = re.compile(r"[A-Za-z0-9_.:-]{1,40}")


def id_violations(customer_id: str, *, field: str = "customer_id") -> list[Violation]:
    """Everything that keeps a text from being a customer id."""
    if not customer_id:
        return [Violation(field, "is empty")]
    violations: list[Violation] = []
    size = _utf8_bytes(customer_id)
    if size is None:
        violations.append(Violation(field, "is not valid Unicode"))
    elif size > MAX_ID_BYTES:
        violations.append(Violation(field, f"is {size} bytes long, at most {MAX_ID_BYTES} are allowed"))
    if _FORBIDDEN.search(customer_id):
        violations.append(Violation(field, "holds a control character or a brace"))
    return violations


def request_id_violations(request_id: str, *, field: str = "request_id") -> list[Violation]:
    """Everything that keeps a text from being a request id; an empty one means there is none."""
    violations: list[Violation] = []
    size = _utf8_bytes(request_id)
    if size is None:
        violations.append(Violation(field, "is not valid Unicode"))
    elif size > MAX_REQUEST_ID_BYTES:
        violations.append(
            Violation(field, f"is {size} bytes long, at most {MAX_REQUEST_ID_BYTES} are allowed")
        )
    if _CONTROL.search(request_id):
        violations.append(Violation(field, "holds a control character"))
    return violations


def _utf8_bytes(text: str) -> int | None:
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        return None


@dataclass(frozen=True, slots=True)
class Keys:
    """Key names under one deployment's prefix. A customer's keys share the hash tag `{customer_id}`."""

    prefix: str = "nextbest"

    def __post_init__(self) -> None:
        if not _PREFIX.fullmatch(self.prefix):
            problem = f"`{self.prefix}` is not 1 to 40 letters, digits or `_.:-`"
            raise InvalidInput([Violation("redis_prefix", problem)])

    def snapshot(self, customer_id: str) -> bytes:
        """The customer's row."""
        return f"{self.prefix}:{{{customer_id}}}:s".encode()

    def hash_snapshot(self, customer_id: str) -> bytes:
        """The customer's facts as a hash, where others write them."""
        return f"{self.prefix}:{{{customer_id}}}:h".encode()

    def contacts(self, customer_id: str) -> bytes:
        """The ring of contacts and outcomes."""
        return f"{self.prefix}:{{{customer_id}}}:c".encode()

    def events(self, customer_id: str) -> bytes:
        """The ring of business events."""
        return f"{self.prefix}:{{{customer_id}}}:e".encode()

    def cases(self, customer_id: str) -> bytes:
        """What the customer's outcomes have said of each case, so that none counts twice."""
        return f"{self.prefix}:{{{customer_id}}}:l".encode()

    def request(self, customer_id: str, request_id: str) -> bytes:
        """The decision kept for a request id."""
        return f"{self.prefix}:{{{customer_id}}}:r:{request_id}".encode()

    def request_index(self, customer_id: str) -> bytes:
        """The request ids whose decisions are kept, so that they can be erased."""
        return f"{self.prefix}:{{{customer_id}}}:q".encode()

    def outcome_notes(self, customer_id: str) -> bytes:
        """What was said about outcomes: idempotency key to reason, comment and code."""
        return f"{self.prefix}:{{{customer_id}}}:o".encode()

    def identifiers(self, customer_id: str) -> bytes:
        """The customer's own list of identifiers; what is not in it does not resolve."""
        return f"{self.prefix}:{{{customer_id}}}:i".encode()

    def erased_identifiers(self, customer_id: str) -> bytes:
        """Identifiers of an erased customer whose index entries are still to be removed."""
        return f"{self.prefix}:{{{customer_id}}}:j".encode()

    def tombstone(self, customer_id: str) -> bytes:
        """When the customer was erased, epoch seconds as text; expires."""
        return f"{self.prefix}:{{{customer_id}}}:x".encode()

    def identifier(self, digest: str) -> bytes:
        """Who claims the identifier of a keyed digest."""
        return f"{self.prefix}:identifier:{digest}".encode()

    @property
    def identifier_secret(self) -> bytes:
        """The key of those digests, made once."""
        return f"{self.prefix}:identifier-secret".encode()

    @property
    def erasures(self) -> bytes:
        """The record of erasures, without identity."""
        return f"{self.prefix}:erasures".encode()

    @property
    def lessons(self) -> bytes:
        """Counts of outcomes by month, reason code, action and outcome."""
        return f"{self.prefix}:lessons".encode()

    def decision(self, customer_id: str, decision_id: bytes) -> bytes:
        """A logged decision."""
        return f"{self.prefix}:{{{customer_id}}}:d:{decision_id.hex()}".encode()

    def decisions(self, customer_id: str) -> bytes:
        """Ids of the customer's logged decisions by when they were made."""
        return f"{self.prefix}:{{{customer_id}}}:d".encode()

    @property
    def log(self) -> bytes:
        """The decision log: a stream of handles, which hold nothing personal."""
        return f"{self.prefix}:log".encode()

    @property
    def log_count(self) -> bytes:
        """Entries that the log ever had: each entry's number, so that a gap can be counted."""
        return f"{self.prefix}:log-count".encode()

    def handle(self, handle: bytes) -> bytes:
        """Which decision of which customer a handle stands for; gone when either is."""
        return f"{self.prefix}:log:{handle.hex()}".encode()

    def rulebook(self, digest: str) -> bytes:
        """The files of a rulebook that was served."""
        return f"{self.prefix}:rulebook:{digest}".encode()

    def served_model(self, digest: str) -> bytes:
        """What a model that was served consists of."""
        return f"{self.prefix}:model:{digest}".encode()

    def catalogue(self, fingerprint: int) -> bytes:
        """The layout registered under a fingerprint."""
        return f"{self.prefix}:catalogue:{fingerprint:016x}".encode()

    @property
    def catalogue_line(self) -> bytes:
        """Fingerprints of the registered catalogues, oldest first."""
        return f"{self.prefix}:catalogue:line".encode()

    def registry(self, kind: str) -> bytes:
        """The append-only name registry of a kind."""
        return f"{self.prefix}:registry:{kind}".encode()

    def artifact(self, digest: str) -> bytes:
        """An artifact's bytes."""
        return f"{self.prefix}:artifact:{digest}".encode()

    @property
    def artifact_index(self) -> bytes:
        """Digest to description of every artifact stored."""
        return f"{self.prefix}:artifact:index".encode()

    @property
    def model(self) -> bytes:
        """Model versions, the active one first."""
        return f"{self.prefix}:model".encode()

    @property
    def evidence(self) -> bytes:
        """Successes and failures by action, stage and peer cell."""
        return f"{self.prefix}:evidence".encode()

    @property
    def evidence_version(self) -> bytes:
        """How often the evidence changed."""
        return f"{self.prefix}:evidence:version".encode()

    @property
    def evidence_changes(self) -> bytes:
        """Its latest changes, a stream."""
        return f"{self.prefix}:evidence:changes".encode()

    @property
    def evidence_resets(self) -> bytes:
        """At which version of the evidence an action's was reset."""
        return f"{self.prefix}:evidence:resets".encode()

    @property
    def fit_progress(self) -> bytes:
        """What an interrupted fit of the peer grid had counted; gone a day later."""
        return f"{self.prefix}:fit:grid".encode()

    @property
    def snapshot_pattern(self) -> bytes:
        """Matches every customer's row."""
        return f"{self.prefix}:{{*}}:s".encode()

    def customer_of(self, key: bytes) -> str:
        """The customer id in a key of that customer."""
        return key[len(self.prefix) + 2 : key.rindex(b"}")].decode()
