// POP3 (RFC 1939) and IMAP (RFC 3501): recognised, so that rules can name them and TLS begun within
// them is read. Their mails are not taken apart.
#include <algorithm>

#include "sensor/proto/line_reader.hpp"
#include "sensor/proto/parser.hpp"
#include "sensor/proto/probe.hpp"

namespace menshen::sensor {
namespace {

constexpr std::size_t line_max = 512;  // bytes looked at of each line

bool equal_nocase(std::string_view a, std::string_view upper) noexcept {
  return std::ranges::equal(
      a, upper, [](char x, char y) { return (x >= 'a' && x <= 'z' ? x - 32 : x) == y; });
}

// Looks for the command that begins TLS, and for the server's consent to it.
class MailboxParser final : public Parser {
 public:
  explicit MailboxParser(std::string_view command) : command_(command) {}

  ParserStatus feed(Flow&, Direction direction, Bytes bytes, PacketMeta&) override {
    const std::size_t whole = bytes.size();
    LineReader& lines = direction == Direction::to_server ? commands_ : replies_;
    while (!bytes.empty()) {
      const auto line = lines.next(bytes);
      if (!line) break;
      const std::string_view text = line->text;
      if (direction == Direction::to_server) {
        const auto space = text.rfind(' ');
        const bool last = space == std::string_view::npos;
        asked_ = equal_nocase(last ? text : text.substr(space + 1), command_);
      } else if (std::exchange(asked_, false) && consents(text)) {
        consumed_ = whole - bytes.size();
        return ParserStatus::tunnel;
      }
    }
    return ParserStatus::more;
  }
  ParserStatus gap(Flow&, Direction, std::uint64_t, PacketMeta&) override {
    commands_.clear();
    replies_.clear();
    return ParserStatus::more;
  }
  void close(Flow&, Direction, PacketMeta&) override {}
  void end(Flow&) override {}
  [[nodiscard]] std::size_t consumed() const noexcept override { return consumed_; }

 private:
  // "+OK begin", "a1 OK begin"
  static bool consents(std::string_view text) noexcept {
    return text.starts_with("+OK") || text.find(" OK") != std::string_view::npos;
  }

  std::string_view command_;
  LineReader commands_{line_max};
  LineReader replies_{line_max};
  bool asked_ = false;
  std::size_t consumed_ = 0;
};

Guess greeting(std::string_view text, std::string_view start) noexcept {
  if (text.starts_with(start)) return Guess::yes;
  return start.starts_with(text) ? Guess::more : Guess::no;
}

}  // namespace

Guess probe_pop3(Direction direction, Bytes bytes) noexcept {
  if (direction == Direction::to_server) return Guess::no;
  return greeting(as_text(bytes), "+OK ");
}

Guess probe_imap(Direction direction, Bytes bytes) noexcept {
  if (direction == Direction::to_server) return Guess::no;
  return greeting(as_text(bytes), "* OK ");
}

std::unique_ptr<Parser> make_pop3_parser(const ParserContext&) {
  return std::make_unique<MailboxParser>("STLS");
}
std::unique_ptr<Parser> make_imap_parser(const ParserContext&) {
  return std::make_unique<MailboxParser>("STARTTLS");
}

}  // namespace menshen::sensor
