"""Every policy statement of every function is needed: taken away, something a user would miss stops working.

For each statement there is one scenario. It is seen to work first, then the statement is taken out of the function's
role on the running stack, and the same scenario must fail.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests
from samcli.yamlhelper import parse_yaml_file

from local.emulator import ROOT
from local.patience import Patience
from local.simulators.base import Simulator
from local.simulators.linkvisual import LinkVisualSimulator
from local.simulators.polyv import PolyvSimulator
from local.stack import TERMINAL, CallRefused, Stack
from tests.integration.vendors import Vendors

PATIENCE = 30.0  # seconds for what should happen
DENIED = ("AccessDenied", "not authorized", "ManifestContended")  # the last: who may not read it is told of none


@dataclass
class Ground:
    """What a scenario plays on."""

    stack: Stack
    vendor: Vendors
    function: str  # the one under suspicion, by its short name
    withheld: bool = False  # whether it lacks a right, so that a denial is the end of the scenario
    began: float = field(default_factory=time.time)
    jobs: list[str] = field(default_factory=list)

    def submit(self, vendor: str, account: str, request: dict[str, Any], **more: Any) -> dict[str, Any]:
        job = self.stack.submit({"vendor": vendor, "account": account, "request": request, **more})
        self.jobs.append(job["job_id"])
        return job

    def leave(self) -> None:
        """End what still runs: a job that misses a right would be denied in the next scenario too."""
        for job_id in self.jobs:
            if self.stack.job(job_id)["status"] not in TERMINAL:
                with suppress(CallRefused):  # it has ended just now
                    self.stack.cancel(job_id)

    def until(self, holds: Callable[[], bool], patience: float = PATIENCE) -> bool:
        """Whether it comes to hold; given up early when a right is withheld and was missed."""
        left = Patience(patience)
        while not left.over:
            if holds():
                return True
            if self.withheld and (self.denied(self.function) or self._waits_for_account()):
                return False
            time.sleep(0.3)
        return False

    def _waits_for_account(self) -> bool:
        """Whether a job waits because its secret cannot be read: it would wait for longer than anybody here."""
        return any(self.stack.job(job_id)["waits_for"] == "account" for job_id in self.jobs)

    def denied(self, function: str) -> bool:
        page = self.stack.client("logs").filter_log_events(
            logGroupName=f"/aws/lambda/{self.stack.name}-{function}", startTime=int(self.began * 1000)
        )
        return any(word in event["message"] for event in page["events"] for word in DENIED)

    def break_off(self, job: dict[str, Any], simulator: Simulator, md5: str | None = None) -> None:
        """Let the job's download end while it copies, without a word to the row about what it has copied.

        `md5` is what the vendor is made to have said of the file at the start.
        """
        simulator.downloads.rate = 2e6
        self.until(lambda: self.uploads(job) > 0)
        with _without(self.stack, "download", "KeepTheJob"):
            Ground(self.stack, self.vendor, "download").until_denied()
            if md5:
                self._declare(job, md5)
        simulator.downloads.rate = None
        self.began = time.time() + 1  # what was denied until now was meant to be

    def _declare(self, job: dict[str, Any], md5: str) -> None:
        table, key = self.stack.outputs["TableName"], {"pk": {"S": f"JOB#{job['job_id']}"}, "sk": {"S": "FILE#f001"}}
        dynamodb = self.stack.client("dynamodb")
        checkpoint = json.loads(dynamodb.get_item(TableName=table, Key=key)["Item"]["checkpoint"]["S"])
        checkpoint["facts"]["vendor_md5"] = md5
        dynamodb.update_item(
            TableName=table,
            Key=key,
            UpdateExpression="SET checkpoint = :it",
            ExpressionAttributeValues={":it": {"S": json.dumps(checkpoint)}},
        )

    def until_denied(self) -> None:
        left = Patience(PATIENCE)
        while not self.denied(self.function) and not left.over:
            time.sleep(0.3)

    def execution(self, job_id: str, generation: int = 1) -> str | None:
        """The status of an execution, None when it was never started."""
        sfn = self.stack.client("stepfunctions")
        arn = f"{self.stack.outputs['StateMachineArn'].replace(':stateMachine:', ':execution:')}:{job_id}-{generation}"
        try:
            return str(sfn.describe_execution(executionArn=arn)["status"])
        except sfn.exceptions.ExecutionDoesNotExist:
            return None

    def ends(self, job: dict[str, Any], status: str) -> bool:
        self.until(lambda: self.stack.job(job["job_id"])["status"] in TERMINAL)
        return bool(self.stack.job(job["job_id"])["status"] == status)

    def waiting(self, **more: Any) -> tuple[dict[str, Any], LinkVisualSimulator]:
        """A job whose recording goes on for longer than any scenario."""
        simulator, account = self.vendor(LinkVisualSimulator)
        job = self.submit("linkvisual", account, {"iot_id": "gate", "record_duration": 7200}, **more)
        self.stack.wait(job["job_id"], until=lambda seen: seen["status"] == "WAITING")
        return job, simulator

    def batch(self, *lines: str) -> str:
        """The id of a new batch of these lines."""
        key = f"manifests/{time.time_ns()}.jsonl"
        self.stack.client("s3").put_object(Bucket=self.bucket, Key=key, Body="\n".join(lines).encode())
        reply = self.stack.call("POST", "/batches", body={"manifest": {"key": key}})
        if not reply.ok:
            raise CallRefused(reply)
        return str(reply.json()["batch_id"])

    def batch_status(self, batch_id: str) -> str:
        return str(self.stack.call("GET", f"/batches/{batch_id}").json()["status"])

    # -- the bucket below a job ---------------------------------------------------------------------------------------

    @property
    def bucket(self) -> str:
        return self.stack.outputs["BucketName"]

    def prefix(self, job: dict[str, Any]) -> str:
        return f"{job['vendor']}/{job['created_at'][:10].replace('-', '/')}/{job['job_id']}/"

    def stray_upload(self, job: dict[str, Any]) -> None:
        self.stack.client("s3").create_multipart_upload(Bucket=self.bucket, Key=self.prefix(job) + "f009.mp4")

    def uploads(self, job: dict[str, Any]) -> int:
        reply = self.stack.client("s3").list_multipart_uploads(Bucket=self.bucket, Prefix=self.prefix(job))
        return len(reply.get("Uploads", []))

    def objects(self, job: dict[str, Any]) -> set[str]:
        reply = self.stack.client("s3").list_objects_v2(Bucket=self.bucket, Prefix=self.prefix(job))
        return {found["Key"].rpartition("/")[2] for found in reply.get("Contents", [])}

    def row(self, job: dict[str, Any]) -> dict[str, Any]:
        key = {"pk": {"S": f"JOB#{job['job_id']}"}, "sk": {"S": "JOB"}}
        return dict(self.stack.client("dynamodb").get_item(TableName=self.stack.outputs["TableName"], Key=key)["Item"])

    def told(self, job: dict[str, Any]) -> bool:
        """Whether every duty of the job's end is done, the event being the last."""
        return bool(self.row(job)["event_sent"]["BOOL"]) and "manifest.json" in self.objects(job)


