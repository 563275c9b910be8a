// The two example hosts and the two example appliances.
#include <fmt/format.h>

#include "compliance/testing/fake_host.hpp"

namespace menshen::compliance::testing {
namespace {

constexpr WallTime day = WallTime{86'400} * 1'000'000'000;

void processes(FakeHost& host, const std::vector<std::string>& names) {
  int pid = 100;
  for (const std::string& name : names)
    host.files[fmt::format("/proc/{}/comm", pid++)] = {name + "\n"};
}

std::string tcp_line(int slot, std::string_view address, int port, std::string_view state) {
  return fmt::format("   {}: {}:{:04X} 00000000:0000 {} 00000000:00000000 00:00000000 0\n", slot,
                     address, port, state);
}

void common(FakeHost& host, WallTime now) {
  host.files["/proc/sys/kernel/hostname"] = {"menshen-01\n"};
  host.files["/etc/os-release"] = {"PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"};
  for (const char* path : {"/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/var/log"})
    host.files[path];
  host.files["/var/lib/apt/lists/debian_main_Packages"] = {"", 0644, "root", "root", now - day};
}

void settings(FakeHost& host, const std::string& path, const std::string& content) {
  host.files[path] = {content};
}

}  // namespace

FakeHost weak_host(WallTime now) {
  FakeHost host;
  common(host, now);
  host.files["/etc/passwd"].content =
      "root:x:0:0:root:/root:/bin/bash\ntoor:x:0:0::/root:/bin/sh\n"
      "guest:x:1000:1000::/home/guest:/bin/sh\nwang:x:1001:1001::/home/wang:/bin/bash\n";
  host.files["/etc/shadow"].content =
      "root:$6$salt$secrethashroot:19000:0:99999:7:::\ntoor:$1$x$oldhash:19000:0:99999:7:::\n"
      "guest::19000:0:99999:7:::\nwang:$6$s$h:19000:0:99999:7::19001:\n";
  host.files["/etc/shadow"].mode = 0644;
  host.files["/var/log"].mode = 0777;
  settings(host, "/etc/login.defs", "PASS_MAX_DAYS\t99999\n");
  settings(host, "/etc/pam.d/common-auth", "auth [success=1 default=ignore] pam_unix.so nullok\n");
  settings(host, "/etc/pam.d/common-password", "password required pam_unix.so yescrypt\n");
  settings(host, "/etc/profile", "umask 022\n");
  settings(host, "/etc/sudoers", "wang ALL=(ALL) NOPASSWD: ALL\n");
  settings(host, "/proc/net/tcp",
           "  sl local\n" + tcp_line(0, "00000000", 22, "0A") + tcp_line(1, "00000000", 23, "0A") +
               tcp_line(2, "00000000", 2375, "0A"));
  settings(host, "/proc/net/udp", "  sl local\n" + tcp_line(0, "00000000", 161, "07"));
  for (const char* key : {"accept_source_route", "accept_redirects", "send_redirects"})
    settings(host, fmt::format("/proc/sys/net/ipv4/conf/all/{}", key), "1\n");
  processes(host, {"sshd", "telnetd", "dockerd"});
  // Every software as it should not be.
  settings(host, "/etc/postgresql/15/main/postgresql.conf", "port = 5432\n");
  settings(host, "/etc/postgresql/15/main/pg_hba.conf", "host all all 0.0.0.0/0 trust\n");
  settings(host, "/etc/mysql/my.cnf", "[mysqld]\nskip-grant-tables\n");
  settings(host, "/etc/redis/redis.conf", "bind 0.0.0.0\nprotected-mode no\n");
  settings(host, "/etc/nginx/nginx.conf", "ssl_protocols TLSv1 TLSv1.2;\naccess_log off;\n");
  settings(host, "/etc/docker/daemon.json", R"({"hosts": ["tcp://0.0.0.0:2375"]})");
  settings(host, "/var/lib/kubelet/config.yaml", "authorization:\n  mode: AlwaysAllow\n");
  settings(host, "/etc/pam.d/su", "auth sufficient pam_rootok.so\n");
  host.files["/etc/ssh/ssh_host_rsa_key"].mode = 0644;
  settings(host, "/proc/sys/kernel/randomize_va_space", "0\n");
  settings(host, "/proc/sys/fs/suid_dumpable", "2\n");
  host.commands["firewall"] = "table inet filter {\n}\n";
  host.commands["sshd"] =
      "port 22\nlistenaddress 0.0.0.0:22\nlistenaddress [::]:22\npermitrootlogin yes\n"
      "maxauthtries 20\nlogingracetime 0\nclientaliveinterval 0\npasswordauthentication yes\n"
      "pubkeyauthentication no\nusepam yes\nauthenticationmethods any\n"
      "hostkey /etc/ssh/ssh_host_rsa_key\n"
      "ciphers aes128-ctr,3des-cbc\nmacs hmac-md5\nkexalgorithms diffie-hellman-group1-sha1\n";
  host.commands["packages"] = "telnetd\t0.17\tinstalled\ngcc\t12.2\tinstalled\n";
  host.commands["updates"] =
      "Inst openssl [3.0.1] (3.0.2 Debian-Security:12/stable-security [amd64])\n"
      "Conf openssl\nInst tzdata [1] (2 Debian:12/stable [all])\n";
  return host;
}

FakeHost hardened_host(WallTime now) {
  FakeHost host;
  common(host, now);
  host.files["/etc/passwd"].content =
      "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1::/usr/sbin:/usr/sbin/nologin\n"
      "li:x:1000:1000::/home/li:/bin/bash\n";
  host.files["/etc/shadow"].content =
      "root:!:20000:0:90:7:::\ndaemon:*:20000:0:99999:7:::\nli:$y$j9T$s$h:20000:1:90:7:::\n";
  host.files["/etc/shadow"].mode = 0640;
  host.files["/etc/gshadow"].mode = 0640;
  host.files["/var/log"].mode = 0755;
  settings(host, "/etc/login.defs", "# comment\nPASS_MAX_DAYS   90\n");
  settings(host, "/etc/security/pwquality.conf", "minlen = 10\nminclass = 3\n");
  settings(host, "/etc/security/faillock.conf", "deny = 5\nunlock_time = 600\neven_deny_root\n");
  settings(host, "/etc/pam.d/common-auth",
           "auth required pam_faillock.so preauth\nauth [success=1 default=ignore] pam_unix.so\n");
  settings(host, "/etc/pam.d/common-password",
           "password requisite pam_pwquality.so retry=3\npassword required pam_unix.so\n");
  settings(host, "/etc/profile.d/tmout.sh", "TMOUT=600\nreadonly TMOUT\n");
  settings(host, "/etc/sudoers", "%sudo ALL=(ALL:ALL) ALL\n");
  settings(host, "/etc/rsyslog.d/90-forward.conf", "*.* @@log.example.gov.cn:6514\n");
  settings(
      host, "/proc/net/tcp",
      "  sl local\n" + tcp_line(0, "0A02000A", 22, "0A") + tcp_line(1, "0100007F", 6379, "0A"));
  settings(host, "/proc/net/udp", "  sl local\n");
  for (const char* key : {"accept_source_route", "accept_redirects", "send_redirects"})
    settings(host, fmt::format("/proc/sys/net/ipv4/conf/all/{}", key), "0\n");
  settings(host, "/sys/module/apparmor/parameters/enabled", "Y\n");
  settings(host, "/sys/class/tpm/tpm0", "");
  settings(host, "/sys/kernel/security/ima/ascii_runtime_measurements", "");
  settings(host, "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c",
           std::string("\x06\0\0\0\x01", 5));
  host.files["/var/lib/clamav/daily.cld"] = {"", 0644, "clamav", "clamav", now - 2 * day};
  settings(host, "/etc/postgresql/15/main/postgresql.conf",
           "ssl = on\nlog_connections = on\nlog_statement = 'mod'\n");
  settings(host, "/etc/postgresql/15/main/pg_hba.conf",
           "local all postgres peer\nhostssl all all 10.0.0.0/8 scram-sha-256\n");
  settings(host, "/etc/my.cnf", "[mysqld]\nrequire_secure_transport = ON\n");
  settings(host, "/etc/redis/redis.conf",
           "bind 127.0.0.1 -::1\nprotected-mode yes\nrequirepass hunter2\n");
  settings(host, "/etc/nginx/nginx.conf",
           "ssl_protocols TLSv1.2 TLSv1.3;\naccess_log /var/log/nginx/access.log;\n");
  settings(host, "/etc/docker/daemon.json", R"({"icc": false, "userns-remap": "default"})");
  settings(host, "/var/lib/kubelet/config.yaml",
           "authentication:\n  x509:\n    clientCAFile: /etc/kubernetes/pki/ca.crt\n"
           "authorization:\n  mode: Webhook\nreadOnlyPort: 0\n");
  settings(host, "/etc/pam.d/su", "auth sufficient pam_rootok.so\nauth required pam_wheel.so\n");
  settings(host, "/sys/kernel/security/lsm", "capability,selinux\n");
  settings(host, "/dev/mapper/luks-data", "");
  host.files["/etc/ssh/ssh_host_ed25519_key"].mode = 0600;
  settings(host, "/proc/sys/kernel/randomize_va_space", "2\n");
  settings(host, "/proc/sys/kernel/dmesg_restrict", "1\n");
  settings(host, "/proc/sys/fs/protected_hardlinks", "1\n");
  settings(host, "/proc/sys/fs/protected_symlinks", "1\n");
  settings(host, "/proc/sys/fs/suid_dumpable", "0\n");
  host.commands["firewall"] =
      "table inet filter {\n chain input {\n  type filter hook input "
      "priority 0; policy drop;\n }\n}\n";
  processes(host, {"sshd", "chronyd", "rsyslogd", "auditd", "clamd", "freshclam", "dockerd",
                   "keepalived"});
  host.commands["sshd"] =
      "port 22\nlistenaddress 10.0.2.10:22\npermitrootlogin no\nmaxauthtries 4\n"
      "logingracetime 60\nclientaliveinterval 300\npasswordauthentication no\n"
      "pubkeyauthentication yes\nusepam yes\n"
      "authenticationmethods publickey,keyboard-interactive\n"
      "hostkey /etc/ssh/ssh_host_ed25519_key\nciphers aes256-gcm@openssh.com\n"
      "macs hmac-sha2-512-etm@openssh.com\nkexalgorithms curve25519-sha256\n";
  host.commands["packages"] =
      "openssl\t3.0.15\tinstalled\naide\t0.18\tinstalled\n"
      "borgbackup\t1.2\tinstalled\n";
  host.commands["updates"] = "";
  host.commands["time_chrony"] = "Reference ID    : C0000201\nLeap status     : Normal\n";
  host.commands["audit_status"] = "enabled 2\nfailure 1\npid 411\n";
  host.commands["audit_rules"] = "-w /etc/passwd -p wa -k identity\n-a always,exit -S execve\n";
  return host;
}

void add_sound_product_facts(Facts& facts, WallTime now) {
  const auto add = [&](std::string_view space, const char* json) {
    add_product_facts(facts, space, nlohmann::json::parse(json), "menshen-01",
                      fmt::format("menshen: {}", space), now);
  };
  add("policy", R"({"table_present":true,"matches_kernel":true,"drift_count":0,"default_drop":true,
    "ct_state":true,"anti_spoof":true,"drop_log":true,"rules_in_kernel":41,
    "domains":["finance","tax","portal"],"overlapping_networks":[],"interfaces_unassigned":[],
    "flows":3,"flows_without_reason":[],"flows_expired":[],"flows_without_expiry":[],
    "flows_any":[],"flows_shadowed":[],"flows_inspected":3,"flows_not_inspected":[],
    "digest":"9f1c","applied_at":"2026-11-23T08:00:00Z","drops_total":17})");
  add("sensor", R"({"running":true,"inline":true,"fail_mode":"closed","rules_loaded":320,
    "rules_rejected":0,"rules_block":120,"rules_age_days":2,"protocols":["http","dns","tls"],
    "packets":48211,"queue_lost":0,"alerts":5,"alerts_blocked":3,"alerts_incomplete":0,
    "alarm_outputs":["syslog tls://soc.example.gov.cn:6514"]})");
  add("audit", R"({"running":true,"verified":true,"chain_ok":true,"records":912,
    "records_incomplete":0,"kinds":["alert","drop","isolation","policy","admin","system"],
    "first_record_at":"2026-05-01T00:00:00Z","span_days":206,"retention_days":0,
    "checkpoint_age_seconds":3,"profile":"sm","store_mode":"0640","store_owner":"menshen-audit",
    "key_mode":"0600","single_writer":true,"disk_free_percent":71,
    "backup_targets":["backup.example.gov.cn"],"backup_age_days":1,"policy_changes":4,
    "policy_changes_without_actor":0})");
  add("system", R"({"daemons_running":["menshen-auditd"],"daemons_missing":[],
    "daemons_as_root":[],"daemons_with_net_admin":["menshen-policyd"],
    "daemons_without_no_new_privs":[],"version":"0.1.0","settings_mode":"0640",
    "settings_owner":"root","sockets_open_to_others":[],"conntrack_percent":3,
    "memory_available_percent":61,"management_interfaces":["mgmt0"],"link_busy_percent":12,
    "policy_administrators":["li"],"audit_administrators":["wu"],
    "administrators_of_both":[]})");
  add("scope", R"({"objects":21,"classes_present":["server"],"classes_missing":[],
    "without_owner":[],"without_importance":[],"without_location":[],"hosts":3,
    "hosts_collected":3,"hosts_not_collected":[],"hosts_failed":[],
    "system_administrators":["a"],"audit_administrators":["b"],"security_administrators":["c"],
    "administrators_of_two_kinds":[]})");
  add("wire", R"({"events":5120,"addresses":14,"cleartext_management":[],"tls_sessions":77,
    "weak_tls":[],"certificates_expired":[],"unlisted_addresses":[]})");
  add("runs", R"({"kept":4,"last_age_days":28})");
}

