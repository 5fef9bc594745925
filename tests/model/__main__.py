"""``python -m tests.model [NAME...]``: print what happens without each rule of the protocol, as numbered steps."""

import argparse
from itertools import chain

from tests.model.counterexamples import COUNTEREXAMPLES
from tests.model.rules import PROTOCOL


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("names", metavar="NAME", nargs="*", help="a counterexample; all of them if none is named")
    names = parser.parse_args().names
    unknown = sorted(set(names) - set(COUNTEREXAMPLES))
    if unknown:
        parser.error(f"{', '.join(unknown)}: there are {', '.join(COUNTEREXAMPLES)}")
    for part in without(names) if names else chain(without(COUNTEREXAMPLES), by_rule()):
        print(part, flush=True)  # noqa: T201 - it reports


def without(names):
    for name in names:
        yield f"without {name}:\n{COUNTEREXAMPLES[name].explored()}\n"


def by_rule():
    yield "Each rule of the protocol, what was switched off of it here, and where it is shown besides:\n"
    for number, shown in PROTOCOL.items():
        switches = (f"without {switch}" for switch in shown.switches)
        yield "\n       ".join([f"{number:3}. {shown.rule}", *switches, *map(where, shown.tests)])


def where(test):
    return f"tests/{test}" if "::" in test else f"tests/scenarios/{test}"


if __name__ == "__main__":
    main()
