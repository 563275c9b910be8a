// SMTP (RFC 5321) with its extensions that change what follows: STARTTLS (RFC 3207), CHUNKING
// (RFC 3030). A transaction is one mail with the commands before it; messages are read by
// mime.hpp, attachments become files.
#include "sensor/proto/smtp_mail.hpp"

#include <algorithm>
#include <deque>

#include "sensor/proto/events.hpp"
#include "sensor/proto/line_reader.hpp"
#include "sensor/proto/parser.hpp"
#include "sensor/proto/probe.hpp"
#include "sensor/proto/spoken.hpp"

namespace menshen::sensor {
namespace {

constexpr std::size_t command_line_max = 2048;  // bytes; beyond: event
constexpr std::size_t reply_line_max = 2048;    // bytes; beyond: event
constexpr std::size_t line_kept_max = 4096;     // bytes of either; beyond: event, cut
constexpr std::size_t waiting_max =
    1024;  // commands without a reply; beyond: the oldest is forgotten
constexpr std::uint64_t bdat_bytes_max = UINT32_MAX;

bool starts_nocase(std::string_view text, std::string_view start) noexcept {
  return text.size() >= start.size() &&
         std::ranges::equal(text.substr(0, start.size()), start, [](char a, char b) {
           return (a >= 'a' && a <= 'z' ? a - 32 : a) == b;
         });
}

std::string_view trim(std::string_view text) noexcept {
  const auto begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

enum class Command : std::uint8_t {
  other,
  hello,
  mail,
  recipient,
  data,
  bdat,
  rset,
  quit,
  starttls
};

Command command_of(std::string_view line) noexcept {
  static constexpr std::pair<std::string_view, Command> known[] = {
      {"HELO", Command::hello},         {"EHLO", Command::hello}, {"MAIL FROM:", Command::mail},
      {"RCPT TO:", Command::recipient}, {"DATA", Command::data},  {"BDAT", Command::bdat},
      {"RSET", Command::rset},          {"QUIT", Command::quit},  {"STARTTLS", Command::starttls},
  };
  for (const auto& [name, command] : known) {
    if (starts_nocase(line, name)) return command;
  }
  return Command::other;
}

class SmtpParser final : public Parser {
 public:
  explicit SmtpParser(const ParserContext& context) : context_(context) {}

  ParserStatus feed(Flow& flow, Direction direction, Bytes bytes, PacketMeta& packet) override {
    const std::size_t whole = bytes.size();
    ParserStatus status = ParserStatus::more;
    while (!bytes.empty() && status == ParserStatus::more) {
      if (direction == Direction::to_client) {
        status = reply(flow, bytes, packet);
      } else if (in_data_) {
        judge_order();
        mail_data(bytes);
      } else if (chunk_left_ != 0) {
        chunk(bytes);
      } else {
        status = command(flow, bytes, packet);
      }
    }
    report(flow, direction, packet);
    consumed_ = whole - bytes.size();
    return status;
  }

  ParserStatus gap(Flow& flow, Direction direction, std::uint64_t length,
                   PacketMeta& packet) override {
    if (direction == Direction::to_server) {
      commands_.clear();
      if (chunk_left_ != 0) chunk_left_ -= std::min<std::uint64_t>(chunk_left_, length);
      if (mail_ != nullptr) mail_->gap(length);
    } else {
      replies_.clear();
      waiting_.clear();
      replies_seen_ = false;
    }
    report(flow, direction, packet);
    return ParserStatus::more;
  }

  void close(Flow& flow, Direction direction, PacketMeta& packet) override {
    if (direction != Direction::to_server || mail_ == nullptr) return;
    if (in_data_ || chunk_left_ != 0) mail_->end_message(File::State::truncated);
    changed_ = true;
    report(flow, direction, packet);
  }

  void end(Flow& flow) override {
    if (mail_ != nullptr) finish(flow);
  }

  [[nodiscard]] std::size_t consumed() const noexcept override { return consumed_; }

 private:
  // ---- transactions

  SmtpMail& mail() {
    if (mail_ == nullptr) {
      mail_ = std::make_unique<SmtpMail>(context_.files, helo_);
      mail_->id = next_id_++;
      ++context_.counters.transactions;
    }
    return *mail_;
  }

  void event(ProtoEvent what) {
    mail().add_event(what);
    changed_ = true;
  }

  void judge_length(const LineReader::Line& line, std::size_t most, ProtoEvent too_long) {
    if (line.cut) event(ProtoEvent::smtp_truncated_line);
    if (line.raw().size() > most) event(too_long);
  }

  // After STARTTLS and DATA a client has to wait (RFC 2920 3.1, RFC 3207 4). Where replies are
  // missing nobody knows whether it did.
  void judge_order() {
    if (!replies_seen_ || waiting_.empty()) return;
    const Command last = waiting_.back();
    const bool early = last == Command::starttls || (last == Command::data && !data_accepted_);
    if (early) event(ProtoEvent::smtp_invalid_pipelined_sequence);
  }

  void report(Flow& flow, Direction direction, PacketMeta& packet) {
    if (mail_ == nullptr) return;
    if (std::exchange(changed_, false) || mail_->take_changed()) {
      context_.observer.on_change(flow, *mail_, direction, packet);
    }
  }

  void finish(Flow& flow) {
    mail_->end_message(File::State::truncated);
    mail_->finish();
    context_.observer.on_end(flow, *mail_);
    mail_.reset();
    over_ = false;
  }

  // ---- client

  ParserStatus command(Flow& flow, Bytes& bytes, PacketMeta& packet) {
    const auto line = commands_.next(bytes);
    if (!line) return ParserStatus::more;
    judge_length(*line, command_line_max, ProtoEvent::smtp_max_command_line_len_exceeded);
    const std::string_view text = line->text;
    Command kind = command_of(text);
    if (logging_in_) kind = Command::other;  // base64 of a name or a secret
    if (over_ && kind != Command::quit && kind != Command::rset) {
      report(flow, Direction::to_server, packet);
      finish(flow);
    }
    judge_order();
    if (waiting_.size() >= waiting_max) waiting_.pop_front();
    waiting_.push_back(kind);
    SmtpMail& current = mail();
    current.add_frame(Buffer::frame_line, line->raw());
    changed_ = true;
    switch (kind) {
      case Command::hello:
        helo_ = trim(text.substr(4));
        current.set_helo(helo_);
        break;
      case Command::mail:
        current.set_from(address(text.substr(std::string_view("MAIL FROM:").size())));
        break;
      case Command::recipient:
        current.add_recipient(address(text.substr(std::string_view("RCPT TO:").size())));
        break;
      case Command::data:
        // Of a message before it the end was not seen.
        if (current.in_message()) event(ProtoEvent::smtp_unparsable_content);
        in_data_ = at_line_ = true;
        dots_.clear();
        current.begin_message();
        break;
      case Command::bdat:
        bdat(text);
        break;
      case Command::rset:
        chunk_last_ = true;
        break;
      default:
        break;
    }
    return ParserStatus::more;
  }

  // "<a@b> SIZE=1": what stands before the parameters.
  static std::string_view address(std::string_view text) noexcept {
    text = trim(text);
    const auto close = text.find('>');
    if (text.starts_with('<') && close != std::string_view::npos) return text.substr(0, close + 1);
    return text.substr(0, text.find(' '));
  }

  void bdat(std::string_view text) {
    std::uint64_t size = 0;
    std::size_t i = std::string_view("BDAT").size();
    while (i < text.size() && text[i] == ' ') ++i;
    for (; i < text.size() && text[i] >= '0' && text[i] <= '9'; ++i) {
      size = size * 10 + static_cast<unsigned>(text[i] - '0');
      if (size > bdat_bytes_max) return event(ProtoEvent::smtp_bdat_chunk_len_exceeded);
    }
    const bool last = starts_nocase(trim(text.substr(i)), "LAST");
    chunk_last_ = last;
    chunk_left_ = size;
    mail().begin_message();
    if (size == 0 && last) end_message();
  }

  void chunk(Bytes& bytes) {
    const Bytes part = bytes.first(std::min<std::uint64_t>(chunk_left_, bytes.size()));
    bytes = bytes.subspan(part.size());
    chunk_left_ -= part.size();
    mail().message_data(part);
    if (chunk_left_ == 0 && chunk_last_) end_message();
  }

  void end_message() {
    mail().end_message(File::State::closed);
    mail().finish(Direction::to_server);
    changed_ = true;
  }

  // Up to a line with a dot alone; a dot that begins a longer line is left out (RFC 5321 4.5.2).
  void mail_data(Bytes& bytes) {
    while (!bytes.empty()) {
      if (at_line_) {
        const char c = static_cast<char>(bytes.front());
        if (dots_.empty() && c != '.') {
          at_line_ = false;
          continue;
        }
        if (dots_.empty() || (dots_ == "." && c == '\r')) {
          dots_ += c;
          bytes = bytes.subspan(1);
          continue;
        }
        if (c == '\n') {
          bytes = bytes.subspan(1);
          in_data_ = false;
          return end_message();
        }
        if (dots_.size() > 1) mail().message_data(as_bytes(std::string_view(dots_).substr(1)));
        dots_.clear();
        at_line_ = false;
        continue;
      }
      const std::string_view text = as_text(bytes);
      const auto end = text.find('\n');
      const std::size_t length = end == std::string_view::npos ? text.size() : end + 1;
      mail().message_data(bytes.first(length));
      bytes = bytes.subspan(length);
      at_line_ = end != std::string_view::npos;
    }
  }

  // ---- server

  ParserStatus reply(Flow& flow, Bytes& bytes, PacketMeta& packet) {
    const auto line = replies_.next(bytes);
    if (!line) return ParserStatus::more;
    judge_length(*line, reply_line_max, ProtoEvent::smtp_max_reply_line_len_exceeded);
    const std::string_view text = line->text;
    const auto digit = [&](std::size_t i) { return text[i] >= '0' && text[i] <= '9'; };
    if (text.size() < 3 || !digit(0) || !digit(1) || !digit(2)) {
      event(ProtoEvent::smtp_invalid_reply);
      return ParserStatus::more;
    }
    mail().add_frame(Buffer::frame_line_response, line->raw());
    changed_ = true;
    if (text.size() > 3 && text[3] == '-') return ParserStatus::more;
    const unsigned code =
        static_cast<unsigned>((text[0] - '0') * 100 + (text[1] - '0') * 10 + (text[2] - '0'));
    if (!welcomed_) {
      welcomed_ = replies_seen_ = true;
      if (code == 220 || code == 554) return ParserStatus::more;
      event(ProtoEvent::smtp_no_server_welcome_message);
    }
    if (waiting_.empty()) {
      if (code != 421) event(ProtoEvent::smtp_unable_to_match_reply_with_request);
      return ParserStatus::more;
    }
    return answer(flow, code, packet);
  }

  ParserStatus answer(Flow& flow, unsigned code, PacketMeta& packet) {
    const Command command = waiting_.front();
    const bool positive = code >= 200 && code < 400;
    logging_in_ = code == 334;
    if (command == Command::data && code == 354 && !data_accepted_) {
      data_accepted_ = true;  // the message's own reply follows
      return ParserStatus::more;
    }
    waiting_.pop_front();
    switch (command) {
      case Command::starttls:
        if (code == 220) {
          if (!may_change_protocol(flow)) event(ProtoEvent::smtp_failed_protocol_change);
          report(flow, Direction::to_client, packet);
          return ParserStatus::tunnel;
        }
        event(ProtoEvent::smtp_tls_rejected);
        break;
      case Command::data:
        if (!std::exchange(data_accepted_, false)) {
          in_data_ = false;
          if (!positive) event(ProtoEvent::smtp_data_command_rejected);
        }
        ended();
        break;
      case Command::bdat:
        if (chunk_last_) ended();
        break;
      case Command::rset:
        ended();
        break;
      default:
        break;
    }
    return ParserStatus::more;
  }

  // This mail is over; the next command but a farewell begins another one.
  void ended() {
    over_ = true;
    changed_ = true;
    mail().finish();
  }

  ParserContext context_;
  LineReader commands_{line_kept_max};
  LineReader replies_{line_kept_max};
  std::unique_ptr<SmtpMail> mail_;
  std::deque<Command> waiting_;
  std::string helo_;
  std::string dots_;
  std::uint64_t chunk_left_ = 0;
  std::uint64_t next_id_ = 0;
  std::size_t consumed_ = 0;
  bool chunk_last_ = false;
  bool in_data_ = false;
  bool at_line_ = false;
  bool data_accepted_ = false;
  bool welcomed_ = false;
  bool replies_seen_ = false;  // from the welcome on, all of them
  bool logging_in_ = false;
  bool over_ = false;
  bool changed_ = false;
};

}  // namespace

// A server that greets, or a client that begins: many protocols greet with a number.
Guess probe_smtp(Direction direction, Bytes bytes) noexcept {
  const std::string_view text = as_text(bytes);
  if (direction == Direction::to_server) {
    for (const std::string_view start : {"EHLO ", "HELO "}) {
      if (starts_nocase(text, start)) return Guess::yes;
      if (starts_nocase(start, std::string(text))) return Guess::more;
    }
    return Guess::no;
  }
  constexpr std::string_view start = "220";
  if (text.size() < start.size() + 1)
    return start.starts_with(text.substr(0, 3)) ? Guess::more : Guess::no;
  if (!text.starts_with(start) || (text[3] != ' ' && text[3] != '-')) return Guess::no;
  const std::string_view line = text.substr(0, text.find('\n'));
  for (const std::string_view word : {"SMTP", "smtp", "Smtp"}) {
    if (line.find(word) != std::string_view::npos) return Guess::yes;
  }
  return line.size() == text.size() && text.size() < 512 ? Guess::more : Guess::no;
}

std::unique_ptr<Parser> make_smtp_parser(const ParserContext& context) {
  return std::make_unique<SmtpParser>(context);
}

}  // namespace menshen::sensor
