"""Signature verification: AWS Signature Version 4, as the service checks it.

`check_presence(request)` is what runs while no credentials are configured: any signature is accepted, but a
missing or incomplete one gets the service's answer. `Verifier(credentials, region, clock).verify(request)`
checks everything.
"""

from __future__ import annotations

from .authorization import SignedRequest, check_presence
from .sigv4 import Secret, Verifier

__all__ = ["Secret", "SignedRequest", "Verifier", "check_presence"]
