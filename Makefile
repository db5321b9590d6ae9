# `make demo` and `make test` each do all the set-up that they need on a bare machine with Python 3.11 or newer.

PYTHON ?= python3
BIN := .venv/bin
# A CPU build of torch is enough; pinning it first keeps an unpinned dependency from bringing gigabytes of GPU libraries.
TORCH := $(shell grep -E '^torch==' constraints.txt | sed 's/+cpu//')

.PHONY: demo test test-numpy1 extras slow lint format rooms notebooks clean

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check $(TORCH)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test,datasets,diffusers,frames,heif,minilm,notebook,siglip,speecht5,tflite,train,vits]'
	# resemblyzer declares the package webrtcvad, which webrtcvad-wheels replaces: without its dependencies, then.
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-deps resemblyzer webrtcvad-wheels
	touch .venv/ready

demo: .venv/ready
	$(BIN)/analogon demo

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/rooms.py --check

# One worker a core, each with one thread: small models gain nothing from more, and wait for each other.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto

# The same tests with NumPy 1.26, the oldest that is supported, and with laion-clap beside it, in an environment of its own.
# CI leaves it out: it takes as long as `make test` again, and only NumPy differs.
.venv-numpy1/ready: pyproject.toml constraints.txt constraints-numpy1.txt
	$(PYTHON) -m venv .venv-numpy1
	.venv-numpy1/bin/pip install --quiet --disable-pip-version-check $(TORCH)
	awk -F== 'NR == FNR { older[$$1] } NR == FNR || !($$1 in older)' constraints-numpy1.txt constraints.txt > .venv-numpy1/constraints.txt
	.venv-numpy1/bin/pip install --quiet --disable-pip-version-check --constraint .venv-numpy1/constraints.txt --editable '.[test,datasets,diffusers,frames,heif,laion-clap,minilm,notebook,siglip,speecht5,tflite,train,vits]'
	.venv-numpy1/bin/pip install --quiet --disable-pip-version-check --constraint .venv-numpy1/constraints.txt --no-deps resemblyzer webrtcvad-wheels
	touch .venv-numpy1/ready

test-numpy1: .venv-numpy1/ready
	OMP_NUM_THREADS=1 .venv-numpy1/bin/python -m pytest -n auto

# Whether every extra can be installed, alone and with the others: pip resolves each, and installs nothing. A minute each,
# most of it the registry's, so that CI leaves it out.
extras: .venv/ready
	$(BIN)/python tests/resolve_extras.py

# The long forms: thousands of odd files and documents, readers beside writers, kills.
slow: .venv/ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto -m slow --timeout 1800

# The drawing and the lists of docs/architecture.md, from the imports that the code has.
rooms: .venv/ready
	$(BIN)/python docs/rooms.py

# The notebooks run, and what they show kept in them, but for what belongs to others: five minutes, with the folder of data.
notebooks: .venv/ready
	$(BIN)/python notebooks/store.py

format: .venv/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .venv-numpy1 build dist *.egg-info
