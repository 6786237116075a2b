import os
import re
import shutil
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib import import_module

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("gradio")

from conftest import ROOT

from commandline import verbs
from common.errors import DataError
from demo import page, server
from inference import load


@pytest.fixture
def model(trained):
    """The model of a small run of a config, trained on the sample at first use."""
    return cache(lambda config: load(trained(config), device="cpu"))


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


@pytest.fixture
def answer(model, tmp_path, monkeypatch):
    """What the page of a config shows of files: its parts by name."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", page.MOST_PIXELS // 2)

    def of(config, *given):
        parts = ("problems", "lines", "pair", "shown", "numbers")
        return dict(zip(parts, page.answer(model(config), given), strict=True))

    return of


def test_each_bad_file_is_a_line_and_the_others_are_predicted(answer, model, tmp_path):
    good = model("aoi").examples(1)[0]
    bad = bad_files(tmp_path, good)
    found = answer("aoi", [str(file) for file in (*bad, good)])
    lines = found["problems"].value.split("\n")
    for (file, reason), line in zip(bad.items(), lines, strict=True):
        assert line.startswith(f"{file.name}: ")
        assert reason in line
        assert str(tmp_path) not in line
    assert found["numbers"].value["headers"][:3] == ["name", "label", "confidence"]
    assert found["numbers"].value["data"][0][0] == good.name
    assert (
        found["pair"].label == f"{good.name} | evidence for {found['numbers'].value['data'][0][1]}"
    )


def test_more_images_than_allowed_are_named(answer, model, monkeypatch):
    monkeypatch.setattr(page, "MOST_IMAGES", 2)
    found = answer("aoi", [str(path) for path in model("aoi").examples(3)])
    assert len(found["shown"].value) == 4, "image and evidence of each"
    assert found["problems"].value.endswith("more than 2 at once")


def test_the_page_of_shipped_weights_has_the_score_of_their_card():
    name, text = page.about(load(ROOT / "pretrained" / "vessels_best.ckpt"))
    assert name == "Retinal vessel segmentation: vessels_best"
    assert "trained on `DRIVE`. Dice in the field of view 0.8300, " in text


def test_badges(model, monkeypatch):
    class Seen:
        name, caption, confidence, is_unknown = "a.png", "scratch 90.0 %", 0.9, False

    class Strange(Seen):
        is_unknown = True

    badges = {}
    for least in (0.8, 0.95):
        monkeypatch.setattr(model("aoi"), "card", lambda least=least: {"review_below": least})
        badges[least] = [badge for _, badge in page.said_of(model("aoi"), [Seen(), Strange()])]
    assert badges[0.8] == [None, None, None, page.UNKNOWN, None]
    assert badges[0.95] == [None, page.REVIEW, None, None, page.UNKNOWN, None]


def test_a_threshold_draws_other_vessels_of_the_same_prediction(answer, model, monkeypatch):
    path = str(model("vessels").examples(1)[0])
    found = [answer("vessels", [path], threshold) for threshold in (0.01, 0.99)]
    shares = [one["lines"].value[0]["token"].split(": ")[1] for one in found]
    assert float(shares[0].split(" %")[0]) > float(shares[1].split(" %")[0])
    assert page._of_file.cache_info().hits >= 1


def test_a_copy_is_laid_over_its_photograph(answer, model):
    found = answer("retina_best", [str(model("retina_best").examples(1)[0])])
    assert found["pair"].label.endswith(" | copy")
    assert [title["caption"] for title in found["shown"].value] == ["difference x 5"]
    assert found["numbers"].value["headers"][1:] == ["PSNR in dB", "SSIM"]


def test_blots_are_drawn_on_white_paper(answer):
    strokes = np.zeros((80, 60, 4), np.uint8)
    strokes[20:40, 10:50] = (0, 0, 0, 255)
    drawn = {"composite": Image.fromarray(strokes)}
    template, _, blot = answer("blots", drawn, drawn)["shown"].value
    assert (template["caption"], blot["caption"]) == ("template 1", "blot")
    assert Image.open(template["image"]["path"]).convert("L").getpixel((0, 0)) == 255
    found = answer("blots", drawn, None)
    assert found["problems"].value == "a blot is made of 2 templates; give all"
    assert not found["shown"].visible


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ("--port=99999", r"^--host .* --port 99999: .*must be 0-65535"),
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
    url, good = served("aoi"), model("aoi").examples(1)[0]
    files = [*bad_files(tmp_path, good), *[good] * 5]
    before = set(os.listdir(tmp_path))
    quiet = {"verbose": False, "analytics_enabled": False, "download_files": False}
    one = client.Client(url, httpx_kwargs={"timeout": 120}, **quiet)

    def upload(number):
        file = client.handle_file(str(files[number % len(files)]))
        problems, lines, *_ = one.predict([file], api_name="/predict")
        return lines["visible"], problems["value"] == ""

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(upload, range(50)))
    assert answers == [2 * (files[n % len(files)] == good,) for n in range(50)]
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


def test_requests_of_other_websites_are_refused_and_no_address_is_fetched(served, monkeypatch):
    for name in ("http_proxy", "ALL_PROXY"):  # which is not asked for the own page
        monkeypatch.setenv(name, "socks5://127.0.0.1:9")
    url = served("retina")
    assert urllib.request.urlopen(url).status == 200
    foreign = [{"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Origin": "null"}]
    for headers in foreign:
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(urllib.request.Request(url, headers=headers))
    client = pytest.importorskip("gradio_client").Client(url, verbose=False)
    file = {"path": "http://127.0.0.1:9/x.png", "meta": {"_type": "gradio.FileData"}}
    with pytest.raises(Exception, match="an address; give a file"):
        client.predict([file], api_name="/predict")


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
    bad = next(iter(bad_files(tmp_path, model("aoi").examples(1)[0])))
    browser = webdriver.Chrome(options, webdriver.ChromeService(driver))

    def text():
        return browser.find_element("tag name", "body").text

    try:
        browser.get(f"{served('aoi')}?__theme={theme}")
        wait = WebDriverWait(browser, 60)
        drop = wait.until(lambda b: b.find_elements("css selector", "input[type=file]"))
        drop[0].send_keys(str(bad))
        (line,) = wait.until(lambda b: b.find_elements("css selector", "textarea"))
        wait.until(lambda b: line.get_attribute("value").startswith(f"{bad.name}: not a readable"))
        wait.until(lambda b: b.find_elements("css selector", "#examples button"))[0].click()
        wait.until(lambda b: "evidence for" in text())
        assert "example_1" in text()
        assert "AOI defect classification" in text()
        assert "synthetic sample" in text()
        assert "coarse" in text()
        inner, scrolled, ink = browser.execute_script(
            "return [window.innerWidth, document.documentElement.scrollWidth,"
            "getComputedStyle(document.querySelector('.gradio-container')).color]"
        )
        assert scrolled <= inner
        assert (min(map(int, re.findall(r"\d+", ink)[:3])) > 150) == (theme == "dark")
    finally:
        browser.quit()
