#include "audit/forward/syslog_target.hpp"

#include <fmt/format.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>

#include "audit/export/export.hpp"

namespace menshen::audit {
namespace {

using SteadyClock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr std::size_t write_bytes = 64U << 10U;
constexpr auto acknowledged_poll = 20ms;

class SyslogTarget : public Target {
 public:
  SyslogTarget(SyslogTargetOptions options, std::optional<TlsContext> context)
      : options_(std::move(options)),
        context_(std::move(context)),
        name_(options_.endpoint.to_string()) {}

  const std::string& name() const override { return name_; }
  void reset() override { stream_.reset(); }

  Result<void> send(std::span<const FeedRecord> records) override {
    std::string frames;
    for (const FeedRecord& record : records) {
      const auto seen = view_stored(as_bytes(record.bytes));
      if (!seen) {
        return fail(ErrorCode::corrupt, {fmt::format("记录 {} 已损坏", record.number),
                                         fmt::format("record {} is damaged", record.number)});
      }
      if (seen->severity < options_.severity_min) continue;
      add_frame(frames, syslog_message({record.number, to_record(*seen)}, options_.origin,
                                       options_.message_bytes_max));
      if (frames.size() < write_bytes) continue;
      MENSHEN_CHECK(write(frames));
      frames.clear();
    }
    return write(frames);
  }

  Result<void> send(const SignedNote& note) override {
    std::string frame;
    add_frame(frame, syslog_note(note));
    return write(frame);
  }

  Result<void> confirm() override {
    if (!stream_) return {};
    return options_.confirm == SyslogTargetOptions::Confirm::sent ? wait_until_acknowledged()
                                                                  : wait_until_closed();
  }

 private:
  static void add_frame(std::string& frames, const std::string& message) {
    frames += fmt::format("{} {}", message.size(), message);
  }

  tl::unexpected<Error> fail_here(const std::string& reason) const {
    return fail(ErrorCode::unavailable, {name_ + "：" + reason, name_ + ": " + reason});
  }

