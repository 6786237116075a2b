import os
import re
import shutil
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

import numpy as np
import pytest
from conftest import config_args, one_run
from PIL import Image

pytest.importorskip("gradio")

from cli import main
from commandline import verbs
from common.errors import DataError
from datamodules.blot_style import NAMES
from demo import page, server
from inference import load
from inference.examples import examples

LIMITS = ["--trainer.max_epochs=1", "--trainer.limit_train_batches=2"]
_MODELS: dict[str, object] = {}


@pytest.fixture
def model(tmp_path_factory):
    """The model of a small run of a config, trained on the sample at first use."""

    def of(config):
        if config not in _MODELS:
            root = tmp_path_factory.mktemp(config)
            main(["fit", *config_args(config, root, *LIMITS)])
            _MODELS[config] = load(one_run(root), device="cpu")
        return _MODELS[config]

    return of


@pytest.fixture
def served(model, tmp_path, monkeypatch):
    """The address of the page of a config's model, whose files lie in ``tmp_path / "page"``."""
    for name in ("GRADIO_TEMP_DIR", "GRADIO_ANALYTICS_ENABLED"):
        monkeypatch.setenv(name, "")  # put back at the end
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
    (tmp_path / "page").mkdir()
    pages = []

    def at(config):
        folder, host = str(tmp_path / "page"), "127.0.0.1"
        made = server.serve(
            model(config), folder, server_name=host, quiet=True, prevent_thread_lock=True
        )
        pages.append(made)
        return made.local_url

    yield at
    for made in pages:
        made.close()


