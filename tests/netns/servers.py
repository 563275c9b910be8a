"""The real servers and clients of the small cloud: nginx, dnsmasq, curl, dig, openssl s_client."""
import hashlib
import os
import pathlib

DOWNLOAD_BYTES = 64 << 20

NGINX_CONF = """
daemon off;
master_process off;
user root;
pid {dir}/nginx.pid;
error_log {dir}/error.log info;
events {{ worker_connections 1024; }}
http {{
  log_format full '$remote_addr "$request" $status "$http_user_agent" "$http_x_api_version"';
  access_log {dir}/access.log full;
  default_type text/plain;
  client_max_body_size 64m;
  client_body_temp_path {dir}/bodies;
  proxy_temp_path {dir}/tmp/proxy;
  fastcgi_temp_path {dir}/tmp/fastcgi;
  uwsgi_temp_path {dir}/tmp/uwsgi;
  scgi_temp_path {dir}/tmp/scgi;
  sendfile on;
  server {{
    listen 80;
    listen [::]:80;
    listen 443 ssl;
    listen [::]:443 ssl;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_certificate {dir}/server.crt;
    ssl_certificate_key {dir}/server.key;
    root {dir}/www;
    location /search {{ return 200 "results\\n"; }}
    location /upload {{
      client_body_in_file_only on;
      proxy_pass http://127.0.0.1:8080;
    }}
  }}
  server {{
    listen 127.0.0.1:8080;
    access_log off;
    location / {{ return 200 "stored\\n"; }}
  }}
}}
"""


class WebServer:
    """nginx on 80 and 443. What it got is in its access log and in the folder of request bodies."""

    def __init__(self, lab, host, download=False):
        self.lab, self.host = lab, host
        self.dir = lab.root / f"web-{host}"
        for folder in ("www", "bodies", "tmp"):
            (self.dir / folder).mkdir(parents=True, exist_ok=True)
        (self.dir / "www" / "index.html").write_text(f"{host} says hello\n")
        self.certificate = self.dir / "server.crt"
        lab.run(host, ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                       "-keyout", self.dir / "server.key", "-out", self.certificate, "-days", "2",
                       "-subj", f"/CN={host}.example", "-addext", f"subjectAltName=DNS:{host}.example"])
        self.download_sha256 = self._make_download() if download else None
        conf = self.dir / "nginx.conf"
        conf.write_text(NGINX_CONF.format(dir=self.dir))
        self.process = lab.start(host, ["nginx", "-c", conf, "-e", self.dir / "error.log"], label=f"nginx-{host}",
                                 ready=lambda: lab.listening(host, 80) and lab.listening(host, 443))

    def _make_download(self):
        digest = hashlib.sha256()
        with (self.dir / "www" / "large.bin").open("wb") as out:
            for _ in range(DOWNLOAD_BYTES >> 20):
                block = os.urandom(1 << 20)
                digest.update(block)
                out.write(block)
        return digest.hexdigest()

    def access_log(self):
        log = self.dir / "access.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def stored_bodies(self):
        return [path.read_bytes() for path in (self.dir / "bodies").rglob("*") if path.is_file()]


class DnsServer:
    """dnsmasq, authoritative for its own names and for a tunnel's zone; it logs every query that reached it."""

    def __init__(self, lab, host, names):
        self.lab, self.host = lab, host
        addresses = [f"--address=/{name}/{address}" for name, address in names.items()]
        self.process = lab.start(
            host, ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root",
                   "--pid-file=", "--log-queries", "--log-facility=-", "--port=53", *addresses], label=f"dnsmasq-{host}",
            ready=lambda: lab.listening(host, 53, "udp"))

    def queries(self):
        return self.process.output()


class Client:
    """What a person or a program on one host does. A connection that is dropped ends at `patience` seconds."""

    def __init__(self, lab, host, patience=3):
        self.lab, self.host, self.patience = lab, host, patience

    def http(self, url, *options):
        """The status as text, "000" where nothing came back (timeout, reset)."""
        done = self.lab.run(self.host, ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", self.patience,
                                        "--noproxy", "*", *options, url], check=False)
        return done.stdout or "000"

    def download(self, url, path, seconds=60):
        """sha256 of what arrived."""
        self.lab.run(self.host, ["curl", "-sS", "--max-time", seconds, "--noproxy", "*", "-o", path, url])
        return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()

    def tls(self, address, name, authority):
        """The protocol version agreed on, with the certificate verified; "" where there was no handshake."""
        done = self.lab.run(self.host, ["timeout", self.patience, "openssl", "s_client", "-connect", f"{address}:443",
                                        "-servername", name, "-verify_hostname", name, "-verify_return_error",
                                        "-CAfile", authority, "-brief"], check=False)
        lines = dict(line.split(": ", 1) for line in (done.stdout + done.stderr).splitlines() if ": " in line)
        return lines.get("Protocol version", "") if lines.get("Verification") == "OK" else ""

    def lookup(self, server, name, kind="A"):
        """The answer's records, one a line; "" for none."""
        return self.lab.run(self.host, ["dig", f"@{server}", name, kind, "+short", "+tries=1", f"+time={self.patience}",
                                        "+noedns"], check=False).stdout.strip()
