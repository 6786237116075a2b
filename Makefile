VENV := .venv
ifeq ($(OS),Windows_NT)  # make itself comes by `choco install make`; run it in Git's bash
PYTHON ?= python
BIN := $(VENV)/Scripts
else
PYTHON ?= python3
BIN := $(VENV)/bin
endif
# Beside what training needs: the extras of all targets but fit and demo. Tests of bench, demo and
# search are skipped without them.
EXTRAS ?= dev
# An index that has another build of torch, for `make fit TORCH_INDEX=URL`; README says which.
TORCH_INDEX ?=
# Taken at their newest by test-lowest: torch's older wheels are gigabytes.
NEWEST ?= torch torchvision
LOWEST_TESTS ?= tests/datamodules tests/lit_models tests/experiment tests/callbacks tests/inference
NOTEBOOKS := $(wildcard docs/*.ipynb docs/notebooks/*.ipynb)
export NO_MKDOCS_2_WARNING := 1

.PHONY: lock help fit demo test test-scripts test-lowest check format docs notebooks check-commands clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

fit: $(VENV)/installed  ## set up, then train AOI classification on the built-in sample
	$(BIN)/python cli.py fit --config configs/aoi.yaml
	@echo
	@echo "Next: open the report.html named above in a browser; make demo for a page that takes your images; or"
	@echo "$(BIN)/python cli.py fit --config configs/aoi.yaml --data.data_dir YOUR_IMAGES   (one folder per class)"

demo: $(VENV)/installed  ## set up, then open a page for the newest run of configs/aoi.yaml
	$(BIN)/python -c "import gradio" 2>/dev/null || $(BIN)/python -m pip install --editable ".[demo]"
	$(BIN)/python cli.py demo --config configs/aoi.yaml

test: $(VENV)/installed-all  ## set up, then run the tests
	$(BIN)/python -m pytest

test-scripts: $(VENV)/installed-all  ## the tests of benchmarks/, the quickstart and what docs/extending.md shows
	$(BIN)/python -m pytest -m scripts

test-lowest:  ## the packages' tests with the lowest versions that pyproject.toml allows
	$(PYTHON) .ci/lowest.py --except $(NEWEST) > lowest.txt
	$(MAKE) VENV=.venv-lowest CONSTRAINTS=lowest.txt EXTRAS=dev,bench .venv-lowest/installed-all
	.venv-lowest$(BIN:$(VENV)%=%)/python -m pytest $(LOWEST_TESTS)

check: $(VENV)/installed-all  ## lint, formatting, types, docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mkdocs build --strict --quiet

format: $(VENV)/installed-all  ## apply the formatting
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/installed-all  ## build the documentation into build/site
	$(BIN)/mkdocs build --strict --quiet

notebooks: $(VENV)/installed-all  ## run every notebook in docs
	$(BIN)/jupyter execute $(NOTEBOOKS)

check-commands: $(VENV)/installed-all  ## run the commands of README and docs with small limits
	$(BIN)/python docs/check_commands.py

lock:  ## write requirements.lock anew: the newest files that pyproject.toml allows, with hashes
	$(PYTHON) -m pip install --dry-run --ignore-installed --quiet --report lock.json --editable ".[dev,bench,demo,search]"
	$(PYTHON) .ci/lock.py < lock.json > requirements.lock && rm lock.json

clean:  ## remove the virtual environments, built docs and caches
	rm -rf $(VENV) .venv-lowest lowest.txt build *.egg-info .mypy_cache .ruff_cache .pytest_cache

# What training needs.
$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
ifdef LOCKED  # all extras, exactly the files of requirements.lock
	$(BIN)/python -m pip install --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --no-deps --editable .
else
ifdef TORCH_INDEX
	$(BIN)/python -m pip install --index-url $(TORCH_INDEX) torch torchvision
else
	@command -v nvidia-smi >/dev/null || [ "$$(uname)" != Linux ] || echo \
		"No NVIDIA driver here, but pip's default torch brings CUDA (GBs); README says how to avoid it."
endif
	$(BIN)/python -m pip install $(addprefix --constraint ,$(CONSTRAINTS)) --editable .
endif
	touch $@

$(VENV)/installed-all: $(VENV)/installed
ifndef LOCKED
	$(BIN)/python -m pip install $(addprefix --constraint ,$(CONSTRAINTS)) --editable ".[$(EXTRAS)]"
endif
	touch $@
