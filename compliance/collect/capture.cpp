#include "compliance/collect/capture.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "compliance/catalogue/digest.hpp"

namespace menshen::compliance {
namespace {

constexpr std::string_view first_line = "menshen-capture/1";
constexpr std::size_t path_bytes_max = 4096;
// timeout(1) ends so; 137 where it had to kill.
constexpr int status_timed_out = 124;
constexpr int status_killed = 137;

tl::unexpected<Error> no_capture(std::size_t line, std::string zh, std::string en) {
  return fail(ErrorCode::invalid, {fmt::format("采集文件第 {} 行：{}", line, zh),
                                   fmt::format("capture line {}: {}", line, en)});
}

tl::unexpected<Error> broken_seal(std::string zh, std::string en) {
  return fail(ErrorCode::corrupt, {"采集文件封签校验未通过：" + std::move(zh),
                                   "the capture's seal is broken: " + std::move(en)});
}

template <class T>
bool to_number(std::string_view text, T& value, int base = 10) {
  const char* end = text.data() + text.size();
  const auto [stop, code] = std::from_chars(text.data(), end, value, base);
  return code == std::errc{} && stop == end && !text.empty();
}

std::string_view take_word(std::string_view& text) {
  const std::size_t end = text.find(' ');
  const std::string_view word = text.substr(0, end);
  text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  return word;
}

constexpr std::array<signed char, 256> base64_values = [] {
  std::array<signed char, 256> table{};
  table.fill(-1);
  constexpr std::string_view digits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (std::size_t i = 0; i < digits.size(); ++i)
    table[static_cast<unsigned char>(digits[i])] = static_cast<signed char>(i);
  return table;
}();

// One line of base64, whole groups of four; false where it is something else.
bool decode_base64(std::string_view line, std::string& into) {
  if (line.size() % 4 != 0) return false;
  for (std::size_t i = 0; i < line.size(); i += 4) {
    unsigned bits = 0;
    int digits = 0;
    for (std::size_t j = 0; j < 4; ++j) {
      const char c = line[i + j];
      if (c == '=' && i + 4 == line.size() && j >= 2) {
        bits <<= 6U;
        continue;
      }
      const int value = base64_values[static_cast<unsigned char>(c)];
      if (value < 0 || digits != static_cast<int>(j)) return false;
      bits = bits << 6U | static_cast<unsigned>(value);
      ++digits;
    }
    for (int k = 0; k + 1 < digits; ++k)
      into.push_back(static_cast<char>(bits >> (16 - 8 * static_cast<unsigned>(k)) & 0xffU));
  }
  return true;
}

std::string parent(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  if (slash == 0 || slash == std::string_view::npos) return "/";
  return std::string(path.substr(0, slash));
}

}  // namespace

// Reads line by line into a Capture.
class Capture::Reader {
 public:
  Reader(std::string_view text, Capture& into) : text_(text), into_(into) {}

  Result<void> run() {
    if (next() != first_line) {
      return no_capture(1, fmt::format("应为 {}", first_line),
                        fmt::format("{} expected", first_line));
    }
    while (!text_.empty()) {
      std::string_view line = next();
      const std::string_view kind = take_word(line);
      if (kind == "end") return finish(line);
      MENSHEN_CHECK(take(kind, line));
    }
    return no_capture(line_, "采集不完整，缺少 end 行", "incomplete: there is no end line");
  }

 private:
  std::string_view next() {
    ++line_;
    const std::size_t end = text_.find('\n');
    const std::string_view line = text_.substr(0, end);
    text_.remove_prefix(end == std::string_view::npos ? text_.size() : end + 1);
    return line;
  }

  Result<void> finish(std::string_view rest) {
    std::size_t count = 0;
    if (!to_number(rest, count) || count != counted_ || !text_.empty()) {
      return no_capture(line_, "条目数不符", "the number of entries does not agree");
    }
    return {};
  }

