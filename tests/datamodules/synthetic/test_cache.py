import pytest

from common.errors import DataError
from datamodules.synthetic.cache import cached_sample


def draw(folder, seed):
    (folder / "drawn.txt").write_text(str(seed))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "lightning-image-tasks"


def test_a_sample_is_drawn_once_and_by_seed(cache):
    folder = cached_sample(draw, 0)
    assert (folder / "drawn.txt").read_text() == "0"
    (folder / "drawn.txt").write_text("kept")
    assert (cached_sample(draw, 0) / "drawn.txt").read_text() == "kept"
    assert cached_sample(draw, 1) != folder
    assert len(list(cache.iterdir())) == 2


def test_an_interrupted_drawing_leaves_nothing(cache):
    def interrupted(folder, seed):
        draw(folder, seed)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_sample(interrupted, 0)
    assert not list(cache.iterdir())


def test_another_process_may_be_first(cache):
    def slow(folder, seed):
        draw(folder, seed)
        other = cache / folder.parent.name[1:].rsplit("-", 1)[0]
        other.mkdir()
        (other / "drawn.txt").write_text("other")

    assert (cached_sample(slow, 0) / "drawn.txt").read_text() == "other"


def test_a_cache_that_cannot_be_written_is_one_line(cache):
    cache.write_text("a file")
    with pytest.raises(DataError, match=r"cannot be kept there .*; set XDG_CACHE_HOME"):
        cached_sample(draw, 0)
