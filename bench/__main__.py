"""`python -m bench [name…]`: run every module here that has a `run()`, or only those named."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import bench


def main(names: list[str]) -> int:
    """Run the benchmarks called `names`, all without any. Gives 2 for a name that does not exist."""
    known = sorted(m.name for m in pkgutil.iter_modules(bench.__path__) if not m.name.startswith("_"))
    modules = {name: importlib.import_module(f"bench.{name}") for name in (names or known) if name in known}
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    for name, module in modules.items():
        if hasattr(module, "run"):
            print(f"== {name}: {(module.__doc__ or '').strip().splitlines()[0]}", flush=True)
            module.run()
            print(flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
