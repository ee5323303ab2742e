# Two commands: `make tour` shows what chiasm does, `make test` proves it. Both set up .venv first and are quick later.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= tour
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: tour test install clean

tour: $(VENV)/.installed
	$(BIN)/chiasm tour --out $(OUT)

test: $(VENV)/.installed-for-tests
	$(BIN)/python -m pytest -n 2 --dist worksteal

install: $(VENV)/.installed

# torch goes first and alone, so that pip never weighs another build of it.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("chiasm needs Python 3.11 or newer, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[all]'
	touch $@

$(VENV)/.installed-for-tests: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[all,test]'
	touch $@

clean:
	rm -rf $(VENV) build src/*.egg-info
