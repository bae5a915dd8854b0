"""How a daemon is known, and how it knows who asks: TLS, and the token."""

from __future__ import annotations

import os
from typing import Any, Callable, Optional, Union

from .address import Address
from .errors import ValidationError

VARIABLE = "HATCHERY_TOKEN"
Certificate = Union[str, "os.PathLike[str]", tuple]


class Security:
    """`ca` is a file with the authorities that a daemon's certificate is checked against, instead of the system's; `cert` a file with the certificate
    and the key to show, or both files; either may be an `ssl.SSLContext` in `ca` instead."""

    def __init__(self, token: Optional[str] = None, ca: Any = None, cert: Optional[Certificate] = None):
        self._is_ours = bool(token)  # And not that of the environment, which may be for another daemon.
        self._token = _checked(token or os.environ.get(VARIABLE) or "")
        self._ca = ca
        self._cert = cert
        self._context: Any = None

    def headers(self, address: Address) -> tuple[tuple[str, str], ...]:
        """What tells that daemon who asks. At a socket a token that is not known would shut out whom it knows."""
        is_shown = self._token and (self._is_ours or not address.path)
        return (("Authorization", f"Bearer {self._token}"),) if is_shown else ()

    def context(self, address: Address) -> Any:
        """How to speak TLS there; None where that is not spoken. What was to be TLS is not tried without. Raises `ValidationError`.

        Made when there is a first daemon with TLS: importing `ssl` takes its time.
        """
        if not address.is_secure:
            if not address.path and (self._ca is not None or self._cert is not None):
                raise ValidationError(f"ca and cert are for TLS, which is not spoken with {address}: say https://")
            return None
        if self._context is None:
            self._context = self._made()
        return self._context

    def _made(self) -> Any:
        import ssl

        if isinstance(self._ca, ssl.SSLContext):
            return self._ca
        context = _read("ca", self._ca, lambda: ssl.create_default_context(cafile=self._ca))
        context.set_alpn_protocols(["http/1.1"])
        if self._cert is not None:
            files = self._cert if isinstance(self._cert, tuple) else (self._cert,)
            _read("cert", self._cert, lambda: context.load_cert_chain(*files))
        return context


def _read(name: str, files: Any, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except (OSError, ValueError, TypeError) as why:
        found = getattr(why, "strerror", None) or str(why)
        raise ValidationError(f"read the certificates of the client: {name}={files!r}: {found}") from None


def _checked(token: Any) -> str:
    if not isinstance(token, str) or not token.isascii() or any(letter.isspace() or not letter.isprintable() for letter in token):
        raise ValidationError("token: expected what `hatchery token new` has printed, without spaces and line ends")
    return token
