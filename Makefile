# Everything sets itself up in .venv: make run, make test, make test-fast, make check, make bench.
PYTHON ?= python3
BIN := .venv/bin
MODEL ?=
SOURCE ?=
PYTEST := $(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder
INSTALL := $(BIN)/pip install --quiet --constraint packaging/constraints.txt --editable

.PHONY: run test test-fast fuzz fuzz-guided browser counterparts check bench peers docs screenshots bundle deb clean

# The app alone, without PyTorch.
.venv/app: pyproject.toml packaging/constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "livesnn needs Python 3.11 or newer: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv .venv
	@echo "installing livesnn, a few hundred MB: a minute or more"
	$(BIN)/pip install --quiet --upgrade pip
	$(INSTALL) .
	touch $@

# With training and tests.
.venv/all: .venv/app
	@echo "installing PyTorch and what tests need, hundreds of MB (with CUDA 3 GB): some minutes"
	$(INSTALL) '.[all]'
	touch $@

.venv/docs: .venv/app
	$(INSTALL) '.[docs]'
	touch $@

run: .venv/app
	$(BIN)/livesnn gui $(if $(SOURCE),"$(SOURCE)") $(if $(MODEL),--model "$(MODEL)")

test: .venv/all
	$(PYTEST)

# A part of the tests, for two minutes on two cores: without the window, without whole programs, without slow ones.
test-fast: .venv/all
	$(PYTEST) -m "not slow" tests/unit tests/property tests/session

# Damaged files of every kind by turns, on one core at low priority. What fails is kept in fuzz-failures.
fuzz: .venv/all
	nice -n 10 $(BIN)/python -m tests.mutations --minutes $(or $(MINUTES),10) --workers 1 --seed $(or $(SEED),$(shell date +%s)) \
	  --keep fuzz-failures $(if $(KINDS),--formats $(KINDS))

# Changes that coverage guides, for one parser in Python: KIND is graph, card, labels, aedat4, aedat, raw, dat, es, csv,
# npz or mcap.
fuzz-guided: .venv/all
	$(BIN)/pip install --quiet atheris
	mkdir -p fuzz-failures
	nice -n 10 $(BIN)/python -m tests.guided $(or $(KIND),graph) -timeout=5 -rss_limit_mb=1024 \
	  -max_total_time=$$((60 * $(or $(MINUTES),10))) -artifact_prefix=fuzz-failures/

# Chromium for the tests of the web page, which are skipped without: the system's, or playwright's own.
browser: .venv/all
	for name in chromium-headless-shell chromium chromium-browser google-chrome; do command -v $$name && exit; done; \
	apt-get install --yes --no-install-recommends chromium-headless-shell || $(BIN)/playwright install --only-shell chromium

# What tests of MQTT and OSC are skipped without: a broker and its clients, and liblo's server. Those of ROS 2 need
# livesnn[ros2], and the messages of tests/build_ros_messages.py.
counterparts:
	apt-get install --yes --no-install-recommends mosquitto mosquitto-clients liblo-tools

check: .venv/all
	$(BIN)/ruff format --check livesnn tests packaging docs
	$(BIN)/ruff check livesnn tests packaging docs
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST)

bench: .venv/all
	$(BIN)/livesnn bench

# A step beside other frameworks, which get an environment of their own.
.venv-peers/all: pyproject.toml packaging/constraints.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/pip install --quiet --constraint packaging/constraints.txt --editable '.[train]' openvino spikingjelly snntorch norse
	touch $@

peers: .venv-peers/all
	.venv-peers/bin/python tests/benchmarks/step_peers.py --model $(or $(MODEL),gestures) --source $(or $(SOURCE),recordings/arm_roll.aedat4)

# The documentation as a site with search: docs/_build/html/index.html. A warning is an error.
docs: .venv/docs
	$(BIN)/sphinx-build --builder html --fail-on-warning --keep-going --quiet docs docs/_build/html

screenshots: .venv/all
	$(BIN)/python packaging/screenshots.py

# The app with everything it needs but a graphics driver and a C library, as a folder: dist/livesnn.
bundle: .venv/app
	$(BIN)/pip install --quiet 'pyinstaller>=6.10'
	$(BIN)/pyinstaller --noconfirm --log-level WARN --workpath build packaging/bundle/livesnn.spec

# The same as a package for Debian and Ubuntu, with menu entry, file types and the rules for cameras: dist/livesnn_*.deb.
deb: bundle
	$(BIN)/python packaging/deb/build.py

clean:
	rm -rf .venv .venv-peers dist build docs/_build
