import pytest

from common.errors import DataError
from datamodules.tables import read_csv


def rows(path, content):
    path.write_bytes(content)
    return list(read_csv(path, ("ID", "Label")))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "train.csv"


@pytest.mark.parametrize(
    "content",
    [
        b"ID,Label\na,1\nb,2\n",
        b"\xef\xbb\xbfID,Label\r\na,1\r\nb,2",
        b"Label, ID,more\n 1,a ,\n2,b,x\n",
        b'"ID","Label"\n"a","1"\n"b","2"\n',
    ],
)
def test_what_spreadsheets_write(path, content):
    assert rows(path, content) == [(2, ["a", "1"]), (3, ["b", "2"])]


def test_blank_lines_count_but_give_no_row(path):
    assert rows(path, b"ID,Label\n\na,1\n\n\nb,2\n") == [(3, ["a", "1"]), (6, ["b", "2"])]


def test_names_beyond_ascii(path):
    assert rows(path, "ID,Label\nübung.png,1\n".encode()) == [(2, ["übung.png", "1"])]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no column ID or Label; expected ID,Label"),
        (b"ID;Label\na;1\n", "no column ID or Label"),
        ("ID,Label\na,1\nü,2\n".encode("latin-1"), "line 3: not UTF-8"),
        ("ID,Label\na,1\n".encode("utf-16"), "line 1: not UTF-8"),
        ("ID,Label\na,1\n".encode("utf-16-le"), "line 1: a NUL byte"),
        (b"ID,Label\na,1\nb\0,2\n", "line 3: a NUL byte"),
        (b'ID,Label\na,1\n"b,2\nc,3\n', "line 3: unexpected end of data; .*unbalanced quote"),
        (b'ID,Label\na,1\n"b"x,2\nc,3\n', "line 3: .*unbalanced quote"),
        (b'ID,Label\n"a\nb",1\nc\n', "line 4: 1 values for 2 columns"),
        (b"ID,Label\na,1,2\n", "line 2: 3 values for 2 columns"),
    ],
)
def test_bad_files_are_one_line_with_the_true_line_number(path, content, message):
    with pytest.raises(DataError, match=rf"train\.csv.*{message}") as error:
        rows(path, content)
    assert "\n" not in str(error.value)


def test_a_quote_that_never_ends_does_not_read_the_whole_file_into_a_value(path):
    content = b'ID,Label\n"a,1\n' + b"b,2\n" * 50_000
    with pytest.raises(DataError, match=r"line 2: .*unbalanced quote"):
        rows(path, content)


def test_a_file_that_must_not_be_read_is_one_line(path, monkeypatch):
    path.write_text("ID,Label")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "open", refuse)
    with pytest.raises(DataError, match=r"train\.csv: cannot be read \(Permission denied\)$"):
        list(read_csv(path, ("ID", "Label")))
