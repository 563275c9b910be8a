#include "compliance/catalogue/digest.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>
#include <iterator>

namespace menshen::compliance {
namespace {

std::string digest(const EVP_MD* algorithm, std::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> value{};
  unsigned size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), value.data(), &size, algorithm, nullptr) != 1)
    return "";
  std::string hex;
  hex.reserve(std::size_t{2} * size);
  for (unsigned i = 0; i < size; ++i) fmt::format_to(std::back_inserter(hex), "{:02x}", value[i]);
  return hex;
}

}  // namespace

std::string sha256_hex(std::string_view bytes) { return digest(EVP_sha256(), bytes); }
std::string sm3_hex(std::string_view bytes) { return digest(EVP_sm3(), bytes); }

}  // namespace menshen::compliance
