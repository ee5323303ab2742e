"""The shell itself: how it ends, and what it says when a command line is wrong."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time

import pytest

from chiasm.surfaces import cli

CHIASM = [sys.executable, "-m", "chiasm"]


def told(capfd: pytest.CaptureFixture[str], *words: str) -> str:
    capfd.readouterr()
    assert cli.run(list(words)) == 2
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("chiasm: expected ")
    return err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["serch"], "'serch' came; did you mean 'search'"),
        (
            ["evaluate", "kn"],
            "'kn' came; did you mean 'knn'",
        ),
        (["--jsn"], "a command of chiasm first, but '--jsn' came"),
        (["embed", "a"], "expected --data, but it is missing"),
        (["embed", "a", "--data"], "a value after --data, but none came"),
        (["embed", "a", "b", "c.npz", "d"], "'d' came; leave it out, or quote names with spaces"),
        (["embed", "a", "b", "c.npz", "--jsn"], "--jsn is none; did you mean --json"),
        (["search", "a", "b", "c", "--limit", "1", "--limit", "2"], "--limit once"),
        (["search", "a", "b", "c", "--limit", "1.5"], "a whole number for --limit, but '1.5' came"),
        (["evaluate", "knn", "a", "--data", "b", "--temperature", "hot"], "a number for --temperature, but 'hot' came"),
        (["train", "starter", "--data", "world:train", "--out", "x", "--judge", "world:test", "no-such"], "no-such"),
        (["embed", "a", "b", ""], "a path, but an empty text came"),
        (["embed", "a", "b", "--out=~nobody-of-this-name/c.npz"], "there is none for ~nobody-of-this-name"),
    ],
)
def test_wrong_command_lines(capfd, words, expected):
    assert expected in told(capfd, *words)


def failing(error: BaseException):
    def call(_words: list[str]) -> None:
        raise error

    return call


def test_what_the_system_refuses_is_told(capfd, monkeypatch):
    monkeypatch.setattr(cli, "_call", failing(OSError(errno.EIO, "Input/output error", "/data/x.png")))
    assert "at /data/x.png, but they cannot: Input/output error" in told(capfd)
    monkeypatch.setattr(cli, "_call", failing(OSError(errno.ENOSPC, "No space left on device")))
    assert "it is full" in told(capfd)
    monkeypatch.setattr(cli, "_call", failing(MemoryError()))
    assert "not enough" in told(capfd)
    monkeypatch.setattr(cli, "_call", failing(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")))
    assert "not enough" in told(capfd)
    monkeypatch.setattr(cli, "_call", failing(RuntimeError("a defect")))
    with pytest.raises(RuntimeError, match="a defect"):
        cli.run([])
    monkeypatch.setattr(cli, "_call", failing(KeyboardInterrupt()))
    assert cli.run([]) == 130
    monkeypatch.setattr(sys, "stderr", None)
    assert cli.run([]) == 130


def test_json_is_explained_and_has_no_opposite(capfd):
    assert cli.run(["embed", "--help"]) == 0
    text = capfd.readouterr().out
    assert "as JSON" in text
    assert "--no-json" not in text


def test_a_reader_who_leaves_is_no_error():
    process = subprocess.Popen([*CHIASM, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")


def test_names_beyond_the_encoding_of_the_terminal_are_shown(tmp_path):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    words = ["models", "list", str(tmp_path / "grün")]
    (tmp_path / "grün").mkdir()
    done = subprocess.run([*CHIASM, *words], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert "gr\\xfcn" in done.stdout


SLOW = """
import signal, sys, time
from chiasm.surfaces import cli

def slow(words):
    try:
        print("working", flush=True)
        time.sleep(60)
    finally:
        print("clearing up", flush=True)
        time.sleep(float(words[0]))
        print("cleared up", flush=True)

cli._call = slow
# A job in the background of a shell inherits that Ctrl-C is not for it.
signal.signal(signal.SIGINT, signal.default_int_handler)
cli.main(sys.argv[1:])
"""


def interrupted(seconds: float, *signals: int) -> tuple[int, str, str]:
    """Send signals to a command that needs so many seconds to clear up; exit code and what it still said."""
    words = [sys.executable, "-c", SLOW, str(seconds)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "working\n"
    process.send_signal(signals[0])
    assert process.stdout.readline() == "clearing up\n"
    for number in signals[1:]:
        # Two that come together would be heard as one.
        time.sleep(0.2)
        process.send_signal(number)
    out, err = process.communicate(timeout=50)
    return process.returncode, out, err


def test_ctrl_c_and_supervisors_let_a_command_clear_up():
    cleared = (130, "cleared up\n", "chiasm: interrupted.\n")
    assert interrupted(0.1, signal.SIGTERM) == cleared
    assert interrupted(1.0, signal.SIGINT, signal.SIGINT) == cleared


def test_a_third_signal_ends_it_at_once():
    assert interrupted(60, signal.SIGINT, signal.SIGINT, signal.SIGTERM) == (130, "", "")
