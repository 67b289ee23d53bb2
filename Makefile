# Two commands to know: `make up` runs the portal, `make test` proves it.
# PORT moves it (the relay and the demo's helpers take the next four ports), DEMO=0 starts empty.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv/bin

# Tests bring their own servers and settings, whatever the caller's shell has set for a portal of its own.
TEST_ENV = env -u SECRET_KEY -u KEY_PEPPERS -u FIELD_KEYS -u DEMO -u PORT -u HOST DJANGO_SETTINGS_MODULE=config.settings.test
WITH_SERVERS = $(TEST_ENV) $(VENV)/python -m config.stack.run --
CHROMIUM = $(firstword $(shell command -v chromium chromium-browser google-chrome 2>/dev/null))

.PHONY: help up relay test check messages schema bench pictures requirements run-packages dev-packages

help:
	@echo "make up           run the whole portal here (PORT=8000, DEMO=1, HOST=127.0.0.1)"
	@echo "make relay        run relays beside the portal, on the servers of DATABASE_URL and REDIS_URL (PORT=8001, PROCESSES=1)"
	@echo "make test         run every test, with servers of its own (ARGS='-k name' for a part)"
	@echo "make check        format, lint, types, floors, missing migrations"
	@echo "make bench        measure the headline figures"
	@echo "make pictures     draw docs/pictures for the README, and a gallery of every page into .portal/gallery"
	@echo "make messages     compile the message catalogues"
	@echo "make schema       draw config/stack/schema.sql, which an empty database is filled from (after each new migration)"
	@echo "make requirements write the hashed lists in requirements/ from pyproject.toml (needs uv)"

run-packages:
	@$(PYTHON) config/stack/bootstrap.py bundled

dev-packages:
	@$(PYTHON) config/stack/bootstrap.py dev

up: run-packages
	@$(VENV)/python manage.py up

relay: run-packages
	@$(VENV)/python -m config.stack.serving relay --host $(or $(HOST),127.0.0.1) --port $(or $(PORT),8001) \
		--processes $(or $(PROCESSES),$(RELAY_PROCESSES),1)

messages: run-packages
	@$(VENV)/python manage.py compile_messages

schema: run-packages
	$(WITH_SERVERS) $(VENV)/python manage.py write_schema

test: dev-packages
	@$(VENV)/python manage.py compile_messages --verbosity 0
	$(WITH_SERVERS) $(VENV)/pytest -m "not browser" -n 3 $(ARGS)
ifeq ($(CHROMIUM),)
	@echo "Browser tests were left out: no Chromium found (on Debian: apt-get install chromium fonts-noto-cjk)."
else
	$(WITH_SERVERS) $(VENV)/pytest -p playwright -m browser $(ARGS)
endif

check: dev-packages
	$(VENV)/ruff format --check .
	$(VENV)/ruff check .
	$(VENV)/mypy accounts models_catalog keys billing gateway migrations_center config
	$(VENV)/lint-imports
	$(WITH_SERVERS) $(VENV)/python manage.py makemigrations --check --dry-run

bench: dev-packages
	$(TEST_ENV) $(VENV)/python -m config.stack.run --durable -- $(VENV)/python -m bench $(ARGS)

pictures: dev-packages
	@$(VENV)/python manage.py compile_messages --verbosity 0
	PICTURES=.portal/gallery $(WITH_SERVERS) $(VENV)/pytest -p playwright -m browser tests/browser -k "readme or is_whole or are_whole" $(ARGS)

LOCK = uv pip compile --universal --generate-hashes --no-annotate --no-header --quiet pyproject.toml
requirements:
	$(LOCK) -o requirements/base.txt
	$(LOCK) --group bundled -o requirements/bundled.txt
	$(LOCK) --group bundled --group dev -o requirements/dev.txt
