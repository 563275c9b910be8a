// Any bytes: decode must refuse them or give a record whose form is those bytes. The same bytes as
// texts of a record: fit must make them encodable.
#include <cstdint>
#include <cstdlib>

#include "audit/record/record.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace menshen;
  using namespace menshen::audit;
  const Bytes bytes = std::as_bytes(std::span(data, size));
  if (const auto record = decode(bytes)) {
    const auto again = encode(*record);
    if (!again || *again != as_text(bytes)) std::abort();
    if (to_json(*record, 1).find('\n') != std::string::npos) std::abort();
    if (to_record(*view_stored(bytes)) != *record) std::abort();
  } else {
    static_cast<void>(view_stored(bytes));
  }
  Record hostile;
  hostile.source = "fuzz";
  hostile.sequence = 1;
  hostile.message = as_text(bytes);
  hostile.detail = as_text(bytes);
  hostile.object = as_text(bytes);
  fit(hostile);
  const auto encoded = encode(hostile);
  if (!encoded || decode(as_bytes(*encoded)) != hostile) std::abort();
  return 0;
}