# -- scenarios: True when it works -------------------------------------------------------------------------------------


def a_job_is_accepted_and_started(ground: Ground) -> bool:
    _, account = ground.vendor(PolyvSimulator)
    job = ground.submit("polyv", account, {"vids": ["a"]})
    return ground.until(lambda: ground.execution(job["job_id"]) is not None, patience=3)


def jobs_are_listed(ground: Ground) -> bool:
    return ground.stack.call("GET", "/jobs", params={"vendor": "polyv"}).ok


def a_job_is_read(ground: Ground) -> bool:
    return ground.stack.call("GET", "/jobs/no-such-job").status_code == 404


def a_stored_file_has_a_link(ground: Ground) -> bool:
    _, account = ground.vendor(PolyvSimulator)
    job = ground.stack.wait(ground.submit("polyv", account, {"vids": ["linked"]})["job_id"])
    link = ground.stack.call("GET", f"/jobs/{job['job_id']}/files/f001/url").json()["url"]
    with requests.Session() as session:
        session.trust_env = False
        return session.get(link, timeout=30).ok


def a_cancel_leaves_nothing_running(ground: Ground) -> bool:
    job, simulator = ground.waiting()
    ground.stray_upload(job)
    ground.stack.cancel(job["job_id"])
    stopped = ground.execution(job["job_id"]) == "ABORTED" and simulator.calls["StopTriggeredRecord"] == 1
    return stopped and not ground.uploads(job) and ground.told(job)


