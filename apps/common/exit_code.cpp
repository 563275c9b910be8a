#include "apps/common/exit_code.hpp"

namespace menshen::apps {

const std::array<ExitCodeHelp, 7>& exit_codes() {
  static const std::array<ExitCodeHelp, 7> table{{
      {ExitCode::ok, "ok", {"成功，未发现问题", "done, and everything is in order"}},
      {ExitCode::finding,
       "finding",
       {"执行完成，但检查对象存在问题（规则被拒绝、策略有误、存储被篡改、组件停止）",
        "done, but something is not in order (a rule rejected, a policy wrong, the store altered, "
        "a "
        "daemon down)"}},
      {ExitCode::usage,
       "usage",
       {"命令行、配置文件或输入内容有误，未做任何更改",
        "the command line, the settings or the input is wrong; nothing was changed"}},
      {ExitCode::unavailable,
       "unavailable",
       {"守护进程或内核无响应，或缺少所需功能",
        "a daemon or the kernel does not answer, or lacks a feature"}},
      {ExitCode::denied, "denied", {"权限不足", "not permitted"}},
      {ExitCode::failed,
       "failed",
       {"文件读写或系统调用失败，不会留下半完成的结果",
        "a file or system call failed; nothing is left half done"}},
      {ExitCode::corrupt, "corrupt", {"存储数据自相矛盾", "stored data contradicts itself"}},
  }};
  return table;
}

ExitCode exit_code_of(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::invalid:
      return ExitCode::usage;
    case ErrorCode::denied:
      return ExitCode::denied;
    case ErrorCode::unavailable:
      return ExitCode::unavailable;
    case ErrorCode::corrupt:
      return ExitCode::corrupt;
    case ErrorCode::not_found:
    case ErrorCode::exists:
    case ErrorCode::limit:
    case ErrorCode::io:
      return ExitCode::failed;
  }
  return ExitCode::failed;
}

}  // namespace menshen::apps
