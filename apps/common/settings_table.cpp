#include "apps/common/settings_table.hpp"

#include <fmt/format.h>

#include <array>

#include "base/file.hpp"

namespace menshen::apps {
namespace {

using Type = SettingType;

constexpr std::int64_t retention_days_min =
    184;  // six months (Cybersecurity Law, article 23), at the longest

SettingDefinition path(std::string_view key, std::string_view fallback, Text help) {
  return {key, Type::path, fallback, 0, 0, {}, false, std::move(help)};
}
SettingDefinition optional_path(std::string_view key, std::string_view fallback, Text help) {
  return {key, Type::optional_path, fallback, 0, 0, {}, false, std::move(help)};
}
SettingDefinition text(std::string_view key, std::string_view fallback, Text help) {
  return {key, Type::text, fallback, 0, 0, {}, false, std::move(help)};
}
SettingDefinition reload(SettingDefinition definition) {
  definition.reloadable = true;
  return definition;
}
SettingDefinition integer(std::string_view key, std::string_view fallback, std::int64_t min,
                          std::int64_t max, Text help) {
  return {key, Type::integer, fallback, min, max, {}, false, std::move(help)};
}
SettingDefinition boolean(std::string_view key, std::string_view fallback, Text help) {
  return {key, Type::boolean, fallback, 0, 0, {}, false, std::move(help)};
}
SettingDefinition choice(std::string_view key, std::string_view fallback,
                         std::vector<std::string_view> choices, Text help) {
  return {key, Type::choice, fallback, 0, 0, std::move(choices), false, std::move(help)};
}
SettingDefinition list(std::string_view key, std::string_view fallback, Text help) {
  return {key, Type::list, fallback, 0, 0, {}, false, std::move(help)};
}

void add_general(std::vector<SettingDefinition>& table) {
  table.insert(
      table.end(),
      {
          text("general.name", "menshen",
               {"本设备名称：写入审计库、报告与证据；可打印 ASCII，不含空格；审计库建立后不可更改",
                "Name of this appliance, in the audit store, reports and evidence: printable ASCII "
                "without spaces; fixed once the audit store exists"}),
          choice("general.language", "auto", {"auto", "zh", "en"},
                 {"日志与提示信息的语言；auto 取自系统环境",
                  "Language of logs and messages; auto takes it from the environment"}),
          path("general.auditd_socket", "/run/menshen/auditd.sock",
               {"审计守护进程的 Unix 套接字", "Unix socket of the audit daemon"}),
          path("general.policyd_socket", "/run/menshen/policyd.sock",
               {"策略守护进程的 Unix 套接字", "Unix socket of the policy daemon"}),
          path("general.sensord_socket", "/run/menshen/sensord.sock",
               {"检测守护进程的 Unix 套接字", "Unix socket of the sensor daemon"}),
          path("general.forwardd_socket", "/run/menshen/forwardd.sock",
               {"转发守护进程的 Unix 套接字", "Unix socket of the forwarding daemon"}),
          path("general.collectd_socket", "/run/menshen/collectd.sock",
               {"采集守护进程的 Unix 套接字", "Unix socket of the collecting daemon"}),
          text("general.status_group", "menshen",
               {"可查询状态的系统用户组；留空或该组不存在则仅 root",
                "Group that may ask for the status; empty, or no such group: root alone"}),
          text("general.admin_group", "menshen-admin",
               {"可下发策略的系统用户组；留空或该组不存在则仅 root。其成员还须属于 "
                "general.status_group",
                "Group that may apply a policy; empty, or no such group: root alone. Its members "
                "must be "
                "in general.status_group too"}),
      });
}

void add_inspection(std::vector<SettingDefinition>& table) {
  table.insert(
      table.end(),
      {
          integer("inspection.queue", "100", 0, 65535,
                  {"需检测的流量送入的 NFQUEUE 队列号",
                   "NFQUEUE number that inspected traffic goes to"}),
          choice(
              "inspection.when_sensor_absent", "block", {"block", "pass"},
              {"检测守护进程未运行时，需检测的流量：block 阻断，pass 放行",
               "What becomes of traffic to be inspected while no sensor runs: block it or pass it "
               "uninspected"}),
          choice("inspection.when_queue_full", "block", {"block", "pass"},
                 {"队列已满时，新到的数据包：block 丢弃，pass 不经检测放行",
                  "What becomes of packets that find the queue full: block them or pass them "
                  "uninspected"}),
          integer("inspection.queue_packets_max", "8192", 64, 1'048'576,
                  {"内核队列最多容纳的数据包数", "Packets that may wait in the kernel's queue"}),
          integer("inspection.socket_mib", "32", 1, 1024,
                  {"队列套接字接收缓冲区（MiB）", "Receive buffer of the queue's socket, in MiB"}),
      });
}

void add_sensor(std::vector<SettingDefinition>& table) {
  table.insert(
      table.end(),
      {
          reload(list("sensor.rules", "/usr/share/menshen/rules",
                      {"检测规则文件；目录表示其中全部 *.rules 文件（按文件名排序）",
                       "Rule files; a folder stands for every *.rules file in it, by name"})),
          reload(
              optional_path("sensor.classification", "",
                            {"规则分类文件 classification.config；留空使用内置分类",
                             "A classification.config for the rules; empty: the common classes"})),
          reload(optional_path(
              "sensor.thresholds", "",
              {"阈值与抑制文件（threshold.config）；留空则只用规则中的阈值",
               "A threshold.config: thresholds and suppressions beside the rules; empty: "
               "those in the rules alone"})),
          reload(list(
              "sensor.variables", "",
              {"规则变量，形如 NAME=VALUE，例如 \"HOME_NET=[10.0.0.0/8]\"；覆盖默认值",
               "Variables of the rules as NAME=VALUE, for example \"HOME_NET=[10.0.0.0/8]\"; they "
               "replace the defaults"})),
          reload(optional_path(
              "sensor.reputation_categories", "",
              {"IP 信誉分类文件（编号,短名,说明）；留空则不使用 IP 信誉，含 iprep 的规则不加载",
               "Categories of IP reputation (id,short name,description); empty: none, and "
               "rules with iprep are rejected"})),
          reload(list("sensor.reputation_files", "",
                      {"IP 信誉文件（地址或网段,分类编号,分值）",
                       "Files of IP reputation (address or network,category id,score)"})),
          optional_path("sensor.events_file", "/var/log/menshen/eve.json",
                        {"事件文件（EVE JSON，每行一条）；留空则不写",
                         "Event file (EVE JSON, one a line); empty: none"}),
          integer("sensor.events_waiting_max", "65536", 256, 4'194'304,
                  {"等待写入文件的事件数上限；超出部分丢弃并计数，不影响检测与审计",
                   "Events that may wait for the event file; more are dropped and counted, "
                   "inspection and "
                   "audit go on"}),
          path("sensor.state_directory", "/var/lib/menshen/sensor",
               {"检测守护进程的状态目录（审计暂存）",
                "State of the sensor daemon (its audit spool)"}),
          integer("sensor.flows_max", "262144", 1024, 16'777'216,
                  {"同时跟踪的流数上限", "Concurrent flows"}),
          integer("sensor.stream_mib", "256", 16, 65536,
                  {"TCP 重组内存上限（MiB）", "Memory for TCP reassembly, in MiB"}),
          integer("sensor.stream_depth_kib", "1024", 16, 1'048'576,
                  {"每个方向参与重组的数据量（KiB），其后不再重组",
                   "Bytes of each direction that are reassembled, in KiB"}),
          boolean("sensor.verify_checksums", "true",
                  {"校验和错误的数据包予以丢弃", "Drop packets whose checksum is wrong"}),
          boolean("sensor.send_resets", "true",
                  {"reject 规则命中时向两端发送 TCP 复位",
                   "Send TCP resets to both ends when a reject rule matches"}),
          boolean("sensor.log_flows", "true",
                  {"每条流结束时写一条流记录", "Write a record at each flow's end"}),
          boolean("sensor.log_transactions", "true",
                  {"写入 HTTP、DNS、TLS 事务记录", "Write HTTP, DNS and TLS records"}),
          integer("sensor.stats_seconds", "60", 0, 86'400,
                  {"每隔多少秒写一条统计记录（stats）；0 不写",
                   "Seconds between stats records among the events; 0: none"}),
          boolean("sensor.log_payload", "true",
                  {"告警中附带载荷片段", "Put an excerpt of the payload into alerts"}),
      });
}

SettingDefinition timeout(std::string_view key, std::string_view fallback, const Text& what) {
  return integer(key, fallback, 1, 86'400,
                 {what.zh + "无数据包多久后结束（秒）",
                  "Seconds without a packet after which " + what.en + " ends"});
}

void add_sensor_limits(std::vector<SettingDefinition>& table) {
  table.insert(
      table.end(),
      {
          list("sensor.host_os_policy", "",
               {"重叠的 TCP 段与 IP 分片按接收方系统取舍：网段=策略，例如 "
                "\"10.0.0.0/8=linux\"；最长网段优先；默认 IPv4 windows、IPv6 bsd。内联时总以先到的"
                "内容为准：TCP 段改写后放行，分片丢弃",
                "Whose bytes stay where TCP segments or IP fragments overlap, by the receiver's "
                "system: PREFIX=POLICY, for example \"10.0.0.0/8=linux\"; the longest prefix "
                "speaks; IPv4 windows and IPv6 bsd else. Inline the first content stays "
                "whatever stands here: TCP segments are rewritten, fragments dropped"}),
          list("sensor.exception_policies", "",
               {"例外策略：触发条件=策略。触发条件：flow-limit、midstream、stream-memory、"
                "reassembly-memory、stream-depth、defrag-memory、tunnel-depth、app-limit、"
                "app-error，或 all；策略：auto、ignore、pass-packet、pass-flow、bypass、"
                "drop-packet、drop-flow、reject。auto：达到上限即丢弃，midstream、stream-depth、"
                "app-error 为 ignore",
                "What becomes of traffic that cannot be inspected: TRIGGER=POLICY. Triggers: "
                "flow-limit, midstream, stream-memory, reassembly-memory, stream-depth, "
                "defrag-memory, tunnel-depth, app-limit, app-error, or all; policies: auto, "
                "ignore, pass-packet, pass-flow, bypass, drop-packet, drop-flow, reject. auto: "
                "dropped at the limits; midstream, stream-depth and app-error are ignored"}),
          boolean("sensor.midstream", "false",
                  {"未见到开头的 TCP 流也参与重组",
                   "Reassemble TCP flows whose beginning was not seen, too"}),
          choice("sensor.urgent_policy", "out-of-band", {"out-of-band", "in-line", "drop"},
                 {"TCP 紧急指针所指字节：out-of-band 从流中取出，in-line 保留在流中，drop "
                  "丢弃该报文段",
                  "The byte that a TCP urgent pointer marks: taken out of the stream, left in it, "
                  "or its segment dropped"}),
          integer("sensor.stream_flow_kib", "1024", 16, 1'048'576,
                  {"TCP 流每个方向的重组内存上限（KiB）",
                   "Memory for TCP reassembly of one direction of a flow, in KiB"}),
          timeout("sensor.timeout_tcp_new", "60",
                  {"未建立的 TCP 流", "a TCP flow not established"}),
          timeout("sensor.timeout_tcp_established", "600",
                  {"已建立的 TCP 流", "an established TCP flow"}),
          timeout("sensor.timeout_tcp_closed", "10", {"已关闭的 TCP 流", "a closed TCP flow"}),
          timeout("sensor.timeout_udp_new", "30", {"单向的 UDP 流", "a UDP flow without answer"}),
          timeout("sensor.timeout_udp_established", "300",
                  {"双向的 UDP 流", "a UDP flow of both directions"}),
          timeout("sensor.timeout_icmp_new", "30",
                  {"单向的 ICMP 流", "an ICMP flow without answer"}),
          timeout("sensor.timeout_icmp_established", "300",
                  {"双向的 ICMP 流", "an ICMP flow of both directions"}),
          timeout("sensor.timeout_other_new", "30",
                  {"其他协议的单向流", "a flow of another protocol without answer"}),
          timeout("sensor.timeout_other_established", "300",
                  {"其他协议的双向流", "a flow of another protocol in both directions"}),
          integer("sensor.defrag_datagrams_max", "16384", 16, 1'048'576,
                  {"同时等待重组的 IP 数据报数上限", "Incomplete IP datagrams at a time"}),
          integer("sensor.defrag_mib", "16", 1, 4096,
                  {"IP 分片重组内存上限（MiB）", "Memory for IP fragments, in MiB"}),
          integer("sensor.defrag_source_kib", "2048", 64, 1'048'576,
                  {"同一源地址的 IP 分片重组内存上限（KiB）",
                   "The same for fragments of one source address, in KiB"}),
          integer("sensor.timeout_defrag", "60", 1, 3600,
                  {"不完整的 IP 数据报保留多久（秒）",
                   "Seconds that an incomplete IP datagram is kept"}),
      });
}

void add_sensor_files(std::vector<SettingDefinition>& table) {
  table.insert(
      table.end(),
      {
          integer("sensor.file_kib", "1024", 16, 65536,
                  {"每个文件为规则、留存与扫描保留的数据量（KiB），其后只计入大小与摘要",
                   "What is kept of each file for rules, the file store and the scan, in KiB; the "
                   "rest is hashed and counted"}),
          optional_path(
              "sensor.filestore_directory", "",
              {"filestore 规则要求留存的文件存放于此，按 SHA-256 命名，例如 "
               "/var/lib/menshen/sensor/files；留空则不留存",
               "Where files lie that a rule wants stored (filestore), named by their SHA-256, for "
               "example /var/lib/menshen/sensor/files; empty: none are stored"}),
          integer("sensor.filestore_mib", "1024", 1, 16'777'216,
                  {"留存文件总量上限（MiB）；已满则不再留存并计数，不覆盖已有文件",
                   "All stored files together, in MiB; beyond, no more are stored, and counted; "
                   "what is there stays"}),
          integer("sensor.filestore_free_mib", "1024", 0, 16'777'216,
                  {"所在文件系统至少保留的空闲空间（MiB）；不足则不再留存并计数",
                   "Free space that the store leaves on its file system, in MiB; with less, no "
                   "more are stored, and counted"}),
          integer("sensor.filestore_days", "30", 0, 3650,
                  {"留存文件自最后一次出现起保留的天数；0 为不删除",
                   "Days for which a stored file is kept after it was last seen; 0: for ever"}),
          integer("sensor.files_waiting_mib", "64", 1, 65536,
                  {"等待留存或扫描的文件内容上限（MiB，各自计算）；超出部分不处理并计数",
                   "Contents that may wait to be stored, and as many to be scanned, in MiB; more "
                   "are left out and counted"}),
          optional_path(
              "sensor.clamd_socket", "",
              {"clamd 的 Unix 套接字，例如 /run/clamav/clamd.ctl；留空则不扫描。扫描在传输之后"
               "进行，不阻断",
               "Unix socket of clamd, for example /run/clamav/clamd.ctl; empty: files are not "
               "scanned. A scan comes after the transfer and blocks nothing"}),
          integer("sensor.clamd_seconds", "10", 1, 120,
                  {"等待 clamd 扫描一个文件的最长时间（秒）",
                   "Seconds that clamd may take for one file"}),
      });
}

void add_policy(std::vector<SettingDefinition>& table) {
  table.insert(
      table.end(),
      {
          path("policy.state_directory", "/var/lib/menshen/policy",
               {"策略守护进程的状态目录（当前生效策略、审计暂存）",
                "State of the policy daemon (the active policy, its audit spool)"}),
          choice(
              "policy.without_policy", "block", {"block", "pass"},
              {"尚未下发任何策略时：block 阻断全部转发流量，pass 不加限制",
               "While no policy was ever applied: block everything forwarded, or leave it alone"}),
          integer("policy.drift_check_seconds", "30", 0, 86400,
                  {"核对内核规则集的周期（秒）；0 表示不核对",
                   "Seconds between checks of the kernel's ruleset; 0: none"}),
          choice("policy.when_drifted", "restore", {"restore", "report"},
                 {"内核规则集被改动时：restore 恢复并记录，report 仅记录",
                  "When the kernel's ruleset was changed: restore it and say so, or only report"}),
          boolean("policy.four_eyes", "false",
                  {"策略须由另一名管理员批准后才生效（提交人与批准人不同）",
                   "A policy takes effect only when a second administrator approves it"}),
          integer("policy.log_group", "100", 0, 65535,
                  {"隔离阻断日志的 NFLOG 组号", "NFLOG group of dropped packets"}),
          integer("policy.log_per_second", "100", 1, 100'000,
                  {"每种原因每秒最多记录的阻断数据包；超出部分只计数",
                   "Dropped packets logged per reason and second; more are only counted"}),
          integer("policy.isolation_records_per_second", "50", 1, 10'000,
                  {"每秒写入审计的隔离记录上限；同一对安全域、协议与端口合并计数",
                   "Isolation records per second; attempts between the same domains, protocol and "
                   "port are "
                   "counted together"}),
      });
}

void add_audit(std::vector<SettingDefinition>& table) {
  table.insert(
      table.end(),
      {
          path("audit.directory", "/var/lib/menshen/audit",
               {"审计库目录（数据库、检查点日志、签名密钥）",
                "Folder of the audit store (database, checkpoint log, signing key)"}),
          choice("audit.profile", "sm", {"sm", "intl"},
                 {"密码算法：sm 为 SM3/SM2，intl 为 SHA-256/Ed25519；审计库建立后不可更改",
                  "Cryptography: sm is SM3 and SM2, intl is SHA-256 and Ed25519; fixed once the "
                  "store exists"}),
          integer("audit.checkpoint_seconds", "5", 1, 3600,
                  {"有新记录时签署检查点的周期（秒）",
                   "Seconds between signed checkpoints while records come in"}),
          integer("audit.retention_days", "184", retention_days_min, 36500,
                  {"审计记录保存天数（法定不少于六个月）；最新记录超过此期限的分段整段清理",
                   "Days that audit records are kept, by law six months or more; a segment goes as "
                   "a whole once its newest record is older"}),
          integer("audit.disk_reserve_mib", "1024", 0, 1'048'576,
                  {"审计库磁盘保留余量（MiB）；低于它时先停止存储会话摘要并记录，"
                   "其余照常；0 为不启用",
                   "Room on the disk of the audit store, in MiB, below which flow summaries are no "
                   "longer stored, and that is recorded; everything else is; 0: off"}),
          integer("audit.spool_mib", "256", 1, 65536,
                  {"审计守护进程不可用时，各组件本地暂存的上限（MiB）；超出部分计数并补记丢失记录",
                   "Local spool of each daemon while the audit daemon is away, in MiB; beyond it "
                   "losses are "
                   "counted and recorded"}),
          text("audit.policyd_user", "menshen-policy",
               {"可以策略守护进程名义提交记录的用户（root 始终可以）；用户不存在则仅 root",
                "User whose records are taken as the policy daemon's, beside root; no such user: "
                "root alone"}),
          text("audit.sensord_user", "menshen-sensor",
               {"可以检测守护进程名义提交记录的用户（root 始终可以）；用户不存在则仅 root",
                "User whose records are taken as the sensor daemon's, beside root; no such user: "
                "root alone"}),
          text("audit.forwardd_user", "menshen-forward",
               {"可以转发守护进程名义提交记录的用户（root 始终可以）；用户不存在则仅 root",
                "User whose records are taken as the forwarding daemon's, beside root; no such "
                "user: root alone"}),
          text("audit.collectd_user", "menshen-collect",
               {"可以采集守护进程名义提交记录的用户（root 始终可以）；用户不存在则仅 root",
                "User whose records are taken as the collecting daemon's, beside root; no such "
                "user: root alone"}),
          integer("audit.connections_max", "256", 8, 4096,
                  {"审计守护进程同时接受的连接数；超出时关闭占用最多的用户中静默最久的连接",
                   "Concurrent connections of the audit daemon; beyond it the longest silent one "
                   "of the user with the most is closed"}),
      });
}

void add_forward(std::vector<SettingDefinition>& table) {
  table.insert(
      table.end(),
      {
          text("forward.syslog", "",
               {"接收审计记录的日志服务器：tls://主机:端口 或 tcp://主机:端口；留空则不转发",
                "Log server that gets the audit records: tls://HOST:PORT or tcp://HOST:PORT; "
                "empty: none"}),
          path("forward.ca_file", "/etc/ssl/certs/ca-certificates.crt",
               {"验证日志服务器证书的 CA 证书（PEM）",
                "Authorities that vouch for the log server's certificate (PEM)"}),
          optional_path(
              "forward.certificate", "",
              {"本机的客户端证书（PEM，含证书链）；留空则不出示",
               "Client certificate of this appliance (PEM, with its chain); empty: none"}),
          optional_path("forward.key", "",
                        {"客户端证书的私钥（PEM）", "Private key of the client certificate (PEM)"}),
          text("forward.certificate_name", "",
               {"日志服务器证书须属于的名称；留空则为 forward.syslog 中的主机",
                "Name that the log server's certificate must be for; empty: the host in "
                "forward.syslog"}),
          choice("forward.severity", "info", {"info", "low", "medium", "high", "critical"},
                 {"转发的最低级别；检查点始终转发",
                  "Lowest severity that is forwarded; checkpoints always are"}),
          integer("forward.message_bytes", "8192", 2048, 65536,
                  {"单条消息的最大字节数；超出时省去细节字段并注明",
                   "Largest message, in bytes; beyond it the detail is left out, which is said"}),
          choice("forward.confirm", "closed", {"closed", "sent"},
                 {"收讫的判据：closed 为对方读完并关闭连接；sent 为对方 TCP 已确认"
                  "（仅用于不关闭连接的接收方，其崩溃时可能丢失）",
                  "What counts as received: closed, the server has read to the end and closed; "
                  "sent, its TCP has acknowledged (for servers that never close; one that crashes "
                  "may lose some)"}),
          integer("forward.confirm_seconds", "5", 1, 3600,
                  {"两次收讫确认的间隔（秒）；断线后重发未确认的部分",
                   "Seconds between confirmations; what was not confirmed is sent again after a "
                   "failure"}),
          optional_path(
              "forward.witness_file", "",
              {"最新检查点另存的文件，应在另一主机的磁盘上（挂载路径）；留空则不存",
               "File that is given the newest checkpoint again and again, on another host's disk "
               "(a mounted path); empty: none"}),
          path("forward.state_directory", "/var/lib/menshen/forward",
               {"转发位置的目录", "Folder of the forwarding daemon's positions"}),
      });
}

void add_collect(std::vector<SettingDefinition>& table) {
  table.insert(
      table.end(),
      {
          list("collect.listen", "",
               {"接收 syslog 的地址，如 udp://0.0.0.0:514、tcp://0.0.0.0:601、tls://0.0.0.0:6514；"
                "留空则不接收",
                "Addresses that take syslog, such as udp://0.0.0.0:514, tcp://0.0.0.0:601, "
                "tls://0.0.0.0:6514; empty: none"}),
          optional_path("collect.certificate", "",
                        {"TLS 接收所用的服务器证书（PEM，含证书链）",
                         "Server certificate for TLS (PEM, with its chain)"}),
          optional_path("collect.key", "",
                        {"服务器证书的私钥（PEM）", "Private key of the server certificate (PEM)"}),
          optional_path(
              "collect.ca_file", "",
              {"验证发送方证书的 CA 证书（PEM）；设置后 TLS 发送方须出示证书",
               "Authorities that vouch for senders' certificates (PEM); where set, TLS senders "
               "must show one"}),
          list("collect.senders", "",
               {"发送方及其所属安全域，每项为“网段 安全域”或“cn:证书名 安全域”；先匹配者生效",
                "Senders and the domain their records belong to, each PREFIX DOMAIN or cn:NAME "
                "DOMAIN; the first that fits"}),
          choice("collect.unknown_senders", "accept", {"accept", "refuse"},
                 {"未列出的发送方：accept 接收但不归属任何安全域；refuse 拒绝并计数",
                  "Senders that are not listed: accept takes them without a domain, refuse counts "
                  "and drops them"}),
          integer("collect.silence_minutes", "60", 0, 10080,
                  {"来源静默多少分钟后告警（写入审计）；0 为不告警",
                   "Minutes without a message after which a source is recorded as silent; 0: "
                   "never"}),
          integer("collect.rate_max", "5000", 1, 1'000'000,
                  {"单一来源每秒记录数上限；超出部分计数并补记丢失记录",
                   "Records a second of one source; beyond it they are dropped, counted and "
                   "recorded as a loss"}),
          integer(
              "collect.connections_max", "512", 1, 16384,
              {"同时接受的连接数；超出时拒绝新连接", "Concurrent connections; more are refused"}),
          integer("collect.message_bytes", "8192", 480, 8192,
                  {"单条消息的最大字节数；超出部分截去并计数",
                   "Largest message, in bytes; what is beyond is cut off and counted"}),
          path("collect.state_directory", "/var/lib/menshen/collect",
               {"采集守护进程的状态目录（来源统计、本地暂存）",
                "Folder of the collecting daemon's state (sources, spool)"}),
      });
}

void add_compliance(std::vector<SettingDefinition>& table) {
  table.insert(
      table.end(),
      {
          path("compliance.catalogue", "/usr/share/menshen/mlps",
               {"等级保护测评项与检查数据目录", "Folder of the MLPS catalogue and its checks"}),
          path("compliance.output", "/var/lib/menshen/compliance",
               {"测评报告、资产清单与离线采集的目录",
                "Folder for assessment reports, the inventory and offline collections"}),
          text("compliance.ssh_user", "menshen",
               {"采集主机时登录的用户；资产清单可逐台另行指定",
                "User who logs in on collected hosts; the inventory may name another for a host"}),
          optional_path("compliance.ssh_identity", "",
                        {"登录所用的私钥文件；留空则使用 ssh 代理",
                         "Private key for the login; empty: what an ssh agent offers"}),
          path("compliance.ssh_known_hosts", "/etc/menshen/known_hosts",
               {"主机公钥文件；不在其中的主机不予连接",
                "Keys of the hosts; a host that is not in it is not connected to"}),
          choice(
              "compliance.ssh_privilege", "sudo", {"sudo", "none"},
              {"登录后以 sudo -n 运行只读采集脚本，或以登录用户运行（多数事实将采集失败）",
               "Run the read-only script through sudo -n, or as the user who logs in (most facts "
               "then fail)"}),
          integer("compliance.ssh_parallel", "8", 1, 64,
                  {"同时采集的主机数", "Hosts collected at a time"}),
          integer("compliance.ssh_timeout_seconds", "180", 10, 3600,
                  {"单台主机的采集时限（秒）", "Seconds that one host may take"}),
          integer("compliance.runs_kept", "120", 2, 10000,
                  {"保留的自查结果数；超出时删除最旧的",
                   "Runs of the assessment that are kept; beyond it the oldest is removed"}),
          list("compliance.management_interfaces", "",
               {"管理口名称：不参与转发，测评时不要求属于任何安全域",
                "Management interfaces: they forward nothing and need no domain in an assessment"}),
      });
}

void add_console(std::vector<SettingDefinition>& table) {
  table.insert(
      table.end(),
      {
          text("console.address", "127.0.0.1",
               {"控制台监听的地址：应为管理口地址，勿使用租户侧地址；:: 表示全部地址",
                "Address that the console listens on: the management interface's, never one on a "
                "tenant's side; :: is every one"}),
          integer("console.port", "8443", 1, 65535,
                  {"控制台 HTTPS 端口", "HTTPS port of the console"}),
          path("console.state_directory", "/var/lib/menshen/console",
               {"控制台状态目录（账号、证书与私钥、审计暂存）",
                "State of the console (accounts, certificate and key, its audit spool)"}),
          path("console.pages", "/usr/share/menshen/console",
               {"控制台页面文件目录", "Folder of the console's pages"}),
          integer("console.idle_minutes", "15", 1, 480,
                  {"无操作多少分钟后自动退出登录", "Minutes without activity that end a session"}),
          integer("console.session_hours", "8", 1, 24,
                  {"一次登录最长有效小时数", "Hours that a session lasts at most"}),
          text("console.user", "menshen-console",
               {"控制台守护进程的系统用户：可代其账号向其他守护进程请求，并以 consoled "
                "名义提交审计记录；用户不存在则仅 root",
                "System user of the console daemon: may ask the others on behalf of its accounts, "
                "and its records are taken as consoled's; no such user: root alone"}),
      });
}

void add_sandbox(std::vector<SettingDefinition>& table) {
  table.insert(
      table.end(),
      {
          choice("sandbox.mode", "enforce", {"enforce", "off"},
                 {"enforce 启用进程沙箱（降权、Landlock、seccomp）；off 仅供排错，会写入告警日志",
                  "enforce confines the daemons (privileges, Landlock, seccomp); off is for "
                  "finding faults "
                  "only and logs a warning"}),
          text(
              "sandbox.auditd_user", "",
              {"以 root 启动时，审计守护进程切换到的用户；留空则不切换（由 systemd 的 User= 指定）",
               "User that the audit daemon switches to when started as root; empty: none "
               "(systemd's User= "
               "names it)"}),
          text(
              "sandbox.policyd_user", "",
              {"以 root 启动时，策略守护进程切换到的用户；留空则不切换（由 systemd 的 User= 指定）",
               "User that the policy daemon switches to when started as root; empty: none "
               "(systemd's User= "
               "names it)"}),
          text(
              "sandbox.sensord_user", "",
              {"以 root 启动时，检测守护进程切换到的用户；留空则不切换（由 systemd 的 User= 指定）",
               "User that the sensor daemon switches to when started as root; empty: none "
               "(systemd's User= "
               "names it)"}),
          text("sandbox.forwardd_user", "",
               {"以 root 启动时，转发守护进程切换到的用户；留空则不切换",
                "User that the forwarding daemon switches to when started as root; empty: none"}),
          text("sandbox.collectd_user", "",
               {"以 root 启动时，采集守护进程切换到的用户；留空则不切换",
                "User that the collecting daemon switches to when started as root; empty: none"}),
          text("sandbox.consoled_user", "",
               {"以 root 启动时，控制台守护进程切换到的用户；留空则不切换（由 systemd 的 User= "
                "指定）",
                "User that the console daemon switches to when started as root; empty: none "
                "(systemd's User= names it)"}),
      });
}

std::vector<SettingDefinition> make_table() {
  std::vector<SettingDefinition> table;
  add_general(table);
  add_inspection(table);
  add_sensor(table);
  add_sensor_limits(table);
  add_sensor_files(table);
  add_policy(table);
  add_audit(table);
  add_forward(table);
  add_collect(table);
  add_compliance(table);
  add_console(table);
  add_sandbox(table);
  return table;
}

bool same(const Settings& a, const Settings& b, const SettingDefinition& definition) {
  switch (definition.type) {
    case Type::integer:
      return a.integer(definition.key) == b.integer(definition.key);
    case Type::boolean:
      return a.boolean(definition.key) == b.boolean(definition.key);
    case Type::list:
      return a.list(definition.key) == b.list(definition.key);
    case Type::text:
    case Type::choice:
    case Type::path:
    case Type::optional_path:
      return a.text(definition.key) == b.text(definition.key);
  }
  return false;
}

// Two daemons in one socket or folder would take each other's place.
constexpr std::array<std::string_view, 11> distinct_keys{
    "general.auditd_socket",   "general.policyd_socket",  "general.sensord_socket",
    "general.forwardd_socket", "general.collectd_socket", "sensor.state_directory",
    "policy.state_directory",  "audit.directory",         "forward.state_directory",
    "collect.state_directory", "console.state_directory"};

void check_distinct(const Settings& settings, Diagnostics& diagnostics) {
  for (std::size_t i = 0; i < distinct_keys.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (settings.text(distinct_keys[i]) != settings.text(distinct_keys[j])) continue;
      const std::string_view first = distinct_keys[j];
      const std::string_view second = distinct_keys[i];
      diagnostics.error("same-path", {},
                        {fmt::format("{} 不能与 {} 相同", second, first),
                         fmt::format("{} must differ from {}", second, first)});
    }
  }
}

}  // namespace