def bad_files(folder, good):
    """Files that are no images, and what their line says."""
    data = good.read_bytes()
    for name, content in {"no": b"no image", "empty": b"", "cut": data[: len(data) // 2]}.items():
        (folder / f"{name}.png").write_bytes(content)
    Image.new("RGBA", (30, 30), (1, 2, 3, 4)).save(folder / "glass.png")
    Image.new("1", (6000, 6000)).save(folder / "huge.png")
    reasons = {"no": "not a readable", "empty": "not a readable", "cut": "truncated"}
    reasons |= {"glass": "transparent", "huge": "36000000 pixels"}
    return {folder / f"{name}.png": reason for name, reason in reasons.items()}


def test_each_bad_file_is_a_line_and_the_others_are_predicted(model, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", page.MOST_PIXELS // 2)
    good = examples(model("aoi"), 1)[0]
    bad = bad_files(tmp_path, good)
    files = [str(file) for file in (*bad, good)]
    problems, shown, _, numbers = page.answer(model("aoi"), [files])
    lines = problems.value.split("\n")
    for (file, reason), line in zip(bad.items(), lines, strict=True):
        assert line.startswith(f"{file.name}: ")
        assert reason in line
        assert str(tmp_path) not in line
    assert len(shown) == 1
    assert numbers.value["headers"][:3] == ["name", "label", "confidence"]
    assert numbers.value["data"][0][0] == good.name


def test_more_images_than_allowed_are_named(model, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setattr(page, "MOST_IMAGES", 1)
    files = [str(path) for path in examples(model("aoi"), 2)]
    problems, shown, _, _ = page.answer(model("aoi"), [files])
    assert len(shown) == 1
    assert problems.value.endswith("more than 1 at once")


def test_a_copy_is_shown_beside_its_photograph(model, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    path = examples(model("retina_best"), 1)[0]
    _, _, pair, numbers = page.answer(model("retina_best"), [[str(path)]])
    assert pair[0].size == pair[1].size
    assert numbers.value["headers"][1:] == ["PSNR in dB", "SSIM"]


def test_blots_are_drawn_on_white_paper(model, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    strokes = np.zeros((80, 60, 4), np.uint8)
    strokes[20:40, 10:50] = (0, 0, 0, 255)
    drawn = {"composite": Image.fromarray(strokes)}
    problems, shown, _, _ = page.answer(model("blots"), [drawn, drawn])
    assert problems.value == ""
    with Image.open(shown[0]) as picture:
        assert picture.getpixel((picture.width // 6, 60)) == (255, 255, 255)
    problems, shown, _, _ = page.answer(model("blots"), [drawn, None])
    assert problems.value == "a blot is made of 2 templates; give all"
    assert shown == []


def test_a_style_is_drawn_or_set(model, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    assert page.style_inputs(model("blots")) == []
    with import_module("gradio").Blocks():
        inputs = page.style_inputs(model("blots_style"))
    assert [one.label for one in inputs[1:]] == [n.replace("_", " ") for n in NAMES]
    assert all(one.minimum <= one.value <= one.maximum for one in inputs[1:])
    template = {"composite": Image.new("L", (64, 64), 255)}
    template["composite"].paste(0, (16, 24, 48, 40))
    values = [200, 50, 0, 0, 1, 1, 1, 1]
    tables = [
        page.answer(model("blots_style"), [template, template, switch, *values])[3].value["data"]
        for switch in (False, True)
    ]
    assert tables[0][0][3:5] != ["200", "50"]
    assert tables[1][0][3:5] == ["200", "50"], "paper and band"


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ("--port=99999", r"^--port: 99999; give 1 to 65535"),
        ("--port=x", r"--port: invalid int value: 'x'; see --help"),
        ("--host=192.0.2.1", r"^--host 192\.0\.2\.1 --port 7860: .*; give others"),
    ],
)
def test_an_address_that_cannot_be_had_is_one_line(given, line):
    with pytest.raises(DataError, match=line):
        verbs.main(["demo", given])


def test_fetches_nothing_from_elsewhere_and_says_that_it_is_the_sample(served):
    with urllib.request.urlopen(served("aoi")) as answer:
        text = answer.read().decode()
    fetched = re.findall(r"(?:src|href)=\"(https?:)?//([^/\"]+)", text)
    assert {host for _, host in fetched} <= {"gradio.app"}  # a link
    assert "fonts.g" not in text
    assert page.SAMPLE in text


def test_survives_fifty_concurrent_uploads(served, model, tmp_path, monkeypatch):
    client = pytest.importorskip("gradio_client")
    monkeypatch.chdir(tmp_path)
    url, good = served("aoi"), examples(model("aoi"), 1)[0]
    files = [*bad_files(tmp_path, good), *[good] * 5]
    before = set(os.listdir(tmp_path))
    one = client.Client(
        url,
        verbose=False,
        analytics_enabled=False,
        download_files=False,
        httpx_kwargs={"timeout": 120},
    )

    def upload(number):
        file = files[number % len(files)]
        problems, shown, *_ = one.predict([client.handle_file(str(file))], api_name="/predict")
        return len(shown["value"] if isinstance(shown, dict) else shown), problems["value"]

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(upload, range(50)))
    for number, (pictures, line) in enumerate(answers):
        good_one = files[number % len(files)] == good
        assert (pictures == 1) == good_one
        assert (line == "") == good_one
    assert set(os.listdir(tmp_path)) == before
    with urllib.request.urlopen(url) as answer:
        assert answer.status == 200


def test_limits_the_size_of_a_file_and_what_it_serves(served):
    url = served("aoi")
    body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    body += bytes(26 * 2**20) + b"\r\n--x--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    with pytest.raises(urllib.error.HTTPError, match="413"):
        urllib.request.urlopen(urllib.request.Request(f"{url}gradio_api/upload", body, headers))
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"{url}gradio_api/file=/etc/passwd")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_requests_of_other_websites_are_refused(served, headers, status):
    request = urllib.request.Request(served("retina"), headers=headers)
    try:
        found = urllib.request.urlopen(request).status
    except urllib.error.HTTPError as error:
        found = error.code
    assert found == status


def test_a_proxy_is_not_asked_for_the_own_page(served, monkeypatch):
    for name in ("http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "socks5://127.0.0.1:9")
    with urllib.request.urlopen(served("retina")) as answer:
        assert answer.status == 200


def test_a_file_given_as_an_address_is_not_fetched(served, monkeypatch):
    client = pytest.importorskip("gradio_client").Client(served("retina"), verbose=False)
    file = {"path": "http://127.0.0.1:9/x.png", "meta": {"_type": "gradio.FileData"}}
    with pytest.raises(Exception, match="an address; give a file"):
        client.predict([file], api_name="/predict")


def test_says_how_to_train_where_there_is_no_run(tmp_path):
    with pytest.raises(DataError, match=r"no run yet.*make fit"):
        verbs.main(["demo", "--config=configs/aoi.yaml", f"--run.root={tmp_path}"])


def test_without_gradio_the_page_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.delitem(sys.modules, "demo")
    with pytest.raises(DataError, match=r"^gradio is missing; pip install -e '.\[demo\]'$"):
        import_module("demo")


@pytest.mark.parametrize(("width", "theme"), [(1200, "light"), (500, "dark")])
def test_in_a_browser(served, model, tmp_path, width, theme):
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("needs chromium and chromedriver")
    from selenium.webdriver.support.ui import WebDriverWait

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking")
    for flag in (*flags, "--disable-dev-shm-usage", f"--window-size={width},900"):
        options.add_argument(flag)
    good = examples(model("aoi"), 1)[0]
    bad = next(iter(bad_files(tmp_path, good)))
    browser = webdriver.Chrome(options, webdriver.ChromeService(driver))
    try:
        browser.get(f"{served('aoi')}?__theme={theme}")
        wait = WebDriverWait(browser, 60)
        drop = wait.until(lambda b: b.find_elements("css selector", "input[type=file]"))
        drop[0].send_keys(f"{good}\n{bad}")
        wait.until(lambda b: b.find_elements("css selector", ".thumbnail-item img"))
        text = browser.find_element("tag name", "body").text
        line = browser.find_element("css selector", "textarea").get_attribute("value")
        assert line.startswith(f"{bad.name}: not a readable image")
        assert "synthetic sample" in text
        assert "confidence" in text
        inner, scrolled = browser.execute_script(
            "return [window.innerWidth, document.documentElement.scrollWidth]"
        )
        assert scrolled <= inner
        ink = browser.execute_script(
            "return getComputedStyle(document.querySelector('.gradio-container')).color"
        )
        assert (min(map(int, re.findall(r"\d+", ink)[:3])) > 150) == (theme == "dark")
    finally:
        browser.quit()
