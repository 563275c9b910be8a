"""The appliance in the gate: its settings, its three daemons, its command line."""
import json
import os
import pathlib
import subprocess

from lab import LabError, wait_until

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
DEMO_POLICY = REPOSITORY / "rules" / "policies" / "demo.yaml"
DEMO_RULES = REPOSITORY / "rules" / "detection"


class Appliance:
    """Start order as under systemd: audit first (the others report to it), then policy, then sensor."""

    DAEMONS = ("auditd", "policyd", "sensord")

    def __init__(self, lab, programs, rules=None, policy=None, settings=None):
        self.lab = lab
        self.programs = pathlib.Path(programs).resolve()
        self.state = lab.root / "state"
        self.daemons = {}
        self.settings_file = lab.root / "menshen.yaml"
        self.write_settings(rules or sorted(DEMO_RULES.glob("*.rules")), policy, settings or {})

    def write_settings(self, rules, policy, more):
        sections = self._sections([str(rule) for rule in rules], policy)
        for key, value in more.items():
            section, name = key.split(".", 1)
            sections.setdefault(section, {})[name] = value
        self.settings_file.write_text(json.dumps(sections, indent=2))  # JSON is YAML

    def _sections(self, rules, policy):
        raise NotImplementedError

    # ---- daemons -----------------------------------------------------------------------------------------------

    def start(self, *names):
        for name in names or self.DAEMONS:
            self.daemons[name] = self.lab.start(
                "gate", [self.programs / f"menshen-{name}", "--settings", self.settings_file], label=name, notify=True)
        return self

    def stop(self):
        """SIGTERM in the reverse order; {name: exit status}."""
        return {name: self.daemons[name].stop() for name in reversed(self.DAEMONS) if name in self.daemons}

    # ---- the command -------------------------------------------------------------------------------------------

    def run(self, *arguments, check=True, lang="en", **options):
        environment = dict(os.environ, LC_ALL="C.UTF-8")
        command = [self.programs / "menshen", "--settings", self.settings_file, "--lang", lang, *arguments]
        return self.lab.run("gate", command, check=check, env=environment, **options)

    def json(self, *arguments, check=True):
        done = self.run(*arguments, "--json", check=check)
        try:
            return json.loads(done.stdout)
        except ValueError:
            raise LabError(f"no JSON from menshen {' '.join(map(str, arguments))}:\n{done.stdout}{done.stderr}") from None

    def json_lines(self, *arguments):
        return [json.loads(line) for line in self.run(*arguments, "--json").stdout.splitlines()]

    def find(self, *arguments):
        """Audit records, newest first."""
        return self.json_lines("audit", "find", *arguments)

    def await_record(self, what, *arguments, seconds=20):
        """The newest audit record that the filter finds; waits for it to arrive."""
        return wait_until(lambda: self.find("--limit", 1, *arguments), f"an audit record of {what}", seconds, 0.1)[0]
