"""A small cloud in network namespaces: the appliance's gate, two tenant domains, a shared service, an outside host.

    finance 10.10.0.10  fd00:10::10 ──fin0─┐
    tax     10.20.0.10  fd00:20::10 ──tax0─┤
                                           gate  (routes; the daemons run here)
    portal  10.30.0.10  fd00:30::10 ──por0─┤
    outside 203.0.113.10 2001:db8:113::10 ──out0─┘

A namespace lives as long as its holder process, so nothing with a name is left on the machine, whatever ends the
run. Offloads stay at their defaults: what crosses the gate are the kernel's own super-frames. Nothing here knows
the product; readiness is a notify socket or a condition with a deadline, never a pause.

Not thread-safe. Everything raises LabError with a sentence for a person.
"""
import contextlib
import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

READY_SECONDS = 60.0
STOP_SECONDS = 15.0
SKIPPED = 77  # the exit status that ctest shows as "skipped"


class LabError(Exception):
    pass


class Host:
    """One machine of the cloud: its interface in the gate, and its addresses (the gate has .1 and ::1)."""

    def __init__(self, name, interface, net4, len4, net6, len6):
        self.name, self.interface = name, interface
        self.v4, self.gate_v4, self.len4 = f"{net4}.10", f"{net4}.1", len4
        self.v6, self.gate_v6, self.len6 = f"{net6}::10", f"{net6}::1", len6


HOSTS = (
    Host("finance", "fin0", "10.10.0", 16, "fd00:10", 48),
    Host("tax", "tax0", "10.20.0", 16, "fd00:20", 48),
    Host("portal", "por0", "10.30.0", 24, "fd00:30", 48),
    Host("outside", "out0", "203.0.113", 24, "2001:db8:113", 48),
)

# What is started dies with this program, even if that is killed.
DIE_WITH_PARENT = ["setpriv", "--pdeathsig", "KILL", "--"]


