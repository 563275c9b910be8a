// Reputation files of any content: no crash, and what was taken is found again.
#include <cstdlib>

#include "sensor/detect/reputation.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace menshen;
  const std::string text(reinterpret_cast<const char*>(data), size);
  sensor::Reputation reputation;
  Diagnostics diagnostics("fuzz", text);
  reputation.add_categories("1,a,b\n2,c,d\n", diagnostics);
  reputation.add_categories(text, diagnostics);
  reputation.add_entries(text, diagnostics);
  reputation.finish();
  for (unsigned category = 0; category <= sensor::reputation_categories_max; ++category) {
    const auto score = reputation.find(IpAddr::v4(0x0a000001), category);
    if (score && *score > sensor::reputation_score_max) std::abort();
  }
  return 0;
}
