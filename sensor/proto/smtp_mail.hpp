// One mail as SMTP carries it: the envelope, the message's headers and links, and its attachments
// as files. Used by smtp.cpp alone.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "sensor/proto/buffer_set.hpp"
#include "sensor/proto/file.hpp"
#include "sensor/proto/mime.hpp"
#include "sensor/proto/transaction.hpp"

namespace menshen::sensor {

class SmtpMail final : public Transaction, private MimeSink {
 public:
  SmtpMail(Files& service, std::string_view helo) : files_(&service) {
    if (!helo.empty()) set_helo(helo);
  }

  void set_helo(std::string_view name) { fields_.set(Buffer::smtp_helo, name); }
  void set_from(std::string_view address) { fields_.set(Buffer::smtp_mail_from, address); }
  void add_recipient(std::string_view address);
  void add_frame(Buffer frame, std::string_view line);
  void begin_message();  // nothing if it was begun
  [[nodiscard]] bool in_message() const noexcept { return reader_ != nullptr; }
  void message_data(Bytes bytes);
  void gap(std::uint64_t length);
  void end_message(File::State state);  // nothing without a message
  void finish(Direction direction) { complete_[static_cast<std::size_t>(direction)] = true; }
  void finish() { complete_ = {true, true}; }
  [[nodiscard]] bool take_changed() noexcept { return std::exchange(changed_, false); }

  [[nodiscard]] AppProto proto() const noexcept override { return AppProto::smtp; }
  [[nodiscard]] std::size_t instances(Buffer buffer) const noexcept override {
    return fields_.instances(buffer);
  }
  [[nodiscard]] View view(Buffer buffer, std::size_t instance) const noexcept override {
    const bool grows = buffer == Buffer::frame_data && !complete(Direction::to_server);
    return {as_bytes(fields_.text(buffer, instance)), !grows};
  }
  [[nodiscard]] bool complete(Direction direction) const noexcept override {
    return complete_[static_cast<std::size_t>(direction)];
  }
  [[nodiscard]] std::string eve() const override;

 private:
  void on_header(std::string_view name, std::string_view value) override;
  void on_file(std::string_view name) override;
  void on_file_data(Bytes bytes) override;
  void on_file_end() override;
  void on_text(std::string_view line) override;
  void on_event(ProtoEvent event) override;

  void add_url(std::string_view url);

  Files* files_;
  BufferSet fields_;
  std::unique_ptr<MimeReader> reader_;
  File* file_ = nullptr;  // being read
  std::size_t data_frame_ = 0;
  std::array<bool, 2> complete_{};
  bool changed_ = false;
};

}  // namespace menshen::sensor
