#include "compliance/scope/inventory.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

#include "base/text.hpp"

namespace menshen::compliance {
namespace {

enum class Column : unsigned char {
  id,
  name,
  object_class,
  address,
  collect,
  port,
  user,
  responsible,
  importance,
  owner,
  domain,
  location,
  notes
};
struct ColumnName {
  Column column;
  std::string_view en;
  std::string_view zh;
};
constexpr std::array<ColumnName, 13> columns{{{Column::id, "id", "编号"},
                                              {Column::name, "name", "名称"},
                                              {Column::object_class, "class", "类别"},
                                              {Column::address, "address", "地址"},
                                              {Column::collect, "collect", "采集方式"},
                                              {Column::port, "port", "端口"},
                                              {Column::user, "user", "用户"},
                                              {Column::responsible, "responsible", "责任方"},
                                              {Column::importance, "importance", "重要程度"},
                                              {Column::owner, "owner", "责任人"},
                                              {Column::domain, "domain", "安全域"},
                                              {Column::location, "location", "位置"},
                                              {Column::notes, "notes", "备注"}}};

struct Choice {
  std::string_view en;
  std::string_view zh;
};
constexpr std::array<Choice, 3> collect_names{
    {{"manual", "人工"}, {"ssh", "SSH"}, {"offline", "离线"}}};
constexpr std::array<Choice, 3> responsible_names{
    {{"provider", "云服务商"}, {"tenant", "云服务客户"}, {"both", "双方"}}};

constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
constexpr std::size_t addresses_max = 64;
constexpr std::size_t columns_max = 64;

std::string_view trim(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

// An id names files and records: it is kept to what needs no quoting.
bool is_id(std::string_view text) {
  return !text.empty() && text.size() <= 64 && text[0] != '.' && text[0] != '-' &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '_' || c == '.';
         });
}

class Parser {
 public:
  Parser(const std::vector<ObjectClass>& classes, Diagnostics& diagnostics)
      : classes_(classes), diagnostics_(diagnostics) {}

  Inventory run(std::string_view csv) {
    std::vector<std::vector<std::string>> rows;
    std::vector<std::size_t> lines;
    std::size_t bad_line = 0;
    if (!parse_csv(csv, rows, lines, bad_line)) {
      error(bad_line, "bad-csv", {"引号未结束", "a quoted cell does not end"});
      return {};
    }
    Inventory inventory;
    if (rows.empty() || !header(rows.front(), lines.front())) return {};
    for (std::size_t i = 1; i < rows.size(); ++i) {
      const bool blank = std::all_of(rows[i].begin(), rows[i].end(),
                                     [](const std::string& cell) { return trim(cell).empty(); });
      if (!blank) object(rows[i], lines[i], inventory);
    }
    return inventory;
  }

 private:
  void error(std::size_t line, std::string code, Text text) {
    diagnostics_.error(std::move(code), {{line, 1}, {line, 1}}, std::move(text));
  }

  bool header(const std::vector<std::string>& cells, std::size_t line) {
    for (const std::string& cell : cells) {
      const std::string_view name = trim(cell);
      const auto* known = std::find_if(columns.begin(), columns.end(), [&](const ColumnName& c) {
        return c.en == name || c.zh == name;
      });
      if (known == columns.end()) {
        error(line, "unknown-column",
              {fmt::format("未知的列“{}”", escape_controls(name)),
               fmt::format("unknown column \"{}\"", escape_controls(name))});
        return false;
      }
      if (std::find(header_.begin(), header_.end(), known->column) != header_.end()) {
        error(line, "duplicate-column",
              {fmt::format("列“{}”重复", name), fmt::format("column \"{}\" occurs twice", name)});
        return false;
      }
      header_.push_back(known->column);
    }
    for (const Column needed : {Column::id, Column::name, Column::object_class}) {
      if (std::find(header_.begin(), header_.end(), needed) != header_.end()) continue;
      const ColumnName& named = columns.at(static_cast<std::size_t>(needed));
      error(line, "missing-column",
            {fmt::format("缺少列“{}”（{}）", named.zh, named.en),
             fmt::format("column \"{}\" is missing", named.en)});
      return false;
    }
    return true;
  }

