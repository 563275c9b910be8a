#include "compliance/collect/ssh.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "compliance/collect/capture.hpp"
#include "compliance/collect/process.hpp"
#include "compliance/collect/utf8.hpp"

namespace menshen::compliance {
namespace {

constexpr int ssh_failed = 255;  // ssh's own failure, not the script's
constexpr std::size_t name_bytes_max = 253;

// What ssh could take for an option or for something else than a name stays out.
bool is_name(std::string_view text, std::string_view more) {
  if (text.empty() || text.size() > name_bytes_max || text[0] == '-') return false;
  return std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           more.find(c) != std::string_view::npos;
  });
}

std::vector<std::string> arguments(const SshHost& host, const SshOptions& options) {
  std::vector<std::string> result{"ssh", "-T", "-F", "none", "-p", fmt::format("{}", host.port)};
  const auto option = [&](std::string text) {
    result.emplace_back("-o");
    result.push_back(std::move(text));
  };
  option("BatchMode=yes");
  option("StrictHostKeyChecking=yes");
  option("UserKnownHostsFile=" + options.known_hosts.string());
  option("GlobalKnownHostsFile=none");
  option("UpdateHostKeys=no");
  option("ConnectTimeout=15");
  option("ServerAliveInterval=10");
  option("ServerAliveCountMax=3");
  option("ClearAllForwardings=yes");
  option("ForwardAgent=no");
  option("PermitLocalCommand=no");
  option("LogLevel=ERROR");
  if (!options.identity.empty()) {
    option("IdentitiesOnly=yes");
    result.insert(result.end(), {"-i", options.identity.string()});
  }
  result.insert(result.end(), {"-l", host.user, "--", host.address});
  if (options.privilege == Privilege::sudo) result.insert(result.end(), {"sudo", "-n"});
  result.insert(result.end(), {"sh", "-s"});
  return result;
}

std::string last_line(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' '))
    text.remove_suffix(1);
  return printable(text.substr(text.rfind('\n') + 1), 300);
}

}  // namespace

Result<std::string> read_over_ssh(const SshHost& host, const SshOptions& options,
                                  const std::string& script) {
  if (!is_name(host.address, ".:_-") || !is_name(host.user, "._-") || host.port < 1 ||
      host.port > 65535) {
    return fail(ErrorCode::invalid,
                {fmt::format("{}：地址、端口或用户名无效", printable(host.id)),
                 fmt::format("{}: address, port or user is not valid", printable(host.id))});
  }
  const std::string ssh = find_program("ssh");
  if (ssh.empty()) {
    return fail(ErrorCode::not_found,
                {"未安装 ssh 客户端（openssh-client）", "no ssh client (openssh-client)"});
  }
  ProcessRequest request;
  request.program = ssh;
  request.arguments = arguments(host, options);
  request.input = script;
  request.timeout = options.timeout;
  request.out_bytes_max = capture_bytes_max;
  if (const char* agent = ::secure_getenv("SSH_AUTH_SOCK");
      agent != nullptr && options.identity.empty())
    request.environment.push_back(std::string("SSH_AUTH_SOCK=") + agent);
  ProcessResult result = MENSHEN_TRY(run_process(request));
  if (result.status == 0) return std::move(result.out);
  const std::string why = last_line(result.err);
  if (result.status == ssh_failed) {
    return fail(ErrorCode::unavailable, {"SSH 连接失败：" + why, "ssh: " + why});
  }
  return fail(ErrorCode::unavailable,
              {fmt::format("采集脚本以状态 {} 结束：{}", result.status, why),
               fmt::format("the collection script ended with status {}: {}", result.status, why)});
}

std::vector<SshAnswer> read_fleet(
    const std::vector<SshHost>& hosts, const SshOptions& options,
    const std::function<std::string(const SshHost&)>& script,
    const std::function<void(const SshAnswer&, std::size_t, std::size_t)>& done) {
  std::vector<SshAnswer> answers;
  answers.reserve(hosts.size());
  for (const SshHost& host : hosts) {
    answers.push_back({host, fail(ErrorCode::unavailable, {"未采集", "not collected"})});
  }
  std::atomic<std::size_t> next{0};
  std::mutex telling;
  std::size_t finished = 0;
  const auto work = [&] {
    for (std::size_t i = next++; i < answers.size(); i = next++) {
      answers[i].output = read_over_ssh(answers[i].host, options, script(answers[i].host));
      const std::lock_guard<std::mutex> lock(telling);
      done(answers[i], ++finished, answers.size());
    }
  };
  std::vector<std::thread> workers;
  const std::size_t count =
      std::min<std::size_t>(std::clamp(options.parallel, 1U, ssh_parallel_max), hosts.size());
  for (std::size_t i = 0; i < count; ++i) workers.emplace_back(work);
  for (std::thread& worker : workers) worker.join();
  return answers;
}

}  // namespace menshen::compliance
