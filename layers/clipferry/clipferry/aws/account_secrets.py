"""Vendor credentials from Secrets Manager: `{SecretPrefix}/{account}`, a JSON object (see the README, "Accounts").

Powertools' Parameters utility caches them for a few minutes. After a vendor refused them they are read once more. A
secret's value leaves this module only inside an `Account`, whose repr does not show it.
"""

from __future__ import annotations

import json

from botocore.exceptions import ClientError

from clipferry.outbound.file_headers import problem_with
from clipferry.pacing.call_rates import rate_for
from clipferry.settings import settings
from clipferry.vendors import vendor_class
from clipferry.vendors.contract import Account

CACHE_SECONDS = 300
CONNECTIONS_MAX = 64  # as the template's parameter allows
IN_FLIGHT_MAX = 10_000  # a higher limit would have no effect in practice
_KEY_REFUSED = "KMS AccessDeniedException"
#: GetSecretValue's errors that come again at each repetition, and what the message says about the secret.
_UNREADABLE = {
    "ResourceNotFoundException": "does not exist",
    "InvalidRequestException": "is marked for deletion, or has no value yet",
    "AccessDeniedException": "cannot be read: the functions' roles or the secret's own policy do not allow it",
    "DecryptionFailure": "cannot be decrypted: its KMS key is disabled or deleted, or refuses the functions",
    _KEY_REFUSED: "cannot be decrypted: the functions' roles or its KMS key's own policy do not allow kms:Decrypt",
}
_OBJECTS = frozenset({"rate", "download_headers"})  # the only keys whose values are objects
_WHOLE = {"connections": CONNECTIONS_MAX, "max_in_flight": IN_FLIGHT_MAX}


class AccountError(Exception):
    """The account cannot be used. `code` is the job's error code; the message names the secret, never its value."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def load_account(name: str, vendor: str, *, fresh: bool = False) -> Account:
    """The credentials of an account of this vendor.

    Raises AccountError: ACCOUNT_MISSING (no such secret, or no permission to read it), ACCOUNT_UNREADABLE (its KMS key
    does not decrypt it), ACCOUNT_MALFORMED (not a JSON object of strings, a required key is absent, a limit or header
    is invalid, or it belongs to another vendor).
    """
    from aws_lambda_powertools.utilities import parameters  # imported here, because it makes a cold start slower

    secret_id = f"{settings().secret_prefix}/{name}"
    try:
        text = parameters.get_secret(secret_id, max_age=CACHE_SECONDS, force_fetch=fresh)
    except parameters.exceptions.GetParameterError as error:
        cause = error.__cause__ or error.__context__
        if isinstance(cause, ClientError) and (final := _unreadable(secret_id, cause)):
            raise final from None
        raise
    try:
        return _parse(name, vendor, secret_id, text)
    except AccountError:
        if fresh:
            raise
        return load_account(name, vendor, fresh=True)  # the secret may have been corrected since it was cached


def _unreadable(secret_id: str, error: ClientError) -> AccountError | None:
    """The error for a secret that cannot be read; None: a later call may succeed.

    Secrets Manager also answers AccessDeniedException when KMS refuses. Only the message differs: "Access to KMS is not
    allowed".
    """
    name, said = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    if name == "AccessDeniedException" and "kms" in said.lower():
        name = _KEY_REFUSED
    if name not in _UNREADABLE:
        return None
    code = "ACCOUNT_UNREADABLE" if name in ("DecryptionFailure", _KEY_REFUSED) else "ACCOUNT_MISSING"
    return AccountError(code, f"the secret {secret_id} {_UNREADABLE[name]}")


def _parse(name: str, vendor: str, secret_id: str, text: str | bytes) -> Account:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise AccountError("ACCOUNT_MALFORMED", f"the secret {secret_id} is not a JSON object")
    if value.get("vendor", vendor) != vendor:
        raise AccountError("ACCOUNT_MALFORMED", f"the secret {secret_id} is not an account of {vendor}")
    missing = [key for key in vendor_class(vendor).secret_keys if not isinstance(value.get(key), str) or not value[key]]
    if missing:
        raise AccountError("ACCOUNT_MALFORMED", f"the secret {secret_id} lacks {', '.join(missing)}")
    for key, most in _WHOLE.items():
        if not _is_limit(value.get(key), most):
            problem = f"{key} in the secret {secret_id} is not a whole number from 1 to {most}"
            raise AccountError("ACCOUNT_MALFORMED", problem)
    if not _is_rate(vendor, value.get("rate")):
        problem = f'rate in the secret {secret_id} is not {{"calls": <whole number>, "per": <seconds>}}'
        raise AccountError("ACCOUNT_MALFORMED", problem)
    headers = value.get("download_headers") or {}
    if header_problem := problem_with(headers):
        raise AccountError("ACCOUNT_MALFORMED", f"download_headers in the secret {secret_id} {header_problem}")
    strings = {key: str(item) for key, item in value.items() if item is not None and key not in _OBJECTS}
    return Account(name, strings, value.get("rate"), headers)


def _is_limit(given: object, most: int) -> bool:
    """Whether the value is absent, or a number (also as a string) from 1 to `most`."""
    if given is None:
        return True
    text = str(given)
    return text.isascii() and text.isdecimal() and len(text) <= len(str(most)) and 1 <= int(text) <= most


def _is_rate(vendor: str, given: object) -> bool:
    """Whether the value is absent, or a valid rate of calls."""
    if given is None:
        return True
    if not isinstance(given, dict) or not given or set(given) - {"calls", "per", "pushback"}:
        return False
    try:
        rate_for(vendor_class(vendor).rates, override=given)
    except (ValueError, OverflowError):
        return False
    return True
