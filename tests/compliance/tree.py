"""Small hosts to collect from: a folder with a shell, the usual tools, a real sshd, and files laid out as the
distribution has them. Commands that need a real machine (auditctl, chronyc, package managers) are scripts that print
what a machine in that state prints; long-running daemons are sleepers of their names.
"""
import pathlib
import shutil
import subprocess

TOOLS = ("sh", "cat", "head", "tail", "tee", "tr", "date", "id", "uname", "stat", "awk", "base64", "sha256sum", "timeout",
         "sleep", "printf", "env")
DAEMON = "/usr/sbin/sshd"


def libraries(program):
    """Every shared library of a program, its loader too."""
    found = []
    for line in subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout.splitlines():
        found += [word for word in line.split() if word.startswith("/")]
    return found


def copy_program(root, program):
    source = pathlib.Path(shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin"))
    for path in [source, *map(pathlib.Path, libraries(source))]:
        target = root / path.relative_to("/")
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path.resolve(), target)


class Tree:
    """One host's files below `root`; `write` takes absolute paths."""

    def __init__(self, root):
        self.root = pathlib.Path(root)

    def write(self, path, text, mode=0o644):
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)

    def script(self, name, prints, status=0):
        self.write(f"/usr/sbin/{name}", f"#!/bin/sh\ncat <<'END'\n{prints}END\nexit {status}\n", 0o755)

    def base(self, authorized_key):
        for link in ("bin", "sbin", "lib", "lib64"):
            (self.root / "usr" / link).mkdir(parents=True, exist_ok=True)
            (self.root / link).symlink_to(f"usr/{link}")
        for tool in (*TOOLS, "ssh-keygen", DAEMON):
            copy_program(self.root, tool)
        for folder in ("proc", "dev", "run/sshd", "tmp", "root/.ssh", "var/log"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        self.write("/root/.ssh/authorized_keys", authorized_key, 0o600)
        (self.root / "root").chmod(0o700)
        (self.root / "root/.ssh").chmod(0o700)
        # The sshd that serves; what is judged is /etc/ssh/sshd_config, as everywhere.
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.root / "run/serve_key"], check=True)
        self.write("/run/serve_config", "HostKey /run/serve_key\nPermitRootLogin prohibit-password\nPidFile none\n"
                                        "AuthorizedKeysFile /root/.ssh/authorized_keys\nStrictModes no\n")
        self.write("/etc/group", "root:x:0:\nsshd:x:105:\n")

    def host_key(self):
        return (self.root / "run/serve_key.pub").read_text().strip()

    def kernel(self, values):
        """Files that stand for /proc/sys in the host's own mount namespace."""
        for key, value in values.items():
            self.write("/fake/" + key, f"{value}\n")

    def daemons(self, *names):
        for name in names:
            shutil.copy2(shutil.which("sleep"), self.root / "usr/sbin" / name)
        self.write("/run/start", "".join(f"/usr/sbin/{name} infinity &\n" for name in names) +
                   f"exec {DAEMON} -D -e -f /run/serve_config\n")


DAY = 86400
SSH_KEYS = "HostKey /etc/ssh/ssh_host_ed25519_key\n"
NET = ("net/ipv4/conf/all/accept_source_route", "net/ipv4/conf/all/accept_redirects", "net/ipv4/conf/all/send_redirects")


