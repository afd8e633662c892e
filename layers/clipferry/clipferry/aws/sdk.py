"""The AWS SDK: the oldest version that works, and how long the API waits for AWS. The Lambda runtime brings the SDK."""

from __future__ import annotations

from typing import Any

import botocore

from clipferry.settings import CONNECT_MAX, READ_MAX, settings

#: botocore 1.36.0 is the first to know CRC-64/NVME and an upload's whole size (MpuObjectSize of
#: CompleteMultipartUpload), and the first whose clients take `request_checksum_calculation`.
SDK_FLOOR = (1, 36, 0)

API_ATTEMPTS = 3  # CALL_ATTEMPTS of the function api in the template; the others have botocore's default
TABLE_ATTEMPTS = 4  # PynamoDB's default
AWS_CALL_MAX = (CONNECT_MAX + READ_MAX) * max(API_ATTEMPTS, TABLE_ATTEMPTS)  # seconds, pauses between attempts aside


class SdkTooOld(ImportError):
    """The runtime's SDK lacks what every download needs."""


def check_sdk(version: str = botocore.__version__) -> None:
    """Raises SdkTooOld for a version of botocore below SDK_FLOOR. One that cannot be read is not refused."""
    numbers = version.split(".")[: len(SDK_FLOOR)]
    if all(number.isdecimal() for number in numbers) and tuple(map(int, numbers)) < SDK_FLOOR:
        floor = ".".join(map(str, SDK_FLOOR))
        raise SdkTooOld(
            f"botocore {version} is too old: clipferry needs {floor} or later. Let Lambda update the runtime "
            "(runtime management: automatic), or put a later boto3 into layers/dependencies/requirements.txt"
        )


def link_options() -> dict[str, Any]:
    """What a client's Config has to say, so that the links it signs carry the bucket's host in its own region.

    Otherwise botocore signs links for the global host, which answers 400 in regions opened since 2019 and redirects in
    others while a bucket is new (docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html). An endpoint that
    is an IP address keeps the bucket in the path.
    """
    return {
        "signature_version": "s3v4",
        "s3": {"addressing_style": "virtual", "us_east_1_regional_endpoint": "regional"},
    }


def client_options() -> dict[str, Any]:
    """What the Config of every client says but a transfer's: AWS_CALL_MAX bounds its calls in the function api."""
    attempts = settings().call_attempts
    retries = {"retries": {"total_max_attempts": attempts, "mode": "standard"}} if attempts else {}
    return {"connect_timeout": CONNECT_MAX, "read_timeout": READ_MAX, **retries}
