"""Run the benchmarks, or those that are named: python bench/run.py [--list] [NAME ...]

Nothing here is a test: numbers depend on the machine and on what else it does. Run them on
a machine that does nothing else.
"""

import argparse
from importlib import import_module

import harness

NAMES = (
    "peers",
    "unwind",
    "rows",
    "deep",
    "compile",
    "slowdown",
    "memory",
    "storms",
    "startup",
    "files",
    "recording",
    "page",
    "lines",
    "analysis",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--list", action="store_true", help="what there is")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.names if name not in NAMES]:
        parser.error(f"no benchmark {' '.join(unknown)}; there are {', '.join(NAMES)}")
    for name in arguments.names or NAMES:
        module = import_module(name)
        print(f"## {name}: {' '.join((module.__doc__ or '').split())}\n", flush=True)
        if not arguments.list:
            harness.conditions()
            module.main()


if __name__ == "__main__":
    main()
