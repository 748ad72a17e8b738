# mailveil: everything that a newcomer needs is `make run`. Needs Python 3.11 or newer, and make.
#
#   make run     set up if need be, and start the whole product (ARGS="--role gateway" for options of serve)
#   make setup   leave the command ready as .venv/bin/mailveil
#   make test    check and test everything; INSTALL=1 installs what is missing from Debian's packages
#   make lint    only the checks that need no mail: style, types, imports
#   make bench   measure the speed (ARGS="--quick" for less of it)
#   make lesson  learn in the lab what behaviour weighs (ARGS="--write" puts the table into the source)
#   make pictures  make the console's pictures in docs/images anew
#   make bless   accept what the corpus gives now as expected; then read the difference
#   make clean   remove what the other targets made

VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
# Set PYTHON to choose an interpreter; otherwise the first one that is new enough is taken.
PYTHON ?=
PYTEST_ARGS ?=

.PHONY: run setup test lint bench lesson pictures bless clean
.DEFAULT_GOAL := run

run: setup
	@exec $(BIN)/mailveil serve $(ARGS)

setup: $(VENV)/.installed

test: $(VENV)/.installed-for-tests
	@deploy/install-test-packages
	@status=0; \
	$(MAKE) --no-print-directory lint || status=1; \
	$(BIN)/pytest $(PYTEST_ARGS) || status=1; \
	exit $$status

lint: $(VENV)/.installed-for-tests
	@status=0; \
	$(BIN)/ruff check src tests bench || status=1; \
	$(BIN)/ruff format --check --quiet src tests bench || { echo "ruff format src tests bench: would change files"; status=1; }; \
	$(BIN)/mypy || status=1; \
	$(BIN)/lint-imports --no-logo || status=1; \
	exit $$status

bench: $(VENV)/.installed-for-tests
	@$(BIN)/python bench $(ARGS)

lesson: $(VENV)/.installed-for-tests
	@$(BIN)/python bench/lesson.py $(ARGS)

pictures: $(VENV)/.installed-for-tests
	@$(BIN)/python tests/console_pictures.py $(ARGS)

bless: $(VENV)/.installed-for-tests
	@MAILVEIL_BLESS=1 $(BIN)/pytest tests/test_corpus.py --quiet
	@echo "Now read: git diff tests/corpus"

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/bin/python:
	@deploy/make-venv "$(VENV)" "$(PYTHON)"

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing mailveil into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.installed-for-tests: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing mailveil and what its tests need into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test,bench]'
	@touch $(VENV)/.installed $@
