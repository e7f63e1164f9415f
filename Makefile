# Everything runs in its own .venv; the first target that needs it makes it.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.vidgan-installed

.PHONY: setup demo test test-oldest test-newest test-all check lint docs bench clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,docs,log,fast,plot,features]'
	touch $@

demo: setup
	$(BIN)/vidgan demo

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint
	$(BIN)/pytest -m "not slow" -n 2 --dist worksteal

test: setup
	$(BIN)/pytest -n 2 --dist worksteal

# At the lowest versions that pyproject.toml allows, and at the newest there are; each in an environment of its own.
test-oldest test-newest: test-%:
	$(PYTHON) -m venv build/$*
	$(PYTHON) tests/versions.py $* > build/$*.txt
	build/$*/bin/python -m pip install --quiet --upgrade --disable-pip-version-check -c build/$*.txt \
	    -e '.[log,fast,plot,features]' pytest pytest-timeout pytest-xdist hypothesis
	build/$*/bin/python -m pytest -m "not slow" -n 2 --dist worksteal

# Everything, and ten thousand cases of damaged input besides: hours. The fuzz run goes on where it was stopped.
test-all: test test-oldest test-newest
	$(BIN)/pytest -m long
	$(BIN)/python tests/fuzz.py --cases 10000

docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# `make bench BEFORE=../before` times the training steps of an older checkout beside today's, too.
bench: setup
	$(BIN)/python benchmarks/run_all.py $(if $(BEFORE),--before $(BEFORE))

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
