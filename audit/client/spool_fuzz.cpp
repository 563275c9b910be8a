// Any file as a spool: opening and reading it must end, within its size, and what is appended must
// come out last.
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "audit/client/spool.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace menshen::audit;
  static const auto folder =
      std::filesystem::temp_directory_path() / ("menshen-spool-fuzz-" + std::to_string(::getpid()));
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "spool-0000000000000001", std::ios::binary)
      .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
  {
    auto spool = Spool::open(folder, 1U << 24U);
    if (!spool) std::abort();
    const std::uint64_t records = spool->records();
    if (!spool->append(std::vector<std::string>{"last"})) std::abort();
    std::uint64_t read = 0;
    std::string last;
    while (auto record = spool->next()) {
      ++read;
      last = *std::move(record);
    }
    if (read != records + 1 || last != "last" || spool->bytes_damaged() != 0) std::abort();
    spool->acknowledge(read);
    if (!spool->empty() || spool->bytes() != 0) std::abort();
  }
  std::filesystem::remove_all(folder);
  return 0;
}
