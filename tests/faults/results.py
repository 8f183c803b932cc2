"""What a run has found so far, on disk: a run that is stopped loses nothing, and the next one goes on there."""

import contextlib
import json
import os
import time
from dataclasses import asdict, dataclass

from faults.calls import Fault


@dataclass(frozen=True)
class Line:
    """What became of one fault."""

    fault: str
    hit: bool
    wrong: list
    at: float  # seconds since the epoch
    took: float  # seconds


class Results:
    """Of one scenario: ``NAME.json`` has the faults as they were learned, ``NAME.lines`` a line for each one tried."""

    def __init__(self, directory, name):
        self.name = name
        self._learned = os.path.join(directory, f"{name}.json")
        self.path = os.path.join(directory, f"{name}.lines")

    def learned(self):
        """(number of calls, faults), or None."""
        with contextlib.suppress(FileNotFoundError), open(self._learned, encoding="utf-8") as file:
            calls, faults = json.load(file)
            return calls, [Fault(**fault) for fault in faults]
        return None

    def learn(self, calls, faults):
        with open(self._learned + ".new", "w", encoding="utf-8") as file:
            json.dump([calls, [asdict(fault) for fault in faults]], file)
        os.replace(self._learned + ".new", self._learned)

    def lines(self):
        """The last line of each fault; half a line, of a run that was killed, is none."""
        found = {}
        with contextlib.suppress(FileNotFoundError), open(self.path, encoding="utf-8") as file:
            for text in file:
                with contextlib.suppress(ValueError):
                    line = Line(**json.loads(text))
                    found[line.fault] = line
        return found

    def left(self):
        """The faults that are still to be tried: also those again that went wrong."""
        good = {text for text, line in self.lines().items() if not line.wrong}
        return [fault for fault in self.learned()[1] if str(fault) not in good]

    @contextlib.contextmanager
    def writer(self):
        """Several processes write at once: each line is one write at the end of the file."""
        with open(self.path, "ab", buffering=0) as file:
            yield lambda line: file.write(json.dumps(asdict(line)).encode() + b"\n")


HEAD = f"{'scenario':20} {'calls':>6} {'possible':>9} {'faults':>7} {'not met':>8} {'wrong':>6} {'ms each':>8}"


def rows(every):
    """The table of these scenarios' results: its lines, and whether something is wrong or nothing was met."""
    table, bad, total, days = [], False, [0, 0, 0, 0], set()
    for one in every:
        learned = one.learned()
        if learned is None:
            continue
        calls, faults = learned
        known = {str(fault) for fault in faults}
        lines = [line for line in one.lines().values() if line.fault in known]
        met = sum(line.hit for line in lines)
        wrong = [line for line in lines if line.wrong]
        each = 1000 * sum(line.took for line in lines) / max(1, len(lines))
        counts = [len(faults), met, len(lines) - met, len(wrong)]
        total = [a + b for a, b in zip(total, counts, strict=True)]
        table.append(_row(one.name, calls, counts, f"{each:.0f}"))
        table += [f"    {line.fault}: {'; '.join(line.wrong)}" for line in wrong]
        days |= {time.strftime("%Y-%m-%d", time.localtime(line.at)) for line in lines}
        bad = bad or bool(wrong) or not met
    table.append(_row("all", "", total, ""))
    when = " to ".join(sorted({min(days), max(days)})) if days else "never"
    whole = total[1] + total[2] == total[0]
    how = "whole" if whole else f"{total[1] + total[2]} of {total[0]} faults tried"
    return [f"{when}, {how}", HEAD, *table], bad


def _row(name, calls, counts, each):
    possible, met, missed, wrong = counts
    return f"{name:20} {calls:>6} {possible:>9} {met:>7} {missed:>8} {wrong:>6} {each:>8}".rstrip()
