# Everything one does with this project. Each target makes the environment it needs.

# Which Python the environment is made with: the first one that is recent enough.
CANDIDATES := python3 python3.11 python3.12 python3.13 python3.14 python
IS_RECENT := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in $(CANDIDATES); do \
	$$p -c '$(IS_RECENT)' >/dev/null 2>&1 && echo $$p && break; done)

VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
AIRFLOW := .venv-airflow
VERSIONS := 3.11 3.12 3.13 3.14
CLUSTERS ?= slurm pbs moab sge oar
ARGS ?=
JOBS ?= 4

.PHONY: help
help: ## say what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 16

.PHONY: install
install: $(READY) ## make .venv, with all that the other targets need

$(READY): pyproject.toml constraints.txt
	@'$(PYTHON)' -c '$(IS_RECENT)' || { \
		echo "Cannot make $(VENV): '$(PYTHON)' is no Python of version 3.11 or newer." \
			"Install one, or say where it is: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@# What another Python made is kept: two of them in one environment would break it.
	$(BIN)/python -m pip --version >/dev/null 2>&1 || '$(PYTHON)' -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt --editable '.[all]' --group dev
	@touch $@

.PHONY: demo
demo: $(READY) ## search hyperparameters for a minute; ARGS="--backend threads --seconds 20"
	$(BIN)/python examples/hpo.py $(ARGS)

.PHONY: test
test: $(READY) ## run the tests; ARGS="-k word", and JOBS=0 for one after the other
	$(BIN)/python -m pytest --numprocesses=$(JOBS) --dist=loadscope --no-loadscope-reorder $(ARGS)

.PHONY: airflow
airflow: $(AIRFLOW)/.ready ## install Airflow in .venv-airflow, for the tests that need one

$(AIRFLOW)/.ready: tests/airflow/requirements.txt | $(READY)
	$(BIN)/python -m venv --clear $(AIRFLOW)
	$(AIRFLOW)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

.PHONY: test-all
test-all: ## run the tests with each Python from 3.11 to 3.14 that is there
	@summary=; failed=; \
	for version in $(VERSIONS); do \
		python=; \
		for p in python$$version $$HOME/.pyenv/versions/$$version.*/bin/python$$version \
			"$$(py -$$version -c 'import sys; print(sys.executable)' 2>/dev/null)"; do \
			if "$$p" -c '' >/dev/null 2>&1; then python=$$p; break; fi; \
		done; \
		if [ -z "$$python" ]; then \
			outcome="not found, skipped"; \
		elif $(MAKE) --no-print-directory test VENV=.venv-$$version PYTHON="$$python"; then \
			outcome="passed ($$python)"; \
		else \
			outcome="FAILED ($$python)"; failed=yes; \
		fi; \
		summary="$$summary\nPython $$version: $$outcome"; \
	done; \
	printf "$$summary\n"; \
	case "$$summary" in *"passed ("*) ;; *) failed=yes ;; esac; \
	[ -z "$$failed" ]

.PHONY: clusters
clusters: $(READY) ## work on real cluster managers, for root on Debian; one alone: make cluster-slurm
	tests/clusters/install.sh $(CLUSTERS)
	AMLTK_CLUSTERS='$(CLUSTERS)' $(BIN)/python -m pytest tests/clusters $(ARGS)

CLUSTER_TARGETS := $(addprefix cluster-,slurm pbs moab sge oar condor)
.PHONY: $(CLUSTER_TARGETS)
$(CLUSTER_TARGETS): cluster-%:
	@$(MAKE) --no-print-directory clusters CLUSTERS=$*

.PHONY: check
check: $(READY) ## judge the code: style, and types in five checkers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	@! grep -rnE 'type: ignore|pyright: ignore|pyrefly: ignore|ty: ignore|\bcast\(' src
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/basedpyright
	$(BIN)/pyrefly check --min-severity warn
	$(BIN)/ty check
	PYTHONPATH=$(CURDIR)/src $(BIN)/pyright --pythonpath $(BIN)/python --verifytypes amltk --ignoreexternal
	$(BIN)/python -m pytest -q tests/typing

HAS_TESTS := import test.test_concurrent_futures.executor

.PHONY: conformance
conformance: ## run CPython's own tests of executors on ours, with a Python that has them
	@python=; \
	for p in $(VERSIONS:%=python%) $(wildcard $(HOME)/.pyenv/versions/3.1[2-9].*/bin/python); do \
		if "$$p" -c '$(HAS_TESTS)' >/dev/null 2>&1; then python=$$p; fi; \
	done; \
	[ -n "$$python" ] || { echo "No Python here that is 3.12 or newer, and has its tests." >&2; exit 1; }; \
	$(MAKE) --no-print-directory install VENV=.venv-conformance PYTHON="$$python"
	.venv-conformance/bin/python tests/conformance/run.py

.PHONY: bench
bench: $(READY) ## measure the speed, against what does the same
	$(BIN)/python benchmarks/run.py $(ARGS)

.PHONY: docs
docs: $(READY) ## build the documentation, running every example in it
	$(BIN)/python docs/build.py

.PHONY: hooks
hooks: $(READY) ## have git run the quick checks before each commit
	$(BIN)/pre-commit install

.PHONY: clean
clean: ## remove what the other targets made
	rm -rf .venv .venv-* build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -o -name '*.egg-info' | xargs rm -rf
