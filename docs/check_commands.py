"""Run the fenced commands of README and docs as they stand, in order, with small limits.

    python docs/check_commands.py [PAGE ...] [--list]

Each page runs in a scratch folder of its own, where ``my/`` holds the built-in samples in the
users' layouts. ``bash`` blocks run line by line, ``python`` blocks whole. ``lit-tasks`` and
``python cli.py`` run in a forked process that has imported everything, with small networks and a
few batches. The exit status
says whether a command failed. Not run, but named with the reason: blocks under
``<!-- check: REASON -->``, and lines that install packages or call make.
"""

import argparse
import csv
import glob
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]

PAGES = [
    "README.md",
    "docs/index.md",
    "docs/data.md",
    "docs/using.md",
    "docs/tasks/aoi.md",
    "docs/tasks/vessels.md",
    "docs/tasks/retina.md",
    "docs/tasks/blots.md",
    "docs/extending.md",
    "docs/faq.md",
]
NOT_RUN = {
    "make": "sets up an environment of its own",
    "pip": "installs packages",
    ".": "changes the shell",
    "git": "needs the network",
}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
NOTE = re.compile(r"<!-- check: (.*?) -->\n\Z")
LIMITED = ("fit", "validate", "test", "predict")
LIMITS = [f"--trainer.limit_{stage}_batches=2" for stage in ("train", "val", "test", "predict")]
LIMITS += ["--trainer.max_epochs=1", "--trainer.enable_progress_bar=false"]
TIMEOUT = 120  # seconds a command


@dataclass(frozen=True)
class Command:
    """One line of a ``bash`` block, or a whole ``python`` block.

    Attributes:
        page: the file, relative to the root.
        line: where its block begins, from 1.
        language: bash or python.
        text: what is run.
        skip: why it is not run, or None.
    """

    page: str
    line: int
    language: str
    text: str
    skip: str | None

    def __str__(self) -> str:
        first = self.text.splitlines()[0]
        more = " ..." if "\n" in self.text else ""
        return f"{self.page}:{self.line}: {first}{more}"


def commands(page: str, text: str) -> Iterator[Command]:
    """The commands of a page, in order."""
    for block in FENCE.finditer(text):
        language, body = block[1], block[2]
        if language not in ("bash", "python"):
            continue
        note = NOTE.search(text[: block.start()])
        skip = note[1] if note else None
        line = text.count("\n", 0, block.start()) + 1
        if language == "python":
            # Files shown for the reader to write have their name above them.
            if not re.search(r"^(At the end of )?`\S+\.py`\n\n\Z", text[: block.start()], re.M):
                yield Command(page, line, language, body, skip)
            continue
        for command in body.replace("\\\n", " ").splitlines():
            words = shlex.split(command, comments=True)
            if words:
                text_of_it = " ".join(command.partition(" #")[0].split())
                yield Command(page, line, language, text_of_it, skip or NOT_RUN.get(words[0]))


def limited(args: list[str], small: dict[str, list[str]]) -> list[str]:
    """Arguments of ``lit-tasks``, small and short where it trains or evaluates.

    Limits stand behind ``--config``, so that what the page gives comes later and wins.
    """
    if args[:1] and args[0] in LIMITED and "--config" in args and "--help" not in args:
        place = args.index("--config") + 2
        config = Path(args[place - 1]).stem
        own = small.get(config, []) if args[0] == "fit" else []
        return [*args[:place], *LIMITS, *own, *args[place:]]
    return args


