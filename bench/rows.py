"""What a bench returns: rows, each a median over runs beside a baseline (a floor or a peer) of the same run."""
import dataclasses
import os
import pathlib
import statistics
import subprocess


@dataclasses.dataclass
class Row:
    """`baseline` in the same unit; ratio = value / baseline. min, max: of the value, over the runs."""
    name: str
    value: float
    unit: str
    baseline: float | None
    ratio: float | None
    min: float
    max: float
    runs: int

    @staticmethod
    def of(name, unit, values, baselines=None):
        value = statistics.median(values)
        baseline = statistics.median(baselines) if baselines else None
        return Row(name, value, unit, baseline, value / baseline if baseline else None, min(values), max(values), len(values))


@dataclasses.dataclass
class Context:
    programs: pathlib.Path
    work: pathlib.Path  # a folder for the bench's files
    quick: bool
    pcaps: list[pathlib.Path] = dataclasses.field(default_factory=list)  # detect: instead of its own
    rules: list[pathlib.Path] = dataclasses.field(default_factory=list)

    @property
    def runs(self):
        return 3 if self.quick else 5


def cpu_seconds(argv, **options):
    """User and system time of a command that must succeed: steadier than the clock on a shared machine."""
    process = subprocess.Popen(list(map(str, argv)), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True, **options)
    error = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"status {process.returncode}: {' '.join(map(str, argv))}\n{error}")
    return usage.ru_utime + usage.ru_stime


def machine():
    """One line: what the figures were taken on."""
    model = next((line.split(":", 1)[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), os.uname().machine)
    load = os.getloadavg()[0]
    return f"{model}, {os.cpu_count()} cores, Linux {os.uname().release}, load {load:.1f} at the start"