  void object(const std::vector<std::string>& cells, std::size_t line, Inventory& inventory) {
    if (cells.size() > header_.size()) {
      error(line, "too-many-cells", {"单元格多于列", "more cells than columns"});
      return;
    }
    if (inventory.objects.size() >= inventory_objects_max) {
      if (!std::exchange(full_, true)) {
        error(line, "limit",
              {fmt::format("对象超过 {} 个", inventory_objects_max),
               fmt::format("more than {} objects", inventory_objects_max)});
      }
      return;
    }
    InventoryObject object;
    for (std::size_t i = 0; i < cells.size(); ++i) cell(header_[i], trim(cells[i]), line, object);
    if (object.name.empty()) error(line, "missing-name", {"缺少名称", "a name is missing"});
    if (object.class_id.empty()) error(line, "missing-class", {"缺少类别", "a class is missing"});
    if (object.id.empty()) {
      error(line, "missing-id", {"缺少编号", "an id is missing"});
    } else if (!ids_.insert(object.id).second || object.id == "appliance") {
      error(line, "duplicate-id",
            {fmt::format("编号 {} 重复或为保留字", object.id),
             fmt::format("id {} occurs twice or is reserved", object.id)});
    }
    if (object.collect == CollectBy::ssh && object.addresses.empty()) {
      error(line, "missing-address",
            {"采集方式为 ssh 的对象须有地址", "an object collected over ssh needs an address"});
    }
    inventory.objects.push_back(std::move(object));
  }

  void cell(Column column, std::string_view text, std::size_t line, InventoryObject& object) {
    if (text.size() > inventory_cell_bytes_max || !is_utf8(text)) {
      error(line, "bad-cell",
            {fmt::format("单元格超过 {} 字节或不是 UTF-8", inventory_cell_bytes_max),
             fmt::format("a cell exceeds {} bytes or is not UTF-8", inventory_cell_bytes_max)});
      return;
    }
    if (text.empty()) return;
    switch (column) {
      case Column::id:
        object.id = std::string(text);
        if (!is_id(text)) {
          error(line, "bad-id",
                {"编号只能含字母、数字、-、_ 和 .，至多 64 个字符",
                 "an id holds letters, digits, -, _ and ., at most 64"});
        }
        break;
      case Column::name:
        object.name = std::string(text);
        break;
      case Column::object_class:
        object.class_id = class_of(text, line);
        break;
      case Column::address:
        addresses(text, line, object);
        break;
      case Column::collect:
        object.collect = static_cast<CollectBy>(choice(text, collect_names, line));
        break;
      case Column::port:
        port(text, line, object);
        break;
      case Column::user:
        object.user = std::string(text);
        break;
      case Column::responsible:
        object.responsible = static_cast<Responsible>(choice(text, responsible_names, line));
        break;
      case Column::importance:
        object.importance = std::string(text);
        break;
      case Column::owner:
        object.owner = std::string(text);
        break;
      case Column::domain:
        object.domain = std::string(text);
        break;
      case Column::location:
        object.location = std::string(text);
        break;
      case Column::notes:
        object.notes = std::string(text);
        break;
    }
  }

  std::string class_of(std::string_view text, std::size_t line) {
    for (const ObjectClass& c : classes_)
      if (c.id == text || c.title.zh == text || c.title.en == text) return c.id;
    error(line, "unknown-class",
          {fmt::format("未知的类别“{}”", escape_controls(text)),
           fmt::format("unknown class \"{}\"", escape_controls(text))});
    return std::string(text);
  }

  void addresses(std::string_view text, std::size_t line, InventoryObject& object) {
    while (!(text = trim(text)).empty()) {
      const std::size_t end = text.find_first_of(" \t;\n");
      const std::string_view one = text.substr(0, end);
      // A network is checked here; a name is checked where it is used.
      if (one.find('/') != std::string_view::npos && !Prefix::parse(one)) {
        error(line, "bad-address",
              {fmt::format("“{}”不是网段", escape_controls(one)),
               fmt::format("\"{}\" is no network", escape_controls(one))});
      }
      if (object.addresses.size() < addresses_max) object.addresses.emplace_back(one);
      text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    }
  }

  void port(std::string_view text, std::size_t line, InventoryObject& object) {
    const char* end = text.data() + text.size();
    const auto [stop, code] = std::from_chars(text.data(), end, object.port);
    if (code == std::errc{} && stop == end && object.port >= 1 && object.port <= 65535) return;
    error(line, "bad-port", {"端口应为 1 至 65535", "a port is 1 to 65535"});
    object.port = 22;
  }