def a_rule_starts_its_job(ground: Ground) -> bool:
    _, account = ground.vendor(PolyvSimulator)
    fired = ground.stack.invoke("schedule", {"vendor": "polyv", "account": account, "request": {"vids": ["b"]}})
    return ground.until(lambda: ground.execution(fired["job_ids"][0]) is not None, patience=3)


def a_schedule_is_kept(ground: Ground) -> bool:
    body = {"expression": "rate(1 day)", "job": {"vendor": "polyv", "request": {"vids": ["b"]}}}
    path = f"/schedules/kept-{time.time_ns()}"
    made = ground.stack.call("PUT", path, body=body)
    silenced = ground.stack.call("PUT", path, body={**body, "enabled": False})
    read = ground.stack.call("GET", path)
    deleted = ground.stack.call("DELETE", path)
    return [reply.status_code for reply in (made, silenced, read, deleted)] == [201, 200, 200, 204]


def schedules_are_listed(ground: Ground) -> bool:
    return ground.stack.call("GET", "/schedules").ok


def a_schedule_fires(ground: Ground) -> bool:
    name = f"fires-{time.time_ns()}"
    body = {"expression": "rate(1 day)", "job": {"vendor": "polyv", "request": {"vids": ["b"]}}}
    ground.stack.call("PUT", f"/schedules/{name}", body=body)
    kept = ground.stack.client("scheduler").get_schedule(GroupName=ground.stack.name, Name=name)
    fired = ground.stack.invoke("schedule", json.loads(kept["Target"]["Input"]))
    return len(fired["job_ids"]) == 1


def a_schedule_that_fires_in_vain_is_told_of(ground: Ground) -> bool:
    event = {"schedule": "stale", "firing": str(time.time_ns()), "job": {"vendor": "nobody"}}
    return bool(ground.stack.invoke("schedule", event)["job_ids"] == [])


def a_labelled_file_is_copied(ground: Ground) -> bool:
    _, account = ground.vendor(PolyvSimulator)
    return ground.ends(ground.submit("polyv", account, {"vids": ["c"]}, labels={"site": "gate"}), "SUCCEEDED")


def a_line_moves_on(ground: Ground) -> bool:
    simulator, account = ground.vendor(PolyvSimulator)
    ground.stack.add_account(account, {**simulator.account(), "max_in_flight": 1})
    jobs = [ground.submit("polyv", account, {"vids": [name]}) for name in ("first", "second", "third")]
    return all(ground.ends(job, "SUCCEEDED") for job in jobs)


def a_copy_that_broke_off_goes_on(ground: Ground) -> bool:
    simulator, account = ground.vendor(LinkVisualSimulator, media="medium")
    job = ground.submit("linkvisual", account, {"iot_id": "yard", "record_duration": 10})
    ground.break_off(job, simulator)
    return ground.ends(job, "SUCCEEDED")


def a_file_that_fails_its_proof_is_taken_back(ground: Ground) -> bool:
    simulator, account = ground.vendor(LinkVisualSimulator, media="medium")
    job = ground.submit("linkvisual", account, {"iot_id": "yard", "record_duration": 10})
    ground.break_off(job, simulator, md5="0" * 32)
    return ground.ends(job, "SUCCEEDED")  # the second copy knows of no MD5; it cannot stand while the first one does


def a_job_that_ends_is_told_of(ground: Ground) -> bool:
    _, account = ground.vendor(LinkVisualSimulator)
    job = ground.submit("linkvisual", account, {"iot_id": "offline-1", "record_duration": 10})
    return ground.until(lambda: ground.told(job))


def a_job_that_ends_late_leaves_nothing_running(ground: Ground) -> bool:
    job, simulator = ground.waiting(deadline_seconds=10)
    ground.stray_upload(job)
    over = ground.until(lambda: ground.told(job))
    return over and not ground.uploads(job) and simulator.calls["StopTriggeredRecord"] == 1


def a_lost_execution_is_replaced(ground: Ground) -> bool:
    job, _ = ground.waiting()
    arn = ground.stack.outputs["StateMachineArn"].replace(":stateMachine:", ":execution:")
    ground.stack.client("stepfunctions").stop_execution(executionArn=f"{arn}:{job['job_id']}-1")
    replaced = ground.until(lambda: ground.execution(job["job_id"], 2) is not None, patience=15)
    ground.stack.cancel(job["job_id"])
    return replaced


