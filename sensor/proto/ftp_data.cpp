#include "sensor/proto/ftp_data.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/ascii.hpp"
#include "sensor/proto/field_transaction.hpp"
#include "sensor/proto/file.hpp"

namespace menshen::sensor {

void ExpectedFlows::add(ExpectedFlow flow) {
  if (entries_.size() >= expected_flows_max) entries_.pop_front();
  entries_.push_back(std::move(flow));
}

std::optional<ExpectedFlow> ExpectedFlows::take(const Flow& flow) {
  while (!entries_.empty() && entries_.front().until < flow.last) entries_.pop_front();
  const auto found = std::ranges::find_if(entries_, [&](const ExpectedFlow& entry) {
    return entry.port == flow.tuple.dport && entry.initiator == flow.tuple.src &&
           entry.responder == flow.tuple.dst && entry.attachment == flow.tuple.attachment &&
           entry.until >= flow.last;
  });
  if (found == entries_.end()) return std::nullopt;
  ExpectedFlow taken = std::move(*found);
  entries_.erase(found);
  return taken;
}

namespace {

// The whole connection is one file.
class FtpDataParser final : public Parser {
 public:
  FtpDataParser(const ParserContext& context, const ExpectedFlow& expected)
      : context_(context), carries_(expected.carries) {
    ++context_.counters.transactions;
    transaction_.add(Buffer::ftpdata_command, ascii_lower(expected.command));
    file_ = context_.files.open(transaction_, carries_, expected.file);
    const nlohmann::ordered_json json = {{"filename", expected.file},
                                         {"command", expected.command}};
    transaction_.eve_json =
        json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  }

  ParserStatus feed(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) override {
    if (direction == carries_ && file_ != nullptr) context_.files.append(*file_, bytes);
    context_.observer.on_change(flow, transaction_, direction, packet);
    // What goes the other way tells of both: a connection has one transaction.
    if (!std::exchange(told_, true)) {
      context_.observer.on_change(flow, transaction_, reverse(direction), packet);
    }
    return ParserStatus::more;
  }
  ParserStatus gap(Flow&, Direction direction, std::uint64_t length, PacketMeta&) override {
    if (direction == carries_ && file_ != nullptr) context_.files.gap(*file_, length);
    return ParserStatus::more;
  }
  void close(Flow& flow, Direction direction, PacketMeta& packet) override {
    if (direction != carries_) return;
    if (file_ != nullptr) context_.files.close(*file_);
    transaction_.finish();
    context_.observer.on_change(flow, transaction_, direction, packet);
  }
  void end(Flow& flow) override {
    if (file_ != nullptr) context_.files.close(*file_, File::State::truncated);
    transaction_.finish();
    context_.observer.on_end(flow, transaction_);
  }

 private:
  ParserContext context_;
  FieldTransaction transaction_{AppProto::ftp_data};
  Direction carries_;
  File* file_ = nullptr;
  bool told_ = false;
};

}  // namespace

std::unique_ptr<Parser> make_ftp_data_parser(const ParserContext& context,
                                             const ExpectedFlow& expected) {
  return std::make_unique<FtpDataParser>(context, expected);
}

}  // namespace menshen::sensor
