"""The AWS SDK: what is too old, where links lead, and how long a call may take."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from clipferry.aws.sdk import AWS_CALL_MAX, SdkTooOld, check_sdk, client_options, link_options
from clipferry.steps.conclusion import TIME_FOR_A_DUTY

LAYER = Path(__file__).resolve().parents[3] / "layers" / "clipferry"


def signed_host(region: str, bucket: str = "videos", endpoint: str | None = None) -> str:
    client = boto3.client(
        "s3",
        region_name=region,
        endpoint_url=endpoint,
        config=Config(**link_options(), **client_options()),
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    )
    url = urlsplit(client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a.mp4"}))
    return url.netloc + url.path


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("eu-south-1", "s3.eu-south-1.amazonaws.com"),
        ("eu-west-1", "s3.eu-west-1.amazonaws.com"),
        ("us-east-1", "s3.us-east-1.amazonaws.com"),
        ("us-gov-west-1", "s3.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "s3.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_a_link_leads_to_the_bucket_in_its_own_region(monkeypatch: pytest.MonkeyPatch, region: str, host: str) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    assert signed_host(region) == f"videos.{host}/a.mp4"


def test_a_link_to_a_bucket_whose_name_has_dots_keeps_a_host_that_tls_can_prove(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    assert signed_host("eu-south-1", "team.videos") == "s3.eu-south-1.amazonaws.com/team.videos/a.mp4"


def test_a_link_to_an_emulator_keeps_the_bucket_in_the_path() -> None:
    assert signed_host("us-east-1", endpoint="http://127.0.0.1:4566") == "127.0.0.1:4566/videos/a.mp4"


@pytest.mark.parametrize("version", ["1.35.99", "1.29.100", "0.9"])
def test_an_sdk_that_is_too_old_is_refused_by_name(version: str) -> None:
    with pytest.raises(SdkTooOld, match=rf"botocore {version} is too old: clipferry needs 1\.36\.0 or later"):
        check_sdk(version)


@pytest.mark.parametrize("version", ["1.36.0", "1.42.3", "2.0.0", "1.36.0.dev1", "unknown"])
def test_an_sdk_that_is_new_enough_is_taken(version: str) -> None:
    check_sdk(version)


def test_a_function_of_a_runtime_with_an_old_sdk_does_not_start() -> None:
    old = f"import sys, botocore; sys.path.insert(0, {str(LAYER)!r}); botocore.__version__ = '1.34.2'"
    script = f"{old}; import clipferry.aws.logs"
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    assert done.returncode != 0
    assert "botocore 1.34.2 is too old" in done.stderr


def test_a_request_that_ends_a_job_is_over_before_api_gateway_gives_it_up() -> None:
    assert AWS_CALL_MAX < TIME_FOR_A_DUTY < 28