void add_neglected_product_facts(Facts& facts, WallTime now) {
  const auto add = [&](std::string_view space, const char* json) {
    add_product_facts(facts, space, nlohmann::json::parse(json), "menshen-01",
                      fmt::format("menshen: {}", space), now);
  };
  add("policy", R"({"table_present":false,"matches_kernel":false,"drift_count":41,
    "default_drop":false,"ct_state":false,"anti_spoof":false,"drop_log":false,"domains":["all"],
    "overlapping_networks":[],"interfaces_unassigned":["eth7"],"flows":1,
    "flows_without_reason":["all -> all any"],"flows_expired":["all -> all any"],
    "flows_without_expiry":["all -> all any"],"flows_any":["all -> all any"],
    "flows_shadowed":[],"flows_inspected":0,"flows_not_inspected":["all -> all any"],
    "digest":"","drops_total":0})");
  add("sensor", R"({"running":false,"inline":false,"fail_mode":"open","rules_loaded":0,
    "rules_rejected":9,"rules_block":0,"rules_age_days":400,"protocols":[],"alerts":4,
    "queue_lost":44,"alerts_incomplete":4,"alarm_outputs":[]})");
  add("audit", R"({"profile":"intl","running":false,"verified":false,"chain_ok":false,"records":0,
    "records_incomplete":1,"kinds":[],"retention_days":30,"checkpoint_age_seconds":90000,
    "store_mode":"0666","key_mode":"0644","single_writer":false,"disk_free_percent":2,
    "backup_targets":[],"policy_changes":1,"policy_changes_without_actor":1})");
  add("system", R"({"daemons_as_root":["menshen-sensord","menshen-auditd"],
    "daemons_with_net_admin":["menshen-sensord","menshen-auditd","menshen-policyd"],
    "daemons_without_no_new_privs":["menshen-auditd"],"version":"","settings_mode":"0666",
    "settings_owner":"nobody","sockets_open_to_others":["policyd.sock"],
    "daemons_missing":["menshen-sensord"],"conntrack_percent":97,"memory_available_percent":3,
    "management_interfaces":[],"link_busy_percent":96,"policy_administrators":["li"],
    "audit_administrators":["li"],"administrators_of_both":["li"]})");
  add("scope", R"({"objects":0,"without_owner":["x"],"without_importance":["x"],
    "without_location":["x"],"hosts":2,"hosts_collected":0,"hosts_not_collected":["x","y"],
    "system_administrators":[],"audit_administrators":[],"security_administrators":[],
    "administrators_of_two_kinds":["li"]})");
  add("wire", R"({"events":9,"addresses":3,"cleartext_management":["telnet 10.0.0.1 -> 10.0.0.2"],
    "tls_sessions":2,"weak_tls":["10.0.0.3 TLSv1"],"certificates_expired":[],
    "unlisted_addresses":["10.0.0.9 in all"]
})");
  add("runs", R"({"kept":1,"last_age_days":500})");
}

}  // namespace menshen::compliance::testing
