# Needs make and Python 3.11 or newer with its venv module; everything else goes into .venv. A second call installs nothing again.
#   make demo      run five simple models and TTM on the embedded suite, print the leaderboard and make its page
#   make test      all tests of the harness and of the plugins in plugins/
#   make install   leaves .venv/bin/harness with every plugin in plugins/

PYTHON ?= python3
# Processes that run the tests.
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
# Its errors, and of what it tells the lines on what takes time: a package that is fetched with its size, the beginning of the installation.
PIP = PIP_PROGRESS_BAR=off $(BIN)/python -m pip --disable-pip-version-check
SHOWN = sed -un -e 's/^ *Downloading \([^ ]*\) \((.*)\)$$/  fetching \1 \2/p' -e 's/^ *Using cached \([^ ]*\) .*/  taking \1 from the cache/p' -e 's/^Installing collected packages:.*/  installing them (the longest part)/p'
# The exit code is pip's, not that of `sed`.
install = { $(PIP) install -c constraints.txt $(1) || touch $@.failed; } | $(SHOWN); rm $@.failed 2> /dev/null && exit 1; touch $@
PACKAGES := harness tasks/harness_tasks results/harness_results leaderboard/harness_leaderboard
PLUGINS := $(patsubst %/pyproject.toml,%,$(sort $(wildcard plugins/*/pyproject.toml)))
# What tests and training need beyond forecasting; torch comes in by its version in constraints.txt.
EXTRAS_plugins/chronos := [lora]
EXTRAS_plugins/serving := [test]
EXTRAS_plugins/tabpfn_ts := [test]
EXTRAS_plugins/time_r1 := [train]
EXTRAS_plugins/timesfm := [xreg]
EXTRAS_plugins/ttm := [torch,export,test]
PROJECTS := pyproject.toml $(PLUGINS:%=%/pyproject.toml)

.PHONY: demo test install lint format bench docs clean help
# Two pips in one environment at a time break each other.
.NOTPARALLEL:
.DELETE_ON_ERROR:

help:
	@sed -n 's/^#   //p' Makefile

demo: $(STAMP)/core
	$(BIN)/harness run -m naive,seasonal_naive,drift,mean,window_average,ttm -s quick --save-forecasts
	$(BIN)/harness leaderboard -s quick -o leaderboard.csv
	$(BIN)/harness leaderboard -s quick -o leaderboard.html

test: $(STAMP)/all $(STAMP)/test
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile

install: $(STAMP)/all

lint: $(STAMP)/all $(STAMP)/test $(STAMP)/lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(PACKAGES) $(wildcard plugins/*/harness_*)

format: $(STAMP)/lint
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)/all $(STAMP)/test
	@for file in $(filter-out benchmarks/official_%,$(wildcard benchmarks/*.py)); do echo "$$file"; $(BIN)/python "$$file" || exit 1; done

docs: $(STAMP)/all $(STAMP)/docs
	$(BIN)/python docs/generate.py --check
	$(BIN)/mkdocs build --strict --quiet

clean:
	rm -rf $(VENV) site

$(STAMP)/venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"{sys.executable} is Python {sys.version.split()[0]}; wanted 3.11 or newer. Type: make PYTHON=python3.11")'
	@echo "making $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@mkdir -p $(STAMP) && touch $@

# The core with the simple models and TTM on onnxruntime: no torch, no compiler.
$(STAMP)/core: pyproject.toml constraints.txt plugins/baselines/pyproject.toml plugins/ttm/pyproject.toml | $(STAMP)/venv
	@echo "installing the harness, plugins/baselines and plugins/ttm into $(VENV), once: a minute or two, about 150 MB to fetch"
	@$(call install,-e '.[page]' -e plugins/baselines -e plugins/ttm)

$(STAMP)/all: $(PROJECTS) constraints.txt | $(STAMP)/venv
	@echo "installing the harness and $(PLUGINS) into $(VENV), once: some minutes, 4 GB on the disk"
	@$(call install,-e '.[page]' $(foreach plugin,$(PLUGINS),-e '$(plugin)$(EXTRAS_$(plugin))'))
	@touch $(STAMP)/core

$(STAMP)/test $(STAMP)/lint $(STAMP)/docs: $(STAMP)/%: pyproject.toml constraints.txt | $(STAMP)/venv
	@echo "installing what '$*' needs"
	@$(call install,-e '.[$*]')
