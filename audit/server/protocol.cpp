#include "audit/server/protocol.hpp"

#include <fmt/format.h>

#include "audit/record/record.hpp"
#include "base/text.hpp"

namespace menshen::audit {
namespace {

constexpr std::uint8_t type_records = 1;
constexpr std::uint8_t type_answer = 2;
constexpr std::uint8_t type_failure = 3;
constexpr std::size_t count_offset = 10;
constexpr std::size_t failure_text_bytes_max = 1024;

void put(std::string& out, std::uint64_t value, int bytes) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>(value >> shift & 0xffU));
  }
}

std::string header(std::uint8_t type, std::uint64_t id) {
  std::string out;
  put(out, type, 1);
  put(out, protocol_version, 1);
  put(out, id, 8);
  return out;
}

tl::unexpected<Error> fail_message(std::string zh, std::string en) {
  return fail(ErrorCode::invalid,
              {"审计消息：" + std::move(zh), "audit message: " + std::move(en)});
}

}  // namespace

RecordsBuilder::RecordsBuilder(std::uint64_t id) : message_(header(type_records, id)) {
  put(message_, 0, 2);
}

bool RecordsBuilder::add(Bytes record) {
  if (count_ == message_records_max ||
      message_.size() + 4 + record.size() > menshen::message_bytes_max) {
    return false;
  }
  put(message_, record.size(), 4);
  message_.append(as_text(record));
  ++count_;
  return true;
}

std::string RecordsBuilder::take() && {
  message_[count_offset] = static_cast<char>(count_ >> 8U);
  message_[count_offset + 1] = static_cast<char>(count_ & 0xffU);
  return std::move(message_);
}

Result<RecordsMessage> parse_records(Bytes message) {
  ByteReader in(message);
  const std::uint8_t type = in.u8();
  const std::uint8_t version = in.u8();
  RecordsMessage parsed;
  parsed.id = in.be64();
  const std::size_t count = in.be16();
  if (!in.ok() || type != type_records) {
    return fail_message("不是记录消息", "it is no records message");
  }
  if (version != protocol_version) {
    return fail_message(fmt::format("不支持的协议版本 {}", version),
                        fmt::format("protocol version {} is not supported", version));
  }
  if (count == 0 || count > message_records_max) {
    return fail_message(fmt::format("记录数 {} 超出 1 至 {}", count, message_records_max),
                        fmt::format("{} records, not 1 to {}", count, message_records_max));
  }
  parsed.records.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t length = in.be32();
    if (length > record_bytes_max) return fail_message("记录过长", "a record is too long");
    parsed.records.push_back(in.take(length));
  }
  if (!in.ok() || !in.empty()) {
    return fail_message("长度与内容不符", "its lengths contradict its size");
  }
  return parsed;
}

std::string build_answer(const AnswerMessage& answer) {
  std::string out = header(type_answer, answer.id);
  put(out, answer.statuses.size(), 2);
  for (const Status status : answer.statuses) put(out, static_cast<std::uint8_t>(status), 1);
  return out;
}

std::string build_failure(const FailureMessage& failure) {
  return header(type_failure, failure.id) + failure.text.substr(0, failure_text_bytes_max);
}

Result<std::variant<AnswerMessage, FailureMessage>> parse_answer(Bytes message) {
  ByteReader in(message);
  const std::uint8_t type = in.u8();
  const std::uint8_t version = in.u8();
  const std::uint64_t id = in.be64();
  if (!in.ok() || version != protocol_version) {
    return fail_message("不是本版本的回答", "it is no answer of this version");
  }
  if (type == type_failure) {
    return FailureMessage{id,
                          escape_controls(as_text(in.rest()).substr(0, failure_text_bytes_max))};
  }
  AnswerMessage answer;
  answer.id = id;
  const std::size_t count = in.be16();
  if (type != type_answer || !in.ok() || count != in.remaining()) {
    return fail_message("不是回答", "it is no answer");
  }
  for (const std::byte status : in.rest()) {
    if (status > std::byte{3}) return fail_message("未知的状态", "an unknown status");
    answer.statuses.push_back(static_cast<Status>(status));
  }
  return answer;
}

bool is_control(std::string_view message) { return message.starts_with('{'); }

}  // namespace menshen::audit
