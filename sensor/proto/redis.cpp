// Redis' protocol (RESP): one transaction a command. Rules have no keyword for it; events tell the
// commands. Answers are not read.
#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "sensor/proto/message_dissectors.hpp"
#include "sensor/proto/message_parser.hpp"

namespace menshen::sensor {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t number_line_max = 16;  // "*3\r\n"
constexpr std::int64_t words_max = 1U << 20U;
constexpr std::size_t word_bytes_max = 512U << 20U;  // what a server itself takes
constexpr std::size_t command_bytes_max = 64;

// "*3\r\n" or "$5\r\n": the number and how many bytes the line has.
struct NumberLine {
  enum class State : std::uint8_t { more, wrong, whole } state = State::wrong;
  std::int64_t value = 0;
  std::size_t bytes = 0;
};

NumberLine read_line(std::string_view text, char mark) {
  if (text.empty()) return {NumberLine::State::more};
  if (text[0] != mark) return {};
  const std::size_t end = text.substr(0, number_line_max).find("\r\n");
  if (end == std::string_view::npos) {
    const bool digits = std::ranges::all_of(
        text.substr(1), [](char c) { return (c >= '0' && c <= '9') || c == '\r'; });
    return {digits && text.size() < number_line_max ? NumberLine::State::more
                                                    : NumberLine::State::wrong};
  }
  NumberLine line;
  const auto [last, error] = std::from_chars(text.data() + 1, text.data() + end, line.value);
  if (error != std::errc{} || last != text.data() + end || line.value < 0) return {};
  line.state = NumberLine::State::whole;
  line.bytes = end + 2;
  return line;
}

// A message is one word of a command: its words may be many and long, and only the first is told.
class RedisParser final : public MessageParser {
 public:
  explicit RedisParser(const ParserContext& context)
      : MessageParser(context, AppProto::redis, Over::stream) {}

 protected:
  std::size_t extent(Direction direction, Bytes bytes) override {
    if (direction == Direction::to_client) return bytes.size();
    const NumberLine line = read_line(as_text(bytes), words_left_ == 0 ? '*' : '$');
    if (line.state == NumberLine::State::more) return extent_unknown;
    if (line.state == NumberLine::State::wrong) return extent_broken;
    if (words_left_ == 0) return line.value > words_max ? extent_broken : line.bytes;
    const auto size = static_cast<std::size_t>(line.value);
    return size > word_bytes_max ? extent_broken : line.bytes + size + 2;
  }

  ParserStatus message(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) override {
    if (direction == Direction::to_client) return ParserStatus::more;
    const std::string_view text = as_text(bytes);
    if (words_left_ == 0) {
      words_ = words_left_ = read_line(text, '*').value;
      return ParserStatus::more;
    }
    if (words_left_-- == words_) {
      const NumberLine line = read_line(text, '$');
      const auto size = static_cast<std::size_t>(line.value);
      const std::string_view word = text.substr(line.bytes, std::min(size, command_bytes_max));
      FieldTransaction& transaction = exchange.begin(flow);
      transaction.one_way = direction;
      transaction.eve_json = eve_text({{"command", word}, {"arguments", words_ - 1}});
      exchange.finish(flow, transaction, direction, packet);
    }
    return ParserStatus::more;
  }

 private:
  std::int64_t words_ = 0;  // of the command at hand
  std::int64_t words_left_ = 0;
};

}  // namespace

Guess probe_redis(Direction direction, Bytes bytes) noexcept {
  if (direction == Direction::to_client) return Guess::no;  // the client tells
  const std::string_view text = as_text(bytes);
  const NumberLine words = read_line(text, '*');
  if (words.state != NumberLine::State::whole) {
    return words.state == NumberLine::State::more ? Guess::more : Guess::no;
  }
  const NumberLine first = read_line(text.substr(words.bytes), '$');
  if (first.state == NumberLine::State::more) return Guess::more;
  const bool plausible = first.state == NumberLine::State::whole && words.value > 0 &&
                         first.value > 0 &&
                         first.value <= static_cast<std::int64_t>(command_bytes_max);
  return plausible ? Guess::yes : Guess::no;
}

std::unique_ptr<Parser> make_redis_parser(const ParserContext& context) {
  return std::make_unique<RedisParser>(context);
}

}  // namespace menshen::sensor
