// NFS versions 2, 3 and 4 (RFC 1094, 1813, 7530) over ONC RPC (RFC 5531), by TCP and UDP.
//
// A transaction is one call with its reply. What is read and written becomes files of its own
// transactions, by file handle; names come from LOOKUP and CREATE. Of version 4, compounds are
// followed as far as their operations are known here: reads and writes by handle.
#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <nlohmann/json.hpp>

#include "sensor/proto/endian_reader.hpp"
#include "sensor/proto/events.hpp"
#include "sensor/proto/field_transaction.hpp"
#include "sensor/proto/file.hpp"
#include "sensor/proto/parser.hpp"
#include "sensor/proto/probe.hpp"

namespace menshen::sensor {
namespace {

constexpr std::size_t record_max = (1U << 20U) + (64U << 10U);  // bytes of one RPC record that are
                                                                // read; the rest is skipped
constexpr std::size_t calls_max = 256;    // without a reply; beyond: the oldest ends
constexpr std::size_t handles_max = 512;  // of files; beyond: the oldest is forgotten
constexpr std::size_t opaque_max = 1U << 20U;
constexpr std::size_t compound_max = 64;  // operations of one compound that are read
constexpr std::uint32_t program_nfs = 100003;
constexpr std::size_t v2_handle = 32;
constexpr std::size_t v2_attributes = 68;
constexpr std::size_t v3_attributes = 84;
constexpr std::size_t v4_state = 16;

enum class Kind : std::uint8_t { other, lookup, create, read, write };

Kind kind_of(unsigned version, unsigned procedure) noexcept {
  if (version == 2) {
    switch (procedure) {
      case 4:
        return Kind::lookup;
      case 6:
        return Kind::read;
      case 8:
        return Kind::write;
      case 9:
        return Kind::create;
      default:
        return Kind::other;
    }
  }
  switch (procedure) {
    case 3:
      return Kind::lookup;
    case 6:
      return Kind::read;
    case 7:
      return Kind::write;
    case 8:
      return Kind::create;
    default:
      return Kind::other;
  }
}

std::string procedure_name(unsigned version, unsigned procedure) {
  static constexpr std::string_view v2[] = {
      "NULL", "GETATTR",    "SETATTR", "ROOT",   "LOOKUP",  "READLINK",
      "READ", "WRITECACHE", "WRITE",   "CREATE", "REMOVE",  "RENAME",
      "LINK", "SYMLINK",    "MKDIR",   "RMDIR",  "READDIR", "STATFS"};
  static constexpr std::string_view v3[] = {
      "NULL",    "GETATTR",     "SETATTR", "LOOKUP", "ACCESS",   "READLINK", "READ",   "WRITE",
      "CREATE",  "MKDIR",       "SYMLINK", "MKNOD",  "REMOVE",   "RMDIR",    "RENAME", "LINK",
      "READDIR", "READDIRPLUS", "FSSTAT",  "FSINFO", "PATHCONF", "COMMIT"};
  if (version == 2 && procedure < std::size(v2)) return std::string(v2[procedure]);
  if (version == 3 && procedure < std::size(v3)) return std::string(v3[procedure]);
  if (version == 4) return procedure == 0 ? "NULL" : "COMPOUND";
  return fmt::format("{}", procedure);
}

// RFC 4506 4.10: a length, the bytes, and padding to four.
Bytes opaque(EndianReader& reader) noexcept {
  const std::size_t length = reader.u32();
  if (length > opaque_max) return reader.take(reader.remaining() + 1);
  const Bytes bytes = reader.take(length);
  reader.skip(std::min((4 - length % 4) % 4, reader.remaining()));
  return bytes;
}

class NfsParser final : public Parser {
 public:
  NfsParser(const ParserContext& context, bool datagrams)
      : context_(context), datagrams_(datagrams) {}