def weak(tree, rpm):
    tree.write("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nsshd:x:105:105::/run/sshd:/usr/sbin/nologin\n"
                              "toor:x:0:0::/root:/bin/sh\nguest:x:1000:1000::/home/guest:/bin/sh\n"
                              "wang:x:1001:1001::/home/wang:/bin/sh\n")
    tree.write("/etc/shadow", "root:$6$salt$SECRETHASH:19000:0:99999:7:::\nsshd:*:19000:0:99999:7:::\n"
                              "toor:$1$x$SECRETHASH:19000:0:99999:7:::\nguest::19000:0:99999:7:::\n"
                              "wang:$6$s$SECRETHASH:19000:0:99999:7::19001:\n", 0o644)
    tree.write("/etc/gshadow", "", 0o644)
    (tree.root / "var/log").chmod(0o777)
    tree.write("/etc/login.defs", "PASS_MAX_DAYS\t99999\n")
    auth, password = ("system-auth", "password-auth") if rpm else ("common-auth", "common-password")
    tree.write(f"/etc/pam.d/{auth}", "auth sufficient pam_unix.so nullok\npassword sufficient pam_unix.so\n")
    tree.write(f"/etc/pam.d/{password}", "password required pam_unix.so\n")
    tree.write("/etc/pam.d/su", "auth sufficient pam_rootok.so\n")
    tree.write("/etc/profile", "umask 022\n")
    tree.write("/etc/sudoers", "wang ALL=(ALL) NOPASSWD: ALL\n")
    tree.write("/etc/rsyslog.conf", "*.* /var/log/messages\n")
    # A key that sshd does not use: it would not start with one of its own open to others.
    tree.write("/etc/ssh/ssh_host_rsa_key", "", 0o644)
    tree.write("/etc/ssh/sshd_config", SSH_KEYS + "PermitRootLogin yes\nMaxAuthTries 20\nLoginGraceTime 0\n"
               "PasswordAuthentication yes\nPubkeyAuthentication no\nCiphers aes128-ctr,3des-cbc\nMACs hmac-sha1\n"
               "KexAlgorithms diffie-hellman-group14-sha1\n")
    pg = "/var/lib/pgsql/data" if rpm else "/etc/postgresql/15/main"
    tree.write(f"{pg}/postgresql.conf", "port = 5432\n")
    tree.write(f"{pg}/pg_hba.conf", "host all all 0.0.0.0/0 trust\n")
    tree.write("/etc/my.cnf" if rpm else "/etc/mysql/my.cnf", "[mysqld]\nskip-grant-tables\n")
    tree.write("/etc/redis.conf" if rpm else "/etc/redis/redis.conf", "bind 0.0.0.0\nprotected-mode no\n")
    tree.write("/etc/nginx/nginx.conf", "http {\n  ssl_protocols TLSv1 TLSv1.2;\n  access_log off;\n}\n")
    tree.write("/etc/docker/daemon.json", '{"hosts": ["tcp://0.0.0.0:2375"]}\n')
    tree.write("/var/lib/kubelet/config.yaml", "authorization:\n  mode: AlwaysAllow\n")
    tree.write("/sys/kernel/security/lsm", "capability\n")
    tree.kernel({**{key: 1 for key in NET}, "kernel/randomize_va_space": 0, "kernel/dmesg_restrict": 0,
                 "fs/protected_hardlinks": 0, "fs/protected_symlinks": 0, "fs/suid_dumpable": 2})
    packages = "telnet-server\t0.17\tinstalled\ngcc\t12\tinstalled\n" if rpm else "telnetd\t0.17\tinstalled\ngcc\t12\tinstalled\n"
    tree.script("rpm" if rpm else "dpkg-query", packages)
    if rpm:
        tree.write("/var/cache/dnf/base-1/repodata/repomd.xml", "")
        tree.script("dnf", "openssl.x86_64    1:3.0.12-4    update\n", 100)
    else:
        tree.write("/var/lib/apt/lists/x_Packages", "")
        tree.script("apt-get", "Inst openssl [3.0.1] (3.0.2 Debian-Security:12/stable-security [amd64])\n")
    tree.script("nft", "table inet filter {\n}\n")
    tree.daemons("telnetd", "dockerd")


