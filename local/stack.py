"""The real stack on the embedded AWS: built and deployed with the SAM CLI, then called like any deployed stack.

This module sets, with API calls, what the emulator ignores in a template. The functions do not know where they run.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from samcli.yamlhelper import parse_yaml_file

from local.emulator import REGION, ROOT, Emulator
from local.patience import Patience

WORK = ROOT / ".local-aws"  # build cache of this checkout; the files of one run are in the emulator's own folder
BUILD = WORK / "build"
TERMINAL = frozenset({"SUCCEEDED", "PARTIAL", "FAILED", "TIMED_OUT", "CANCELLED"})


class DeployFailed(Exception):
    """The SAM CLI did not succeed; the message is its output."""


class CallRefused(Exception):
    """The API refused a call. `status` is the HTTP status, `problem` the parsed body."""

    def __init__(self, response: requests.Response) -> None:
        super().__init__(f"{response.status_code}: {response.text[:2000]}")
        self.status = response.status_code
        try:
            self.problem: dict[str, Any] = response.json()
        except ValueError:
            self.problem = {}


@dataclass(frozen=True)
class Caller:
    """Somebody with an access key; signs calls to the API with SigV4."""

    access_key_id: str
    secret_access_key: str

    def call(
        self,
        method: str,
        url: str,
        *,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> requests.Response:
        """One signed call; `body` is sent as JSON, or as it is when it is text."""
        target = f"{url}?{urlencode(params, quote_via=quote)}" if params else url
        data = "" if body is None else body if isinstance(body, str) else json.dumps(body)
        request = AWSRequest(method, target, data=data, headers={"content-type": "application/json", **(headers or {})})
        SigV4Auth(Credentials(self.access_key_id, self.secret_access_key), "execute-api", REGION).add_auth(request)
        with requests.Session() as session:
            session.trust_env = False  # no proxy for calls to this machine
            return session.request(method, target, data=data.encode(), headers=dict(request.headers), timeout=120)


class Stack:
    """A deployed stack: its outputs, and a small client of its API."""

    def __init__(self, emulator: Emulator, name: str, outputs: Mapping[str, str], url: str, caller: Caller) -> None:
        self.emulator = emulator
        self.name = name
        self.outputs = dict(outputs)
        self.url = url
        self.caller = caller

    def client(self, service: str, **options: Any) -> Any:
        """A boto3 client with root keys, to read data without the API."""
        return self.emulator.client(service, **options)

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        """One signed call of the API, and its answer, also an error; see Caller.call."""
        return self.caller.call(method, self.url + path, **options)

    def submit(self, body: Mapping[str, Any], *, key: str | None = None) -> dict[str, Any]:
        """A new job. Raises CallRefused."""
        return self._expect(self.call("POST", "/jobs", body=body, headers={"Idempotency-Key": key} if key else None))

    def job(self, job_id: str) -> dict[str, Any]:
        return self._expect(self.call("GET", f"/jobs/{job_id}"))

    def cancel(self, job_id: str) -> dict[str, Any]:
        return self._expect(self.call("POST", f"/jobs/{job_id}/cancel"))

    def retry(self, job_id: str) -> dict[str, Any]:
        return self._expect(self.call("POST", f"/jobs/{job_id}/retry"))

    def wait(
        self,
        job_id: str,
        *,
        timeout: float = 120,
        until: Callable[[dict[str, Any]], bool] | None = None,
        every: float = 0.25,
    ) -> dict[str, Any]:
        """Wait until the job has ended, or until `until` is true for it. Raises TimeoutError, which shows the job."""
        patience = Patience(timeout)
        while True:
            job = self.job(job_id)
            if until(job) if until else job["status"] in TERMINAL:
                return job
            if patience.over:
                raise TimeoutError(f"after {timeout} s: {json.dumps(job)}")
            time.sleep(every)

    def invoke(self, function: str, event: Any) -> Any:
        """Call a function directly by its short name, such as "schedule".

        If the function raised an exception, raises RuntimeError with the end of its log.
        """
        reply = self.client("lambda").invoke(
            FunctionName=f"{self.name}-{function}", Payload=json.dumps(event), LogType="Tail"
        )
        payload = json.loads(reply["Payload"].read() or b"null")
        if reply.get("FunctionError"):
            log = base64.b64decode(reply.get("LogResult", "")).decode(errors="replace")
            raise RuntimeError(f"{function}: {payload}\n{log}")
        return payload

    def add_account(self, name: str, secret: Mapping[str, Any] | str) -> None:
        """Create the account's secret, or replace it."""
        text = secret if isinstance(secret, str) else json.dumps(secret)
        secrets, secret_id = self.client("secretsmanager"), f"{self.outputs['SecretPrefix']}/{name}"
        try:
            secrets.create_secret(Name=secret_id, SecretString=text)
        except secrets.exceptions.ResourceExistsException:
            secrets.put_secret_value(SecretId=secret_id, SecretString=text)

    def stored(self, s3_uri: str) -> bytes:
        """The bytes of a stored object."""
        bucket, _, key = s3_uri.removeprefix("s3://").partition("/")
        return bytes(self.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())

    def new_caller(self, user: str, *, allowed: bool = True) -> Caller:
        """A new IAM user with a key. `allowed`: it may call this API; otherwise it may do nothing."""
        iam = self.client("iam")
        iam.create_user(UserName=user)
        if allowed:
            api = self.url.rsplit("/", 2)[1]
            statement = {
                "Effect": "Allow",
                "Action": "execute-api:Invoke",
                "Resource": f"arn:aws:execute-api:{REGION}:*:{api}/*",
            }
            policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            iam.put_user_policy(UserName=user, PolicyName="call-the-api", PolicyDocument=policy)
        key = iam.create_access_key(UserName=user)["AccessKey"]
        return Caller(key["AccessKeyId"], key["SecretAccessKey"])

    def _expect(self, response: requests.Response) -> dict[str, Any]:
        if not response.ok:
            raise CallRefused(response)
        return dict(response.json())