def the_sweep_finds_what_is_due(ground: Ground) -> bool:
    return "started" in ground.stack.invoke("sweep", {})


def an_end_that_broke_off_is_carried_out(ground: Ground) -> bool:
    job, simulator = ground.waiting(labels={"site": "gate"})
    ground.stack.cancel(job["job_id"])
    ground.stray_upload(job)
    ground.stack.client("s3").delete_object(Bucket=ground.bucket, Key=ground.prefix(job) + "manifest.json")
    ground.stack.client("dynamodb").update_item(
        TableName=ground.stack.outputs["TableName"],
        Key={"pk": {"S": f"JOB#{job['job_id']}"}, "sk": {"S": "JOB"}},
        UpdateExpression="SET event_sent = :no, finished_at = :then",
        ExpressionAttributeValues={":no": {"BOOL": False}, ":then": {"S": "2026-01-01T00:00:00.000000+0000"}},
    )
    event = {"source": "aws.states", "detail": {"name": f"{job['job_id']}-1"}}
    ground.stack.invoke("sweep", event)
    return ground.told(job) and not ground.uploads(job) and simulator.calls["StopTriggeredRecord"] == 2


def an_object_that_no_row_names_is_taken_back(ground: Ground) -> bool:
    _, account = ground.vendor(PolyvSimulator, failing_vids=["broken"])
    job = ground.stack.wait(ground.submit("polyv", account, {"vids": ["broken"]})["job_id"])
    ground.until(lambda: ground.told(job))
    ground.stack.client("s3").put_object(
        Bucket=ground.bucket,
        Key=ground.prefix(job) + "f001.mp4",
        Metadata={"job-id": job["job_id"], "file-id": "f001"},
    )
    ground.stack.client("dynamodb").update_item(
        TableName=ground.stack.outputs["TableName"],
        Key={"pk": {"S": f"JOB#{job['job_id']}"}, "sk": {"S": "JOB"}},
        UpdateExpression="SET due_at = :then",
        ExpressionAttributeValues={":then": {"N": "1"}},
    )
    ground.stack.invoke("sweep", {})
    return ground.objects(job) == {"manifest.json"}


def a_retried_job_ends_again(ground: Ground) -> bool:
    """Its file is opened, and copied this time; what the first end wrote of it is written anew."""
    simulator, account = ground.vendor(PolyvSimulator, failing_vids=["broken"])
    job = ground.submit("polyv", account, {"vids": ["broken"]})
    ground.until(lambda: ground.told(job))
    simulator.settings.failing_vids.clear()
    if not ground.stack.call("POST", f"/jobs/{job['job_id']}/retry").ok:
        return False
    return ground.ends(job, "SUCCEEDED") and ground.until(lambda: ground.told(job))


def a_manifest_is_uploaded(ground: Ground) -> bool:
    link = ground.stack.call("POST", "/batches/uploads").json()["url"]
    with requests.Session() as session:
        session.trust_env = False
        return session.put(link, data=b"{}", timeout=30).ok


def a_batch_is_started(ground: Ground) -> bool:
    batch = ground.batch("{broken")
    return ground.until(lambda: ground.batch_status(batch) != "READING", patience=5)


def a_batch_is_submitted(ground: Ground) -> bool:
    _, account = ground.vendor(PolyvSimulator)
    batch = ground.batch(json.dumps({"vendor": "polyv", "account": account, "request": {"vids": ["d"]}}))
    ground.until(lambda: ground.batch_status(batch) in ("SUBMITTED", "FAILED"))
    jobs = ground.stack.call("GET", "/jobs", params={"batch": batch}).json()["jobs"]
    return bool(jobs) and ground.until(lambda: ground.execution(jobs[0]["job_id"]) is not None, patience=3)


def a_batch_reports_what_it_rejects(ground: Ground) -> bool:
    batch = ground.batch("{broken")
    ground.until(lambda: ground.batch_status(batch) == "SUBMITTED")
    return ground.stack.call("GET", f"/batches/{batch}/report/url").ok


