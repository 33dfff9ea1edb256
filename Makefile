# What a person types. `make` alone lists it.

VENV := .venv
BIN := $(VENV)/bin
# A copy of the lock the environment was made from: it tells whether that is still the right one.
INSTALLED := $(VENV)/installed.lock

STAGE ?=
AREA ?=
ARGS ?=
RATE ?= 20
SECONDS ?= 30
MINUTES ?= 5

# Production asks for these; what `make check` looks at never runs, so anything of the right form will do.
PRODUCTION_SAMPLE = DJANGO_SETTINGS_MODULE=heraldsite.settings.production HERALD_ALLOWED_HOSTS=herald.example.org \
	HERALD_SECRET_KEY=a-sample-that-only-looks-like-a-secret-0123456789-abcdefghijklmnop \
	HERALD_DATA_DIR=$(VENV)/check

.DEFAULT_GOAL := help
.PHONY: help setup run demo test test-sqlite test-postgresql check bench soak fuzz format lock generated clean

help:  ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup:  ## make the Python environment .venv; again only when requirements.lock has changed (PYTHON=… chooses)
	@cmp -s requirements.lock $(INSTALLED) && $(BIN)/python -c '' 2>/dev/null || PYTHON='$(PYTHON)' VENV=$(VENV) deploy/make_venv.sh

run: setup  ## run herald until Ctrl-C (STAGE=TESTING, INTEGRATION … for another stage)
	@$(if $(STAGE),env -u DJANGO_SETTINGS_MODULE DEV_STAGE=$(STAGE)) $(BIN)/python manage.py up

demo: setup  ## send sample records to the herald that runs (RATE=20 a second, SECONDS=30, STAGE=…)
	@$(if $(STAGE),env -u DJANGO_SETTINGS_MODULE DEV_STAGE=$(STAGE)) $(BIN)/python manage.py demo --rate $(RATE) --seconds $(SECONDS)

test: test-sqlite test-postgresql  ## run the tests on SQLite, then on PostgreSQL (ARGS='-k word' for some)

test-sqlite: setup
	$(BIN)/python -m pytest $(ARGS)

test-postgresql: setup
	@HERALD_DATA_DIR=$(VENV)/data-postgresql $(BIN)/python tests/with_postgresql.py $(BIN)/python -m pytest $(ARGS); code=$$?; \
	if [ $$code -ne 77 ]; then exit $$code; fi; \
	echo 'NOT TESTED on PostgreSQL: there is none on this machine. `apt install postgresql` brings it; no server need run.'; \
	if [ -n "$$CI" ] || [ -n "$$HERALD_REQUIRE_ALL" ]; then exit 1; fi

check: setup  ## look the code over: style, types, imports, templates, migrations, settings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/djlint --lint --quiet templates
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py check --fail-level WARNING
	$(PRODUCTION_SAMPLE) $(BIN)/python manage.py check --deploy --fail-level WARNING

format: setup  ## put the code into the form `make check` asks for
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup  ## measure, as JSON lines; fails when a goal is missed (AREA=bridge for one area)
	@$(BIN)/python -m tests.benchmarks $(if $(AREA),--area $(AREA))

soak: setup  ## run the long fault and load tests
	$(BIN)/python -m pytest -m soak $(ARGS)

fuzz: setup  ## throw random frames at the decoders (MINUTES=5)
	$(BIN)/python -m tests.bridge.fuzz_codecs --seconds $$(( $(MINUTES) * 60 ))

lock:  ## resolve the dependencies of pyproject.toml anew into requirements.lock (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate \
		--group dev pyproject.toml -o requirements.lock $(ARGS)

generated: setup  ## write the files that are made from code: deploy/supervisord.conf, docs/query.md, heraldsite/schema.graphql
	$(BIN)/python -m heraldsite.programs > deploy/supervisord.conf
	DJANGO_SETTINGS_MODULE=heraldsite.settings.testing $(BIN)/python -m logs.query.reference > docs/query.md
	DJANGO_SETTINGS_MODULE=heraldsite.settings.testing $(BIN)/python -m heraldsite.schema > heraldsite/schema.graphql

clean:  ## remove the environment and all caches; what herald has stored in var/ stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
