"""The functions' environment, typed and read once. The template sets each variable; only this module reads it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache

#: Seconds that one attempt of a call to AWS waits. Every call but a transfer's is small, and API Gateway gives up
#: after 29 s.
CONNECT_MAX, READ_MAX = 2, 3
#: Objects of these have to be restored before they can be read: no link would work, and no copy could be checked.
ARCHIVE_CLASSES = frozenset({"GLACIER", "DEEP_ARCHIVE"})


class BadSetting(ValueError):
    """A variable of the environment that no function can work with."""


@dataclass(frozen=True)
class Settings:
    table_name: str
    bucket_name: str
    secret_prefix: str
    state_machine_arn: str
    batch_machine_arn: str
    event_bus_name: str
    download_hosts: tuple[str, ...]  # host suffixes allowed besides each vendor's own
    allow_private_network: bool
    minimum_evidence: str
    connections: int
    storage_class: str
    kms_key_id: str
    bucket_owner: str
    retention_days: int
    account_grace: int  # seconds
    schedule_group: str  # of EventBridge Scheduler, as the next three
    schedule_target_arn: str
    schedule_role_arn: str
    dead_letters_arn: str
    call_attempts: int  # of a call to AWS; 0 means the SDK's default


@cache
def settings() -> Settings:
    """Raises BadSetting."""
    env = os.environ
    return Settings(
        table_name=env.get("TABLE_NAME", ""),
        bucket_name=env.get("BUCKET_NAME", ""),
        secret_prefix=env.get("SECRET_PREFIX", ""),
        state_machine_arn=env.get("STATE_MACHINE_ARN", ""),
        batch_machine_arn=env.get("BATCH_MACHINE_ARN", ""),
        event_bus_name=env.get("EVENT_BUS_NAME", ""),
        download_hosts=tuple(h.strip().lower() for h in env.get("DOWNLOAD_HOSTS", "").split(",") if h.strip()),
        allow_private_network=env.get("ALLOW_PRIVATE_NETWORK", "false") == "true",
        minimum_evidence=env.get("MINIMUM_EVIDENCE", "content-length"),
        connections=int(env.get("CONNECTIONS", "16")),
        storage_class=_readable_class(env.get("STORAGE_CLASS", "")),
        kms_key_id=env.get("KMS_KEY_ID", ""),
        bucket_owner=env.get("BUCKET_OWNER", ""),
        retention_days=int(env.get("JOB_RETENTION_DAYS", "90")),
        account_grace=int(env.get("ACCOUNT_GRACE_SECONDS", "3600")),
        schedule_group=env.get("SCHEDULE_GROUP", ""),
        schedule_target_arn=env.get("SCHEDULE_TARGET_ARN", ""),
        schedule_role_arn=env.get("SCHEDULE_ROLE_ARN", ""),
        dead_letters_arn=env.get("DEAD_LETTERS_ARN", ""),
        call_attempts=int(env.get("CALL_ATTEMPTS", "0")),
    )


def _readable_class(name: str) -> str:
    if name in ARCHIVE_CLASSES:
        raise BadSetting(
            f"StorageClass {name}: its objects cannot be read without a restore, so that no copy can be checked and no "
            "link works. Use GLACIER_IR, or a lifecycle rule on the bucket that moves the videos later"
        )
    return name