def a_lost_execution_of_a_batch_is_replaced(ground: Ground) -> bool:
    batch = ground.batch("{broken")
    ground.until(lambda: ground.batch_status(batch) == "SUBMITTED")
    ground.stack.client("dynamodb").update_item(
        TableName=ground.stack.outputs["TableName"],
        Key={"pk": {"S": f"BATCH#{batch}"}, "sk": {"S": "BATCH"}},
        UpdateExpression="SET #status = :before",
        ExpressionAttributeNames={"#status": "status"},
        ExpressionAttributeValues={":before": {"S": "SUBMITTING"}},
    )
    detail = {"stateMachineArn": ground.stack.outputs["BatchMachineArn"], "name": f"{batch}-1"}
    ground.stack.invoke("sweep", {"source": "aws.states", "detail": detail})
    return ground.until(lambda: ground.batch_status(batch) == "SUBMITTED", patience=15)


CANCEL, LATE, ENDED, BROKE_OFF = (
    a_cancel_leaves_nothing_running,
    a_job_that_ends_late_leaves_nothing_running,
    a_job_that_ends_is_told_of,
    an_end_that_broke_off_is_carried_out,
)
COPIED = a_labelled_file_is_copied
RETRIED = a_retried_job_ends_again
SUBMITTED = a_batch_is_submitted

SCENARIOS: dict[tuple[str, str], Callable[[Ground], bool]] = {
    ("api", "KeepJobs"): a_job_is_accepted_and_started,
    ("api", "ReadAJobWithItsFiles"): a_job_is_read,
    ("api", "CheckTheJobAsItsFilesAreWritten"): RETRIED,
    ("api", "ListJobs"): jobs_are_listed,
    ("api", "StartJobs"): a_job_is_accepted_and_started,
    ("api", "StopCancelledJobs"): CANCEL,
    ("api", "PresignStoredFiles"): a_stored_file_has_a_link,
    ("api", "ReadAccountsToAbortAtTheVendor"): CANCEL,
    ("api", "FindUploadsOfEndedJobs"): CANCEL,
    ("api", "AbortUploadsOfEndedJobs"): CANCEL,
    ("api", "WriteTheManifest"): CANCEL,
    ("api", "TellAboutEndedJobs"): CANCEL,
    ("api", "KeepSchedules"): a_schedule_is_kept,
    ("api", "ListSchedules"): schedules_are_listed,
    ("api", "StartBatches"): a_batch_is_started,
    ("api", "PresignManifestUploads"): a_manifest_is_uploaded,
    ("batch", "KeepBatchAndJobs"): SUBMITTED,
    ("batch", "StartJobs"): SUBMITTED,
    ("batch", "ReadManifests"): SUBMITTED,
    ("batch", "KeepWorkingObjects"): SUBMITTED,
    ("batch", "WriteReports"): a_batch_reports_what_it_rejects,
    ("schedule", "CreateJobs"): a_rule_starts_its_job,
    ("schedule", "StartJobs"): a_rule_starts_its_job,
    ("schedule", "CheckFirings"): a_schedule_fires,
    ("schedule", "TellAboutRejectedSchedules"): a_schedule_that_fires_in_vain_is_told_of,
    ("trigger", "KeepTheJob"): COPIED,
    ("trigger", "ReadAccounts"): COPIED,
    ("trigger", "CheckTheJobAsItsFilesAreWritten"): RETRIED,
    ("trigger", "LeaveTheLine"): a_line_moves_on,
    ("poll", "KeepTheJob"): COPIED,
    ("poll", "CheckTheJobAsItsFilesAreWritten"): COPIED,
    ("poll", "ReadAccounts"): COPIED,
    ("download", "KeepTheJob"): COPIED,
    ("download", "ReadAccounts"): COPIED,
    ("download", "WriteFiles"): COPIED,
    ("download", "TakeBackWhatFailedItsProof"): a_file_that_fails_its_proof_is_taken_back,
    ("download", "ResumeUploads"): a_copy_that_broke_off_goes_on,
    ("download", "ReadBackWhatWasStored"): a_copy_that_broke_off_goes_on,
    ("download", "FindUploadsOfAFile"): COPIED,
    ("finish", "KeepTheJob"): ENDED,
    ("finish", "CheckTheJobAsItsFilesAreWritten"): RETRIED,
    ("finish", "CompareTheManifest"): RETRIED,
    ("finish", "ReadAccountsToAbortAtTheVendor"): LATE,
    ("finish", "FindUploadsOfEndedJobs"): ENDED,
    ("finish", "AbortUploadsOfEndedJobs"): LATE,
    ("finish", "WriteTheManifest"): ENDED,
    ("finish", "TellAboutEndedJobs"): ENDED,
    ("sweep", "KeepTheJob"): BROKE_OFF,
    ("sweep", "CheckTheJobAsItsFilesAreWritten"): BROKE_OFF,
    ("sweep", "FindDueAndOldestJobs"): the_sweep_finds_what_is_due,
    ("sweep", "StartJobsAgain"): a_lost_execution_is_replaced,
    ("sweep", "FindExecutionsThatEndedBadly"): the_sweep_finds_what_is_due,
    ("sweep", "CompareExecutions"): a_lost_execution_is_replaced,
    ("sweep", "StartBatchesAgain"): a_lost_execution_of_a_batch_is_replaced,
    ("sweep", "CompareBatchExecutions"): a_lost_execution_of_a_batch_is_replaced,
    ("sweep", "ReadAccountsToAbortAtTheVendor"): BROKE_OFF,
    ("sweep", "FindUploadsOfEndedJobs"): BROKE_OFF,
    ("sweep", "AbortUploadsOfEndedJobs"): BROKE_OFF,
    ("sweep", "FindObjectsThatNoRowNames"): an_object_that_no_row_names_is_taken_back,
    ("sweep", "SeeWhoMadeThem"): an_object_that_no_row_names_is_taken_back,
    ("sweep", "TakeThemBack"): an_object_that_no_row_names_is_taken_back,
    ("sweep", "WriteTheManifest"): BROKE_OFF,
    ("sweep", "TellAboutEndedJobs"): BROKE_OFF,
}
#: What the emulator lets pass without asking; tests/unit/stack reads these off the template.
NOT_ENFORCED = {("api", "LetSchedulesCallTheirFunction")}
_seen_to_work: set[Callable[[Ground], bool]] = set()


