// Asks clamd (ClamAV's daemon) about bytes, over its Unix socket: the command INSTREAM.
//
// One connection for each question; it takes at most the time limit, whatever clamd does. Of what
// clamd says one line of bounded length is read. Not for the packet thread. Source: clamd(8).
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>

namespace menshen::apps {

struct ScanAnswer {
  enum class Verdict : std::uint8_t { clean, infected, failed };
  Verdict verdict = Verdict::failed;
  std::string text;  // infected: the signature's name; failed: why, in English
};

class Clamd {
 public:
  Clamd(std::filesystem::path socket, std::chrono::milliseconds timeout)
      : socket_(std::move(socket)), timeout_(timeout) {}

  [[nodiscard]] ScanAnswer scan(std::string_view bytes) const;

 private:
  std::filesystem::path socket_;
  std::chrono::milliseconds timeout_;
};

}  // namespace menshen::apps