  // Until the socket is ready for what `io` asks for.
  Result<void> wait(Io io, SteadyClock::time_point deadline) {
    if (io == Io::failed) return fail_here(stream_->error());
    if (io == Io::ended) return fail_here("the receiver closed the connection");
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - SteadyClock::now());
    std::array<pollfd, 2> fds{
        {{stream_->fd(), static_cast<short>(io == Io::want_read ? POLLIN : POLLOUT), 0},
         {stop_fd(), POLLIN, 0}}};
    if (left > 0ms) {
      static_cast<void>(::poll(fds.data(), fds.size(), static_cast<int>(left.count())));
    }
    if (fds[0].revents != 0) return {};
    if (fds[1].revents != 0) {
      // A stop leaves what was begun a moment to end.
      if (::poll(fds.data(), 1, 1'000) > 0) return {};
      return fail_here("stopped");
    }
    return fail_here("no progress for too long");
  }

  Result<void> connect() {
    UniqueFd fd = MENSHEN_TRY(connect_to(options_.endpoint, options_.timeout));
    if (!context_) {
      stream_.emplace(std::move(fd));
      return {};
    }
    const std::string& host =
        options_.certificate_name.empty() ? options_.endpoint.host : options_.certificate_name;
    stream_.emplace(MENSHEN_TRY(Stream::client(std::move(fd), *context_, host)));
    const auto deadline = SteadyClock::now() + options_.timeout;
    while (true) {
      const Io io = stream_->handshake();
      if (io == Io::done) return {};
      MENSHEN_CHECK(wait(io, deadline));
    }
  }

  Result<void> write(std::string_view bytes) {
    if (bytes.empty()) return {};
    if (!stream_) MENSHEN_CHECK(connect());
    while (!bytes.empty()) {
      std::size_t sent = 0;
      const Io io = stream_->write(bytes.substr(0, write_bytes), sent);
      bytes.remove_prefix(sent);
      // Slow is well, as long as something moves.
      if (io != Io::done) MENSHEN_CHECK(wait(io, SteadyClock::now() + options_.timeout));
    }
    return {};
  }

  // Reads on what the receiver may say, which nobody needs, until nothing is there or its end is.
  Result<Io> pass_over(SteadyClock::time_point deadline) {
    std::array<char, 4096> ignored{};
    std::size_t got = 0;
    while (SteadyClock::now() < deadline) {
      const Io io = stream_->read(ignored, got);
      if (io == Io::failed) return fail_here(stream_->error());
      if (io != Io::done) return io;
    }
    return fail_here("the receiver talks and does not end");
  }

  Result<void> wait_until_closed() {
    const auto deadline = SteadyClock::now() + options_.timeout;
    // Its end says that it has everything only where it comes after ours: one that was there before
    // says nothing of what was under way then.
    MENSHEN_CHECK(require_open(deadline));
    for (Io io = stream_->end(); io != Io::done; io = stream_->end()) {
      MENSHEN_CHECK(wait(io, deadline));
    }
    while (true) {
      const Io io = MENSHEN_TRY(pass_over(deadline));
      if (io == Io::ended) break;
      auto waited = wait(io, deadline);
      if (!waited) {
        return fail_while({"等待接收方关闭连接以确认收讫（不关闭连接的接收方："
                           "forward.confirm: sent）",
                           "waiting for the receiver to close, which confirms what it has (for one "
                           "that never does: forward.confirm: sent)"},
                          waited.error());
      }
    }
    // Both ends may have met on their way: then its system answers ours with a reset instead.
    while (!MENSHEN_TRY(acknowledged())) MENSHEN_CHECK(pause(deadline));
    stream_.reset();
    return {};
  }

  Result<void> wait_until_acknowledged() {
    const auto deadline = SteadyClock::now() + options_.timeout;
    while (true) {
      const bool all = MENSHEN_TRY(acknowledged());
      MENSHEN_CHECK(require_open(deadline));
      if (all) return {};
      MENSHEN_CHECK(pause(deadline));
    }
  }

  Result<void> require_open(SteadyClock::time_point deadline) {
    if (MENSHEN_TRY(pass_over(deadline)) != Io::ended) return {};
    return fail_here("the receiver closed the connection");
  }

  // Whether the receiver's TCP has all that was written, and our end, if that was.
  Result<bool> acknowledged() {
    int error = 0;
    socklen_t size = sizeof(error);
    int unsent = 0;
    if (::getsockopt(stream_->fd(), SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) {
      return fail_here("the receiver reset the connection");
    }
    if (::ioctl(stream_->fd(), SIOCOUTQ, &unsent) != 0) return fail_here("SIOCOUTQ");
    return unsent == 0;
  }

  Result<void> pause(SteadyClock::time_point deadline) {
    if (SteadyClock::now() >= deadline) return fail_here("not acknowledged");
    pollfd stop{stop_fd(), 0, 0};
    static_cast<void>(::poll(&stop, 1, static_cast<int>(acknowledged_poll.count())));
    return {};
  }

  SyslogTargetOptions options_;
  std::optional<TlsContext> context_;
  std::string name_;
  std::optional<Stream> stream_;
};

}  // namespace

Result<std::unique_ptr<Target>> make_syslog_target(SyslogTargetOptions options) {
  if (options.endpoint.protocol == Protocol::udp) {
    return fail(ErrorCode::invalid,
                {"转发须用 tcp:// 或 tls://：UDP 无从得知是否收讫",
                 "forwarding needs tcp:// or tls://: UDP never tells what arrived"});
  }
  std::optional<TlsContext> context;
  if (options.endpoint.protocol == Protocol::tls) {
    context = MENSHEN_TRY(TlsContext::client(options.files));
  }
  return std::unique_ptr<Target>(
      std::make_unique<SyslogTarget>(std::move(options), std::move(context)));
}

}  // namespace menshen::audit
