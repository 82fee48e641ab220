"""The gate in front of the dispatcher: which check a request's signature gets.

Until credentials are configured any are accepted, but a request must carry some, as it must for the service;
from then on every signature is verified.
"""

from __future__ import annotations

from collections.abc import Mapping

from hashrange.runtime.clock import Clock
from hashrange_router.api.dispatch import Authenticate
from hashrange_router.auth import Secret, Verifier, check_presence
from hashrange_router.http.request import Request


def authenticator(secrets: Mapping[str, str], region: str, strict_region: bool, clock: Clock) -> Authenticate:
    """The check for every API call; it raises the service's ApiError. `secrets`: access key to secret."""
    if not secrets:

        def present(request: Request, service: str = "dynamodb") -> None:
            check_presence(request)

        return present
    credentials = {access_key: Secret(secret) for access_key, secret in secrets.items()}
    verifier = Verifier(credentials, region, lambda: clock.wall_ms() / 1000, strict_region=strict_region)

    def verify(request: Request, service: str = "dynamodb") -> None:
        verifier.verify(request, service)

    return verify