def wait_until(condition, what, seconds=READY_SECONDS, every=0.02):
    """Polls until `condition` returns something true, and returns that; LabError naming `what` at the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise LabError(f"waited {seconds:.0f} s for: {what}")
        time.sleep(every)


class NotifySocket:
    """The other end of sd_notify(3)."""

    def __init__(self, path):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.messages = []

    def receive(self, seconds):
        readable, _, _ = select.select([self.socket], [], [], seconds)
        if readable:
            self.messages += self.socket.recv(4096).decode(errors="replace").split("\n")
        return bool(readable)

    def close(self):
        self.socket.close()
        self.path.unlink(missing_ok=True)


class Process:
    """A program running in a namespace. Its output goes to the file `log`."""

    def __init__(self, name, popen, log, notify=None):
        self.name, self.popen, self.log, self.notify = name, popen, log, notify

    @property
    def pid(self):
        return self.popen.pid

    def running(self):
        return self.popen.poll() is None

    def output(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def tail(self, lines=15):
        return "\n".join(self.output().splitlines()[-lines:])

    def wait_notified(self, word, seconds=READY_SECONDS):
        """Until the program says `word` ("READY=1") over its notify socket."""
        deadline = time.monotonic() + seconds
        while word not in self.notify.messages:
            if not self.notify.receive(0.1) and not self.running():
                raise LabError(f"{self.name} ended with status {self.popen.returncode}:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise LabError(f"{self.name} did not say {word} within {seconds:.0f} s:\n{self.tail()}")

    def reload(self, seconds=READY_SECONDS):
        """SIGHUP, then until the program says that it is ready again."""
        while self.notify.receive(0):
            pass
        self.notify.messages.clear()
        self.popen.send_signal(signal.SIGHUP)
        self.wait_notified("READY=1", seconds)

    def kill(self):
        """SIGKILL, as a crash or the OOM killer would."""
        self.popen.kill()
        self.popen.wait()

    def stop(self, seconds=STOP_SECONDS):
        """SIGTERM; returns the exit status. SIGKILL and LabError past the deadline."""
        if self.running():
            self.popen.terminate()
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise LabError(f"{self.name} did not stop within {seconds:.0f} s of SIGTERM:\n{self.tail()}") from None


class Lab:
    """The cloud. Use it as a context: it is cleaned up on the way out, also on Ctrl-C and SIGTERM.

    `root` keeps logs and whatever the caller puts there; without one it is temporary and removed.
    """

    def __init__(self, root=None):
        if os.geteuid() != 0:
            raise LabError("network namespaces need root")
        self._temporary = root is None
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="menshen-lab-") if root is None else root).resolve()
        self.logs = self.root / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        # Socket paths are limited to 107 bytes, so they do not go below a deep root.
        self.sockets = pathlib.Path(tempfile.mkdtemp(prefix="menshen-"))
        self.hosts = {host.name: host for host in HOSTS}
        self.processes = []
        self._holders = {}
        self.keep = False

    def __enter__(self):
        self._previous = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        signal.signal(signal.SIGTERM, self._previous)
        if not self.keep:
            self.close()

    # ---- the network -------------------------------------------------------------------------------------------

    def _hold(self, name):
        holder = subprocess.Popen([*DIE_WITH_PARENT, "unshare", "--net", "sh", "-c", "echo; exec sleep infinity"],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True)
        self._holders[name] = holder
        if holder.stdout.readline() != b"\n":
            raise LabError("cannot make a network namespace (unshare --net failed)")

    def _build(self):
        for name in ("gate", *self.hosts):
            self._hold(name)
            # No duplicate detection: an address is usable at once, also the link-local one of neighbour discovery.
            self.run(name, ["sysctl", "-qw", "net.ipv6.conf.default.dad_transmits=0", "net.ipv6.conf.default.accept_dad=0"])
        self._ip("gate", "link set lo up")
        self.run("gate", ["sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"])
        for host in self.hosts.values():
            self._connect(host)

    def _connect(self, host):
        self._ip("gate", f"link add {host.interface} type veth peer name eth0 netns {self._holders[host.name].pid}")
        for name, interface, v4, v6 in (("gate", host.interface, host.gate_v4, host.gate_v6),
                                        (host.name, "eth0", host.v4, host.v6)):
            self._ip(name, f"address add {v4}/{host.len4} dev {interface}")
            self._ip(name, f"address add {v6}/{host.len6} dev {interface} nodad")
            self._ip(name, f"link set {interface} up")
        self._ip(host.name, "link set lo up")
        self._ip(host.name, f"route add default via {host.gate_v4}")
        self._ip(host.name, f"-6 route add default via {host.gate_v6}")

    def _ip(self, name, arguments):
        self.run(name, ["ip", *arguments.split()])

    def inside(self, name, argv):
        """The command line that runs `argv` in a namespace. Not `ip netns exec`: that needs / to be a mount point."""
        return ["nsenter", f"--net=/proc/{self._holders[name].pid}/ns/net", "--", *map(str, argv)]

    # ---- programs ----------------------------------------------------------------------------------------------

    def run(self, name, argv, check=True, timeout=120, **options):
        """Runs a command to its end in a namespace; its output as text. LabError where it fails and `check` is set."""
        options.setdefault("stdin", subprocess.DEVNULL)
        try:
            done = subprocess.run(self.inside(name, argv), capture_output=True, text=True, errors="replace",
                                  timeout=timeout, check=False, **options)
        except subprocess.TimeoutExpired:
            raise LabError(f"no end within {timeout} s in {name}: {' '.join(map(str, argv))}") from None
        if check and done.returncode != 0:
            raise LabError(f"status {done.returncode} in {name}: {' '.join(map(str, argv))}\n"
                           f"{(done.stderr or done.stdout).strip()}")
        return done

    def start(self, name, argv, label=None, notify=False, ready=None, env=None):
        """Starts a program in a namespace and waits for READY=1 (`notify`) or for the condition `ready`."""
        label = label or pathlib.Path(str(argv[0])).name
        log = self.logs / f"{label}.log"
        environment = dict(os.environ, **(env or {}))
        sock = None
        if notify:
            path = self.sockets / f"{label}.{len(self.processes)}"
            sock = NotifySocket(path)
            os.chmod(self.sockets, 0o711)
            os.chmod(path, 0o666)  # a daemon that has given up root still reports
            environment["NOTIFY_SOCKET"] = str(path)
        with log.open("ab") as out:
            popen = subprocess.Popen([*DIE_WITH_PARENT, *self.inside(name, argv)], stdin=subprocess.DEVNULL, stdout=out,
                                     stderr=out, env=environment, start_new_session=True)
        process = Process(label, popen, log, sock)
        self.processes.append(process)
        if notify:
            process.wait_notified("READY=1")
        if ready:
            wait_until(lambda: self._ready_or_dead(process, ready), f"{label} to be ready")
        return process

    @staticmethod
    def _ready_or_dead(process, ready):
        if not process.running():
            raise LabError(f"{process.name} ended with status {process.popen.returncode}:\n{process.tail()}")
        return ready()

    def listening(self, name, port, proto="tcp"):
        """Whether something in the namespace listens on `port` (/proc/net: TCP in LISTEN, UDP bound)."""
        state = "0A" if proto == "tcp" else "07"
        for table in (proto, proto + "6"):
            for line in pathlib.Path(f"/proc/{self._holders[name].pid}/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if int(fields[1].rsplit(":", 1)[1], 16) == port and fields[3] == state:
                    return True
        return False

    def send_udp(self, source, address, port, payload):
        """One datagram from a namespace (a mark that a capture can wait for)."""
        family = "AF_INET6" if ":" in address else "AF_INET"
        program = f"import socket,sys; socket.socket(socket.{family}, socket.SOCK_DGRAM)" \
                  f".sendto(sys.argv[1].encode(), ({address!r}, {port}))"
        self.run(source, ["/usr/bin/python3", "-c", program, payload])

    def capture(self, name, label, *expression, snaplen=262144):
        """tcpdump on the host's own interface: what really arrived there."""
        return Capture(self, name, self.root / f"{label}.pcap", expression, snaplen)

    # ---- the end -----------------------------------------------------------------------------------------------

    def close(self):
        with contextlib.suppress(KeyboardInterrupt):  # a second Ctrl-C must not leave half of it behind
            for process in reversed(self.processes):
                with contextlib.suppress(LabError):
                    process.stop(5)
                if process.notify:
                    process.notify.close()
            for holder in self._holders.values():
                holder.kill()
                holder.wait()
                holder.stdout.close()
        shutil.rmtree(self.sockets, ignore_errors=True)
        if self._temporary:
            shutil.rmtree(self.root, ignore_errors=True)