def build() -> Path:
    """Build this checkout. Returns the folder that has a folder for each function and layer. Raises DeployFailed."""
    with _sole_builder():
        _build(ROOT / "template.yaml", _overrides())
    return BUILD


def deploy(
    emulator: Emulator, *, name: str | None = None, template: Path = ROOT / "template.yaml", **parameters: str
) -> Stack:
    """Build this checkout and deploy it. `parameters` override those that samconfig.toml has for `local`.

    A second deploy of the same name is an update. Raises DeployFailed.
    """
    config = _local_config()
    name = name or config["stack_name"]
    overrides = _overrides(**parameters)
    with _sole_builder():
        _build(template, overrides)
        _sam(
            "deploy",
            "--config-file",
            str(ROOT / "samconfig.toml"),
            "--config-env",
            "local",
            "--template-file",
            str(BUILD / "template.yaml"),
            "--stack-name",
            name,
            "--parameter-overrides",
            *overrides,
            environment=emulator.environment(),
        )
        built = parse_yaml_file(str(BUILD / "template.yaml"))
    resources, outputs = _resources(emulator, name), _outputs(emulator, name)
    _apply_what_the_emulator_drops(emulator, built["Resources"], resources)
    for role in ("ApiFunctionRole", "ScheduleFunctionRole"):
        _name_schedules_as_the_emulator_does(emulator, resources[role])
    url = f"{emulator.url}/_aws/execute-api/{resources['Api']}/{outputs['ApiUrl'].rsplit('/', 1)[1]}"
    stack = Stack(emulator, name, outputs, url, Caller("", ""))
    stack.caller = stack.new_caller(f"{name}-{time.time_ns()}")
    return stack


