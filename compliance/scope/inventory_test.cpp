#include "compliance/scope/inventory.hpp"

#include <catch2/catch.hpp>

namespace menshen::compliance {
namespace {

const std::vector<ObjectClass> classes{
    {"server", {"服务器和存储设备", "Servers and storage"}, {"8.1.4"}, true},
    {"people", {"安全相关人员", "People"}, {"8.1.7"}, false}};

std::optional<Inventory> parse(const std::string& csv, std::string* why = nullptr) {
  Diagnostics diagnostics("inventory.csv", csv);
  auto result = parse_inventory(csv, classes, diagnostics);
  if (why != nullptr) *why = diagnostics.render(Lang::en);
  return result;
}

TEST_CASE("an inventory in either language") {
  const auto zh = parse(
      "\xef\xbb\xbf编号,名称,类别,地址,采集方式,端口,用户,责任方,备注\r\n"
      "web-01,\"门户, 前端\",服务器和存储设备,10.1.0.5 10.2.0.0/16,ssh,2222,menshen,云服务客户,"
      "\"含\"\"引号\"\"\"\r\n\r\n");
  REQUIRE(zh);
  REQUIRE(zh->objects.size() == 1);
  const InventoryObject& o = zh->objects.front();
  CHECK(o.name == "门户, 前端");
  CHECK(o.class_id == "server");
  CHECK(o.addresses == std::vector<std::string>{"10.1.0.5", "10.2.0.0/16"});
  CHECK(o.collect == CollectBy::ssh);
  CHECK(o.port == 2222);
  CHECK(o.responsible == Responsible::tenant);
  CHECK(o.notes == "含\"引号\"");

  const std::string canonical = to_csv(*zh);
  const auto again = parse(canonical);
  REQUIRE(again);
  CHECK(to_csv(*again) == canonical);

  const ListedAddresses listed(*zh);
  CHECK(listed.contains(*IpAddr::parse("10.1.0.5")));
  CHECK(listed.contains(*IpAddr::parse("10.2.200.1")));
  CHECK(!listed.contains(*IpAddr::parse("10.1.0.6")));
}

TEST_CASE("each mistake of an inventory has its line") {
  std::string why;
  CHECK(!parse("id,name,class,colour\n", &why));
  CHECK_THAT(why, Catch::Contains("unknown column \"colour\""));
  CHECK(!parse("id,name\nx,y\n", &why));
  CHECK_THAT(why, Catch::Contains("column \"class\" is missing"));
  CHECK(!parse("id,name,class,port\na,A,server,0\na,B,people,22\n-x,C,cloud,\n", &why));
  CHECK_THAT(why, Catch::Contains("inventory.csv:2") && Catch::Contains("a port is 1 to 65535"));
  CHECK_THAT(why, Catch::Contains("inventory.csv:3") && Catch::Contains("occurs twice"));
  CHECK_THAT(why, Catch::Contains("inventory.csv:4") && Catch::Contains("unknown class \"cloud\""));
  CHECK_THAT(why, Catch::Contains("an id holds letters"));
  CHECK(!parse("id,name,class\nx,\"y,server\n", &why));
  CHECK_THAT(why, Catch::Contains("does not end"));
  CHECK(!parse("id,name,class,collect\nx,y,server,ssh\n", &why));
  CHECK_THAT(why, Catch::Contains("needs an address"));
  CHECK(!parse("id,name,class,address\nx,y,server,10.0.0.1/8\n", &why));
  CHECK_THAT(why, Catch::Contains("no network"));
  CHECK(!parse("id,name,class\nappliance,y,server\n", &why));
}

TEST_CASE("an inventory of the most objects, and one more") {
  std::string csv = "id,name,class\n";
  for (std::size_t i = 0; i < inventory_objects_max; ++i)
    csv += "h" + std::to_string(i) + ",x,server\n";
  const auto whole = parse(csv);
  REQUIRE(whole);
  CHECK(whole->objects.size() == inventory_objects_max);
  std::string why;
  CHECK(!parse(csv + "more,x,server\n", &why));
  CHECK_THAT(why, Catch::Contains("more than 20000 objects"));
}

}  // namespace
}  // namespace menshen::compliance
