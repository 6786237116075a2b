"""Files are there whole or not at all."""

import errno
import os
import stat

import pytest

from common.errors import DataError
from experiment.atomic import atomic_write, remove_leftovers, write_json


def test_an_error_leaves_the_old_content_and_nothing_else(tmp_path):
    path = tmp_path / "sub" / "file.txt"
    with atomic_write(path) as half:
        half.write_text("old")
    with pytest.raises(ValueError, match="mine"), atomic_write(path) as half:  # noqa: PT012
        half.write_text("new")
        raise ValueError("mine")
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_what_the_system_refuses_is_one_line(tmp_path):
    line = r"file\.txt: cannot be written \(No space left on device\); choose another"
    with pytest.raises(DataError, match=line), atomic_write(tmp_path / "file.txt"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_a_killed_process_are_removed(tmp_path):
    (tmp_path / "figures").mkdir()
    left = tmp_path / "figures" / ".half-curves-abc.png"
    left.write_bytes(b"")
    kept = tmp_path / "figures" / "curves.png"
    kept.write_bytes(b"")
    remove_leftovers(tmp_path)
    assert not left.exists()
    assert kept.exists()


@pytest.mark.skipif(os.name == "nt", reason="modes of files are those of POSIX")
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_the_umask_is_kept(tmp_path, umask):
    before = os.umask(umask)
    try:
        write_json(tmp_path / "a.json", {})
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == 0o666 & ~umask
