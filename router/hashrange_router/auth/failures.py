"""What a client is told when its authentication fails, in the service's words.

Sources: AWS General Reference, "Troubleshooting Signature Version 4"; observed behaviour of the real service.
Where the service has stopped repeating what the client sent (region, header text), the newer wording is used.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

from hashrange.errors import CORAL, ApiError

INVALID_TOKEN = "The security token included in the request is invalid"

SIGNATURE_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. "
    "Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
)


def missing_token() -> ApiError:
    """Neither an Authorization header of this family nor signature parameters in the query."""
    return ApiError(
        "MissingAuthenticationTokenException", "Request is missing Authentication Token", namespace=CORAL
    )


def incomplete(message: str) -> ApiError:
    """IncompleteSignatureException: parts of the signature are missing or malformed."""
    return ApiError("IncompleteSignatureException", message, namespace=CORAL)


def invalid_signature(message: str = SIGNATURE_MISMATCH) -> ApiError:
    """InvalidSignatureException: the signature is complete but does not hold."""
    return ApiError("InvalidSignatureException", message, namespace=CORAL)


def both_forms() -> ApiError:
    """A header and query parameters both claim to sign the request."""
    return invalid_signature(
        "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."
    )


def not_a_pair(authorization: str) -> ApiError:
    """A part of the Authorization header is no `key=value`. The header itself is not repeated, only its
    hash."""
    digest = b64encode(sha256(authorization.encode("latin-1")).digest()).decode()
    return incomplete(
        "Invalid key=value pair (missing equal-sign) in Authorization header "
        f"(hashed with SHA-256 and encoded with Base64): '{digest}'."
    )


def unknown_access_key() -> ApiError:
    """No such access key, or temporary credentials without their session token."""
    return ApiError("UnrecognizedClientException", INVALID_TOKEN + ".", namespace=CORAL)


def wrong_session_token() -> ApiError:
    """A session token that does not belong to the access key. (No full stop: observed behaviour.)"""
    return ApiError("UnrecognizedClientException", INVALID_TOKEN, namespace=CORAL)
