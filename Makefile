# `make demo` and `make test` do all of the set-up on a machine with Python 3.11 or newer and make.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: demo test test-all lint docs clean

demo: $(STAMP)
	$(BIN)/resight demo -o demo

test: $(STAMP) lint
	$(BIN)/pytest -n 2 --dist worksteal --durations 10

test-all: $(STAMP) lint
	# A real Milvus server (58 MB, Linux on x86-64) and Ray (79 MB): where they cannot be had, their tests are skipped.
	$(BIN)/pip install --quiet --constraint constraints.txt --no-deps milvus || true
	$(BIN)/pip install --quiet --constraint constraints.txt ray || true
	$(BIN)/pytest -m "slow or not slow"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The site: guide, results, decisions, and the reference from the docstrings. Fails at any warning, and where a page
# would fetch anything.
docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	$(BIN)/python docs/check_site.py site
	@echo site/index.html

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	# The tests' oracle of tracking metrics, without what only its data sets and drawings need (OpenCV, half a GB).
	$(BIN)/pip install --quiet --constraint constraints.txt --no-deps trackeval
	touch $(STAMP)

clean:
	rm -rf .venv demo site build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