  Result<void> take(std::string_view kind, std::string_view rest) {
    if (kind == "collection" || kind == "host") {
      (kind == "host" ? into_.host_ : into_.collection_) = std::string(rest.substr(0, 256));
      return {};
    }
    if (kind == "time") {
      if (std::int64_t seconds = 0;
          to_number(rest, seconds) && seconds >= 0 && seconds < 1LL << 33) {
        into_.time_ = seconds * 1'000'000'000;
        return {};
      }
    }
    if (kind == "uid" && to_number(rest, into_.uid_)) return {};
    if (++counted_ > capture_entries_max) {
      return fail(ErrorCode::limit,
                  {fmt::format("采集文件超过 {} 个条目", capture_entries_max),
                   fmt::format("the capture has more than {} entries", capture_entries_max)});
    }
    if (kind == "file" || kind == "stat") return take_file(kind == "file", rest);
    if (kind == "line") return take_line(rest);
    if (kind == "command" || kind == "missing") return take_command(kind == "missing", rest);
    if (kind == "list" && is_path(rest)) {
      into_.listed_.emplace(rest);
      return {};
    }
    if ((kind == "absent" || kind == "denied") && is_path(rest)) {
      Entry entry;
      entry.kind = kind == "absent" ? Entry::Kind::absent : Entry::Kind::denied;
      // A path that was looked at twice: the worse answer counts.
      const auto [at, fresh] = into_.entries_.emplace(std::string(rest), entry);
      if (!fresh && entry.kind == Entry::Kind::denied) at->second = entry;
      return {};
    }
    return no_capture(line_, "无法识别", "not understood");
  }

  static bool is_path(std::string_view path) {
    return !path.empty() && path[0] == '/' && path.size() <= path_bytes_max;
  }

  Result<void> take_file(bool content, std::string_view rest) {
    Entry entry;
    entry.kind = content ? Entry::Kind::file : Entry::Kind::stat;
    unsigned mode = 0;
    std::int64_t seconds = 0;
    const bool good_mode = to_number(take_word(rest), mode, 16);
    entry.status.owner = std::string(take_word(rest));
    entry.status.group = std::string(take_word(rest));
    const bool good_time = to_number(take_word(rest), seconds);
    if (!good_mode || !good_time || !is_path(rest) || seconds > 1LL << 33 ||
        seconds < -(1LL << 33)) {
      return no_capture(line_, "文件条目格式有误", "a malformed file entry");
    }
    entry.status.mode = mode & 07777U;
    entry.status.directory = S_ISDIR(mode);
    entry.status.modified = seconds * 1'000'000'000;
    if (content && !MENSHEN_TRY(block(entry.content))) entry.kind = Entry::Kind::denied;
    Entry& slot = into_.entries_[std::string(rest)];
    // A mere look does not take the place of content.
    if (entry.kind != Entry::Kind::stat || slot.kind != Entry::Kind::file) slot = std::move(entry);
    return {};
  }

  Result<void> take_line(std::string_view rest) {
    const std::string path(take_word(rest));
    if (!is_path(path)) return no_capture(line_, "路径有误", "a malformed path");
    Entry& entry = into_.entries_[path];
    entry.kind = Entry::Kind::file;
    entry.content = std::string(rest) + "\n";
    return {};
  }

  Result<void> take_command(bool missing, std::string_view rest) {
    Output output;
    output.missing = missing;
    const std::string name(take_word(rest));
    if (!missing) {
      if (!to_number(rest, output.status))
        return no_capture(line_, "退出状态有误", "a malformed status");
      if (!MENSHEN_TRY(block(output.out))) output.status = status_timed_out;
    }
    into_.outputs_[name] = std::move(output);
    return {};
  }

  // false: the script could not read it to its end.
  Result<bool> block(std::string& into) {
    bool whole = true;
    while (!text_.empty()) {
      const std::string_view line = next();
      if (line == ".") return whole;
      if (line.find('!') != std::string_view::npos) {
        whole = false;
      } else if (whole && !decode_base64(line, into)) {
        return no_capture(line_, "不是 base64", "not base64");
      }
    }
    return no_capture(line_, "内容不完整", "the content is cut short");
  }

