"""The TLS context of a pool: the trusted CAs, and the client certificate."""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence
from typing import Any, cast

from hotspare.errors import ConfigError, Problem

Certificate = str | tuple[str, str] | tuple[str, str, str]
"""A PEM file with certificate and key; or certificate, key, and the key's password."""


def check_tls(verify: Any, cert: Any) -> None:
    """Raises ConfigError for values of another type, and for files that do not exist."""
    if not isinstance(verify, bool | str | ssl.SSLContext):
        raise ConfigError(Problem.at("verify", verify, "must be true, false, a CA bundle's path, or an ssl.SSLContext"))
    if isinstance(verify, str) and not os.path.exists(verify):
        raise ConfigError(Problem.at("verify", verify, "does not exist: name a CA bundle, or leave it out"))
    given = cast("Sequence[object]", cert) if isinstance(cert, tuple | list) else () if cert is None else (cert,)
    files = [one for one in given if isinstance(one, str)]
    if len(files) < len(given) or len(files) > 3:
        hint = "must be the path of a PEM file, or (certificate, key), or (certificate, key, password), each a string"
        raise ConfigError(Problem(f"cert: {hint}"))
    for path in files[:2]:
        if not os.path.exists(path):
            raise ConfigError(Problem.at("cert", path, "does not exist: name the client certificate's PEM file"))


def tls_context(verify: Any, cert: Certificate | None) -> ssl.SSLContext:
    """The context for these settings.

    `verify` True trusts the file or directory that SSL_CERT_FILE or SSL_CERT_DIR names, else certifi's bundle. Raises
    ConfigError for a bundle or certificate that cannot be read.
    """
    if isinstance(verify, ssl.SSLContext):
        return verify
    try:
        context = _trusting(verify)
    except OSError as error:  # ssl.SSLError too
        hint = f"cannot be loaded ({error}): name a CA bundle in PEM format"
        raise ConfigError(Problem.at("verify", verify, hint)) from None
    if cert is not None:
        files = (cert,) if isinstance(cert, str) else cert
        try:
            context.load_cert_chain(*files)
        except OSError as error:
            hint = f"cannot be loaded ({error}): name a PEM file with the certificate and its key"
            raise ConfigError(Problem.at("cert", files[0], hint)) from None
    context.set_alpn_protocols(["http/1.1"])
    return context


def _trusting(verify: Any) -> ssl.SSLContext:
    if isinstance(verify, str):
        is_directory = os.path.isdir(verify)
        return ssl.create_default_context(
            cafile=None if is_directory else verify, capath=verify if is_directory else None
        )
    if not verify:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    file, directory = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if not file and not directory:
        import certifi

        file = certifi.where()
    return ssl.create_default_context(cafile=file or None, capath=directory or None)
