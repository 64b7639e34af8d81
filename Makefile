# Everything from a machine with Python >= 3.10, bash and make. `make help` lists the targets.

SHELL := bash
PYTHON ?= python3
WORKERS ?= 2
ARGS ?=

BIN := .venv/bin
READY := .venv/.ready
NEEDS := adversarium needs Python 3.10 or newer: make PYTHON=/path/to/python

.DEFAULT_GOAL := help
.PHONY: help setup run test slow lint docs bench clean distclean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  ARGS='...' is appended to the command: make test ARGS='-k hinge'"
	@echo "  PYTHON=python3.12 chooses the Python of a new .venv (any from 3.10 on)"

setup: $(READY)  ## create .venv with adversarium and the development tools (run, test, ... do this first)

# The stamp is written last, so an interrupted set-up starts again.
$(READY): pyproject.toml constraints.txt
	@set -e; if ! $(BIN)/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then \
		command -v "$(PYTHON)" >/dev/null || { echo "$(PYTHON): not found. $(NEEDS)" >&2; exit 1; }; \
		"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
			|| { echo "$(PYTHON): $$("$(PYTHON)" --version 2>&1) is too old. $(NEEDS)" >&2; exit 1; }; \
		echo "Creating .venv with $$("$(PYTHON)" --version)"; \
		"$(PYTHON)" -m venv --clear .venv; \
	fi
	@echo "Installing adversarium and its tools into .venv (1 to 3 minutes the first time; most of it is torch)"
	@set -e -o pipefail; $(BIN)/python -m pip install --quiet 'pip>=22.3'; \
	$(BIN)/python -m pip install -c constraints.txt -e '.[dev]' \
		| awk '/^(Collecting|Processing) / {sub(/.*\//, "", $$2); sub(/[][<>=!~;(].*/, "", $$2); print "  " $$2} \
			/^Installing / {print "  copying files"} {fflush()}'
	@touch $@

# A study that was stopped goes on; one that is done writes its report again.
run: $(READY)  ## compare the six losses of every introduction, on the ring and on digits: two reports
	$(BIN)/adversarium study ring --seeds 10 --budget 6000gradients --width 64 \
		--critic-learning-rate 1e-3 --generator-learning-rate 1e-3 --out studies/ring $(ARGS)
	$(BIN)/adversarium study mnist --seeds 5 --budget 30kimg --measurements 4 --width 16 --batch-size 32 \
		--critic-learning-rate 1e-3 --generator-learning-rate 1e-3 --out studies/mnist $(ARGS)

test: $(READY)  ## the test suite
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

slow: $(READY)  ## the tests that take minutes
	$(BIN)/python -m pytest -m slow --timeout 1800 $(ARGS)

lint: $(READY)  ## style, format, types and the order of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY)  ## the documentation, in build/docs; a warning or an undocumented public name is an error
	OMP_NUM_THREADS=1 $(BIN)/sphinx-build -q -n -W --keep-going docs build/docs $(ARGS)

bench: $(READY)  ## every benchmark, one after the other
	@set -e; for bench in $(sort $(wildcard benchmarks/bench_*.py)); do echo "== $$bench"; $(BIN)/python $$bench $(ARGS); done

clean:  ## remove caches and build outputs (runs and studies stay)
	rm -rf build dist docs/catalogue .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find src tests benchmarks docs examples -name __pycache__ -prune -exec rm -rf {} +

distclean: clean  ## clean, and remove .venv
	rm -rf .venv
