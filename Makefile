# Everything needs only make and Python 3.11 or newer; the rest is installed into .venv.

PYTHON ?= python3
PORT ?= 8000
ARGS ?=

BIN := .venv/bin
MANAGE := $(BIN)/python manage.py
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# A stamp carries the checksum of what it stands for, so that only changed requirements, not
# touched ones, are installed again - and nothing needs the network while they are the same.
BASE := .venv/.base-$(shell cat requirements/base.txt | cksum | cut -d ' ' -f 1)
DEV := .venv/.dev-$(shell cat requirements/base.txt requirements/providers.txt requirements/dev.txt | cksum | cut -d ' ' -f 1)
BENCH := .venv/.bench-$(shell cat requirements/base.txt requirements/providers.txt requirements/dev.txt requirements/bench.txt | cksum | cut -d ' ' -f 1)

# Checks that must not depend on anyone's .env or local data.
NEUTRAL := DJANGO_SETTINGS_MODULE=servicedesk.settings.testing DATABASE_URL=sqlite://:memory: REDIS_URL=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test check bench chaos fresh schema screenshots clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(BASE) ## Start the desk with demo data at http://127.0.0.1:8000 (PORT=...)
	@$(MANAGE) migrate --verbosity 0
	@$(MANAGE) demo
	@exec $(MANAGE) serve --worker --host 127.0.0.1 --port $(PORT)

test: $(DEV) ## Run all tests, on SQLite and on PostgreSQL (ARGS="-k name")
	@exec $(BIN)/python -m servicedesk.tests $(ARGS)

check: $(DEV) ## Lint, format, types, imports, migrations, deployment, API schema
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(NEUTRAL) $(MANAGE) makemigrations --check --dry-run
	@echo "$(MANAGE) check --deploy --fail-level WARNING"
	@SECRET_KEY=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(48))') \
	DJANGO_SETTINGS_MODULE=servicedesk.settings.production \
	ALLOWED_HOSTS=desk.example ALLOWED_ORIGINS=https://desk.example \
	DATABASE_URL=postgres://desk:desk@127.0.0.1:5432/desk REDIS_URL=redis://127.0.0.1:6379/0 \
	$(MANAGE) check --deploy --fail-level WARNING
	@echo "$(MANAGE) spectacular and asyncapi, compared with docs/openapi.yaml and asyncapi.yaml"
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	$(NEUTRAL) $(MANAGE) spectacular --file "$$folder/openapi.yaml" --validate --fail-on-warn && \
	$(NEUTRAL) $(MANAGE) asyncapi --file "$$folder/asyncapi.yaml" && \
	for name in openapi asyncapi; do \
	diff -u docs/$$name.yaml "$$folder/$$name.yaml" || \
	{ echo "docs/$$name.yaml is out of date: run 'make schema' and commit it." >&2; exit 1; }; done

bench: $(BENCH) ## Measure what the documentation claims (ARGS=assignment for one)
	@exec $(BIN)/python -m benchmarks $(ARGS)

chaos: $(DEV) ## The long form of the tests that kill processes and try random commands
	@CHAOS_TICKETS=10000 STATE_MACHINE_EXAMPLES=300 HUB_SESSIONS=100000 \
		$(BIN)/python -m servicedesk.tests tickets/tests/test_escalation_at_once.py \
		tickets/tests/test_state_machine.py realtime/tests/test_room_machine.py $(ARGS)
	@FILE_KILLS=$${FILE_KILLS:-50} $(BIN)/python -m servicedesk.tests -n 0 -rP \
		attachments/tests/test_crashes.py attachments/tests/test_permissions.py $(ARGS)
	@CHAOS_SECONDS=$${CHAOS_SECONDS:-60} $(BIN)/python -m servicedesk.tests -n 0 -rP \
		realtime/tests/test_chaos.py realtime/tests/test_scenarios*.py \
		realtime/tests/long_scenarios.py $(ARGS)

fresh: $(DEV) ## Clone the last commit, run it from nothing, hold the README's dialogue with it
	@$(BIN)/python -m servicedesk.tests.fresh_clone

schema: $(BASE) ## Write docs/openapi.yaml and docs/asyncapi.yaml anew
	$(NEUTRAL) $(MANAGE) spectacular --file docs/openapi.yaml --validate --fail-on-warn
	$(NEUTRAL) $(MANAGE) asyncapi --file docs/asyncapi.yaml

screenshots: $(DEV) ## Draw docs/images anew with Chromium, from a demo desk (ARGS=portal for some)
	@$(BIN)/python -m servicedesk.tests.screenshots $(ARGS)

clean: ## Remove .venv, caches and collected files; data in var/ stays
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis \
		.coverage staticfiles
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/pip:
	@command -v $(PYTHON) >/dev/null || \
	{ echo '$(PYTHON) was not found. Install Python 3.11 or newer, or: make PYTHON=/path/to/python3' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo "Python 3.11 or newer is needed; this is $$($(PYTHON) -V 2>&1). Use: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	{ echo 'This Python has no venv or ensurepip; on Debian and Ubuntu install the package python3-venv.' >&2; exit 1; }
	$(PYTHON) -m venv .venv

# New base requirements may change what dev.txt was resolved with: both stamps go.
$(BASE): | $(BIN)/pip
	$(PIP) --requirement requirements/base.txt
	@rm -f .venv/.base-* .venv/.dev-*
	@touch $@

$(DEV): $(BASE)
	$(PIP) --requirement requirements/dev.txt
	@rm -f .venv/.dev-*
	@touch $@

$(BENCH): $(DEV)
	$(PIP) --requirement requirements/bench.txt
	@rm -f .venv/.bench-*
	@touch $@
