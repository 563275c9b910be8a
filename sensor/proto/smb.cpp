// SMB over TCP (MS-SMB, MS-SMB2): frames (RFC 1002 session messages), and what both families of
// dialects share.
#include <fmt/format.h>

#include <algorithm>

#include "sensor/proto/ntlmssp.hpp"
#include "sensor/proto/probe.hpp"
#include "sensor/proto/smb_session.hpp"

namespace menshen::sensor {

std::string smb_name(Bytes bytes, bool unicode) {
  std::string name(as_text(bytes.first(std::min(bytes.size(), smb_name_max))));
  if (unicode) std::erase(name, '\0');
  return name;
}

std::string smb_string(EndianReader& reader, bool unicode) {
  std::string text;
  while (reader.remaining() >= (unicode ? 2U : 1U)) {
    const unsigned c = unicode ? reader.u16() : reader.u8();
    if (c == 0) break;
    if (text.size() >= smb_name_max) continue;
    text += static_cast<char>(c & 0xffU);
    if (c > 0xff) text += static_cast<char>(c >> 8U);
  }
  return text;
}

// ---- exchanges ----------------------------------------------------------------------------------

SmbExchange& SmbSession::begin(std::uint64_t key, unsigned command) {
  if (waiting_.size() >= smb_open_max) {
    ++context_.counters.limits_reached;
    finish(*waiting_.front());
  }
  waiting_.push_back(std::make_unique<SmbExchange>());
  SmbExchange& exchange = *waiting_.back();
  exchange.key = key;
  exchange.command = command;
  exchange.transaction.id = next_id_++;
  ++context_.counters.transactions;
  return exchange;
}

SmbExchange* SmbSession::waiting(std::uint64_t key) {
  const auto found = std::ranges::find(waiting_, key, [](const auto& one) { return one->key; });
  return found == waiting_.end() ? nullptr : found->get();
}

void SmbSession::frames(FieldTransaction& transaction, unsigned version, Bytes pdu,
                        std::size_t head) {
  const bool client = direction_ == Direction::to_server;
  const auto add = [&](Buffer request, Buffer response, Bytes bytes) {
    transaction.add(client ? request : response, as_text(bytes));
  };
  const std::size_t length = std::min(head, pdu.size());
  if (version == 1) {
    add(Buffer::frame_line, Buffer::frame_line_response, pdu);
    add(Buffer::frame_headers, Buffer::frame_headers_response, pdu.first(length));
    add(Buffer::frame_body, Buffer::frame_body_response, pdu.subspan(length));
  } else {
    add(Buffer::frame_pdu, Buffer::frame_pdu_response, pdu);
    add(Buffer::frame_header, Buffer::frame_header_response, pdu.first(length));
    add(Buffer::frame_data, Buffer::frame_data_response, pdu.subspan(length));
  }
}

void SmbSession::change(SmbExchange& exchange) {
  if (!dialect_.empty()) exchange.json["dialect"] = dialect_;
  exchange.transaction.eve_json =
      exchange.json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  context_.observer.on_change(*flow_, exchange.transaction, direction_, *packet_);
}

void SmbSession::finish(SmbExchange& exchange) {
  exchange.transaction.finish();
  context_.observer.on_end(*flow_, exchange.transaction);
  // The oldest, nearly always: a flood of requests ends in the order in which it came.
  if (waiting_.front().get() == &exchange) {
    waiting_.pop_front();
  } else {
    std::erase_if(waiting_, [&](const auto& one) { return one.get() == &exchange; });
  }
}

// ---- trees, names, people -----------------------------------------------------------------------

void SmbSession::tree(std::uint32_t id, bool pipe) {
  std::erase_if(trees_, [&](const auto& known) { return known.first == id; });
  if (trees_.size() >= smb_open_max) trees_.pop_front();
  trees_.emplace_back(id, pipe);
}

bool SmbSession::is_pipe(std::uint32_t id) const {
  const auto found = std::ranges::find(trees_, id, &std::pair<std::uint32_t, bool>::first);
  return found != trees_.end() && found->second;
}

void SmbSession::share(SmbExchange& exchange, std::string_view name) {
  exchange.name = name;
  const bool pipe = name.ends_with("IPC$");
  exchange.transaction.add(pipe ? Buffer::smb_named_pipe : Buffer::smb_share, name);
  exchange.json["share"] = name;
  exchange.json["share_type"] = pipe ? "PIPE" : "FILE";
}

void SmbSession::credentials(SmbExchange& exchange, Bytes blob) {
  const auto found = find_ntlmssp(blob);
  if (!found) return;
  if (!found->whole) {
    exchange.transaction.add_event(ProtoEvent::smb_malformed_ntlmssp_request);
    return;
  }
  exchange.transaction.add(Buffer::smb_ntlmssp_user, found->user);
  exchange.transaction.add(Buffer::smb_ntlmssp_domain, found->domain);
  exchange.json["ntlmssp"] = {
      {"domain", found->domain}, {"user", found->user}, {"host", found->host}};
}

// ---- handles and files --------------------------------------------------------------------------

std::string_view SmbSession::file_name(std::string_view path) noexcept {
  while (path.starts_with('\\')) path.remove_prefix(1);
  return path;
}

SmbHandle& SmbSession::opened(FileId id, std::string_view name, bool pipe) {
  closed(id);
  if (handles_.size() >= smb_open_max) {
    ++context_.counters.limits_reached;
    end_handle(*handles_.front());
    handles_.pop_front();
  }
  handles_.push_back(std::make_unique<SmbHandle>());
  SmbHandle& open = *handles_.back();
  open.id = id;
  open.name = file_name(name);
  if (pipe) open.pipe = std::make_unique<DceRpc>(context_, AppProto::smb, next_id_);
  return open;
}

SmbHandle* SmbSession::handle(FileId id) {
  const auto found = std::ranges::find(handles_, id, [](const auto& one) { return one->id; });
  return found == handles_.end() ? nullptr : found->get();
}

void SmbSession::closed(FileId id) {
  const auto found = std::ranges::find(handles_, id, [](const auto& one) { return one->id; });
  if (found == handles_.end()) return;
  end_handle(**found);
  handles_.erase(found);
}

void SmbSession::end_handle(SmbHandle& open) {
  if (open.pipe != nullptr) open.pipe->end(*flow_);
  for (auto& transfer : open.transfers) {
    if (transfer != nullptr) end_transfer(transfer, File::State::closed);
  }
}

void SmbSession::end_transfer(std::unique_ptr<SmbHandle::Transfer>& transfer, File::State state) {
  for (Content& going : going_) {
    if (going.transfer != transfer.get()) continue;
    going.transfer = nullptr;
    state = File::State::truncated;
  }
  if (transfer->file != nullptr) context_.files.close(*transfer->file, state);
  transfer->transaction.finish();
  context_.observer.on_end(*flow_, transfer->transaction);
  transfer.reset();
}

void SmbSession::transfer(FileId id, std::uint64_t offset, Bytes bytes, std::size_t count,
                          bool pipe) {
  SmbHandle* open = handle(id);
  if (open == nullptr) open = &opened(id, {}, pipe);
  if (open->pipe != nullptr) {
    if (!open->pipe->add(*flow_, direction_, bytes, *packet_)) open->pipe->end(*flow_);
    return;
  }
  auto& going = open->transfers[static_cast<std::size_t>(direction_)];
  // What does not follow begins a range of its own.
  if (going != nullptr && going->next != offset) {
    end_transfer(going, File::State::truncated);
  }
  if (going == nullptr) {
    going = std::make_unique<SmbHandle::Transfer>();
    going->transaction.id = next_id_++;
    going->transaction.one_way = direction_;
    ++context_.counters.transactions;
    going->file = context_.files.open(going->transaction, direction_, open->name);
    if (going->file != nullptr) going->file->start = offset;
    const nlohmann::ordered_json json = {{"filename", open->name}};
    going->transaction.eve_json =
        json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  }
  going->next = offset + count;
  going_[static_cast<std::size_t>(direction_)] = {going.get(), count};
  content(bytes.first(std::min(bytes.size(), count)));
}

void SmbSession::content(Bytes bytes) {
  Content& going = going_[static_cast<std::size_t>(direction_)];
  const Bytes part = bytes.first(std::min(bytes.size(), going.left));
  going.left -= part.size();
  SmbHandle::Transfer* transfer = going.transfer;
  if (going.left == 0) going.transfer = nullptr;
  if (transfer == nullptr) return;
  if (transfer->file != nullptr) context_.files.append(*transfer->file, part);
  context_.observer.on_change(*flow_, transfer->transaction, direction_, *packet_);
}

void SmbSession::content_gap(std::uint64_t length) {
  Content& going = going_[static_cast<std::size_t>(direction_)];
  const std::uint64_t missing = std::min<std::uint64_t>(length, going.left);
  if (going.transfer != nullptr && going.transfer->file != nullptr) {
    context_.files.gap(*going.transfer->file, missing);
  }
  going.left -= missing;
}

void SmbSession::end() {
  while (!handles_.empty()) {
    end_handle(*handles_.front());
    handles_.pop_front();
  }
  while (!waiting_.empty()) finish(*waiting_.front());
}

// ---- frames -------------------------------------------------------------------------------------

namespace {

constexpr std::size_t frame_head = 4;
constexpr unsigned session_message = 0x00;

bool has_magic(Bytes bytes) noexcept {
  const std::string_view text = as_text(bytes);
  return text.size() >= 4 && text.substr(1, 3) == "SMB" &&
         (text[0] == '\xff' || text[0] == '\xfe' || text[0] == '\xfd');
}

class SmbParser final : public Parser {
 public:
  explicit SmbParser(const ParserContext& context) : session_(context) {}

