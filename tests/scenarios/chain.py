"""What the log told of evacuations, held against what became of them."""

from collections import defaultdict
from itertools import pairwise


def transitions(log):
    """Return the transitions that were told, of each evacuation by its number, as the log has them."""
    told = defaultdict(list)
    for line in log:
        if hasattr(line, "transition"):
            told[line.transition["migration"]].append(line.transition)
    return told


def gaps(log, records):
    """Return where the lines of an evacuation do not follow one from the other, from nothing to what the record is."""
    told = transitions(log)
    found = [f"migration {number} is not recorded" for number in told.keys() - {record.id for record in records}]
    for record in records:
        lines = told[record.id]
        steps = [(None, 0), *((line["to_status"], line["attempt"]) for line in lines)]
        found += [
            f"migration {record.id}: {line['from_status']} -> {line['to_status']} {attempt} follows {before}"
            for line, (before, (_, attempt)) in zip(lines, pairwise(steps), strict=True)
            if line["from_status"] != before[0] or attempt - before[1] not in (0, 1)
        ]
        if steps[-1] != (record.status, record.attempt):
            found.append(f"migration {record.id} is {record.status} {record.attempt}, and was told to be {steps[-1]}")
    return found
