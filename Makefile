# The whole project by hand. `make` lists the targets.
SETUP   := include/local_stack/setup.sh
AIRFLOW := .venv/airflow/bin/python
ML      := .venv/ml/bin/python
STACK   := PYTHONPATH=include .venv/stack/bin/python
UV      := .venv/uv/bin/uv
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --no-header
SOURCES := include tests dags plugins

.PHONY: help run stop test check clean lock bench setup setup-airflow setup-ml setup-stack

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' Makefile

run:  ## one night on this machine: set-up, services, retraining, summary (ONCE=1, COMPUTE=ec2-spot, RECORDINGS, LABELS)
	@started=$$(date +%s); $(SETUP) airflow ml stack && \
	ADBREAK_RUN_STARTED=$$started PYTHONPATH=include exec .venv/stack/bin/python -m local_stack run \
		$${ONCE:+--once} $${COMPUTE:+--compute "$$COMPUTE"} \
		$${RECORDINGS:+--recordings "$$RECORDINGS"} $${LABELS:+--labels "$$LABELS"}

stop:  ## stop what `make run` left running in another terminal
	@if [ -x .venv/stack/bin/python ]; then $(STACK) -m local_stack stop; else echo "nothing runs"; fi

test: setup  ## all tests: ML, DAGs and plugins, local stack, one whole night on a tiny set
	@status=0; \
	$(ML) -m pytest tests --ignore=tests/dags --ignore=tests/plugins --ignore=tests/local_stack \
		--ignore=tests/end_to_end --ignore=tests/benchmarks || status=1; \
	$(AIRFLOW) -m pytest tests/dags tests/plugins || status=1; \
	$(STACK) -m pytest tests/local_stack || status=1; \
	$(STACK) -m pytest tests/end_to_end || status=1; \
	exit $$status

check: setup-ml  ## format, lint and types
	@status=0; \
	.venv/ml/bin/ruff check $(SOURCES) || status=1; \
	.venv/ml/bin/ruff format --check $(SOURCES) || status=1; \
	.venv/ml/bin/mypy || status=1; \
	exit $$status

bench: setup-ml  ## measure: NAME=x runs tests/benchmarks/x.py
	@test -n "$$NAME" || { echo "error: NAME is missing; there are:"; ls tests/benchmarks; exit 2; } >&2; \
	PYTHONPATH="$(CURDIR)/tests/helpers" $(ML) "tests/benchmarks/$$NAME.py"

lock: setup-stack  ## compile the three lock files from pyproject.toml
	$(COMPILE) --group airflow --group test --output-file requirements.txt
	$(COMPILE) --group ml --group test --group check --output-file requirements-ml.txt
	$(COMPILE) --group stack --group test --output-file include/local_stack/requirements.txt

clean:  ## remove all state of the local stack (recordings, models, databases, logs)
	@if [ -x .venv/stack/bin/python ]; then $(STACK) -m local_stack clean; else rm -rf .state; fi

setup:  ## make the three virtual environments
	@$(SETUP) airflow ml stack

setup-airflow setup-ml setup-stack:
	@$(SETUP) $(@:setup-%=%)
