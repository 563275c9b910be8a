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

    def __init__(self, lab, programs, rules=(DEMO_RULES,), settings=None):
        self.lab = lab
        self.programs = pathlib.Path(programs).resolve()
        self.state = lab.root / "state"
        self.events_file = self.state / "eve.json"
        self.daemons = {}
        self.settings_file = lab.root / "etc" / "menshen.yaml"
        self.settings_file.parent.mkdir(exist_ok=True)
        self.state.mkdir(parents=True, exist_ok=True)
        self.write_settings(rules, settings or {})

    def write_settings(self, rules, settings):
        """`settings` ({"section.name": value}) go before the lab's own."""
        sections = {}
        for key, value in {**self._settings(rules), **settings}.items():
            section, name = key.split(".")
            sections.setdefault(section, {})[name] = value
        self.settings_file.write_text(json.dumps(sections, indent=2, ensure_ascii=False))  # JSON is YAML

    def _settings(self, rules):
        sockets = {f"general.{name}_socket": str(self.lab.sockets / f"{name}.sock") for name in self.DAEMONS}
        return {
            **sockets,
            "sensor.rules": [str(rule) for rule in rules],
            "sensor.events_file": str(self.events_file),
            "sensor.state_directory": str(self.state / "sensor"),
            "policy.state_directory": str(self.state / "policy"),
            "audit.directory": str(self.state / "audit"),
            "audit.checkpoint_seconds": 1,
            "compliance.catalogue": str(REPOSITORY / "rules" / "mlps"),
            "compliance.output": str(self.state / "compliance"),
        }

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
