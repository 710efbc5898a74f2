# Two commands are all that a newcomer needs: `make run` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help run test check unit format bench lock clean

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

bench: $(VENV)/ready  ## Measure this machine's ceilings and the service beside them
	$(BIN)/python -m bench

lock:  ## Choose versions anew (needs uv)
	uv pip compile -q pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --upgrade -o requirements/runtime.txt
	uv pip compile -q pyproject.toml --group dev --extra aws --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --upgrade -c requirements/runtime.txt -o requirements/dev.txt
	printf 'msgspec\nzstandard\n' | uv pip compile -q - --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --upgrade -c requirements/runtime.txt -o requirements/lambda.txt

clean:  ## Remove what was built; ./data stays
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/ready: requirements/dev.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "setting up $(VENV) (pinned and hashed dependencies)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
