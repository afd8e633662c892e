"""Where data lies and who is told: table, bucket, alarms, as the transformed template has them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from clipferry.batches import WORK
from clipferry.intake.job_body import BODY_SCHEMA
from clipferry.jobs.job import DEADLINE_MAX
from clipferry.store.rows import Entry, TagRow
from pynamodb.indexes import Index

from tests.unit.stack.transformed import deployed, of_type, source

STACK = deployed()
FUNCTIONS = of_type(STACK, "AWS::Lambda::Function")


def arn_of(logical_id: str) -> dict[str, Any]:
    return {"Fn::GetAtt": [logical_id, "Arn"]}


class TestTheBucket:
    bucket = STACK["Bucket"]["Properties"]

    def test_is_private(self) -> None:
        assert set(self.bucket["PublicAccessBlockConfiguration"].values()) == {True}
        assert self.bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]

    def test_is_encrypted_with_keys_of_s3_or_with_the_key_given(self) -> None:
        def encryption(**parameters: str) -> Any:
            bucket = deployed(**parameters)["Bucket"]["Properties"]
            (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
            return rule["ServerSideEncryptionByDefault"]

        assert encryption() == {"SSEAlgorithm": "AES256"}
        assert encryption(KmsKeyId="arn:…") == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": {"Ref": "KmsKeyId"}}

    def test_refuses_everything_but_tls(self) -> None:
        (statement,) = STACK["BucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]

        assert (statement["Effect"], statement["Action"], statement["Principal"]) == ("Deny", "s3:*", "*")
        assert statement["Resource"] == [arn_of("Bucket"), {"Fn::Sub": "${Bucket.Arn}/*"}]
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}

    def test_has_no_tls_only_policy_where_private_networks_are_allowed(self) -> None:
        assert "BucketPolicy" not in deployed(AllowPrivateNetwork="true")

    def test_ends_orphaned_uploads(self) -> None:
        rule, _ = self.bucket["LifecycleConfiguration"]["Rules"]

        assert rule["Status"] == "Enabled"
        assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}

    def test_forgets_what_batches_worked_with_and_nothing_else(self) -> None:
        expiring = [rule for rule in self.bucket["LifecycleConfiguration"]["Rules"] if "ExpirationInDays" in rule]

        assert [(rule["Prefix"], rule["Status"]) for rule in expiring] == [(WORK, "Enabled")]
        assert expiring[0]["ExpirationInDays"] * 86_400 > DEADLINE_MAX, "a cancel needs them while jobs live"
        prefix = BODY_SCHEMA["properties"]["destination"]["properties"]["prefix"]["pattern"]
        assert re.match(prefix, "site/a")
        assert not re.match(prefix, WORK), "no job's files may be there"

    @pytest.mark.parametrize("kept", ["Bucket", "Table"])
    def test_what_holds_data_outlives_the_stack(self, kept: str) -> None:
        assert source()["Resources"][kept]["DeletionPolicy"] == "RetainExceptOnCreate"
        assert source()["Resources"][kept]["UpdateReplacePolicy"] == "Retain"


class TestTheTable:
    table = STACK["Table"]["Properties"]

    def test_is_on_demand_recoverable_and_forgets(self) -> None:
        assert self.table["BillingMode"] == "PAY_PER_REQUEST"
        assert self.table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
        assert self.table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}

    def test_has_the_indexes_that_the_store_asks(self) -> None:
        asked = {
            index.Meta.index_name: index
            for model in (Entry, TagRow)
            for index in vars(model).values()
            if isinstance(index, Index)
        }

        made = {index["IndexName"]: index for index in self.table["GlobalSecondaryIndexes"]}

        assert set(asked) == set(made)
        assert all(index["Projection"] == {"ProjectionType": "KEYS_ONLY"} for index in made.values())

    def test_names_each_key_with_the_type_the_store_writes(self) -> None:
        indexes = [self.table, *self.table["GlobalSecondaryIndexes"]]
        used = {key["AttributeName"] for index in indexes for key in index["KeySchema"]}
        types = {a["AttributeName"]: a["AttributeType"] for a in self.table["AttributeDefinitions"]}

        assert set(types) == used
        assert {name for name, kind in types.items() if kind == "N"} == {"due_at"}


class TestAlarms:
    alarms = of_type(STACK, "AWS::CloudWatch::Alarm")

    def test_watch_executions_dead_letters_and_what_the_sweep_tells(self) -> None:
        watched = {alarm["MetricName"] for alarm in self.alarms.values()}

        assert watched == {
            "AccountRefused",
            "Errors",
            "ExecutionsFailed",
            "ExecutionsTimedOut",
            "ApproximateNumberOfMessagesVisible",
            "OldestUnfinishedJobAge",
            "TriggerUncertain",
            "JobsSwept",
            "SweepResisted",
            "Throttles",
            "SchedulesRejected",
            "ApiErrors",
        }

    def test_send_mail_only_when_there_is_an_address(self) -> None:
        assert "AlarmTopic" not in STACK
        assert not any("AlarmActions" in alarm for alarm in self.alarms.values())

        with_mail = deployed(AlarmEmail="ops@example.com")

        assert "AlarmTopic" in with_mail
        alarms = of_type(with_mail, "AWS::CloudWatch::Alarm").values()
        assert all(alarm["AlarmActions"] == [{"Ref": "AlarmTopic"}] for alarm in alarms)

    def test_the_dashboard_is_json_about_things_that_exist(self) -> None:
        text = STACK["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
        named = {name.split(".")[0] for name in re.findall(r"\$\{([\w.]+)\}", text)}

        assert json.loads(text)["widgets"]
        assert named <= set(STACK)
