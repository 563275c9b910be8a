#include "audit/verify/witness.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "audit/store/evidence.hpp"
#include "base/file.hpp"

namespace menshen::audit {
namespace {

constexpr std::string_view note_begin = "menshen-audit-checkpoint/";
constexpr std::string_view note_parameter = " note=\"";
constexpr std::string_view witness_word = "witness ";

tl::unexpected<Error> fail_entry(std::uint64_t line) {
  return fail(ErrorCode::corrupt,
              {fmt::format("见证文件第 {} 行起的检查点已损坏或未按要求签署", line),
               fmt::format("the witness file's checkpoint from line {} on is damaged or not signed "
                           "as it should be",
                           line)});
}

std::string_view take_line(std::string_view& rest) {
  const std::size_t end = std::min(rest.find('\n'), rest.size());
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return line;
}

// "witness FINGERPRINT TIME SIGNATURE"
bool signed_by(std::string_view note, std::string_view line, const PublicKey& key) {
  const std::size_t space = line.rfind(' ');
  if (!line.starts_with(witness_word) || space == std::string_view::npos) return false;
  const auto signature = from_base64(line.substr(space + 1));
  const std::string_view said = line.substr(0, space);
  const std::string wanted =
      fmt::format("{}{} ", witness_word, format_fingerprint(key.profile(), key.fingerprint()));
  return signature && said.starts_with(wanted) &&
         key.verify(as_bytes(fmt::format("{}{}", note, said)), as_bytes(*signature));
}

}  // namespace

Result<std::vector<SignedNote>> parse_witness(std::string_view text, const PublicKey* witness_key) {
  std::vector<SignedNote> notes;
  std::uint64_t line = 0;
  while (!text.empty()) {
    const std::string_view at = text;
    const std::string_view first = take_line(text);
    const std::uint64_t begin = ++line;
    if (const std::size_t parameter = first.find(note_parameter);
        parameter != std::string_view::npos) {
      const std::string_view value = first.substr(parameter + note_parameter.size());
      const auto decoded = from_base64(value.substr(0, value.find('"')));
      auto note = decoded ? parse_note(*decoded) : Result<SignedNote>(fail_entry(begin));
      // Nobody signs single lines of a log.
      if (!note || witness_key != nullptr) return fail_entry(begin);
      notes.push_back(*std::move(note));
      continue;
    }
    if (!first.starts_with(note_begin)) continue;
    std::string_view last = first;
    while (!text.empty() && !last.starts_with("signature ")) {
      last = take_line(text);
      ++line;
    }
    const std::string_view body = at.substr(0, at.size() - text.size());
    auto note = parse_note(body);
    if (!note) return fail_entry(begin);
    std::string_view rest = text;
    const std::string_view cosigned = take_line(rest);
    if (witness_key != nullptr && !signed_by(body, cosigned, *witness_key)) {
      return fail_entry(begin);
    }
    notes.push_back(*std::move(note));
  }
  if (notes.empty()) {
    return fail(ErrorCode::invalid, {"见证文件中没有检查点", "the witness file has no checkpoint"});
  }
  return notes;
}

Result<void> append_entry(const std::filesystem::path& file, std::string_view entry) {
  const auto cannot_write = [&] {
    return fail_errno({"无法写入 " + file.string(), "cannot write " + file.string()});
  };
  const UniqueFd fd(
      ::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!fd) return cannot_write();
  const off_t end = ::lseek(fd.get(), 0, SEEK_END);
  if (end < 0) return cannot_write();
  if (auto written = write_all(fd.get(), as_bytes(entry)); !written) {
    if (::ftruncate(fd.get(), end) != 0) return cannot_write();
    return fail_while({file.string(), file.string()}, written.error());
  }
  if (::fsync(fd.get()) == 0) return {};
  return fail_errno({"无法落盘 " + file.string(), "cannot make durable " + file.string()});
}

Result<Witnessed> witness(const std::filesystem::path& ledger, const SigningKey& key,
                          std::string_view evidence_json, std::string_view fingerprint,
                          const Clock& clock) {
  const EvidenceReport report = MENSHEN_TRY(verify_proof(evidence_json, fingerprint));
  const auto json = nlohmann::json::parse(evidence_json, nullptr, false);
  const SignedNote note = MENSHEN_TRY(parse_note(json.at("checkpoint").get<std::string>()));
  std::error_code error;
  if (std::filesystem::exists(ledger, error) && std::filesystem::file_size(ledger, error) != 0) {
    const std::string text = MENSHEN_TRY(read_file(ledger, witness_bytes_max));
    const auto notes = MENSHEN_TRY(parse_witness(text, &key.public_key()));
    const SignedNote& last = notes.back();
    if (last.text == note.text) return Witnessed{note.checkpoint, false};
    const bool follows = report.earlier && json.at("earlier").get<std::string>() == last.text;
    if (!follows) {
      const Checkpoint& c = last.checkpoint;
      return fail(ErrorCode::invalid,
                  {fmt::format("证据须从账本的最后一个检查点 {}（{} 条记录）起："
                               "menshen audit prove --since-note",
                               c.number, c.size),
                   fmt::format("the evidence must begin at the ledger's last checkpoint {} ({} "
                               "records): menshen audit prove --since-note",
                               c.number, c.size)});
    }
  }
  const PublicKey& mine = key.public_key();
  const std::string said =
      fmt::format("{}{} {}", witness_word, format_fingerprint(mine.profile(), mine.fingerprint()),
                  format_utc(clock.wall()));
  const std::string signature = MENSHEN_TRY(key.sign(as_bytes(note.text + said)));
  const std::string entry =
      fmt::format("{}{} {}\n\n", note.text, said, to_base64(as_bytes(signature)));
  MENSHEN_CHECK(append_entry(ledger, entry));
  return Witnessed{note.checkpoint, true};
}

}  // namespace menshen::audit
