"""TLS for the listener: version 1.2 or later, HTTP/1.1, the certificate and its key from PEM files."""

from __future__ import annotations

import ssl
from pathlib import Path

from simple_log_service.server.files import OperatorError


class TlsError(OperatorError):
    """The certificate or its key cannot be used; the message says which file and why."""


def server_context(certificate: Path, private_key: Path) -> ssl.SSLContext:
    """The context to listen with. ``certificate`` holds the whole chain, the server's own certificate first.

    Raises ``TlsError`` where a file cannot be read, is no PEM, is encrypted, or where the two do not belong together.
    """
    for path in (certificate, private_key):
        try:
            path.open("rb").close()
        except OSError as error:
            raise TlsError(f"cannot read {path}: {error.strerror}") from error

    def refuse_to_ask() -> str:
        # OpenSSL would otherwise ask for a pass phrase on the terminal, or hang where there is none.
        raise TlsError(f"{private_key} is encrypted; give the server a key without a pass phrase, readable by it alone")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, private_key, password=refuse_to_ask)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsError(f"the key in {private_key} does not belong to the certificate in {certificate}") from error
        raise TlsError(f"{certificate} and {private_key} are not a PEM certificate chain and its key") from error
    return context
