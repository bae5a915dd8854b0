"""How a daemon is known, and how it knows who asks: TLS, and the token."""

from __future__ import annotations

import os
from typing import Any, Optional, Union

from .errors import ValidationError

VARIABLE = "HATCHERY_TOKEN"
Certificate = Union[str, "os.PathLike[str]", tuple]


class Security:
    """`ca` is a file with the authorities that a daemon's certificate is checked against, instead of the system's; `cert` a file with the certificate
    and the key to show, or both files; either may be an `ssl.SSLContext` in `ca` instead."""

    def __init__(self, token: Optional[str] = None, ca: Any = None, cert: Optional[Certificate] = None):
        self._token = _checked(token or os.environ.get(VARIABLE) or "")
        self._ca = ca
        self._cert = cert
        self._context: Any = None

    def headers(self) -> tuple[tuple[str, str], ...]:
        return (("Authorization", f"Bearer {self._token}"),) if self._token else ()

    def context(self) -> Any:
        """Made when there is a first daemon with TLS: importing `ssl` takes its time."""
        if self._context is None:
            self._context = self._made()
        return self._context

    def _made(self) -> Any:
        import ssl

        if isinstance(self._ca, ssl.SSLContext):
            return self._ca
        try:
            context = ssl.create_default_context(cafile=self._ca)
            context.set_alpn_protocols(["http/1.1"])
            if self._cert is not None:
                files = (self._cert,) if isinstance(self._cert, (str, os.PathLike)) else self._cert
                context.load_cert_chain(*files)
        except (OSError, ValueError) as why:
            raise ValidationError(f"read the certificates of the client: {why}") from None
        return context


def _checked(token: str) -> str:
    if not token.isascii() or any(letter.isspace() or not letter.isprintable() for letter in token):
        raise ValidationError("token: expected what `hatchery token new` has printed, without spaces and line ends")
    return token
