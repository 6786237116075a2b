"""How a process ends: one line and a status for what lies with the input, a traceback for a bug."""

import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from commandline.exits import SIGNALS, run_and_exit
from commandline.parser import one_line_of
from common.errors import DataError, UsageError


@pytest.fixture(autouse=True)
def signals_as_before(monkeypatch):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    handlers = {signum: signal.getsignal(signum) for signum in SIGNALS}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for signum, handler in handlers.items():
        signal.signal(signum, handler)


def status_of(main):
    with pytest.raises(SystemExit) as stopped:
        run_and_exit(main)
    return stopped.value.code


def raising(error):
    def main():
        raise error

    return main


def test_statuses(capsys):
    assert status_of(lambda: None) == 0
    assert status_of(raising(DataError("x.png: corrupt; remove it"))) == 1
    assert capsys.readouterr().err == "error: x.png: corrupt; remove it\n"
    assert status_of(raising(UsageError("data.x: unknown"))) == 2
    assert status_of(raising(KeyError("bug"))) == 1
    assert "Traceback" in capsys.readouterr().err
    assert status_of(raising(SystemExit(0))) == 0


def test_the_rank_that_another_program_has_left_is_not_ours(monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("LOCAL_RANK", "1")
    seen = []
    assert status_of(lambda: seen.append({"RANK", "LOCAL_RANK"} & {*os.environ})) == 0
    assert seen == [set()]


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_signals(capsys, name, status):
    def main():
        os.kill(os.getpid(), signal.Signals[name])
        time.sleep(5)

    assert status_of(main) == status
    assert capsys.readouterr().err == f"stopped by {name}\n"


def test_what_the_system_refuses_is_one_line_and_a_file_that_is_gone_a_bug(capsys):
    assert status_of(raising(PermissionError(13, "Permission denied", "/data/a\nb.png"))) == 1
    line = "error: /data/a\\nb.png: Permission denied; change that or give another path"
    assert capsys.readouterr().err == f"{line}\n"
    assert status_of(raising(FileNotFoundError(2, "No such file", "x"))) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("target", "status", "line"),
    [("| head -1 >/dev/null", 1, ""), (">/dev/full", 1, "error: output: No space left on device")],
)
def test_output_that_nobody_reads_or_that_is_full(target, status, line):
    code = "from commandline.exits import *; run_and_exit(lambda: [*map(print, range(10**6))])"
    command = f'set -o pipefail; {sys.executable} -c "{code}" {target}'
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == status
    assert done.stderr.startswith(line)
    assert len(done.stderr.splitlines()) == (line != "")


def test_each_process_of_several_names_its_rank(capsys, monkeypatch):
    """Rank 1 meets an error, and the others lose the connection to it."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert status_of(raising(DataError("x.png: corrupt"))) == 1
    assert capsys.readouterr().err == "error: rank 1: x.png: corrupt\n"
    assert status_of(raising(RuntimeError("[gloo/pair.cc] Connection closed by peer"))) == 1
    assert "another process of this training has ended" in capsys.readouterr().err
    assert status_of(raising(KeyError("bug"))) == 1
    assert "Traceback" in capsys.readouterr().err


def test_what_libraries_raise_for_bad_options():
    refused = pytest.raises(UsageError, match=r"^trainer: no such thing$")
    with refused, one_line_of(option="trainer"):
        raise MisconfigurationException("no such thing\nand more")


def test_a_rank_that_is_not_a_number_is_one_line(capsys, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "abc")
    assert status_of(lambda: None) == 2
    assert "LOCAL_RANK=abc: must be a whole number" in capsys.readouterr().err
