"""What a person sees who gives cli.py something bad: one clear line, or not.

python benchmarks/bad_inputs.py [--every 8] [--only checkpoint]

Each case of benchmarks/bad_cases.py runs through the real command line, on small data. Classes:
a clean line (status 1, "error: ..."), a usage line (status 2), a traceback, a dump (more than a
line), silent (status 0 in spite of the bad input), no end. Prints a Markdown table and the cases
that are neither of the first two; the exit status says whether there are any.
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
from bad_cases import Case, cases

CLASSES = ("line", "usage", "traceback", "dump", "silent", "no end")
NOBODY = 65534
LONGEST = 500  # characters of a line that a person still reads


def classify(outcome: forked.Outcome) -> str:
    """One of ``CLASSES``."""
    text = outcome.output
    if outcome.status is None:
        return "no end"
    if "Traceback (most recent call last)" in text:
        return "traceback"
    if outcome.status == 0:
        return "silent"
    line = text.strip().rpartition("\n")[2]
    known = line.startswith("error: ") and text.count("\nerror: ") + text.startswith("error: ") == 1
    if not known or len(line) > LONGEST or "weights_only=False" in text:
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
            self._copy(config, here)
            done = forked.run(["fit", *self.options(config, here), "--run.name=run"], here)
            if done.status:
                sys.exit(f"the run of {config} that the cases begin with failed:\n{done.output}")

    def _copy(self, config: str, here: Path) -> None:
        shutil.copytree(tiny_data.data_of(config, self.root / "data"), here / "data")

    def options(self, config: str, here: Path) -> list[str]:
        """What makes a run of the config small."""
        return [
            f"--config={forked.ROOT / 'configs' / config}.yaml",
            f"--data.data_dir={here / 'data'}",
            f"--run.root={here / 'runs'}",
            "--run.wandb=disabled",
            "--trainer.accelerator=cpu",
            "--trainer.precision=32-true",
            "--trainer.enable_progress_bar=false",
            "--trainer.max_epochs=1",
            "--trainer.limit_train_batches=2",
            *tiny_data.SMALL[config],
        ]

    def run(self, case: Case, number: int) -> tuple[forked.Outcome, str]:
        """How the case ended, and what is wrong with what it left behind, if anything."""
        here = self.root / "cases" / str(number)
        here.mkdir(parents=True)
        options: list[str] = []
        if case.config:
            self._copy(case.config, here)
            options = [] if case.bare else self.options(case.config, here)
            for name, config in (("run", case.config), ("other", "vessels")):
                run = self.root / "runs" / config / "runs" / config / "run"
                if run.exists():
                    shutil.copytree(run, here / name)
        if case.spoil is not None:
            case.spoil(here)
        places = {"{here}": here, "{data}": here / "data", "{run}": here / "run"}
        places["{other}"] = here / "other"
        args = []
        for arg in case.args:
            for name, path in places.items():
                arg = arg.replace(name, str(path))
            args.append(arg)
        whole = [args[0], *options, *args[1:]]
        before = (lambda: os.setuid(NOBODY)) if case.nobody else None
        pid = forked.start(whole, here, dict(case.env), before)
        outcome = forked.wait(pid, whole, here, 60)
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
    parser.add_argument("--every", type=int, default=1, help="take each n-th case alone")
    parser.add_argument("--only", default="", help="cases that this pattern is found in")
    parser.add_argument("--verbose", action="store_true", help="print each case's line")
    options = parser.parse_args()
    forked.warm_up()
    start = time.monotonic()
    chosen = [c for c in cases() if re.search(options.only, f"{c.kind} {c.name}")][:: options.every]
    table: dict[str, Counter[str]] = {}
    failed = []
    with tempfile.TemporaryDirectory(prefix="bad-inputs-") as root:
        Path(root).chmod(0o755)
        stage = Stage(Path(root))
        for number, case in enumerate(chosen):
            outcome, left = stage.run(case, number)
            found = classify(outcome)
            line = outcome.output.strip().rpartition("\n")[2][:400]
            if options.verbose:
                print(
                    f"{found:9} {outcome.seconds:4.1f} s  {case.name}\n          {line}", flush=True
                )
            bad = found != "silent" if case.fine else found not in ("line", "usage")
            if bad or "code" in left:
                failed.append(f"{found} {left}: {case.name}\n    {line}")
            elif left and found == "usage":
                failed.append(f"{left}: {case.name}")
            if not case.fine:
                table.setdefault(case.kind, Counter())[found] += 1
    print(f"| {' | '.join(['input', *CLASSES])} |\n|---{'|---' * len(CLASSES)}|")
    total: Counter[str] = Counter()
    for kind, counts in table.items():
        print(f"| {' | '.join([kind, *(str(counts[name]) for name in CLASSES)])} |")
        total += counts
    print(f"| {' | '.join(['all', *(str(total[name]) for name in CLASSES)])} |")
    print(f"\n{sum(total.values())} bad inputs in {(time.monotonic() - start) / 60:.1f} minutes")
    print("\n".join(failed))
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
