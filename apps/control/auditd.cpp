#include "apps/control/auditd.hpp"

#include <cstdlib>

#include "apps/menshen/cli.hpp"
#include "base/channel.hpp"

namespace menshen::apps {
namespace {

constexpr std::chrono::seconds answer_timeout{30};

ErrorCode code_of(const std::string& name) {
  for (const ErrorCode code :
       {ErrorCode::invalid, ErrorCode::not_found, ErrorCode::exists, ErrorCode::denied,
        ErrorCode::unavailable, ErrorCode::limit, ErrorCode::corrupt}) {
    if (error_code_name(code) == name) return code;
  }
  return ErrorCode::io;
}

}  // namespace

Result<Json> ask_auditd(const Settings& settings, const Json& request) {
  Channel channel = MENSHEN_TRY(Channel::connect(settings.text("general.auditd_socket")));
  MENSHEN_CHECK(channel.send(as_bytes(to_line(request))));
  const auto answer = MENSHEN_TRY(channel.receive(answer_timeout));
  if (!answer) {
    return fail(ErrorCode::unavailable,
                {"审计守护进程关闭了连接，未作应答",
                 "the audit daemon closed the connection without an answer"});
  }
  Json json = Json::parse(*answer, nullptr, false);
  if (!json.is_object()) {
    return fail(ErrorCode::invalid,
                {"审计守护进程的应答无法识别", "the audit daemon's answer is not understood"});
  }
  if (json.value("ok", false)) return json;
  return fail(code_of(json.value("code", "")), {json.value("zh", ""), json.value("en", "")});
}

void tell_of_search(const Cli& cli, const Settings& settings, const std::string& action,
                    const std::string& filter, std::uint64_t records) {
  const char* user = ::secure_getenv("USER");
  const auto told = ask_auditd(settings, {{"op", "told"},
                                          {"action", action},
                                          {"subject", user != nullptr ? user : ""},
                                          {"filter", filter},
                                          {"records", records}});
  if (told) return;
  print_err(fmt::format("{}: {}\n",
                        cli.say("本次查询未能记入审计", "this search could not be recorded"),
                        cli.in(told.error().text)));
}

}  // namespace menshen::apps
