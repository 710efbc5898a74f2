# Two commands are all that a newcomer needs: `make run` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ENV ?= dev
TO ?= latest

.PHONY: help run test check unit format bench package synth snapshots bootstrap deploy destroy smoke restore lock clean

help:  ## Say what there is to do
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

run: $(VENV)/ready  ## Start the service in ./data with this machine's own log lines, and say what to type next
	@$(BIN)/python scripts/first_run.py

test: $(VENV)/ready check  ## Every check and every test, from nothing
	$(BIN)/pytest -n 2 --dist loadgroup

check: $(VENV)/ready  ## Style, types and architecture
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(VENV)/ready  ## The quick tests alone
	$(BIN)/pytest -q tests/unit

format: $(VENV)/ready  ## Put the code into its form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/ready  ## Measure this machine and the service on it, about 5 minutes: make bench ARGS="--quick"
	@$(BIN)/python -m bench $(ARGS)

package: $(VENV)/ready  ## Build the Lambda functions' code into build/: make package ARGS="--architecture x86_64"
	@$(BIN)/python scripts/build_lambda.py $(ARGS)

synth: $(VENV)/ready  ## Write and check the AWS home's templates, offline, into cdk.out/: make synth ENV=prod
	@$(BIN)/python -m infra -c env=$(ENV) $(CONTEXT) --output cdk.out/$(ENV)

snapshots: $(VENV)/ready  ## Write the reviewed templates anew, to be reviewed: see what git says of them
	@cd tests && ../$(BIN)/python -m support.snapshots

bootstrap: $(VENV)/ready  ## Make the CDK's own bucket and roles, once for an account and region
	@$(BIN)/python -m infra.manage bootstrap

deploy: $(VENV)/ready  ## Deploy, after showing what changes and asking: make deploy ENV=dev CONTEXT="-c alarm_email=…"
	@$(BIN)/python -m infra.manage deploy --env $(ENV) $(CONTEXT)

destroy: $(VENV)/ready  ## Delete a deployment, after saying what goes and what stays: make destroy ENV=dev
	@$(BIN)/python -m infra.manage destroy --env $(ENV) $(CONTEXT)

smoke: $(VENV)/ready  ## Ask a deployed stack whether all is as it should be: make smoke ENV=dev
	@$(BIN)/python -m infra.smoke --env $(ENV) $(CONTEXT) $(ARGS)

restore: $(VENV)/ready  ## Restore the table, step by step: make restore ENV=dev TO=2026-01-31T12:00:00Z
	@$(BIN)/python -m infra.restore --env $(ENV) --to $(TO) $(CONTEXT) $(ARGS)

lock:  ## Choose versions anew (needs uv)
	uv pip compile -q pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --upgrade -o requirements/runtime.txt
	uv pip compile -q pyproject.toml --group dev --extra aws --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --upgrade -c requirements/runtime.txt -o requirements/dev.txt
	printf 'google-re2\nmsgspec\nzstandard\n' | uv pip compile -q - --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --upgrade -c requirements/runtime.txt -o requirements/lambda.txt

clean:  ## Remove what was built; ./data stays
	rm -rf $(VENV) build dist cdk.out infra/node_modules .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/ready: requirements/dev.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "setting up $(VENV) (pinned and hashed dependencies)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