  ParserStatus feed(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) override {
    flow_ = &flow;
    packet_ = &packet;
    direction_ = direction;
    if (datagrams_) {
      whole_ = true;
      message(bytes);
      return ParserStatus::more;
    }
    Side& side = sides_[static_cast<std::size_t>(direction)];
    while (!bytes.empty()) {
      if (side.left == 0 && !mark(side, bytes)) break;
      const Bytes part = bytes.first(std::min<std::size_t>(side.left, bytes.size()));
      const std::size_t room = record_max - std::min(record_max, side.record.size());
      side.record += as_text(part.first(std::min(room, part.size())));
      side.cut = side.cut || part.size() > room;
      side.left -= part.size();
      bytes = bytes.subspan(part.size());
      if (side.left != 0 || !side.last) continue;
      const std::string record = std::exchange(side.record, {});
      whole_ = !std::exchange(side.cut, false);
      message(as_bytes(record));
    }
    return ParserStatus::more;
  }
  ParserStatus gap(Flow&, Direction, std::uint64_t, PacketMeta&) override {
    return ParserStatus::broken;
  }
  void close(Flow&, Direction, PacketMeta&) override {}
  void end(Flow& flow) override {
    flow_ = &flow;
    while (!calls_.empty()) retire(*calls_.front());
    while (!handles_.empty()) forget();
  }

 private:
  struct Side {
    std::string mark;
    std::string record;
    std::size_t left = 0;  // of the fragment
    bool last = false;
    bool cut = false;  // the record is longer than what is kept
  };
  struct Call {
    FieldTransaction transaction{AppProto::nfs};
    std::uint32_t id = 0;
    unsigned version = 0;
    unsigned procedure = 0;
    Kind kind = Kind::other;
    std::string name;
    std::string handle;
    std::uint64_t offset = 0;
    nlohmann::ordered_json json;
  };
  struct Handle {
    std::string id;
    std::string name;
    struct Transfer {
      FieldTransaction transaction{AppProto::nfs};
      File* file = nullptr;
      std::uint64_t next = 0;
    };
    std::array<std::unique_ptr<Transfer>, 2> transfers;
  };

  // The four bytes before a fragment (RFC 5531 11).
  static bool mark(Side& side, Bytes& bytes) {
    constexpr std::size_t mark_bytes = 4;
    const Bytes part = bytes.first(std::min(mark_bytes - side.mark.size(), bytes.size()));
    side.mark += as_text(part);
    bytes = bytes.subspan(part.size());
    if (side.mark.size() < mark_bytes) return false;
    const std::uint32_t value = ByteReader(as_bytes(side.mark)).be32();
    side.mark.clear();
    side.last = (value & 0x80000000U) != 0;
    side.left = value & 0x7fffffffU;
    return true;
  }

  void message(Bytes bytes) {
    EndianReader reader(bytes, false);
    const std::uint32_t id = reader.u32();
    const std::uint32_t type = reader.u32();
    if (!reader.ok()) return;
    if (type == 0) {
      call(id, reader);
    } else if (type == 1) {
      reply(id, reader);
    }
  }

  void call(std::uint32_t id, EndianReader& reader) {
    reader.skip(4);
    const std::uint32_t program = reader.u32();
    const std::uint32_t version = reader.u32();
    const std::uint32_t procedure = reader.u32();
    for (int i = 0; i < 2; ++i) {  // who asks, and the proof of it
      reader.skip(4);
      static_cast<void>(opaque(reader));
    }
    if (!reader.ok() || program != program_nfs) return;
    if (calls_.size() >= calls_max) {
      ++context_.counters.limits_reached;
      retire(*calls_.front());
    }
    calls_.push_back(std::make_unique<Call>());
    ++context_.counters.transactions;
    Call& one = *calls_.back();
    one.id = id;
    one.transaction.id = next_id_++;
    one.version = version;
    one.procedure = procedure;
    one.transaction.add(Number::nfs_version, version);
    one.transaction.add(Number::nfs_procedure, procedure);
    one.json = {{"id", one.transaction.id},
                {"version", version},
                {"procedure", procedure_name(version, procedure)},
                {"xid", id}};
    if (version == 4) {
      compound(one, reader);
    } else if (version == 2 || version == 3) {
      one.kind = kind_of(version, procedure);
      arguments(one, reader);
    }
    judge(one, reader);
    one.json["filename"] = one.name;
    one.transaction.eve_json = dump(one.json);
    one.transaction.finish(direction_);
    context_.observer.on_change(*flow_, one.transaction, direction_, *packet_);
  }

  // It ended before its fields did.
  void judge(Call& call, const EndianReader& reader) const {
    if (whole_ && !reader.ok()) call.transaction.add_event(ProtoEvent::nfs_malformed_data);
  }

  static std::string handle_of(const Call& call, EndianReader& reader) {
    return std::string(as_text(call.version == 2 ? reader.take(v2_handle) : opaque(reader)));
  }