class Capture:
    """A running tcpdump, read through fences: bytes are looked for only after a later mark has been seen."""

    def __init__(self, lab, name, path, expression, snaplen):
        self.lab, self.name, self.path = lab, name, path
        self._fences = 0
        path.unlink(missing_ok=True)
        self.process = lab.start(
            name, ["tcpdump", "-i", "eth0", "-U", "--immediate-mode", "-B", "65536", "-Z", "root", "-s", snaplen,
                   "-w", path, *expression], label=f"tcpdump-{path.stem}",
            ready=lambda: path.exists() and path.stat().st_size >= 24)

    def fence(self):
        """Returns once everything that arrived before now is in the file: sends a mark from the gate, waits for it."""
        self._fences += 1
        mark = f"fence-{self.path.stem}-{self._fences}-{os.getpid()}"
        self.lab.send_udp("gate", self.lab.hosts[self.name].v4, 9, mark)
        wait_until(lambda: mark.encode() in self.path.read_bytes(), f"the mark in {self.path.name}")

    def packets(self):
        """(original length, captured bytes) of each packet so far, after a fence."""
        self.fence()
        data = self.path.read_bytes()
        order = "little" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else "big"
        at = 24
        while at + 16 <= len(data):
            kept = int.from_bytes(data[at + 8:at + 12], order)
            length = int.from_bytes(data[at + 12:at + 16], order)
            yield length, data[at + 16:at + 16 + kept]
            at += 16 + kept

    def saw(self, needle):
        """Whether any packet so far held these bytes."""
        return any(needle in packet for _, packet in self.packets())


def skip_unless_possible(programs):
    """Ends a ctest script as skipped where it cannot run at all; in CI that is a failure."""
    missing = None
    if os.geteuid() != 0:
        missing = "needs root for network namespaces"
    elif not (pathlib.Path(programs) / "menshen").exists():
        missing = f"no programs in {programs}"
    elif not shutil.which("tcpdump") or not shutil.which("nginx", path="/usr/sbin:/usr/bin"):
        missing = "needs the packages of packaging/test-dependencies"
    if missing:
        print(f"skipped: {missing}")
        sys.exit(1 if os.environ.get("CI") == "true" else SKIPPED)
