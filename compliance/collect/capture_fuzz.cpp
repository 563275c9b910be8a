// Any bytes as a capture: sealed here, so that the fuzzer reaches the reader behind the seal.
#include <cstddef>
#include <cstdint>

#include "compliance/catalogue/digest.hpp"
#include "compliance/collect/capture.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace menshen::compliance;
  std::string text(reinterpret_cast<const char*>(data), size);
  if (Capture::parse(text, "key")) __builtin_trap();  // no input of its own is sealed with this key
  if (text.empty() || text.back() != '\n') text += '\n';
  const std::string digest = sha256_hex(text);
  text += "seal " + digest + " " + sha256_hex("key" + digest) + "\n";
  const auto capture = Capture::parse(text, "key");
  if (!capture) return 0;
  for (const char* path : {"/etc/passwd", "/etc", "/proc/1/comm", "/"}) {
    static_cast<void>(capture->read(path));
    static_cast<void>(capture->status(path));
    static_cast<void>(capture->list(path));
  }
  static_cast<void>(capture->run({"sshd", {"sshd", "-T"}}));
  static_cast<void>(collection_of(text));
  return 0;
}
