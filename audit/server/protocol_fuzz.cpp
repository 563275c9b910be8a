// Any message: parsing either way must refuse it or give back what builds the same message.
#include <cstdint>
#include <cstdlib>

#include "audit/record/record.hpp"
#include "audit/server/protocol.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace menshen;
  using namespace menshen::audit;
  if (size > menshen::message_bytes_max) return 0;
  const Bytes message = std::as_bytes(std::span(data, size));
  if (const auto records = parse_records(message)) {
    RecordsBuilder builder(records->id);
    for (const Bytes record : records->records) {
      if (!builder.add(record)) std::abort();
      static_cast<void>(decode(record).has_value());
    }
    if (std::move(builder).take() != as_text(message)) std::abort();
  }
  if (const auto answer = parse_answer(message)) {
    if (const auto* good = std::get_if<AnswerMessage>(&*answer)) {
      if (build_answer(*good) != as_text(message)) std::abort();
    }
  }
  return 0;
}
