"""What a person sees who gives cli.py something bad: one clear line, or not.

python benchmarks/bad_inputs.py [--every 8] [--only checkpoint]

Each case of benchmarks/bad_cases.py runs through the real command line, on small data. Classes:
a clean line (status 1, "error: ..."), a usage line (status 2), a traceback, a dump (more than a
line), silent (status 0 in spite of the bad input), costly (above 2 GiB of memory), no end (within
60 s). Prints a Markdown table and the cases outside of the first two classes; the exit status says
whether there are any.
"""

import argparse
import os
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import forked
import tiny_data
from bad_cases import KINDS, Case

CLASSES = ("line", "usage", "traceback", "dump", "silent", "costly", "no end")
NOBODY = 65534
MAX_LINE = 500  # characters that a person still reads
MAX_MEMORY = 2.0  # GiB


def classify(outcome: forked.Outcome) -> str:
    """One of ``CLASSES``."""
    text = outcome.output
    if outcome.status is None:
        return "no end"
    if "Traceback (most recent call last)" in text:
        return "traceback"
    if outcome.memory > MAX_MEMORY:
        return "costly"
    if outcome.status == 0:
        return "silent"
    line = text.strip().rpartition("\n")[2]
    known = line.startswith("error: ") and text.count("\nerror: ") + text.startswith("error: ") == 1
    if not known or len(line) > MAX_LINE or "weights_only=False" in text:
        return "dump"
    return "usage" if outcome.status == 2 else "line"


class Stage:
    """Small data and finished runs, of which each case gets copies in a folder of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        tiny_data.write_all(root / "data")
        for config in ("aoi", "vessels", "retina"):
            here = root / "runs" / config
            here.mkdir(parents=True)
            self._copy_data(config, here)
            done = forked.run(["fit", *self.options(config, here), "--run.name=run"], here)
            if done.status:
                sys.exit(f"the run of {config} that the cases begin with failed:\n{done.output}")

    def _copy_data(self, config: str, here: Path) -> None:
        shutil.copytree(tiny_data.data_of(config, self.root / "data"), here / "data")

    def options(self, config: str, here: Path) -> list[str]:
        """What makes a run of the config small."""
        data = f"--data.data_dir={here / 'data'}"
        limits = ["--trainer.max_epochs=1", "--trainer.limit_train_batches=2"]
        return [*tiny_data.options(config), data, f"--run.root={here / 'runs'}", *limits]

    def run(self, case: Case, here: Path) -> tuple[forked.Outcome, str]:
        """How the case ended, and what is wrong with what it left behind, if anything."""
        here.mkdir(parents=True)
        self._copy_data(case.config, here)
        options = [] if case.bare else self.options(case.config, here)
        for name, config in (("run", case.config), ("other", "vessels")):
            run = self.root / "runs" / config / "runs" / config / "run"
            if run.exists():
                shutil.copytree(run, here / name)
        case.spoil(here)
        names = {"here": here, "data": here / "data", "run": here / "run", "other": here / "other"}
        filled = [
            re.sub(r"\{(here|data|run|other)\}", lambda match: str(names[match[1]]), arg)
            for arg in case.args
        ]
        args = [filled[0], *options, *filled[1:]]
        before = (lambda: os.setuid(NOBODY)) if case.nobody else None
        outcome = forked.run(args, here, case.env, before=before)
        left = ""
        if (here / "ran").exists():
            left = "the input's code has run"
        elif not case.fine and any(here.glob("runs/*/*")):
            left = "a run folder is left"
        shutil.rmtree(here)
        return outcome, left


def main() -> None:
    """Run the cases, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--every", type=int, default=1, help="take only each n-th case")
    parser.add_argument("--only", default="", help="only cases that this pattern is found in")
    options = parser.parse_args()
    forked.warm_up()
    start = time.monotonic()
    cases = [(kind, case) for kind, make in KINDS.items() for case in make()]
    cases = [(k, c) for k, c in cases if re.search(options.only, f"{k}: {c}")][:: options.every]
    table: dict[str, Counter[str]] = {}
    failed = []
    with tempfile.TemporaryDirectory(prefix="bad-inputs-") as root:
        Path(root).chmod(0o755)
        stage = Stage(Path(root))
        for number, (kind, case) in enumerate(cases):
            outcome, left = stage.run(case, stage.root / "cases" / str(number))
            found = classify(outcome)
            line = outcome.output.strip().rpartition("\n")[2][:400]
            good = found == "silent" if case.fine else found in ("line", "usage")
            if not good or "code" in left or (left and found == "usage"):
                failed.append(f"{found} {left}: {kind}: {case}\n    {line}")
            if not case.fine:
                table.setdefault(kind, Counter())[found] += 1
    table["all"] = sum(table.values(), Counter())
    print(f"| {' | '.join(['input', *CLASSES])} |\n|---{'|---' * len(CLASSES)}|")
    for kind, counts in table.items():
        print(f"| {' | '.join([kind, *(str(counts[name]) for name in CLASSES)])} |")
    minutes = (time.monotonic() - start) / 60
    print(f"\n{sum(table['all'].values())} bad inputs in {minutes:.1f} minutes")
    print("\n".join(failed))
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