def prepare(folder: Path) -> None:
    """Fill a scratch folder: the project by links, and the built-in samples as ``my/``."""
    from datamodules.synthetic import aoi, blots, drive
    from datamodules.synthetic.cache import cached_sample

    for path in ROOT.iterdir():
        if not path.name.startswith((".", "runs", "build")):
            (folder / path.name).symlink_to(path)
    mine = folder / "my"
    mine.mkdir()
    panels, fundus, western = (cached_sample(x.draw_sample, 0) for x in (aoi, drive, blots))
    photographs = sorted((fundus / "test" / "images").iterdir())
    pairs = sorted((western / "wb_dataset").iterdir())
    links = {
        "images": panels,
        "DRIVE": fundus,
        "blots": western,
        "templates": western,
        "panels": panels / "test_images",
        "panel.png": sorted((panels / "test_images").iterdir())[0],
        f"photo{photographs[0].suffix}": photographs[0],
        "blot.png": pairs[0],
    }
    for name, target in links.items():
        (mine / name).symlink_to(target)
    (mine / "photos").mkdir()
    for photograph in photographs[:2]:
        (mine / "photos" / photograph.name).symlink_to(photograph)
    with (panels / "train.csv").open(newline="") as file:
        labels = [(row["ID"], row["Label"]) for row in csv.DictReader(file)]
    for name, label in labels:  # one folder per class, and a table
        for place in (mine / "classes" / f"class {label}", mine / "sheet" / "images"):
            place.mkdir(parents=True, exist_ok=True)
            (place / name).symlink_to(panels / "train_images" / name)
    with (mine / "sheet" / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "label"), *labels])
    (mine / "CHASE").mkdir()
    photographs = sorted((fundus / "training" / "images").iterdir())
    drawings = sorted((fundus / "training" / "1st_manual").iterdir())
    for number, (photograph, drawing) in enumerate(zip(photographs, drawings, strict=True)):
        name = f"Image_{number + 1:02d}L"
        (mine / "CHASE" / f"{name}{photograph.suffix}").symlink_to(photograph)
        (mine / "CHASE" / f"{name}_1stHO{drawing.suffix}").symlink_to(drawing)


def run(command: Command, folder: Path, small: dict[str, list[str]]) -> tuple[int | None, str]:
    """Exit status (None: out of time) and output of a command."""
    words = shlex.split(command.text) if command.language == "bash" else []
    if words[:1] == ["lit-tasks"]:
        words = ["python", "cli.py", *words[1:]]
    if words[:2] == ["python", "cli.py"]:
        import forked

        args = [x for word in words[2:] for x in (glob.glob(word, root_dir=folder) or [word])]
        outcome = forked.run(limited(args, small), folder, timeout=TIMEOUT)
        return outcome.status, outcome.output
    if command.language == "python":
        shown = [sys.executable, "-c", command.text]
    else:
        shown = ["bash", "-euo", "pipefail", "-c", command.text]
    env = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    try:
        done = subprocess.run(
            shown, cwd=folder, env=env, capture_output=True, text=True, timeout=TIMEOUT
        )
    except subprocess.TimeoutExpired as error:
        return None, str(error)
    return done.returncode, done.stdout + done.stderr


def main() -> None:
    """Run all pages, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pages", nargs="*", default=PAGES, help="relative to the root")
    parser.add_argument("--list", action="store_true", help="print what would be run, and end")
    options = parser.parse_args()
    found = [
        command
        for page in options.pages
        for command in commands(page, (ROOT / page).read_text(encoding="utf-8"))
    ]
    if options.list:
        for command in found:
            print(f"{command}" + (f"  (not run: {command.skip})" if command.skip else ""))
        return
    os.environ["WANDB_MODE"] = "disabled"
    import forked
    from conftest import SMALL

    if any(re.match("python cli.py|lit-tasks", command.text) for command in found):
        forked.warm_up()
    failed, scratch = 0, {page: tempfile.TemporaryDirectory() for page in options.pages}
    for page in options.pages:
        prepare(Path(scratch[page].name))
    for command in found:
        if command.skip:
            print(f"not run  {command}  ({command.skip})", flush=True)
            continue
        begun = time.monotonic()
        status, output = run(command, Path(scratch[command.page].name), SMALL)
        failed += status != 0
        seconds = time.monotonic() - begun
        print(f"{'FAILED' if status != 0 else 'ok':8} {command}  ({seconds:.1f} s)", flush=True)
        if status != 0:
            print(f"exit status {status}\n{output[-3000:]}", flush=True)
    for folder in scratch.values():
        folder.cleanup()
    ran = sum(not command.skip for command in found)
    print(f"{ran} commands run, {len(found) - ran} not run, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