  void arguments(Call& call, EndianReader& reader) {
    if (call.kind == Kind::other) return;
    call.handle = handle_of(call, reader);
    switch (call.kind) {
      case Kind::lookup:
      case Kind::create:
        call.name = as_text(opaque(reader));
        return;
      case Kind::read:
        call.offset = call.version == 2 ? reader.u32() : reader.u64();
        call.name = name_of(call.handle);
        return;
      case Kind::write: {
        if (call.version == 2) reader.skip(4);
        call.offset = call.version == 2 ? reader.u32() : reader.u64();
        reader.skip(call.version == 2 ? 4 : 8);
        call.name = name_of(call.handle);
        const Bytes data = opaque(reader);
        if (reader.ok()) transfer(call.handle, call.offset, data);
        return;
      }
      case Kind::other:
        return;
    }
  }

  void compound(Call& call, EndianReader& reader) {
    enum : std::uint32_t {
      access = 3,
      close = 4,
      getfh = 10,
      putfh = 22,
      read = 25,
      write = 38,
      sequence = 53
    };
    if (call.procedure != 1) return;
    static_cast<void>(opaque(reader));
    reader.skip(4);
    const std::uint32_t count = reader.u32();
    for (std::size_t i = 0; i < std::min<std::size_t>(count, compound_max) && reader.ok(); ++i) {
      switch (reader.u32()) {
        case sequence:
          reader.skip(32);
          break;
        case putfh:
          call.handle = as_text(opaque(reader));
          break;
        case access:
          reader.skip(4);
          break;
        case getfh:
          break;
        case close:
          reader.skip(4 + v4_state);
          break;
        case read:
          reader.skip(v4_state);
          call.offset = reader.u64();
          reader.skip(4);
          call.kind = Kind::read;
          break;
        case write: {
          reader.skip(v4_state);
          call.offset = reader.u64();
          reader.skip(4);
          const Bytes data = opaque(reader);
          if (reader.ok()) transfer(call.handle, call.offset, data);
          break;
        }
        default:
          return;
      }
    }
  }

  void reply(std::uint32_t id, EndianReader& reader) {
    const auto found = std::ranges::find(calls_, id, [](const auto& one) { return one->id; });
    if (found == calls_.end()) return;
    Call& one = **found;
    const std::uint32_t denied = reader.u32();
    reader.skip(4);
    static_cast<void>(opaque(reader));
    const std::uint32_t accepted = reader.u32();
    const std::uint32_t status = reader.u32();
    if (reader.ok() && denied == 0 && accepted == 0) {
      one.json["status"] = status;
      if (status == 0) results(one, reader);
    }
    judge(one, reader);
    one.transaction.eve_json = dump(one.json);
    one.transaction.finish();
    context_.observer.on_change(*flow_, one.transaction, direction_, *packet_);
    retire(one);
  }

  void results(Call& call, EndianReader& reader) {
    if (call.version == 4) return compound_results(call, reader);
    switch (call.kind) {
      case Kind::lookup:
        return remember(handle_of(call, reader), call.name);
      case Kind::create:
        if (call.version == 3 && reader.u32() == 0) return;
        return remember(handle_of(call, reader), call.name);
      case Kind::read: {
        if (call.version == 2) {
          reader.skip(v2_attributes);
        } else {
          if (reader.u32() != 0) reader.skip(v3_attributes);
          reader.skip(8);
        }
        const Bytes data = opaque(reader);
        if (reader.ok()) transfer(call.handle, call.offset, data);
        return;
      }
      default:
        return;
    }
  }

  void compound_results(Call& call, EndianReader& reader) {
    enum : std::uint32_t { access = 3, putfh = 22, read = 25, sequence = 53 };
    if (call.kind != Kind::read) return;
    static_cast<void>(opaque(reader));
    const std::uint32_t count = reader.u32();
    for (std::size_t i = 0; i < std::min<std::size_t>(count, compound_max) && reader.ok(); ++i) {
      const std::uint32_t operation = reader.u32();
      if (reader.u32() != 0) return;
      if (operation == sequence) {
        reader.skip(36);
      } else if (operation == access) {
        reader.skip(8);
      } else if (operation == read) {
        reader.skip(4);
        const Bytes data = opaque(reader);
        if (reader.ok()) transfer(call.handle, call.offset, data);
      } else if (operation != putfh) {
        return;
      }
    }
  }

