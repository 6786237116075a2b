PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What is installed: dev alone, or also bench and demo, whose tests are skipped without.
EXTRAS ?= dev

.PHONY: help fit demo test check format clean

help:  ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

fit: $(VENV)/installed  ## set up, then train AOI classification on the built-in sample
	$(BIN)/python cli.py fit --config configs/aoi.yaml

demo: $(VENV)/installed  ## set up, then open a page for the newest run of configs/aoi.yaml
	$(BIN)/python -c "import gradio" 2>/dev/null || $(BIN)/python -m pip install --quiet --editable ".[demo]"
	$(BIN)/python cli.py demo --config configs/aoi.yaml

test: $(VENV)/installed  ## set up, then run the tests
	$(BIN)/python -m pytest

check: $(VENV)/installed  ## lint, formatting, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/installed  ## apply the formatting
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove the virtual environment and caches
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[$(EXTRAS)]"
	touch $@