  ParserStatus feed(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) override {
    Side& side = sides_[static_cast<std::size_t>(direction)];
    session_.at(flow, direction, packet);
    while (!bytes.empty() || ready(side)) {
      if (side.content != 0) {
        const Bytes part = bytes.first(std::min(side.content, bytes.size()));
        session_.content(part);
        side.content -= part.size();
        side.skip -= part.size();
        bytes = bytes.subspan(part.size());
        if (bytes.empty()) return ParserStatus::more;
        continue;
      }
      if (side.skip != 0) {
        const Bytes part = bytes.first(std::min(side.skip, bytes.size()));
        side.skip -= part.size();
        bytes = bytes.subspan(part.size());
        if (bytes.empty()) return ParserStatus::more;
        continue;
      }
      if (!frame(side, bytes)) return ParserStatus::more;
    }
    return ParserStatus::more;
  }

  ParserStatus gap(Flow& flow, Direction direction, std::uint64_t length,
                   PacketMeta& packet) override {
    Side& side = sides_[static_cast<std::size_t>(direction)];
    session_.at(flow, direction, packet);
    // Within content it is known what follows; elsewhere the next frame must be found again.
    if (side.skip >= length && side.skip != 0) {
      session_.content_gap(length);
      side.content -= std::min<std::uint64_t>(side.content, length);
      side.skip -= length;
      return ParserStatus::more;
    }
    side = {};
    side.lost = true;
    return ParserStatus::more;
  }
  void close(Flow&, Direction, PacketMeta&) override {}
  void end(Flow& flow) override {
    PacketMeta none;
    none.flow = &flow;
    session_.at(flow, Direction::to_server, none);
    session_.end();
  }

