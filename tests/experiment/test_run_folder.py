"""Each run has a folder of its own, and what cannot be one is refused in a line."""

import json
import os
import signal
import subprocess
import sys

import pytest
from conftest import ROOT

from common.errors import DataError
from experiment.run_folder import RunSettings, discard_run_folder, lock_run_folder, results_folder


def make_run(folder):
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"task": "aoi"}))
    return folder


@pytest.mark.parametrize("option", ["task", "config", "name"])
@pytest.mark.parametrize(
    "name",
    ["", "..", "a/b", "/etc", "a\\b", "C:", " a", "a ", "a\nb", ".hidden", "x" * 300],
)
def test_names_that_are_no_folders_are_refused(option, name):
    with pytest.raises(DataError, match=rf"^run\.{option}: "):
        RunSettings(**{option: name})


@pytest.mark.parametrize("name", ["a", "2025-01-02", "[x]*?", "größe 1", "-1", "x" * 200])
def test_names_that_are_folders_work(tmp_path, name):
    run = RunSettings(task="aoi", root=str(tmp_path), name=name)
    folder = results_folder(run)
    assert folder == tmp_path / "aoi" / name
    make_run(tmp_path / "aoi" / "other")
    folder.rmdir()
    make_run(folder)
    assert run.existing == [folder]


def test_config_names_the_folder_and_root_may_begin_at_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert RunSettings("aoi", root="~/runs").folder == tmp_path / "runs" / "aoi"
    assert RunSettings("aoi", "aoi_best", root="r").folder.as_posix() == "r/aoi_best"


def test_two_runs_of_one_second_have_two_folders(tmp_path):
    run = RunSettings("aoi", root=str(tmp_path))
    folders = {results_folder(run) for _ in range(3)}
    assert len(folders) == 3


def test_a_root_that_is_a_file_is_one_line(tmp_path):
    (tmp_path / "runs").write_text("")
    with pytest.raises(DataError, match=r"runs/aoi/x: cannot be written .*; choose another"):
        results_folder(RunSettings("aoi", root=str(tmp_path / "runs"), name="x"))


def test_only_an_empty_folder_is_discarded(tmp_path):
    folder = results_folder(RunSettings("aoi", root=str(tmp_path)))
    lock_run_folder(folder).release()
    discard_run_folder(folder)
    assert list(tmp_path.iterdir()) == []
    folder = make_run(tmp_path / "aoi" / "a")
    lock_run_folder(folder).release()
    discard_run_folder(folder)
    assert (folder / "run.json").exists()


HOLD = """
import os, sys, time
from pathlib import Path
from experiment.run_folder import lock_run_folder
lock = lock_run_folder(Path(sys.argv[1]))
if os.fork() == 0:  # as a data loader does; by now it has let go of the lock
    print("locked", flush=True)
time.sleep(60)
"""


def test_lock_is_refused_to_a_second_process_and_ends_with_the_first(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    holder = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert holder.stdout.readline() == b"locked\n"
        with pytest.raises(DataError, match=f"{tmp_path}: another process is training here"):
            lock_run_folder(tmp_path)
        holder.send_signal(signal.SIGKILL)  # its worker lives on
        holder.wait()
        lock_run_folder(tmp_path).release()
    finally:
        os.killpg(holder.pid, signal.SIGKILL)
