"""What only AWS enforces, read from the transformed template: roles, permissions, what the emulator drops."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from clipferry.aws.account_secrets import CONNECTIONS_MAX
from clipferry.aws.sdk import API_ATTEMPTS
from clipferry.batches import CALL_LIFETIME
from clipferry.intake.job_body import new_job
from clipferry.intake.job_query import PARAMETERS
from clipferry.intake.schedule_body import SCHEMA as SCHEDULE_SCHEMA
from clipferry.intake.schedule_body import Schedule
from clipferry.jobs.file import File
from clipferry.jobs.job import COPY_LIFETIME
from clipferry.settings import ARCHIVE_CLASSES
from clipferry.steps.conclusion import TIME_FOR_A_DUTY
from clipferry.transfer.interface import Level, Options

from tests.unit.stack.second_opinion import definition, lambda_states
from tests.unit.stack.transformed import ROOT, deployed, of_type, source, statements

STACK = deployed()
FUNCTIONS = of_type(STACK, "AWS::Lambda::Function")
ROLES = of_type(STACK, "AWS::IAM::Role")
LAMBDA_STATES = lambda_states()
EVENTS = ROOT / "events"
OWN_MACHINE = {
    "Fn::Sub": "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:stateMachine:${AWS::StackName}-retrieve"
}


def arn_of(logical_id: str) -> dict[str, Any]:
    return {"Fn::GetAtt": [logical_id, "Arn"]}


def role_of(function: str) -> dict[str, Any]:
    return ROLES[f"{function}Role"]


def granted(function: str) -> set[str]:
    return {action for statement in statements(role_of(function)) for action in statement["Action"]}


def rules_with_dead_letters(stack: dict[str, Any]) -> list[str]:
    rules = of_type(stack, "AWS::Events::Rule")
    return [name for name, rule in rules.items() if "DeadLetterConfig" in json.dumps(rule["Targets"])]


class TestTheMachinesRole:
    def test_may_do_exactly_what_the_machine_calls(self) -> None:
        calls = {f"{name}Function" for name in LAMBDA_STATES}

        invoke, hand_over = statements(ROLES["RetrieveMachineRole"])

        assert invoke["Action"] == ["lambda:InvokeFunction"]
        assert sorted(invoke["Resource"], key=str) == sorted((arn_of(name) for name in calls), key=str)
        assert (hand_over["Action"], hand_over["Resource"]) == (["states:StartExecution"], [OWN_MACHINE])
        assert (
            "ManagedPolicyArns" not in ROLES["RetrieveMachineRole"]
            or not ROLES["RetrieveMachineRole"]["ManagedPolicyArns"]
        )

    def test_names_the_machine_as_it_is_named(self) -> None:
        assert STACK["RetrieveMachine"]["Properties"]["StateMachineName"] == {"Fn::Sub": "${AWS::StackName}-retrieve"}

    def test_every_placeholder_of_the_definition_is_filled(self) -> None:
        text = (ROOT / "statemachine" / "retrieve.asl.json").read_text()

        filled = STACK["RetrieveMachine"]["Properties"]["DefinitionSubstitutions"]

        assert set(re.findall(r"\$\{(\w+)\}", text)) == set(filled)


class TestFunctionRoles:
    @pytest.mark.parametrize("function", FUNCTIONS)
    def test_have_no_wildcard_and_a_name_for_each_need(self, function: str) -> None:
        own = [s for s in statements(role_of(function)) if "sqs:SendMessage" not in s["Action"]]

        assert len({statement["Sid"] for statement in own}) == len(own)
        for statement in own:
            assert not any("*" in action for action in statement["Action"]), statement["Sid"]
            assert "*" not in statement["Resource"], statement["Sid"]

    @pytest.mark.parametrize("function", FUNCTIONS)
    def test_carry_no_managed_policy_but_that_for_logs(self, function: str) -> None:
        (managed,) = role_of(function)["ManagedPolicyArns"]

        assert json.dumps(managed).rstrip('"}]').endswith("service-role/AWSLambdaBasicExecutionRole")

    def test_only_sweep_and_api_may_stop_an_execution(self) -> None:
        assert {f for f in FUNCTIONS if "states:StopExecution" in granted(f)} == {"ApiFunction", "SweepFunction"}

    def test_no_function_may_scan_delete_or_change_the_table_itself(self) -> None:
        used = {action for function in FUNCTIONS for action in granted(function) if action.startswith("dynamodb:")}

        assert used <= {
            f"dynamodb:{name}"
            for name in (
                "GetItem",
                "BatchGetItem",
                "Query",
                "PutItem",
                "UpdateItem",
                "DeleteItem",
                "ConditionCheckItem",
            )
        }

    def test_who_reads_accounts_may_decrypt_them_with_the_secrets_own_key(self) -> None:
        key = "arn:aws:kms:us-east-1:123456789012:key/5d1f"
        roles = of_type(deployed(SecretsKmsKeyArn=key), "AWS::IAM::Role")

        may_decrypt = {
            function
            for function in FUNCTIONS
            for s in statements(roles[f"{function}Role"])
            if (s["Action"], s["Resource"]) == (["kms:Decrypt"], [{"Ref": "SecretsKmsKeyArn"}])
        }

        assert may_decrypt == {f for f in FUNCTIONS if "secretsmanager:GetSecretValue" in granted(f)}

    def test_the_keys_policy_is_there_only_with_a_key(self) -> None:
        key = "arn:aws:kms:us-east-1:123456789012:key/5d1f"

        with_key = {
            function
            for function in FUNCTIONS
            for s in statements(of_type(deployed(KmsKeyId=key), "AWS::IAM::Role")[f"{function}Role"])
            if any(action.startswith("kms:") for action in s["Action"]) and s["Resource"] == [{"Ref": "KmsKeyId"}]
        }

        assert with_key == {"ApiFunction", "BatchFunction", "DownloadFunction", "FinishFunction", "SweepFunction"}
        assert not any(action.startswith("kms:") for function in FUNCTIONS for action in granted(function))


class TestFunctions:
    @pytest.mark.parametrize("function", FUNCTIONS)
    def test_set_no_reserved_variable_and_stay_below_4_kb(self, function: str) -> None:
        variables = FUNCTIONS[function]["Environment"]["Variables"]

        assert not any(name.startswith(("AWS_", "LAMBDA_", "_")) or name == "TZ" for name in variables)
        assert len(json.dumps(variables)) < 3000

    @pytest.mark.parametrize("function", FUNCTIONS)
    def test_are_given_only_variables_that_somebody_reads(self, function: str) -> None:
        read = set(re.findall(r'env\.get\("(\w+)"', (ROOT / "layers/clipferry/clipferry/settings.py").read_text()))

        assert (
            set(FUNCTIONS[function]["Environment"]["Variables"])
            - {
                "POWERTOOLS_SERVICE_NAME",
                "POWERTOOLS_METRICS_NAMESPACE",
            }
            <= read
        )

    def test_a_batchs_call_lives_as_long_as_a_cancel_waits_for_it(self) -> None:
        assert FUNCTIONS["BatchFunction"]["Timeout"] == CALL_LIFETIME.total_seconds()

    def test_no_copy_is_alive_when_the_sweep_looks_for_what_it_left(self) -> None:
        assert FUNCTIONS["DownloadFunction"]["Timeout"] < COPY_LIFETIME.total_seconds()

    @pytest.mark.parametrize("state", LAMBDA_STATES)
    def test_end_before_the_machine_gives_up_on_them(self, state: str) -> None:
        timeout = FUNCTIONS[f"{state}Function"]["Timeout"]

        assert timeout <= 900
        assert timeout < LAMBDA_STATES[state]["TimeoutSeconds"]

    def test_the_api_repeats_a_call_to_aws_as_often_as_its_time_allows(self) -> None:
        assert FUNCTIONS["ApiFunction"]["Environment"]["Variables"]["CALL_ATTEMPTS"] == str(API_ATTEMPTS)
        assert FUNCTIONS["ApiFunction"]["Timeout"] > TIME_FOR_A_DUTY

    def test_the_api_answers_before_the_gateway_gives_up(self) -> None:
        assert FUNCTIONS["ApiFunction"]["Timeout"] < 29

    @pytest.mark.parametrize("function", FUNCTIONS)
    def test_keep_their_logs_for_a_limited_time(self, function: str) -> None:
        named = FUNCTIONS[function]["LoggingConfig"]["LogGroup"]["Ref"]

        own = of_type(STACK, "AWS::Logs::LogGroup")[named]

        name = FUNCTIONS[function]["FunctionName"]["Fn::Sub"]
        assert own["LogGroupName"] == {"Fn::Sub": f"/aws/lambda/{name}"}
        assert own["RetentionInDays"] == {"Ref": "LogRetentionDays"}

    def test_no_log_group_waits_for_its_function_so_that_groups_come_first_and_go_last(self) -> None:
        assert not any("Function" in json.dumps(g) for g in of_type(STACK, "AWS::Logs::LogGroup").values())

    @pytest.mark.parametrize("function", FUNCTIONS)
    def test_raise_an_alarm_when_they_fail(self, function: str) -> None:
        dimension = [{"Name": "FunctionName", "Value": {"Ref": function}}]

        alarms = of_type(STACK, "AWS::CloudWatch::Alarm").values()
        (alarm,) = [a for a in alarms if a["Dimensions"] == dimension and a["MetricName"] == "Errors"]

        assert (alarm["Namespace"], alarm["MetricName"], alarm["Threshold"]) == ("AWS/Lambda", "Errors", 1)

    @pytest.mark.parametrize("function", FUNCTIONS)
    def test_have_a_folder_of_their_own_with_a_handler(self, function: str) -> None:
        folder = ROOT / source()["Resources"][function]["Properties"]["CodeUri"]

        names = {
            node.name for node in ast.parse((folder / "app.py").read_text()).body if isinstance(node, ast.FunctionDef)
        }

        assert FUNCTIONS[function]["Handler"] == "app.handler"
        assert "handler" in names


BODY = STACK["Api"]["Properties"]["Body"]
ROUTES = {(method.upper(), path): route for path, item in BODY["paths"].items() for method, route in item.items()}


class TestTheApi:
    def test_has_the_routes_that_the_function_answers(self) -> None:
        modules = {path.stem: path.read_text() for path in (ROOT / "functions/api/routes").glob("*.py")}
        taken_in = set(re.findall(r"include_router\((\w+)\.router\)", (ROOT / "functions/api/app.py").read_text()))

        answered = {
            (method.upper(), re.sub(r"<(\w+)>", r"{\1}", path))
            for code in modules.values()
            for method, path in re.findall(r'@router\.(get|post|put|delete)\("([^"]+)"\)', code)
        }

        assert taken_in == set(modules) - {"__init__"}
        assert set(ROUTES) == answered

    def test_every_route_asks_for_a_signature(self) -> None:
        scheme = BODY["components"]["securitySchemes"]["AWS_IAM"]

        assert scheme["x-amazon-apigateway-authtype"] == "awsSigv4"
        assert all(route["security"] == [{"AWS_IAM": []}] for route in ROUTES.values())

    def test_calls_the_function_by_the_functions_permission_not_the_callers(self) -> None:
        permissions = of_type(STACK, "AWS::Lambda::Permission").values()
        (permission,) = [p for p in permissions if p["Principal"] == "apigateway.amazonaws.com"]
        path = "lambda:path/2015-03-31/functions/${ApiFunction.Arn}/invocations"
        uri = {"Fn::Sub": "arn:${AWS::Partition}:apigateway:${AWS::Region}:" + path}

        assert permission["FunctionName"] == {"Ref": "ApiFunction"}
        assert permission["SourceArn"]["Fn::Sub"].endswith(":${Api}/*"), "of this API alone, whatever route and stage"
        for route in ROUTES.values():
            integration = route["x-amazon-apigateway-integration"]
            assert integration == {"type": "aws_proxy", "httpMethod": "POST", "uri": uri}

    def test_its_definition_can_be_included_for_it_has_neither_short_forms_nor_anchors(self) -> None:
        events = list(yaml.parse((ROOT / "docs" / "openapi.yaml").read_text()))

        assert not any(getattr(event, "anchor", None) for event in events)
        assert not any((getattr(event, "tag", None) or "").startswith("!") for event in events)

    def test_every_route_says_what_it_does_and_what_it_answers(self) -> None:
        assert all(route["summary"] and route["responses"] for route in ROUTES.values())
        assert len({route["operationId"] for route in ROUTES.values()}) == len(ROUTES)

    def test_jobs_and_files_are_described_with_the_fields_they_have(self) -> None:
        schemas = BODY["components"]["schemas"]
        job = new_job({"vendor": "polyv", "request": {"vids": ["a"]}}, datetime.now(UTC))

        assert list(schemas["Job"]["properties"]) == list(job.public())
        assert list(schemas["File"]["properties"]) == list(File("f001", "", "").public())

    def test_schedules_are_described_with_the_fields_they_have(self) -> None:
        asked, shown = (BODY["components"]["schemas"][name] for name in ("NewSchedule", "Schedule"))

        public = Schedule("nightly", "rate(1 day)", {}).public(datetime.now(UTC))
        assert set(asked["properties"]) == set(SCHEDULE_SCHEMA["properties"])
        assert asked["required"] == SCHEDULE_SCHEMA["required"]
        assert set(shown["properties"]) == set(shown["required"]) == set(public)

    def test_listings_are_described_with_the_parameters_they_take(self) -> None:
        known = BODY["components"]["parameters"]
        described = [known[p["$ref"].rpartition("/")[2]]["name"] for p in ROUTES["GET", "/jobs"]["parameters"]]

        assert set(described) == PARAMETERS

    @pytest.mark.parametrize("sample", sorted(path.stem for path in EVENTS.glob("api-*.json")))
    def test_the_sample_events_are_of_its_routes(self, sample: str) -> None:
        event = json.loads((EVENTS / f"{sample}.json").read_text())

        assert (event["httpMethod"], event["resource"]) in ROUTES
        assert event["resource"].format(**event["pathParameters"] or {}) == event["path"]


class TestTheWayInOfEvents:
    def test_any_rule_of_this_account_may_start_scheduled_jobs_and_nobody_else(self) -> None:
        permission = STACK["ScheduleRulePermission"]["Properties"]

        assert permission["Principal"] == "events.amazonaws.com"
        assert permission["SourceArn"] == {
            "Fn::Sub": "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:rule/*"
        }

    def test_the_templates_own_schedule_is_off_until_asked_for(self) -> None:
        assert "ScheduleRule" not in STACK

        rule = deployed(ScheduleExpression="rate(1 day)")["ScheduleRule"]["Properties"]

        (target,) = rule["Targets"]
        assert target["Arn"] == arn_of("ScheduleFunction")
        assert target["InputTransformer"] == {
            "InputPathsMap": {"id": "$.id"},
            "InputTemplate": {"Fn::Sub": '{"firing": "<id>", "input": ${ScheduledJobs}}'},
        }
        assert target["DeadLetterConfig"] == {"Arn": arn_of("DeadLetters")}

    def test_sweep_runs_every_5_minutes_and_when_an_execution_ends_badly(self) -> None:
        timer, ended = (STACK[f"SweepFunction{name}"]["Properties"] for name in ("Every5Minutes", "ExecutionEnded"))

        assert timer["ScheduleExpression"] == "rate(5 minutes)"
        assert ended["EventPattern"] == {
            "source": ["aws.states"],
            "detail-type": ["Step Functions Execution Status Change"],
            "detail": {
                "stateMachineArn": [{"Ref": "RetrieveMachine"}, {"Ref": "BatchMachine"}],
                "status": ["FAILED", "TIMED_OUT", "ABORTED"],
            },
        }
        for rule in (timer, ended):
            (target,) = rule["Targets"]
            assert target["Arn"] == arn_of("SweepFunction")
            assert target["DeadLetterConfig"] == {"Arn": arn_of("DeadLetters")}

    @pytest.mark.parametrize("rule", ["SweepFunctionEvery5Minutes", "SweepFunctionExecutionEnded"])
    def test_sweeps_rules_may_call_it(self, rule: str) -> None:
        permission = STACK[f"{rule}Permission"]["Properties"]

        assert (permission["Principal"], permission["SourceArn"]) == ("events.amazonaws.com", arn_of(rule))
        assert permission["FunctionName"] == {"Ref": "SweepFunction"}

    def test_the_sample_of_an_ended_execution_matches_the_rule(self) -> None:
        event = json.loads((EVENTS / "sweep-execution-ended.json").read_text())
        pattern = STACK["SweepFunctionExecutionEnded"]["Properties"]["EventPattern"]

        assert [event["source"]] == pattern["source"]
        assert [event["detail-type"]] == pattern["detail-type"]
        assert event["detail"]["status"] in pattern["detail"]["status"]

    @pytest.mark.parametrize("function", ["ScheduleFunction", "SweepFunction"])
    def test_an_event_that_a_function_cannot_take_ends_in_the_dead_letters(self, function: str) -> None:
        configs = of_type(STACK, "AWS::Lambda::EventInvokeConfig").values()

        (config,) = [c for c in configs if c["FunctionName"] == {"Ref": function}]

        assert config["DestinationConfig"]["OnFailure"]["Destination"] == arn_of("DeadLetters")
        sends = [s for s in statements(role_of(function)) if s["Action"] == ["sqs:SendMessage"]]
        assert [s["Resource"] for s in sends] == [[arn_of("DeadLetters")]]

    def test_rules_of_this_stack_may_leave_undelivered_events_in_the_dead_letters(self) -> None:
        (statement,) = STACK["DeadLettersPolicy"]["Properties"]["PolicyDocument"]["Statement"]

        assert statement["Principal"] == {"Service": "events.amazonaws.com"}
        assert statement["Condition"]["ArnEquals"]["aws:SourceArn"] == [
            arn_of(rule) for rule in rules_with_dead_letters(STACK)
        ]

    def test_so_may_the_templates_own_schedule_where_there_is_one(self) -> None:
        stack = deployed(ScheduleExpression="rate(1 day)")

        (statement,) = stack["DeadLettersPolicy"]["Properties"]["PolicyDocument"]["Statement"]

        named = {source["Fn::GetAtt"][0] for source in statement["Condition"]["ArnEquals"]["aws:SourceArn"]}
        assert named == set(rules_with_dead_letters(stack))
        assert "ScheduleRule" in named

    def test_dead_letters_are_encrypted_and_kept_as_long_as_possible(self) -> None:
        queue = STACK["DeadLetters"]["Properties"]

        assert queue["SqsManagedSseEnabled"] is True
        assert queue["MessageRetentionPeriod"] == 14 * 86_400


SCHEDULER = "arn:${AWS::Partition}:scheduler:${AWS::Region}:${AWS::AccountId}"


class TestSchedules:
    role = ROLES["ScheduleRole"]

    def test_are_a_group_of_this_stack(self) -> None:
        assert STACK["ScheduleGroup"]["Properties"] == {"Name": {"Ref": "AWS::StackName"}}

    def test_fire_in_a_role_that_only_this_group_may_take(self) -> None:
        (statement,) = self.role["AssumeRolePolicyDocument"]["Statement"]

        assert (statement["Principal"], statement["Action"]) == (
            {"Service": "scheduler.amazonaws.com"},
            "sts:AssumeRole",
        )
        assert statement["Condition"] == {
            "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}},
            "ArnEquals": {"aws:SourceArn": arn_of("ScheduleGroup")},
        }

    def test_may_call_their_function_and_leave_dead_letters_and_nothing_else(self) -> None:
        may = [(s["Action"], s["Resource"]) for s in statements(self.role)]

        assert may == [
            (["lambda:InvokeFunction"], [arn_of("ScheduleFunction")]),
            (["sqs:SendMessage"], [arn_of("DeadLetters")]),
        ]
        assert "ManagedPolicyArns" not in self.role

    def test_the_api_keeps_those_of_its_own_group_and_no_others(self) -> None:
        may = {s["Sid"]: s for s in statements(role_of("ApiFunction")) if "scheduler:" in s["Action"][0]}

        assert may["KeepSchedules"]["Resource"] == [{"Fn::Sub": f"{SCHEDULER}:schedule/${{ScheduleGroup}}/*"}]
        assert sorted(may["KeepSchedules"]["Action"]) == [
            f"scheduler:{name}Schedule" for name in ("Create", "Delete", "Get", "Update")
        ]
        # Scheduler knows no narrower resource for a listing, whatever group it asks for.
        assert may["ListSchedules"]["Resource"] == [{"Fn::Sub": f"{SCHEDULER}:schedule/*/*"}]
        assert may["ListSchedules"]["Action"] == ["scheduler:ListSchedules"]
        assert set(may) == {"KeepSchedules", "ListSchedules"}

    def test_the_api_hands_over_their_role_and_only_to_scheduler(self) -> None:
        passing = [s for f in FUNCTIONS for s in statements(role_of(f)) if "iam:PassRole" in s["Action"]]

        (statement,) = passing
        assert statement in statements(role_of("ApiFunction"))
        assert (statement["Action"], statement["Resource"]) == (["iam:PassRole"], [arn_of("ScheduleRole")])
        assert statement["Condition"] == {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}}

    def test_the_api_knows_where_they_are_kept_and_what_they_call(self) -> None:
        variables = FUNCTIONS["ApiFunction"]["Environment"]["Variables"]

        assert (
            variables.items()
            >= {
                "SCHEDULE_GROUP": {"Ref": "ScheduleGroup"},
                "SCHEDULE_TARGET_ARN": arn_of("ScheduleFunction"),
                "SCHEDULE_ROLE_ARN": arn_of("ScheduleRole"),
                "DEAD_LETTERS_ARN": arn_of("DeadLetters"),
            }.items()
        )

    def test_tell_of_a_firing_in_vain_on_the_bus(self) -> None:
        assert FUNCTIONS["ScheduleFunction"]["Environment"]["Variables"]["EVENT_BUS_NAME"] == {"Ref": "EventBus"}
        (tell,) = [s for s in statements(role_of("ScheduleFunction")) if s["Action"] == ["events:PutEvents"]]
        assert tell["Resource"] == [arn_of("EventBus")]


class TestParametersAndOutputs:
    def test_every_parameter_has_a_default_and_a_description(self) -> None:
        for name, parameter in source()["Parameters"].items():
            assert "Default" in parameter, name
            assert parameter["Description"], name

    @pytest.mark.parametrize("name", [name for name, p in source()["Parameters"].items() if "AllowedPattern" in p])
    def test_a_default_is_allowed_by_its_own_pattern(self, name: str) -> None:
        parameter = source()["Parameters"][name]

        assert re.fullmatch(parameter["AllowedPattern"], parameter["Default"])

    def test_the_evidence_asked_for_is_one_the_transfers_know(self) -> None:
        parameter = source()["Parameters"]["MinimumEvidence"]

        assert parameter["AllowedValues"] == [level.value for level in reversed(Level)]
        assert parameter["Default"] == Options().minimum_evidence

    def test_the_connections_allowed_are_those_an_account_may_name(self) -> None:
        parameter = source()["Parameters"]["Connections"]

        assert (parameter["MinValue"], parameter["MaxValue"]) == (1, CONNECTIONS_MAX)
        assert parameter["Default"] == Options().connections

    def test_the_promised_outputs_are_there(self) -> None:
        assert set(source()["Outputs"]) >= {
            "ApiUrl",
            "BucketName",
            "TableName",
            "StateMachineArn",
            "BatchMachineArn",
            "EventBusName",
            "SecretPrefix",
            "ScheduleFunctionArn",
        }

    def test_two_stacks_in_one_account_do_not_meet(self) -> None:
        named = [
            properties[key]
            for resource in source()["Resources"].values()
            for properties in [resource.get("Properties", {})]
            for key in ("FunctionName", "Name", "LayerName", "LogGroupName", "DashboardName", "QueueName", "TopicName")
            if key in properties and resource["Type"] != "AWS::Lambda::Permission"
        ]

        assert named
        assert all("AWS::StackName" in str(name) or "Function}" in str(name) for name in named)


def test_what_the_tests_run_on_is_what_is_deployed() -> None:
    def pins(path: Path) -> set[str]:
        return {line.strip().lower().replace("_", "-") for line in path.read_text().splitlines() if "==" in line}

    assert pins(ROOT / "layers/dependencies/requirements.txt") <= pins(ROOT / "requirements-dev.txt")


def test_every_state_that_calls_a_function_calls_its_own() -> None:
    for name, state in LAMBDA_STATES.items():
        assert state["Arguments"]["FunctionName"].endswith(f":{name}")
    assert definition()["StartAt"] == "Trigger"


class TestWhatATeamBrings:
    def test_a_bound_for_downloads_is_reserved_only_where_it_is_given(self) -> None:
        bounded = deployed(DownloadConcurrency="40")["DownloadFunction"]["Properties"]

        assert bounded["ReservedConcurrentExecutions"] == {"Ref": "DownloadConcurrency"}
        assert not any("ReservedConcurrentExecutions" in function for function in FUNCTIONS.values())

    def test_a_boundary_and_a_path_are_those_of_every_role(self) -> None:
        roles = of_type(deployed(PermissionsBoundaryArn="arn:aws:iam::123456789012:policy/b"), "AWS::IAM::Role")

        assert {json.dumps(r.get("PermissionsBoundary")) for r in roles.values()} == {
            '{"Ref": "PermissionsBoundaryArn"}'
        }
        assert {json.dumps(r.get("Path")) for r in roles.values()} == {'{"Ref": "RolePath"}'}
        assert not any("PermissionsBoundary" in role for role in ROLES.values())

    def test_a_bus_of_the_teams_own_takes_the_place_of_the_stacks(self) -> None:
        stack = deployed(EventBusArn="arn:aws:events:us-east-1:123456789012:event-bus/team")

        assert "EventBus" not in stack
        assert '"EventBus"' not in json.dumps(stack)
        assert stack["FinishFunction"]["Properties"]["Environment"]["Variables"]["EVENT_BUS_NAME"] == {
            "Ref": "EventBusArn"
        }

    def test_a_topic_of_the_teams_own_gets_every_alarm_and_the_stack_makes_none(self) -> None:
        stack = deployed(AlarmTopicArn="arn:aws:sns:us-east-1:123456789012:team", AlarmEmail="ops@example.com")

        assert "AlarmTopic" not in stack
        alarms = of_type(stack, "AWS::CloudWatch::Alarm").values()
        assert all(alarm["AlarmActions"] == [{"Ref": "AlarmTopicArn"}] for alarm in alarms)

    def test_keys_of_the_teams_own_encrypt_the_logs_and_the_table(self) -> None:
        key = "arn:aws:kms:us-east-1:123456789012:key/5d1f"
        stack = deployed(LogsKmsKeyArn=key, TableKmsKeyArn=key)

        groups = of_type(stack, "AWS::Logs::LogGroup").values()
        assert all(group["KmsKeyId"] == {"Ref": "LogsKmsKeyArn"} for group in groups)
        assert stack["Table"]["Properties"]["SSESpecification"]["KMSMasterKeyId"] == {"Ref": "TableKmsKeyArn"}
        assert "SSESpecification" not in STACK["Table"]["Properties"]

    def test_no_storage_class_is_offered_whose_objects_cannot_be_read(self) -> None:
        assert not ARCHIVE_CLASSES & set(source()["Parameters"]["StorageClass"]["AllowedValues"])

    def test_the_layers_are_built_for_every_runtime_that_may_be_chosen(self) -> None:
        runtimes = source()["Parameters"]["PythonRuntime"]["AllowedValues"]
        makefile = (ROOT / "layers" / "dependencies" / "Makefile").read_text()

        (versions,) = re.findall(r"^RUNTIMES \?= (.*)$", makefile, re.MULTILINE)
        assert [f"python{version}" for version in versions.split()] == runtimes
        for layer in of_type(STACK, "AWS::Lambda::LayerVersion").values():
            assert layer["CompatibleRuntimes"] == runtimes

    def test_the_published_version_is_the_projects(self) -> None:
        about = source()["Metadata"]["AWS::ServerlessRepo::Application"]

        assert f'version = "{about["SemanticVersion"]}"' in (ROOT / "pyproject.toml").read_text()
        assert all((ROOT / about[name]).is_file() for name in ("LicenseUrl", "ReadmeUrl"))


def test_the_template_is_short_and_no_merge_key_overrides_what_it_merges() -> None:
    text = (ROOT / "template.yaml").read_text()

    assert len(text.splitlines()) < 1000
    assert list(_overriding(yaml.compose(text))) == []
    overriding = "a: &a {x: 1}\nb: {<<: *a, x: 2}"
    assert list(_overriding(yaml.compose(overriding))) == [{"x"}]


def _overriding(node: yaml.Node | None) -> Iterator[set[str]]:
    """The fields of a mapping that it merges and has itself, of each mapping that has such."""
    if isinstance(node, yaml.MappingNode):
        own = {key.value for key, _ in node.value if key.value != "<<"}
        merged = [inner for key, value in node.value if key.value == "<<" for inner in _fields(value)]
        if twice := own.intersection(merged):
            yield twice
        for _, value in node.value:
            yield from _overriding(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _overriding(value)


def _fields(node: yaml.Node) -> Iterator[str]:
    for key, value in node.value:
        yield from _fields(value) if key.value == "<<" else [key.value]
