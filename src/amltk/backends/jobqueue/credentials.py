"""Who may talk to the scheduler: certificates and keys, as this program and as jobs need them.

This module imports distributed, so it is imported only where a job is written.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from distributed import Security

from amltk.backends.base import needs
from amltk.backends.dask import Credentials

__all__ = ["credentials", "for_jobs", "protocol_for"]


def credentials(wanted: bool | Credentials) -> Security | None:
    """What this program encrypts and identifies itself with; `None` if it does not.

    Raises:
        BackendNotInstalledError: If certificates have to be made, and `cryptography` is missing.
        TypeError: If somebody's own credentials are none that dask can use.
    """
    if wanted is False:
        return None
    if isinstance(wanted, Security):
        return wanted
    if wanted is not True:
        raise TypeError(f"`security={wanted!r}` has to be a bool or a `distributed.Security`.")
    with needs("cryptography", extra="jobqueue"):
        import_module("cryptography")
    return Security.temporary()


def for_jobs(security: Security | None, write: Callable[[str, str], str]) -> Security | None:
    """The same for jobs: they are told paths, and find what they need there.

    Args:
        security: What this program has.
        write: Writes a file of a given name and returns its path; called for what is no path yet.
    """
    if security is None:
        return None
    of_worker = security.get_tls_config_for_role("worker")
    paths = {
        name: as_path(name, value, write)
        for name in ("ca_file", "cert", "key")
        if (value := of_worker[name]) is not None
    }
    return Security(
        require_encryption=True,
        tls_ca_file=paths.get("ca_file"),
        tls_worker_cert=paths.get("cert"),
        tls_worker_key=paths.get("key"),
    )


def as_path(name: str, value: str, write: Callable[[str, str], str]) -> str:
    return write(f"{name}.pem", value) if "\n" in value else value


def protocol_for(protocol: str | None, security: Security | None) -> str:
    """How to talk."""
    return protocol or ("tcp://" if security is None else "tls://")