@contextlib.contextmanager
def _sole_builder() -> Iterator[None]:
    """Only one build at a time in one checkout, because two test runs share its cache."""
    WORK.mkdir(exist_ok=True)
    with (WORK / "build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _local_config() -> dict[str, Any]:
    return dict(tomllib.loads((ROOT / "samconfig.toml").read_text())["local"]["deploy"]["parameters"])


def _overrides(**parameters: str) -> list[str]:
    """The parameters of the local deployment, overridden by `parameters`, in the form of the SAM CLI."""
    runtime = f"python{sys.version_info.major}.{sys.version_info.minor}"  # the emulator runs handlers on its own Python
    given = dict(override.split("=", 1) for override in _local_config()["parameter_overrides"])
    return [f"{key}={value}" for key, value in {**given, "PythonRuntime": runtime, **parameters}.items()]


def _build(template: Path, overrides: list[str]) -> None:
    _sam(
        "build",
        "--cached",
        "--cache-dir",
        str(WORK / "cache"),
        "--build-dir",
        str(BUILD),
        "--template-file",
        str(template),
        "--parameter-overrides",
        *overrides,
        environment={"AWS_DEFAULT_REGION": REGION},
    )


def _sam(command: str, *arguments: str, environment: Mapping[str, str]) -> None:
    """Run the SAM CLI with the AWS settings in `environment`, and no others. Raises DeployFailed."""
    mine = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    everything = {
        **mine,
        **environment,
        "SAM_CLI_TELEMETRY": "0",
        "PYTHON": sys.executable,
        "RUNTIMES": f"{sys.version_info.major}.{sys.version_info.minor}",  # a layer only for the Python of the emulator
        "RUNTIME": "",  # and byte code for no other
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    sam = [sys.executable, "-m", "samcli", command, *arguments]
    done = subprocess.run(sam, cwd=ROOT, env=everything, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise DeployFailed(f"sam {command} ended with {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")


def _resources(emulator: Emulator, name: str) -> dict[str, str]:
    """Physical id by logical id."""
    pages = emulator.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=name)
    return {r["LogicalResourceId"]: r["PhysicalResourceId"] for page in pages for r in page["StackResourceSummaries"]}


def _outputs(emulator: Emulator, name: str) -> dict[str, str]:
    (stack,) = emulator.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def _apply_what_the_emulator_drops(emulator: Emulator, template: Mapping[str, Any], ids: Mapping[str, str]) -> None:
    """Set time to live, recovery, encryption and lifecycle as the built template has them."""
    table, bucket = template["Table"]["Properties"], template["Bucket"]["Properties"]
    dynamodb, s3 = emulator.client("dynamodb"), emulator.client("s3")
    described = dynamodb.describe_time_to_live(TableName=ids["Table"])["TimeToLiveDescription"]
    if described["TimeToLiveStatus"] == "DISABLED":
        dynamodb.update_time_to_live(TableName=ids["Table"], TimeToLiveSpecification=table["TimeToLiveSpecification"])
    dynamodb.update_continuous_backups(
        TableName=ids["Table"], PointInTimeRecoverySpecification=table["PointInTimeRecoverySpecification"]
    )
    s3.put_bucket_encryption(
        Bucket=ids["Bucket"],
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
        },
    )
    rules = [_lifecycle_rule(rule) for rule in bucket["LifecycleConfiguration"]["Rules"]]
    s3.put_bucket_lifecycle_configuration(Bucket=ids["Bucket"], LifecycleConfiguration={"Rules": rules})


def _name_schedules_as_the_emulator_does(emulator: Emulator, role: str) -> None:
    """Change the policies: the emulator checks each schedule in the group "default", and a list without a resource."""
    iam = emulator.client("iam")
    for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
        for statement in document["Statement"]:
            match statement.get("Sid"):
                case "KeepSchedules" | "CheckFirings":
                    statement["Resource"] = re.sub(r":schedule/[^/]+/", ":schedule/default/", statement["Resource"])
                case "ListSchedules":
                    statement["Resource"] = "*"
        iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(document))


def _lifecycle_rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    """A lifecycle rule with the field names of S3, which differ from those of CloudFormation."""
    said = {"Id": "ID", "ExpirationInDays": "Expiration"}
    named = {said.get(key, key): value for key, value in rule.items() if key != "Prefix"}
    if "Expiration" in named:
        named["Expiration"] = {"Days": named["Expiration"]}
    return {**named, "Filter": {"Prefix": rule.get("Prefix", "")}}
