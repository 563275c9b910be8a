// What belongs to the deployment: the assessed objects in their classes, as a person lists them.
//
// CSV (RFC 4180, UTF-8 with or without byte order mark), one object a line after a header of these
// columns in any order, in English or Chinese:
//   id 编号, name 名称, class 类别            needed
//   address 地址         one or more, separated by spaces: names, addresses, networks
//   collect 采集方式     ssh | offline | manual (default)
//   port 端口, user 用户                      of SSH
//   responsible 责任方   provider | tenant | both (default), or 云服务商 云服务客户 双方
//   importance 重要程度, owner 责任人, domain 安全域, location 位置, notes 备注
// A class is named by its id or by its title in either language.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.hpp"
#include "base/ip.hpp"
#include "compliance/catalogue/catalogue.hpp"

namespace menshen::compliance {

inline constexpr std::size_t inventory_bytes_max = 16U << 20U;
inline constexpr std::size_t inventory_objects_max = 20'000;
inline constexpr std::size_t inventory_cell_bytes_max = 1024;

enum class CollectBy : unsigned char { manual, ssh, offline };

struct InventoryObject {
  std::string id;
  std::string name;
  std::string class_id;
  std::vector<std::string> addresses;
  CollectBy collect = CollectBy::manual;
  int port = 22;
  std::string user;
  Responsible responsible = Responsible::both;
  std::string importance, owner, domain, location, notes;
};

struct Inventory {
  std::vector<InventoryObject> objects;

  [[nodiscard]] const InventoryObject* find(std::string_view id) const;  // linear
};

// One diagnostic for each mistake, with its line; nothing is returned then. Linear.
[[nodiscard]] std::optional<Inventory> parse_inventory(std::string_view csv,
                                                       const std::vector<ObjectClass>& classes,
                                                       Diagnostics& diagnostics);
// The same in the canonical columns; parse_inventory reads it back unchanged.
[[nodiscard]] std::string to_csv(const Inventory& inventory);

// Which addresses are listed: those of objects, single or as networks. Lookup: logarithmic in the
// single ones, linear in the networks.
class ListedAddresses {
 public:
  explicit ListedAddresses(const Inventory& inventory);
  [[nodiscard]] bool contains(const IpAddr& address) const;

 private:
  std::vector<IpAddr> single_;  // sorted
  std::vector<Prefix> networks_;
};

// Rows and cells of a CSV text; false with `line` where a quote does not end.
[[nodiscard]] bool parse_csv(std::string_view text, std::vector<std::vector<std::string>>& rows,
                             std::vector<std::size_t>& lines, std::size_t& bad_line);

}  // namespace menshen::compliance
