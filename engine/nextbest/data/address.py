"""Where Redis is: a URL taken apart, with what a connection needs to know."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from nextbest.errors import InvalidInput, Violation

DEFAULT_PORT = 6379


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """One Redis server, by socket or by host."""

    socket_path: str = ""
    """Path of a Unix socket; empty = host and port."""
    host: str = ""
    port: int = DEFAULT_PORT
    tls: bool = False
    ca_file: str = ""
    """Certificates to trust instead of the system's."""
    username: str = ""
    password: str = field(default="", repr=False)
    database: int = 0

    @classmethod
    def parse(cls, url: str) -> "RedisAddress":
        """Read `unix:///path?db=0`, `redis://[user:password@]host[:port][/db]` or `rediss://…`.

        Raises:
            InvalidInput: the URL is none of these; a password in it is not repeated.
        """
        try:
            parts = urlsplit(url)
            query = parse_qs(parts.query)
            return cls._from_parts(parts, {key: values[-1] for key, values in query.items()})
        except ValueError as cause:
            raise InvalidInput([Violation("redis_url", f"is not a Redis URL: {cause}")]) from None

    @classmethod
    def _from_parts(cls, parts: SplitResult, query: dict[str, str]) -> "RedisAddress":
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        if parts.scheme == "unix":
            if not parts.path.startswith("/"):
                raise ValueError("a socket needs an absolute path")
            database = _number(query.get("db", "0"), "database")
            return cls(unquote(parts.path), username=user, password=password, database=database)
        if parts.scheme not in ("redis", "rediss"):
            raise ValueError(f"the scheme `{parts.scheme}` is not one of unix, redis, rediss")
        if not parts.hostname:
            raise ValueError("it names no host")
        return cls(
            host=parts.hostname,
            port=_port(parts),
            tls=parts.scheme == "rediss",
            ca_file=query.get("ssl_ca_certs", ""),
            username=user,
            password=password,
            database=_number(parts.path.strip("/") or query.get("db", "0"), "database"),
        )

    @classmethod
    def of_socket(cls, path: Path) -> "RedisAddress":
        """The server behind a Unix socket."""
        return cls(socket_path=str(path))

    @property
    def url(self) -> str:
        """The address as a URL without password, fit for logs."""
        if self.socket_path:
            return f"unix://{self.socket_path}?db={self.database}"
        return f"{'rediss' if self.tls else 'redis'}://{self.host}:{self.port}/{self.database}"

    def tls_context(self) -> ssl.SSLContext | None:
        """How to speak TLS with it; None where it is not spoken. Certificates are always verified."""
        if not self.tls:
            return None
        return ssl.create_default_context(cafile=self.ca_file or None)


def _port(parts: SplitResult) -> int:
    try:
        return parts.port or DEFAULT_PORT
    except ValueError:
        # The cause quotes what stands there: part of a password that holds a `/`, perhaps.
        raise ValueError("its port is not a number") from None


def _number(text: str, what: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"its {what} is not a number")
    return int(text)