 private:
  struct Side {
    std::string held;
    std::size_t content = 0;  // of a file, still to come
    std::size_t skip = 0;     // of the frame, still to come
    bool lost = false;        // where frames begin is not known
  };

  static bool ready(const Side& side) noexcept {
    return side.content == 0 && side.skip == 0 && side.held.size() >= frame_head &&
           side.held.size() >= wanted(side);
  }
  // Bytes of the frame, or as many of them as are read at once.
  static std::size_t wanted(const Side& side) noexcept {
    if (side.held.size() < frame_head) return frame_head;
    ByteReader reader(as_bytes(side.held));
    reader.skip(1);
    return frame_head + std::min<std::size_t>(reader.be24(), smb_held_max);
  }

  bool frame(Side& side, Bytes& bytes) {
    while (side.held.size() < wanted(side)) {
      if (bytes.empty()) return false;
      const Bytes part = bytes.first(std::min(wanted(side) - side.held.size(), bytes.size()));
      side.held += as_text(part);
      bytes = bytes.subspan(part.size());
      if (side.held.size() == frame_head && !synchronise(side, bytes)) return true;
    }
    ByteReader reader(as_bytes(side.held));
    const unsigned type = reader.u8();
    const std::size_t whole = reader.be24();
    const std::string held = std::exchange(side.held, {});
    const Bytes message = as_bytes(held).subspan(frame_head);
    side.skip = whole - message.size();
    if (type == session_message) one(side, message, whole);
    return true;
  }

  // Looks for a frame's head where it is not where it should be. False: these bytes were none.
  static bool synchronise(Side& side, Bytes bytes) {
    const bool plausible = static_cast<unsigned char>(side.held[0]) == session_message ||
                           static_cast<unsigned char>(side.held[0]) >= 0x81;
    const bool magic = bytes.size() < 4 || has_magic(bytes);
    if (plausible && (magic || !side.lost)) {
      side.lost = side.lost && bytes.size() < 4;
      return true;
    }
    side.held.erase(0, 1);
    return false;
  }

  void one(Side& side, Bytes message, std::size_t whole) {
    // What stands before the message itself is passed over.
    while (message.size() >= 4 && !has_magic(message)) {
      message = message.subspan(1);
      --whole;
    }
    if (message.size() < 4) return;
    const char first = as_text(message)[0];
    if (first == '\xff') session_.smb1(message, whole);
    if (first == '\xfe') session_.smb2(message, whole);
    side.content = std::min(session_.content_left(), side.skip);
  }

  SmbSession session_;
  std::array<Side, 2> sides_;
};

}  // namespace

Guess probe_smb(Direction, Bytes bytes) noexcept {
  const std::string_view text = as_text(bytes);
  if (text.empty()) return Guess::more;
  const auto type = static_cast<unsigned char>(text[0]);
  if (type == session_message) {
    if (text.size() >= frame_head + 4) {
      return has_magic(bytes.subspan(frame_head)) ? Guess::yes : Guess::no;
    }
    if (text.size() <= frame_head) return Guess::more;
    return static_cast<unsigned char>(text[4]) >= 0xfd ? Guess::more : Guess::no;
  }
  // A session request: names of 34 bytes each (RFC 1002 4.3.2).
  if (type != 0x81 || text.size() < frame_head) {
    return type == 0x81 || type == 0x82 ? Guess::more : Guess::no;
  }
  return text[1] == 0 && text[2] == 0 && static_cast<unsigned char>(text[3]) == 68 ? Guess::yes
                                                                                   : Guess::no;
}

std::unique_ptr<Parser> make_smb_parser(const ParserContext& context) {
  return std::make_unique<SmbParser>(context);
}

}  // namespace menshen::sensor
