"""Certificate: what STARTTLS is offered with, read anew whenever its files change."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

log = logging.getLogger("mailveil.smtp")

Stamp = tuple[tuple[int, int, int], ...]


class CertificateError(ValueError):
    """Certificate or key cannot be used; the text names the file and what to do."""


class Certificate:
    """A certificate with its chain and its key, as PEM files.

    Whoever renews them (certbot) only has to replace the files. While they cannot be used, as between the
    replacement of the one and that of the other, what was read before stays in force.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self.certificate = certificate
        self.key = key
        self._context: ssl.SSLContext | None = None
        self._stamp: Stamp = ()

    def context(self) -> ssl.SSLContext:
        """Return what TLS is made with. Raises ``CertificateError`` if nothing could ever be read."""
        try:
            stamp = self._look()
        except OSError as error:
            if self._context is not None:
                return self._context
            raise CertificateError(_cannot_read(error)) from error
        if self._context is None or stamp != self._stamp:
            self._renew(stamp)
        assert self._context is not None
        return self._context

    def reload(self) -> None:
        """Read the files anew, changed or not."""
        self._stamp = ()
        self.context()

    def _renew(self, stamp: Stamp) -> None:
        try:
            context = self._read()
        except CertificateError as error:
            if self._context is None:
                raise
            if self._stamp != stamp:
                log.error("the certificate that was read before stays in force: %s", error)
        else:
            if self._context is not None:
                log.info("read the certificate in %s anew", self.certificate)
            self._context = context
        self._stamp = stamp

    def _look(self) -> Stamp:
        """Return what changes whenever a file does."""
        seen = (path.stat() for path in dict.fromkeys((self.certificate, self.key)))
        return tuple((each.st_ino, each.st_mtime_ns, each.st_size) for each in seen)

    def _read(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            for path in (self.certificate, self.key):
                path.open("rb").close()  # OpenSSL does not say which of the two it cannot read
            context.load_cert_chain(self.certificate, self.key, password=_no_password)
        except ssl.SSLError as error:
            reason = (error.reason or str(error)).replace("_", " ").lower()
            raise CertificateError(
                f"tls_certificate = {self.certificate} and tls_key = {self.key} do not make a pair of PEM files "
                f"without a password ({reason})"
            ) from error
        except OSError as error:
            raise CertificateError(_cannot_read(error)) from error
        except ValueError as error:
            raise CertificateError(f"tls_key = {self.key}: {error}") from error
        return context


def _cannot_read(error: OSError) -> str:
    return (
        f"{error.filename}: {error.strerror}; tls_certificate and tls_key have to be readable for the user that "
        "mailveil runs as"
    )


def _no_password() -> str:
    raise ValueError("is protected by a password, which nobody could type at start-up; remove it")
