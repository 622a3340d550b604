"""The key of the surrogates. It is read where it is used and is never written anywhere: without it, nobody can tell
which value became which surrogate, the owner included."""

import hashlib
import hmac
import os
from pathlib import Path

from corpus.errors import ConfigError

_BYTES = 16  # at least
_MAKE = "head -c 32 /dev/urandom | base64 > key"


class Key:
    """A secret that keeps itself out of reprs and pickles."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    @classmethod
    def load(cls, file: str | None, environment: str | None) -> "Key":
        """From `file`, else from the variable `environment`. ConfigError where there is none, or it is too short."""
        if file is not None:
            where = f"key_file {file}"
            try:
                secret = Path(file).expanduser().read_bytes().strip()
            except OSError as error:
                raise ConfigError(
                    "the de-identification key cannot be read",
                    where=where,
                    found=error.strerror,
                    todo=_make(environment),
                ) from None
        elif environment is not None and environment in os.environ:
            where = f"environment variable {environment}"
            secret = os.environb[environment.encode()].strip()
        else:
            raise ConfigError(
                "surrogates and shifted dates need a key, and there is none",
                where="deidentify",
                found=f"no key_file, and the environment variable {environment} is not set"
                if environment
                else "no key_file",
                todo=_make(environment),
            )
        if len(secret) < _BYTES:
            raise ConfigError(
                f"the de-identification key is shorter than {_BYTES} bytes",
                where=where,
                found=f"{len(secret)} bytes",
                todo=_make(environment),
            )
        return cls(secret)

    def number(self, *parts: str) -> int:
        """256 bits that only the owner of the key can compute from `parts`."""
        message = b"".join(len(part.encode()).to_bytes(8, "big") + part.encode() for part in parts)
        return int.from_bytes(hmac.digest(self._secret, message, hashlib.sha256), "big")

    @property
    def id(self) -> str:
        """Names the key without telling it: a changed key is a changed stage."""
        return f"{self.number('provender', 'key id') >> 192:016x}"

    def __repr__(self) -> str:
        return "Key(…)"

    def __reduce__(self) -> tuple:
        raise TypeError("a de-identification key is not pickled: each worker reads it for itself")


def _make(environment: str | None) -> str:
    variable = f", or put the key into the environment variable {environment}" if environment else ""
    return f"make one with `{_MAKE}` and name it in key_file{variable}; keep it outside the workspace"
