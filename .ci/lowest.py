"""Print a pip constraints file with the lowest versions that pyproject.toml allows.

python .ci/lowest.py [--except NAME ...] > constraints.txt

Of the dependencies and of the extras that are used at run time; development tools stay at their
newest. What is named after --except is left out, so pip takes its newest version.
"""

import argparse
import re
import tomllib
from pathlib import Path

TOOLS = {"dev", "docs"}
REQUIREMENT = re.compile(r"^([A-Za-z0-9_.-]+)(?:\[.*?\])?>=([0-9.]+)")


def lowest(project: dict, exempt: set[str]) -> dict[str, str]:
    """Lowest allowed version by package, of a [project] table."""
    extras = project.get("optional-dependencies", {})
    wanted = [*project["dependencies"]]
    wanted += [r for extra in extras.keys() - TOOLS for r in extras[extra]]
    found = (REQUIREMENT.match(requirement) for requirement in sorted(wanted))
    return {m[1]: m[2] for m in found if m and m[1] not in exempt}


def main() -> None:
    """Read pyproject.toml beside this folder, print one constraint a line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--except", nargs="*", default=[], dest="exempt", metavar="NAME")
    exempt = set(parser.parse_args().exempt)
    text = Path(__file__).parent.parent.joinpath("pyproject.toml").read_text(encoding="utf-8")
    for name, version in lowest(tomllib.loads(text)["project"], exempt).items():
        print(f"{name}=={version}")


if __name__ == "__main__":
    main()
