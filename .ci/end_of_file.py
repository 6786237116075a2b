"""Give each of the named text files one newline at its end; exit status 1 if any had another."""

import sys
from pathlib import Path

changed = []
for name in sys.argv[1:]:
    content = Path(name).read_bytes()
    fixed = content.rstrip(b"\r\n") + b"\n" if content.strip() else content
    if fixed != content:
        Path(name).write_bytes(fixed)
        changed.append(name)
print("\n".join(changed))
sys.exit(bool(changed))
