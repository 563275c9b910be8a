// Any bytes as a task: what reads is written back as it was, and no review of it is by its author.
#include <cstddef>
#include <cstdint>

#include "compliance/tasks/task.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace menshen::compliance;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto task = parse_task(text);
  if (!task) return 0;
  if (to_json(*task) != text) __builtin_trap();
  for (const Answer& answer : task->answers)
    if (answer.review == Review::accepted && answer.reviewed_by == answer.by) __builtin_trap();
  return 0;
}
