// menshen-consoled: the web console. It has no right on the system: what it shows and does, it asks
// the other daemons for, on behalf of the person who is signed in.
#include <fmt/format.h>

#include "apps/common/audit_record.hpp"
#include "apps/common/console_files.hpp"
#include "apps/common/daemon.hpp"
#include "apps/common/signals.hpp"
#include "apps/control/auditd.hpp"
#include "apps/control/client.hpp"
#include "console/app/console.hpp"
#include "console/http/certificate.hpp"
#include "console/http/server.hpp"

namespace menshen::apps {
namespace {

constexpr std::chrono::seconds answer_timeout{120};

Result<Json> ask(const Settings& settings, const console::Question& question, const Json& args) {
  if (question.daemon == "auditd") return ask_auditd(settings, {{"op", question.op}});
  return control_call(settings.text("general." + question.daemon + "_socket"),
                      {question.op, args, question.person}, answer_timeout);
}

console::ConsoleOptions console_options(const Settings& settings, const ConsoleFiles& files) {
  console::ConsoleOptions options;
  options.accounts = files.accounts;
  options.name = settings.text("general.name");
  options.sessions.idle = std::chrono::minutes(settings.integer("console.idle_minutes"));
  options.sessions.absolute = std::chrono::hours(settings.integer("console.session_hours"));
  return options;
}

SandboxPlan sandbox_plan(const Settings& settings, const ConsoleFiles& files) {
  SandboxPlan plan;
  plan.read_only = {"/proc", "/etc", "/usr/share/zoneinfo", settings.text("audit.directory"),
                    settings.text("compliance.output")};
  plan.read_write = {files.folder};
  // To connect to the others' sockets, wherever each is.
  for (const char* socket :
       {"general.auditd_socket", "general.policyd_socket", "general.sensord_socket"}) {
    plan.read_only.push_back(std::filesystem::path(settings.text(socket)).parent_path());
  }
  return plan;
}

Result<void> run(Daemon& daemon) {
  const Settings& settings = daemon.settings;
  const ConsoleFiles files = ConsoleFiles::of(settings);
  MENSHEN_CHECK(prepare_directory(files.folder, settings, "sandbox.consoled_user", 0700));
  // What is read and bound here needs no right later.
  auto pages = MENSHEN_TRY(console::Pages::load(settings.text("console.pages")));
  console::ServerOptions options;
  options.address = settings.text("console.address");
  options.port = static_cast<std::uint16_t>(settings.integer("console.port"));
  options.certificate = files.certificate;
  auto server = MENSHEN_TRY(console::Server::bind(options));
  MENSHEN_CHECK(confine(daemon, "sandbox.consoled_user", sandbox_plan(settings, files)));
  const bool made =
      MENSHEN_TRY(console::ensure_certificate(files.certificate, settings.text("general.name")));
  if (made) {
    log(LogLevel::notice, {"已生成自签名证书", "a self-signed certificate was made"});
  }
  MENSHEN_CHECK(server->reload_certificate());

  audit::ClientOptions client = audit_client_options(settings, "consoled", files.folder);
  const auto audit = MENSHEN_TRY(audit::Client::start(client));
  console::Backend backend;
  backend.ask = [&settings](const console::Question& question, const Json& args) {
    return ask(settings, question, args);
  };
  backend.record = [&audit](audit::Record record) {
    return audit->submit_durable(std::move(record));
  };
  backend.reload_certificate = [&server] { return server->reload_certificate(); };
  backend.audit_directory = settings.text("audit.directory");
  backend.compliance_directory = settings.text("compliance.output");
  backend.certificate = files.certificate;
  backend.setup_code = files.setup_code;
  backend.clock = &system_clock();
  const auto console = MENSHEN_TRY(console::Console::open(console_options(settings, files),
                                                          std::move(backend), std::move(pages)));
  const std::string status = fmt::format("port {}", server->port());
  const auto on_stop = [&] {
    notify_stopping();
    console->end_streams();
    server->stop();
  };
  // The certificate that the file holds now; the settings need a restart.
  const auto on_reload = [&] {
    if (const auto done = server->reload_certificate(); !done) {
      log_error(LogLevel::error, done.error());
    }
    tell_changed_settings(daemon, status);
  };
  const auto watch = MENSHEN_TRY(SignalThread::start(daemon.signals, on_stop, on_reload));
  log(LogLevel::notice,
      {fmt::format("控制台已就绪：https://{}:{}/", options.address, server->port()),
       fmt::format("the console is ready: https://{}:{}/", options.address, server->port())});
  if (console->needs_setup()) {
    log(LogLevel::notice,
        {"尚未设置三员账号：请执行 menshen console setup 取得初始化码",
         "the three administrators are not set up: menshen console setup shows the code for it"});
  }
  notify_ready(status);
  return server->run(*console);
}

}  // namespace
}  // namespace menshen::apps

int main(int argc, char** argv) {
  return menshen::apps::run_daemon(
      argc, argv,
      {"menshen-consoled",
       {"门神控制台守护进程：经 HTTPS 提供管理页面，代登录者向其他守护进程请求",
        "The console daemon of Menshen: serves the administrators' pages over HTTPS and asks the "
        "other daemons on their behalf"}},
      menshen::apps::run);
}