std::span<const SettingDefinition> settings_table() {
  static const std::vector<SettingDefinition> table = make_table();
  return table;
}

LoadedSettings parse_settings(std::string name, std::string_view source) {
  LoadedSettings loaded{std::nullopt, Diagnostics(std::move(name), std::string(source))};
  loaded.settings = Settings::parse(settings_table(), source, loaded.diagnostics);
  if (loaded.settings) check_distinct(*loaded.settings, loaded.diagnostics);
  if (loaded.diagnostics.has_errors()) loaded.settings.reset();
  return loaded;
}

Result<LoadedSettings> load_settings(const std::filesystem::path& file) {
  return parse_settings(file.string(), MENSHEN_TRY(read_file(file, settings_bytes_max)));
}

Lang settings_language(const Settings& settings) {
  Lang lang = lang_from_environment();
  static_cast<void>(parse_lang(settings.text("general.language"), lang));  // "auto" is no language
  return lang;
}

std::vector<std::string> changed_until_restart(const Settings& running, const Settings& loaded) {
  std::vector<std::string> keys;
  for (const SettingDefinition& definition : settings_table()) {
    if (!definition.reloadable && !same(running, loaded, definition)) {
      keys.emplace_back(definition.key);
    }
  }
  return keys;
}

}  // namespace menshen::apps