  // ---- files

  [[nodiscard]] std::string name_of(const std::string& id) const {
    const auto found = std::ranges::find(handles_, id, [](const auto& one) { return one->id; });
    return found == handles_.end() ? std::string() : (*found)->name;
  }

  Handle& handle(const std::string& id) {
    const auto found = std::ranges::find(handles_, id, [](const auto& one) { return one->id; });
    if (found != handles_.end()) return **found;
    if (handles_.size() >= handles_max) forget();
    handles_.push_back(std::make_unique<Handle>());
    handles_.back()->id = id;
    return *handles_.back();
  }

  void remember(const std::string& id, std::string_view name) {
    if (!id.empty()) handle(id).name = name;
  }

  void forget() {
    for (auto& transfer : handles_.front()->transfers) {
      if (transfer != nullptr) end_transfer(transfer);
    }
    handles_.pop_front();
  }

  void end_transfer(std::unique_ptr<Handle::Transfer>& transfer) {
    if (transfer->file != nullptr) context_.files.close(*transfer->file);
    transfer->transaction.finish();
    context_.observer.on_end(*flow_, transfer->transaction);
    transfer.reset();
  }

  void transfer(const std::string& id, std::uint64_t offset, Bytes data) {
    if (id.empty() || data.empty()) return;
    Handle& known = handle(id);
    auto& going = known.transfers[static_cast<std::size_t>(direction_)];
    // What does not follow begins a range of its own.
    if (going != nullptr && going->next != offset) end_transfer(going);
    if (going == nullptr) {
      going = std::make_unique<Handle::Transfer>();
      going->transaction.id = next_id_++;
      going->transaction.one_way = direction_;
      ++context_.counters.transactions;
      going->file = context_.files.open(going->transaction, direction_, known.name);
      if (going->file != nullptr) going->file->start = offset;
      going->transaction.eve_json = dump({{"filename", known.name}});
    }
    going->next = offset + data.size();
    if (going->file != nullptr) context_.files.append(*going->file, data);
    context_.observer.on_change(*flow_, going->transaction, direction_, *packet_);
  }

  void retire(Call& call) {
    call.transaction.finish();
    context_.observer.on_end(*flow_, call.transaction);
    std::erase_if(calls_, [&](const auto& one) { return one.get() == &call; });
  }

  static std::string dump(const nlohmann::ordered_json& json) {
    return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  }

  ParserContext context_;
  bool datagrams_;
  std::array<Side, 2> sides_;
  std::deque<std::unique_ptr<Call>> calls_;
  std::deque<std::unique_ptr<Handle>> handles_;
  std::uint64_t next_id_ = 0;
  bool whole_ = true;  // the message at hand is there up to its end
  Flow* flow_ = nullptr;
  PacketMeta* packet_ = nullptr;
  Direction direction_ = Direction::to_server;
};

// A call of NFS, or a reply at its port.
Guess rpc_call(Bytes bytes) noexcept {
  constexpr std::size_t head = 20;
  ByteReader reader(bytes);
  reader.skip(4);
  const std::uint32_t type = reader.be32();
  if (reader.ok() && type != 0) return Guess::no;
  const std::uint32_t rpc_version = reader.be32();
  const std::uint32_t program = reader.be32();
  const std::uint32_t version = reader.be32();
  if (bytes.size() < head) return Guess::more;
  return rpc_version == 2 && program == program_nfs && version >= 2 && version <= 4 ? Guess::yes
                                                                                    : Guess::no;
}

}  // namespace

Guess probe_nfs_stream(Direction direction, Bytes bytes) noexcept {
  if (direction == Direction::to_client) return Guess::no;
  return bytes.size() < 4 ? Guess::more : rpc_call(bytes.subspan(4));
}

Guess probe_nfs_datagram(Direction, Bytes bytes) noexcept {
  const Guess guess = rpc_call(bytes);
  return guess == Guess::more ? Guess::no : guess;
}

std::unique_ptr<Parser> make_nfs_stream_parser(const ParserContext& context) {
  return std::make_unique<NfsParser>(context, false);
}
std::unique_ptr<Parser> make_nfs_datagram_parser(const ParserContext& context) {
  return std::make_unique<NfsParser>(context, true);
}

}  // namespace menshen::sensor