def hardened(tree, rpm):
    tree.write("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nsshd:x:105:105::/run/sshd:/usr/sbin/nologin\n"
                              "li:x:1000:1000::/home/li:/bin/sh\n")
    tree.write("/etc/shadow", "root:*:20000:0:90:7:::\nsshd:*:20000:0:99999:7:::\nli:$y$j9T$s$SECRETHASH:20000:1:90:7:::\n",
               0o000 if rpm else 0o640)
    tree.write("/etc/gshadow", "", 0o000 if rpm else 0o640)
    (tree.root / "var/log").chmod(0o755)
    tree.write("/etc/login.defs", "PASS_MAX_DAYS   90\n")
    tree.write("/etc/security/pwquality.conf", "minlen = 10\nminclass = 3\n")
    tree.write("/etc/security/faillock.conf", "deny = 5\nunlock_time = 600\n")
    auth, password = ("system-auth", "password-auth") if rpm else ("common-auth", "common-password")
    tree.write(f"/etc/pam.d/{auth}", "auth required pam_faillock.so preauth\nauth sufficient pam_unix.so\n")
    tree.write(f"/etc/pam.d/{password}", "password requisite pam_pwquality.so retry=3\npassword sufficient pam_unix.so\n")
    tree.write("/etc/pam.d/su", "auth sufficient pam_rootok.so\nauth required pam_wheel.so use_uid\n")
    tree.write("/etc/profile.d/tmout.sh", "TMOUT=600\nreadonly TMOUT\n")
    tree.write("/etc/sudoers", "%wheel ALL=(ALL:ALL) ALL\n", 0o440)
    tree.write("/etc/rsyslog.d/90-forward.conf", "*.* @@log.example.gov.cn:6514\n")
    tree.write("/etc/ssh/sshd_config", SSH_KEYS + "ListenAddress 10.0.2.10\nPermitRootLogin no\nMaxAuthTries 4\n"
               "LoginGraceTime 60\nClientAliveInterval 300\nPasswordAuthentication no\nPubkeyAuthentication yes\nUsePAM yes\n"
               "AuthenticationMethods publickey,keyboard-interactive\nCiphers aes256-gcm@openssh.com\n"
               "MACs hmac-sha2-512-etm@openssh.com\nKexAlgorithms curve25519-sha256\n")
    pg = "/var/lib/pgsql/data" if rpm else "/etc/postgresql/15/main"
    tree.write(f"{pg}/postgresql.conf", "ssl = on\nlog_connections = on\nlog_statement = 'mod'   # all changes\n")
    tree.write(f"{pg}/pg_hba.conf", "local all postgres peer\nhostssl all all 10.0.0.0/8 scram-sha-256\n")
    tree.write("/etc/my.cnf.d/tls.cnf" if rpm else "/etc/mysql/mariadb.conf.d/tls.cnf",
               "[mysqld]\nrequire_secure_transport = ON\n")
    tree.write("/etc/redis.conf" if rpm else "/etc/redis/redis.conf",
               "bind 127.0.0.1 -::1\nprotected-mode yes\nrequirepass SECRETWORD\n")
    tree.write("/etc/nginx/nginx.conf", "http {\n  ssl_protocols TLSv1.2 TLSv1.3;\n  access_log /var/log/nginx/access.log;\n}\n")
    tree.write("/etc/docker/daemon.json", '{"icc": false, "userns-remap": "default"}\n')
    tree.write("/var/lib/kubelet/config.yaml", "authentication:\n  x509:\n    clientCAFile: /etc/kubernetes/pki/ca.crt\n"
               "authorization:\n  mode: Webhook\nreadOnlyPort: 0\n")
    tree.write("/sys/kernel/security/lsm", "capability,selinux\n")
    if rpm:
        tree.write("/sys/fs/selinux/enforce", "1\n")
    else:
        tree.write("/sys/module/apparmor/parameters/enabled", "Y\n")
    tree.write("/sys/kernel/security/ima/ascii_runtime_measurements", "")
    tree.write("/sys/class/tpm/tpm0", "")
    boot = tree.root / "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
    boot.parent.mkdir(parents=True)
    boot.write_bytes(b"\x06\0\0\0\x01")
    tree.write("/var/lib/clamav/daily.cld", "")
    tree.write("/dev/mapper/luks-data", "")
    tree.kernel({**{key: 0 for key in NET}, "kernel/randomize_va_space": 2, "kernel/dmesg_restrict": 1,
                 "fs/protected_hardlinks": 1, "fs/protected_symlinks": 1, "fs/suid_dumpable": 0})
    packages = "openssl\t3.0.15\tinstalled\naide\t0.18\tinstalled\nborgbackup\t1.2\tinstalled\n"
    tree.script("rpm" if rpm else "dpkg-query", packages)
    if rpm:
        tree.write("/var/cache/dnf/base-1/repodata/repomd.xml", "")
        tree.script("dnf", "")
    else:
        tree.write("/var/lib/apt/lists/x_Packages", "")
        tree.script("apt-get", "")
    tree.script("chronyc", "Reference ID    : C0000201\nLeap status     : Normal\n")
    tree.script("auditctl", "enabled 2\nfailure 1\n-w /etc/passwd -p wa -k identity\n-a always,exit -S execve -k run\n")
    tree.script("nft", "table inet filter {\n chain input {\n  type filter hook input priority 0; policy drop;\n }\n}\n")
    tree.daemons("chronyd", "rsyslogd", "auditd", "clamd", "freshclam", "keepalived", "dockerd")


def make(root, state, rpm, authorized_key):
    """The host's files; `state` is weak or hardened."""
    tree = Tree(root)
    tree.base(authorized_key)
    name = "openEuler 22.03 (LTS-SP3)" if rpm else "Debian GNU/Linux 12 (bookworm)"
    tree.write("/etc/os-release", f'PRETTY_NAME="{name}"\nID="{"openEuler" if rpm else "debian"}"\n')
    (weak if state == "weak" else hardened)(tree, rpm)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tree.root / "etc/ssh/ssh_host_ed25519_key"], check=True)
    (tree.root / "etc/ssh/ssh_host_ed25519_key").chmod(0o600)
    return tree