  std::string_view text_;
  Capture& into_;
  std::size_t line_ = 0;
  std::size_t counted_ = 0;
};

std::string collection_of(std::string_view capture) {
  const std::size_t at = capture.substr(0, 1024).find("\ncollection ");
  if (at == std::string_view::npos) return "";
  capture.remove_prefix(at + 12);
  return std::string(capture.substr(0, std::min(capture.find('\n'), std::size_t{256})));
}

Result<Capture> Capture::parse(std::string_view text, std::string_view seal_key) {
  if (text.size() > capture_bytes_max) {
    return fail(ErrorCode::limit, {fmt::format("采集文件超过 {} 字节", capture_bytes_max),
                                   fmt::format("the capture exceeds {} bytes", capture_bytes_max)});
  }
  const std::size_t at = text.rfind("\nseal ");
  if (text.substr(0, first_line.size()) != first_line || at == std::string_view::npos) {
    return broken_seal("不是完整的采集文件", "it is not a whole capture");
  }
  const std::string_view body = text.substr(0, at + 1);
  const std::string digest = sha256_hex(body);
  const std::string seal = sha256_hex(std::string(seal_key) + digest);
  if (text.substr(at + 1) != fmt::format("seal {} {}\n", digest, seal)) {
    return broken_seal("内容被改动、不完整，或密钥不对", "changed, cut short, or another key's");
  }
  Capture capture;
  MENSHEN_CHECK(Reader(body, capture).run());
  return capture;
}

tl::unexpected<Error> Capture::unknown(const std::string& path) const {
  for (std::string folder = parent(path);; folder = parent(folder)) {
    const auto found = entries_.find(folder);
    if (found != entries_.end() && found->second.kind == Entry::Kind::denied) {
      return fail(ErrorCode::denied, {"无权读取 " + folder, "not permitted to read " + folder});
    }
    if (listed_.count(folder) != 0 ||
        (found != entries_.end() && found->second.kind == Entry::Kind::absent)) {
      return fail(ErrorCode::not_found, {path + " 不存在", path + " is not there"});
    }
    if (folder == "/") break;
  }
  return fail(ErrorCode::corrupt, {"采集中没有 " + path, "the capture does not cover " + path});
}

Result<const Capture::Entry*> Capture::find(const std::string& path) const {
  const auto found = entries_.find(path);
  if (found == entries_.end()) return unknown(path);
  switch (found->second.kind) {
    case Entry::Kind::absent:
      return fail(ErrorCode::not_found, {path + " 不存在", path + " is not there"});
    case Entry::Kind::denied:
      return fail(ErrorCode::denied, {"无权读取 " + path, "not permitted to read " + path});
    case Entry::Kind::file:
    case Entry::Kind::stat:
      break;
  }
  return &found->second;
}

Result<std::string> Capture::read(const std::string& path) const {
  const Entry* entry = MENSHEN_TRY(find(path));
  if (entry->kind == Entry::Kind::file) {
    if (entry->content.size() <= host_file_bytes_max) return entry->content;
    return fail(ErrorCode::limit, {path + " 过大", path + " is too large"});
  }
  return fail(ErrorCode::corrupt,
              {"采集中没有 " + path + " 的内容", "the capture has no content of " + path});
}

Result<FileStatus> Capture::status(const std::string& path) const {
  const Entry* entry = MENSHEN_TRY(find(path));
  return entry->status;
}

Result<std::vector<std::string>> Capture::list(const std::string& path) const {
  const std::string prefix = path == "/" ? path : path + "/";
  const auto itself = entries_.find(path);
  if (itself != entries_.end() && itself->second.kind == Entry::Kind::denied)
    return unknown(prefix);
  std::vector<std::string> names;
  for (auto at = entries_.lower_bound(prefix);
       at != entries_.end() && at->first.compare(0, prefix.size(), prefix) == 0; ++at) {
    if (at->second.kind == Entry::Kind::absent) continue;
    std::string name = at->first.substr(prefix.size());
    name.erase(std::min(name.find('/'), name.size()));
    if (names.empty() || names.back() != name) names.push_back(std::move(name));
  }
  if (names.empty() && listed_.count(path) == 0) return unknown(prefix + "*");
  return names;
}

Result<CommandOutput> Capture::run(const HostCommand& command) const {
  const auto found = outputs_.find(command.name);
  if (found == outputs_.end()) {
    return fail(ErrorCode::corrupt, {"采集中没有命令 " + command.name,
                                     "the capture does not cover the command " + command.name});
  }
  const Output& output = found->second;
  if (output.missing) {
    return fail(ErrorCode::not_found, {"未安装 " + command.arguments.front(),
                                       command.arguments.front() + " is not installed"});
  }
  if (output.status == status_timed_out || output.status == status_killed) {
    return fail(ErrorCode::unavailable,
                {"命令 " + command.name + " 超时", "command " + command.name + " timed out"});
  }
  return CommandOutput{output.status, output.out};
}

}  // namespace menshen::compliance
