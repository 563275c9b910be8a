#include "sensor/proto/message_parser.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

namespace menshen::sensor {

FieldTransaction& Exchange::begin(Flow& flow, std::uint64_t key) {
  if (open_.size() >= std::max(context_.limits.transactions, 1U)) {
    ++context_.counters.limits_reached;
    if (at_limit_ != ProtoEvent{}) open_.front().transaction->add_event(at_limit_);
    retire(flow, open_.begin());
  }
  open_.push_back({key, std::make_unique<FieldTransaction>(proto_)});
  FieldTransaction& transaction = *open_.back().transaction;
  transaction.id = next_id_++;
  ++context_.counters.transactions;
  return transaction;
}

FieldTransaction* Exchange::find(std::uint64_t key) noexcept {
  const auto found = std::ranges::find(open_, key, &Open::key);
  return found == open_.end() ? nullptr : found->transaction.get();
}

void Exchange::tell(Flow& flow, FieldTransaction& transaction, Direction direction,
                    PacketMeta& packet) {
  context_.observer.on_change(flow, transaction, direction, packet);
}

void Exchange::finish(Flow& flow, FieldTransaction& transaction, Direction direction,
                      PacketMeta& packet) {
  transaction.finish();
  tell(flow, transaction, direction, packet);
  const auto place = std::ranges::find_if(
      open_, [&](const Open& open) { return open.transaction.get() == &transaction; });
  if (place != open_.end()) retire(flow, place);
}

void Exchange::end_all(Flow& flow) {
  while (!open_.empty()) retire(flow, open_.begin());
}

void Exchange::retire(Flow& flow, std::deque<Open>::iterator place) {
  place->transaction->finish();
  context_.observer.on_end(flow, *place->transaction);
  open_.erase(place);
}

std::size_t MessageParser::extent(Direction /*direction*/, Bytes bytes) { return bytes.size(); }

ParserStatus MessageParser::feed(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) {
  if (over_ == Over::datagrams) {
    if (message(flow, direction, bytes, packet) == ParserStatus::broken) {
      ++context_.counters.parser_errors;
    }
    return ParserStatus::more;
  }
  auto& held = held_[static_cast<std::size_t>(direction)];
  ParserStatus status = ParserStatus::more;
  const std::size_t before = held.size();
  if (before == 0) {
    const std::size_t used = cut(flow, direction, bytes, packet, status);
    consumed_ = used;
    const Bytes rest = bytes.subspan(used);
    if (status == ParserStatus::more) held.assign(rest.begin(), rest.end());
    return status;
  }
  held.insert(held.end(), bytes.begin(), bytes.end());
  const std::size_t used = cut(flow, direction, held, packet, status);
  consumed_ = used - std::min(used, before);
  held.erase(held.begin(), held.begin() + static_cast<std::ptrdiff_t>(used));
  return status;
}

std::size_t MessageParser::cut(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet,
                               ParserStatus& status) {
  std::size_t& skip = skip_[static_cast<std::size_t>(direction)];
  std::size_t used = 0;
  while (used < bytes.size() && status == ParserStatus::more) {
    const Bytes rest = bytes.subspan(used);
    if (skip != 0) {
      const std::size_t part = std::min(skip, rest.size());
      skip -= part;
      used += part;
      continue;
    }
    const std::size_t whole = extent(direction, rest);
    if (whole == extent_broken) {
      status = ParserStatus::broken;
    } else if (whole == extent_unknown) {
      if (rest.size() < message_bytes_max) break;
      status = ParserStatus::limit;
    } else {
      const std::size_t kept = std::min(whole, message_bytes_max);
      if (rest.size() < kept) break;
      cut_ = kept < whole;
      if (cut_) ++context_.counters.limits_reached;
      skip = whole - kept;
      used += kept;
      status = message(flow, direction, rest.first(kept), packet);
      cut_ = false;
    }
  }
  return used;
}

std::uint16_t le16(ByteReader& reader) noexcept {
  const unsigned low = reader.u8();
  return static_cast<std::uint16_t>(reader.u8() << 8U | low);
}

std::uint32_t le32(ByteReader& reader) noexcept {
  const std::uint32_t low = le16(reader);
  return std::uint32_t{le16(reader)} << 16U | low;
}

std::string eve_text(const nlohmann::ordered_json& object) {
  return object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

void add_eve(FieldTransaction& transaction, std::string_view key,
             const nlohmann::ordered_json& value) {
  std::string& text = transaction.eve_json;
  text.pop_back();
  if (text.size() > 1) text += ',';
  text += eve_text(key) + ':' + eve_text(value) + '}';
}

std::string hex_text(Bytes bytes, std::string_view separator) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * (2 + separator.size()));
  for (const std::byte byte : bytes) {
    if (!text.empty()) text += separator;
    text += digits[std::to_integer<std::size_t>(byte >> 4)];
    text += digits[std::to_integer<std::size_t>(byte & std::byte{15})];
  }
  return text;
}

}  // namespace menshen::sensor
