# make serve   a virtual environment with what serving on a CPU needs, then the page at http://localhost:8080
# make test    everything the tests need (a real browser and a TURN server included), then every check

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
APT := chromium coturn flite
# mediapipe judges the landmarks; its own requirements would bring a second OpenCV, so it comes with these alone.
JUDGE := mediapipe==1.2.2
JUDGE_NEEDS := absl-py flatbuffers matplotlib

.PHONY: serve test check system clean

serve: $(VENV)/.serve
	$(BIN)/les-avatar serve

test: system $(VENV)/.dev check
	$(BIN)/python -m pytest

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.serve: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --editable .
	touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --editable ".[dev]" $(JUDGE_NEEDS)
	$(BIN)/pip install --quiet --no-deps $(JUDGE)
	touch $@ $(VENV)/.serve

# The tests drive Debian's Chromium, relay a call through its coturn and speak with its flite.
system:
	@missing=""; for p in $(APT); do dpkg -s $$p >/dev/null 2>&1 || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then \
	  root=""; [ "$$(id -u)" = 0 ] || root=sudo; \
	  $$root apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$root apt-get install -y -qq --no-install-recommends $$missing; \
	fi

clean:
	rm -rf $(VENV) build dist *.egg-info
