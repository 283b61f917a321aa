# make demo   sets everything up and classifies sample images on an embedded AWS
# make test   sets everything up and runs the tests, on all processors
# make test-slow   runs the tests that are left: builds, installations, restarts, load, networks that are trained
# make lint   ruff, mypy, cfn-lint
# make checkov   security checks of the template
# make faults   faults in the embedded service: no image may be lost, doubled or stale
# make conformance   what the service relies on, checked in the embedded AWS
# make mutants mistakes in the template and in the Python that decides: a test has to notice each
# make bench-pipeline, bench-captures, bench-endpoint, bench-drift: each prints its table
VENV   ?= .venv
PYTHON ?= python3
BIN     = $(VENV)/bin
PIP     = $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: demo test test-slow lint checkov clean faults conformance mutants bench-pipeline bench-captures bench-endpoint bench-drift
demo: $(VENV)/run.done
	$(BIN)/dropsort demo

test: $(VENV)/dev.done
	$(BIN)/python -m pytest -n auto -m 'not slow'

test-slow: $(VENV)/dev.done
	$(BIN)/python -m pytest -n auto -m slow

lint: $(VENV)/dev.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/cfn-lint infra/cloudformation.yaml

bench-pipeline bench-captures bench-drift: bench-%: $(VENV)/run.done
	$(BIN)/python -m benchmarks.$*

faults: $(VENV)/run.done
	$(BIN)/python -m benchmarks.faults

conformance: $(VENV)/dev.done
	$(BIN)/python -m tests.conformance

mutants: $(VENV)/dev.done
	$(PIP) install -r requirements/mutation.in
	$(BIN)/python -m tests.mutation.template
	$(BIN)/python -m tests.mutation.documents
	$(BIN)/python -m tests.mutation.code

# Beside the same network in torch.
bench-endpoint: $(VENV)/run.done
	$(PIP) install --editable '.[train]'
	$(BIN)/python -m benchmarks.endpoint

# Security checks of the template, in an environment of its own: checkov pins other versions of what is used here.
checkov:
	@test -x build/checkov/bin/checkov || { $(PYTHON) -m venv build/checkov && build/checkov/bin/pip --quiet install checkov==3.3.30; }
	build/checkov/bin/checkov --config-file .checkov.yaml

# The packages of one lock file, then this checkout itself.
$(VENV)/%.done: requirements/%.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Dropsort needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing requirements/$*.txt into $(VENV) ..."
	@$(BIN)/python -m pip --disable-pip-version-check install --progress-bar off --require-hashes -r requirements/$*.txt
	@$(PIP) install --no-deps --editable .
	@touch $@

clean:
	rm -rf $(VENV) build dropsort.egg-info
	find . -name .git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