def _statements() -> Iterator[tuple[str, str]]:
    """(function, Sid) of the template as it is deployed here, without a key."""
    resources = parse_yaml_file(str(ROOT / "template.yaml"))["Resources"]
    for logical_id, resource in resources.items():
        if resource["Type"] == "AWS::Serverless::Function":
            for policy in resource["Properties"]["Policies"]:
                for statement in policy["Statement"]:
                    if "Sid" in statement:
                        yield logical_id.removesuffix("Function").lower(), statement["Sid"]


def test_every_statement_has_its_scenario() -> None:
    assert set(SCENARIOS) | NOT_ENFORCED == set(_statements())


@pytest.mark.parametrize(("function", "sid"), SCENARIOS)
def test_nothing_is_granted_that_nobody_would_miss(stack: Stack, vendor: Vendors, function: str, sid: str) -> None:
    scenario = SCENARIOS[function, sid]
    if scenario not in _seen_to_work:
        ground = Ground(stack, vendor, function)
        assert scenario(ground), f"{scenario.__name__}, with every right"
        ground.leave()
        _seen_to_work.add(scenario)

    ground = Ground(stack, vendor, function, withheld=True)
    try:
        with _without(stack, function, sid):
            # What a denied function left undone, the sweep may have done by its own rights.
            assert not _works(scenario, ground) or ground.denied(function)
    finally:
        ground.leave()


def _works(scenario: Callable[[Ground], bool], ground: Ground) -> bool:
    try:
        return scenario(ground)
    except (CallRefused, RuntimeError):  # what the API answers, and what a function raises, when it may not
        return False


@contextmanager
def _without(stack: Stack, function: str, sid: str) -> Iterator[None]:
    """The running stack, one statement short."""
    iam = stack.client("iam")
    role = stack.client("lambda").get_function_configuration(FunctionName=f"{stack.name}-{function}")["Role"]
    name = role.rpartition("/")[2]
    for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
        document = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
        rest = [statement for statement in document["Statement"] if statement.get("Sid") != sid]
        if len(rest) < len(document["Statement"]):
            break
    else:
        raise LookupError(f"{name} has no statement {sid}")
    try:
        iam.put_role_policy(
            RoleName=name, PolicyName=policy, PolicyDocument=json.dumps({**document, "Statement": rest})
        )
        yield
    finally:
        iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=json.dumps(document))
