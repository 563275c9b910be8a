#include <algorithm>
#include <nlohmann/json.hpp>

#include "sensor/proto/events.hpp"
#include "sensor/proto/smtp_mail.hpp"

namespace menshen::sensor {
namespace {

// Of one mail; what is beyond is not kept.
constexpr std::size_t recipients_max = 256;
constexpr std::size_t received_max = 64;
constexpr std::size_t urls_max = 256;
constexpr std::size_t url_bytes_max = 2048;
constexpr std::size_t frames_max = 256;
constexpr std::size_t data_frame_max = 64U << 10U;  // bytes of the message as rules may see it

constexpr std::pair<std::string_view, Buffer> headers[] = {
    {"from", Buffer::email_from},
    {"to", Buffer::email_to},
    {"cc", Buffer::email_cc},
    {"subject", Buffer::email_subject},
    {"date", Buffer::email_date},
    {"message-id", Buffer::email_message_id},
    {"x-mailer", Buffer::email_x_mailer},
};

bool equal_nocase(std::string_view a, std::string_view lower) noexcept {
  return std::ranges::equal(
      a, lower, [](char x, char y) { return (x >= 'A' && x <= 'Z' ? x + 32 : x) == y; });
}

}  // namespace

void SmtpMail::add_recipient(std::string_view address) {
  if (fields_.instances(Buffer::smtp_rcpt_to) < recipients_max) {
    fields_.add(Buffer::smtp_rcpt_to, address);
  }
}

void SmtpMail::add_frame(Buffer frame, std::string_view line) {
  if (fields_.instances(frame) < frames_max) fields_.add(frame, line);
}

void SmtpMail::begin_message() {
  MimeSink& sink = *this;
  if (reader_ == nullptr) reader_ = std::make_unique<MimeReader>(sink);
}

void SmtpMail::message_data(Bytes bytes) {
  if (reader_ != nullptr) reader_->add(bytes);
  if (data_frame_ < data_frame_max) {
    const std::string_view part = as_text(bytes).substr(0, data_frame_max - data_frame_);
    fields_.slot(Buffer::frame_data) += part;
    data_frame_ += part.size();
  }
  changed_ = true;
}

void SmtpMail::gap(std::uint64_t length) {
  if (file_ != nullptr) files_->gap(*file_, length);
}

void SmtpMail::end_message(File::State state) {
  if (reader_ == nullptr) return;
  reader_->finish();
  reader_.reset();
  files_->close_all(*this, Direction::to_server, state);
  file_ = nullptr;
  changed_ = true;
}

void SmtpMail::on_header(std::string_view name, std::string_view value) {
  changed_ = true;
  if (equal_nocase(name, "received")) {
    if (fields_.instances(Buffer::email_received) < received_max) {
      fields_.add(Buffer::email_received, value);
    }
    return;
  }
  for (const auto& [known, buffer] : headers) {
    if (!equal_nocase(name, known)) continue;
    if (fields_.has(buffer)) return add_event(ProtoEvent::smtp_duplicate_fields);
    fields_.set(buffer, value);
  }
}

void SmtpMail::on_file(std::string_view name) {
  changed_ = true;
  file_ = files_->open(*this, Direction::to_server, name);
}

void SmtpMail::on_file_data(Bytes bytes) {
  changed_ = true;
  if (file_ != nullptr) files_->append(*file_, bytes);
}

void SmtpMail::on_file_end() {
  changed_ = true;
  if (file_ != nullptr) files_->close(*file_);
  file_ = nullptr;
}

void SmtpMail::on_event(ProtoEvent event) {
  changed_ = true;
  add_event(event);
}

// Links without their scheme, up to what cannot be part of one.
void SmtpMail::on_text(std::string_view line) {
  constexpr std::string_view scheme = "http://";
  constexpr std::string_view ends = " \t\r\n\"'<>]";
  for (auto at = line.find(scheme); at != std::string_view::npos; at = line.find(scheme)) {
    line.remove_prefix(at + scheme.size());
    const std::string_view url = line.substr(0, line.find_first_of(ends));
    line.remove_prefix(url.size());
    if (!url.empty()) add_url(url.substr(0, url_bytes_max));
  }
}

void SmtpMail::add_url(std::string_view url) {
  const std::size_t known = fields_.instances(Buffer::email_url);
  if (known >= urls_max) return;
  for (std::size_t i = 0; i < known; ++i) {
    if (fields_.text(Buffer::email_url, i) == url) return;
  }
  fields_.add(Buffer::email_url, url);
  changed_ = true;
}

namespace {

nlohmann::ordered_json instances_of(const BufferSet& fields, Buffer buffer) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < fields.instances(buffer); ++i) list.push_back(fields.text(buffer, i));
  return list;
}

// "a@b, c@d": each on its own.
nlohmann::ordered_json addresses(std::string_view text) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  while (!text.empty()) {
    const auto comma = text.find(',');
    std::string_view one = text.substr(0, comma);
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
    while (one.starts_with(' ')) one.remove_prefix(1);
    if (!one.empty()) list.push_back(one);
  }
  return list;
}

}  // namespace

std::string SmtpMail::eve() const {
  nlohmann::ordered_json json;
  const auto put = [&](nlohmann::ordered_json& to, const char* key, Buffer buffer) {
    if (fields_.has(buffer)) to[key] = fields_.text(buffer);
  };
  put(json, "helo", Buffer::smtp_helo);
  put(json, "mail_from", Buffer::smtp_mail_from);
  if (fields_.has(Buffer::smtp_rcpt_to)) {
    json["rcpt_to"] = instances_of(fields_, Buffer::smtp_rcpt_to);
  }
  nlohmann::ordered_json email;
  put(email, "from", Buffer::email_from);
  if (fields_.has(Buffer::email_to)) email["to"] = addresses(fields_.text(Buffer::email_to));
  if (fields_.has(Buffer::email_cc)) email["cc"] = addresses(fields_.text(Buffer::email_cc));
  put(email, "subject", Buffer::email_subject);
  put(email, "date", Buffer::email_date);
  put(email, "message_id", Buffer::email_message_id);
  put(email, "x_mailer", Buffer::email_x_mailer);
  if (fields_.has(Buffer::email_received)) {
    email["received"] = instances_of(fields_, Buffer::email_received);
  }
  if (fields_.has(Buffer::email_url)) email["url"] = instances_of(fields_, Buffer::email_url);
  for (const auto& file : files[static_cast<std::size_t>(Direction::to_server)]) {
    email["attachment"].push_back(file->name);
  }
  if (!email.empty()) json["email"] = std::move(email);
  if (json.empty()) return "{}";
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace menshen::sensor