  template <std::size_t N>
  std::size_t choice(std::string_view text, const std::array<Choice, N>& names, std::size_t line) {
    for (std::size_t i = 0; i < N; ++i)
      if (names[i].en == text || names[i].zh == text) return i;
    error(line, "unknown-value",
          {fmt::format("“{}”不是可用的取值", escape_controls(text)),
           fmt::format("\"{}\" is no such value", escape_controls(text))});
    return 0;
  }

  const std::vector<ObjectClass>& classes_;
  Diagnostics& diagnostics_;
  std::vector<Column> header_;
  std::set<std::string> ids_;
  bool full_ = false;
};

std::string csv_cell(std::string_view text) {
  if (text.find_first_of(",\"\n\r") == std::string_view::npos) return std::string(text);
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"') result += '"';
    result += c;
  }
  return result + "\"";
}

}  // namespace

bool parse_csv(std::string_view text, std::vector<std::vector<std::string>>& rows,
               std::vector<std::size_t>& lines, std::size_t& bad_line) {
  if (text.substr(0, 3) == byte_order_mark) text.remove_prefix(3);
  std::size_t line = 1;
  std::size_t at = 0;
  while (at < text.size()) {
    lines.push_back(line);
    std::vector<std::string>& row = rows.emplace_back();
    for (bool more = true; more;) {
      std::string cell;
      if (text[at] == '"') {
        const std::size_t begun = line;
        for (++at;; ++at) {
          if (at >= text.size()) {
            bad_line = begun;
            return false;
          }
          if (text[at] == '\n') ++line;
          if (text[at] != '"') {
            cell += text[at];
          } else if (at + 1 < text.size() && text[at + 1] == '"') {
            cell += text[++at];
          } else {
            break;
          }
        }
        ++at;
      }
      while (at < text.size() && text[at] != ',' && text[at] != '\n') cell += text[at++];
      if (row.size() < columns_max) row.push_back(std::move(cell));
      more = at < text.size() && text[at] == ',';
      if (more) ++at;
      if (more && at >= text.size()) {
        row.emplace_back();
        more = false;
      }
    }
    ++at;  // the line feed
    ++line;
  }
  return true;
}

const InventoryObject* Inventory::find(std::string_view id) const {
  const auto found = std::find_if(objects.begin(), objects.end(),
                                  [&](const InventoryObject& o) { return o.id == id; });
  return found == objects.end() ? nullptr : &*found;
}

std::optional<Inventory> parse_inventory(std::string_view csv,
                                         const std::vector<ObjectClass>& classes,
                                         Diagnostics& diagnostics) {
  if (csv.size() > inventory_bytes_max) {
    diagnostics.error("limit", {},
                      {fmt::format("超过 {} 字节", inventory_bytes_max),
                       fmt::format("more than {} bytes", inventory_bytes_max)});
    return std::nullopt;
  }
  Inventory inventory = Parser(classes, diagnostics).run(csv);
  if (diagnostics.has_errors()) return std::nullopt;
  return inventory;
}

std::string to_csv(const Inventory& inventory) {
  std::string out;
  for (const ColumnName& column : columns)
    out += fmt::format("{}{}", out.empty() ? "" : ",", column.en);
  out += '\n';
  for (const InventoryObject& o : inventory.objects) {
    out += fmt::format(
        "{},{},{},{},{},{},{},{},{},{},{},{},{}\n", csv_cell(o.id), csv_cell(o.name),
        csv_cell(o.class_id), csv_cell(fmt::format("{}", fmt::join(o.addresses, " "))),
        collect_names.at(static_cast<std::size_t>(o.collect)).en, o.port, csv_cell(o.user),
        responsible_names.at(static_cast<std::size_t>(o.responsible)).en, csv_cell(o.importance),
        csv_cell(o.owner), csv_cell(o.domain), csv_cell(o.location), csv_cell(o.notes));
  }
  return out;
}

ListedAddresses::ListedAddresses(const Inventory& inventory) {
  for (const InventoryObject& object : inventory.objects) {
    for (const std::string& text : object.addresses) {
      if (const auto address = IpAddr::parse(text)) {
        single_.push_back(*address);
      } else if (const auto network = Prefix::parse(text)) {
        networks_.push_back(*network);
      }
    }
  }
  std::sort(single_.begin(), single_.end());
}

bool ListedAddresses::contains(const IpAddr& address) const {
  return std::binary_search(single_.begin(), single_.end(), address) ||
         std::any_of(networks_.begin(), networks_.end(),
                     [&](const Prefix& network) { return network.contains(address); });
}

}  // namespace menshen::compliance
