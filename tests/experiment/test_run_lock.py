"""Two processes cannot train in one folder; a dead one's lock is taken over."""

import os
import signal
import subprocess
import sys

import pytest
from conftest import ROOT

from common.errors import DataError
from experiment.run_lock import RunLock

HOLD = """
import os, sys, time
from pathlib import Path
from experiment.run_lock import RunLock
lock = RunLock(Path(sys.argv[1]))
if os.fork():  # as a data loader does
    print("locked", flush=True)
time.sleep(60)
"""


def test_lock_is_refused_to_a_second_process_and_ends_with_the_first(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    holder = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert holder.stdout.readline() == b"locked\n"
        with pytest.raises(DataError, match=f"{tmp_path}: process {holder.pid} is training here"):
            RunLock(tmp_path)
        holder.send_signal(signal.SIGKILL)  # its worker lives on
        holder.wait()
        lock = RunLock(tmp_path)
    finally:
        os.killpg(holder.pid, signal.SIGKILL)
    lock.release()
