"""Prints ``requirements.lock``: each package that the extras install, with the hash of its file.

pip install --dry-run --ignore-installed --report - --quiet -e ".[dev]" | python .ci/lock.py

For the Python and the platform that pip runs on.
"""

import json
import platform
import sys

entries = {}
for item in json.load(sys.stdin)["install"]:
    name, info = item["metadata"]["name"].lower().replace("_", "-"), item["download_info"]
    if "archive_info" in info:  # not the project itself
        digest = info["archive_info"]["hashes"]["sha256"]
        entries[name] = f"{name}=={item['metadata']['version']} --hash=sha256:{digest}"
where = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
print(f"# {where}; `make lock` writes it anew.")
print("\n".join(entries[name] for name in sorted(entries)))
