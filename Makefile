# Start with `make demo` and `make test`. Both install what they need; you need only Python 3.11+, make and git.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python
READY := $(VENV)/.ready
# The SAM CLI needs a region to read the template, but no credentials.
OFFLINE := SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=us-east-1
WORKERS ?= 2
FUZZ_EXAMPLES ?= 2000
SECONDS ?= 3600
MUTANTS := .cache/mutants
API_FUZZ := .cache/api-fuzz
# The tests of `make quick`: of modules with only values and functions, without sockets and processes.
PURE := tests/unit/intake tests/unit/pacing tests/unit/transfer/media \
	tests/unit/test_jobs.py tests/unit/test_job_values.py tests/unit/test_patterns.py tests/unit/test_redaction.py
# Python files that differ from the default branch of `origin`, or from the last commit where there is none.
CHANGED = { git diff --name-only --diff-filter=d $$(git merge-base origin/HEAD HEAD 2>/dev/null || echo HEAD) -- '*.py'; \
	git ls-files --others --exclude-standard -- '*.py'; } | sort -u
# What the Lambda runtime has, so that the layer does not need it.
IN_LAMBDA := boto3|botocore|s3transfer|python-dateutil|six

.DEFAULT_GOAL := help
.PHONY: help setup demo test quick unit integration lint up down invoke bench fuzz api-fuzz chaos simulate mutants lock clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */\1\t/' | expand -t 14

setup: $(READY)  ## the virtual environment with everything pinned

$(READY): requirements-dev.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

demo: setup  ## jobs of all vendors on this machine, with a live table and a check of each stored file
	$(RUN) -m local demo

up: setup  ## start the stack and the simulators, and leave them running; prints the API's address
	$(RUN) -m local up

down: setup  ## end what `make up` has started
	$(RUN) -m local down

invoke: setup  ## call a function of the running stack: FUNCTION=poll EVENT=events/poll.json
	@$(RUN) -m local invoke "$(FUNCTION)" "$(EVENT)"

# Tests of the deployed stack mostly wait, so the other tests run at the same time, on two more workers.
test: lint  ## lint and every test
	$(RUN) -m pytest -n $$(($(WORKERS) + 2)) --dist loadgroup --no-loadscope-reorder \
	  tests/integration tests/conformance tests/unit

quick: setup  ## in under a minute: ruff on what has changed, mypy, the tests of the pure core
	@changed="$$($(CHANGED))"; \
	if [ -n "$$changed" ]; then $(RUN) -m ruff check $$changed && $(RUN) -m ruff format --check $$changed; fi
	$(RUN) -m mypy
	$(RUN) -m pytest -n $(WORKERS) $(PURE)

unit: setup  ## pure core, handlers, vendors against their simulators, template and machine
	$(RUN) -m pytest -n $(WORKERS) tests/unit tests/conformance

integration: setup  ## the deployed stack, end to end
	$(RUN) -m pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder tests/integration

lint: setup  ## ruff, mypy --strict, sam validate --lint, cfn-lint with the serverless rules
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(OFFLINE) $(RUN) -m samcli validate --lint
	$(OFFLINE) $(BIN)/cfn-lint -a cfn_lint_serverless.rules -t template.yaml

bench: setup  ## run the benchmarks and write docs/performance.md
	$(RUN) -m tests.benchmarks

fuzz: setup  ## random input to every entry point, from users, vendors and file servers: FUZZ_EXAMPLES of each kind
	FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) $(RUN) -m pytest -n $(WORKERS) --timeout 3600 tests/unit/fuzz

api-fuzz: setup  ## schemathesis against the deployed stack with docs/openapi.yaml, for a minute; in a separate venv
	$(PYTHON) -m venv $(API_FUZZ)
	$(API_FUZZ)/bin/python -m pip install --quiet -r tests/api_fuzz/requirements.txt
	$(RUN) -m tests.api_fuzz $(API_FUZZ)/bin/schemathesis

chaos: setup  ## run the fault campaign and write docs/reliability.md
	$(RUN) -m local.chaos

simulate: setup  ## the whole bundle in virtual time, by seed, for SECONDS; then with faults put into its code
	$(RUN) -m tests.simulation --seconds $(SECONDS)

mutants:  ## mutation testing of the pure core; writes its score into docs/reliability.md; in a separate venv
	mkdir -p $(MUTANTS)
	$(PYTHON) -m venv $(MUTANTS)/venv
	grep -vE '^(aws-sam-cli|click)==' requirements-dev.txt > $(MUTANTS)/requirements.txt  # mutmut wants a newer click
	$(MUTANTS)/venv/bin/python -m pip install --quiet -r tests/mutants/requirements.txt -r $(MUTANTS)/requirements.txt
	$(MUTANTS)/venv/bin/python -m tests.mutants $(PARTS)

lock:  ## pin requirements-dev.txt and layers/dependencies/requirements.txt again
	rm -rf .cache/lock
	$(PYTHON) -m venv .cache/lock/dev
	.cache/lock/dev/bin/python -m pip install --quiet -r requirements-dev.in
	.cache/lock/dev/bin/python -m pip freeze > requirements-dev.txt
	$(PYTHON) -m venv .cache/lock/layer
	.cache/lock/layer/bin/python -m pip install --quiet -c requirements-dev.txt -r layers/dependencies/requirements.in
	{ echo '# Made by `make lock` from requirements.in; the Lambda runtime brings boto3 and botocore itself.'; \
	  .cache/lock/layer/bin/python -m pip freeze | grep -vE '^($(IN_LAMBDA))=='; } > layers/dependencies/requirements.txt
	rm -rf .cache/lock

clean:  ## delete everything that can be made again
	rm -rf $(VENV) .aws-sam .local-aws .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
