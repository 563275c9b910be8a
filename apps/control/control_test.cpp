#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <thread>

#include "apps/control/client.hpp"
#include "apps/control/server.hpp"
#include "tests/testkit/temp_dir.hpp"

namespace menshen::apps {
namespace {

TEST_CASE("a message of any length comes out of its parts as it went in") {
  const std::size_t length =
      GENERATE(std::size_t{0}, 1U, control_part_bytes_max - 1, control_part_bytes_max,
               control_part_bytes_max + 1, 3 * control_part_bytes_max);
  const std::string message(length, 'x');
  const auto parts = split_parts(message);
  REQUIRE(parts);
  CHECK(parts->size() ==
        std::max<std::size_t>(1, (length + control_part_bytes_max - 1) / control_part_bytes_max));
  PartAssembler assembler;
  for (std::size_t i = 0; i < parts->size(); ++i) {
    CHECK((*parts)[i].size() <= message_bytes_max);
    const auto whole = assembler.add((*parts)[i]);
    REQUIRE(whole);
    CHECK(whole->has_value() == (i + 1 == parts->size()));
    if (*whole) CHECK(**whole == message);
  }
}

TEST_CASE("the longest control message goes, one byte more does not") {
  const std::string longest(control_message_bytes_max, 'x');
  CHECK(split_parts(longest));
  const auto over = split_parts(longest + "x");
  REQUIRE_FALSE(over);
  CHECK(over.error().code == ErrorCode::limit);
}

TEST_CASE("parts that break the format are refused") {
  PartAssembler assembler(100);
  const auto part = [](unsigned char version, unsigned char flags, unsigned char total,
                       const std::string& bytes) {
    return std::string{'M', 'C', static_cast<char>(version), static_cast<char>(flags), 0,
                       0,   0,   static_cast<char>(total)} +
           bytes;
  };
  SECTION("too short") { CHECK_FALSE(assembler.add("MC")); }
  SECTION("another magic") { CHECK_FALSE(assembler.add("XX" + part(1, 0, 1, "a").substr(2))); }
  SECTION("another version") { CHECK_FALSE(assembler.add(part(2, 0, 1, "a"))); }
  SECTION("unknown flag") { CHECK_FALSE(assembler.add(part(1, 2, 1, "a"))); }
  SECTION("more bytes than announced") { CHECK_FALSE(assembler.add(part(1, 0, 1, "ab"))); }
  SECTION("fewer bytes than announced") { CHECK_FALSE(assembler.add(part(1, 0, 2, "a"))); }
  SECTION("an empty part that is not the last") { CHECK_FALSE(assembler.add(part(1, 1, 2, ""))); }
  SECTION("the length changes between parts") {
    REQUIRE(assembler.add(part(1, 1, 3, "a")));
    CHECK_FALSE(assembler.add(part(1, 0, 2, "b")));
  }
  SECTION("beyond the limit") {
    const auto refused = assembler.add(part(1, 0, 101, "a"));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == ErrorCode::limit);
  }
  SECTION("at the limit") { CHECK(assembler.add(part(1, 0, 100, std::string(100, 'a')))); }
}

TEST_CASE("requests and replies survive the wire") {
  const auto request = decode_request(encode_request({"plan", {{"name", "策略.yaml"}}}));
  REQUIRE(request);
  CHECK(request->op == "plan");
  CHECK(request->args.at("name") == "策略.yaml");
  CHECK(request->person.empty());
  CHECK(encode_request({"plan", Json::object()}).find("person") == std::string::npos);
  const auto on_behalf = decode_request(encode_request({"plan", Json::object(), "李"}));
  REQUIRE(on_behalf);
  CHECK(on_behalf->person == "李");

  const auto good = decode_reply(encode_reply(Json{{"x", 1}}));
  REQUIRE(good);
  CHECK(good->at("x") == 1);

  const auto bad = decode_reply(encode_reply(fail(ErrorCode::denied, {"不可", "no"})));
  REQUIRE_FALSE(bad);
  CHECK(bad.error().code == ErrorCode::denied);
  CHECK(bad.error().text == Text{"不可", "no"});
}

TEST_CASE("what is no request is refused") {
  CHECK_FALSE(decode_request("{"));
  CHECK_FALSE(decode_request("[]"));
  CHECK_FALSE(decode_request(R"({"op":"x"})"));
  CHECK_FALSE(decode_request(R"({"version":1})"));
  CHECK_FALSE(decode_request(R"({"version":1,"op":""})"));
  CHECK_FALSE(decode_request(R"({"version":1,"op":"x","args":[]})"));
  const auto newer = decode_request(R"({"version":2,"op":"x"})");
  REQUIRE_FALSE(newer);
  CHECK(newer.error().code == ErrorCode::unavailable);
  std::string deep = R"({"version":1,"op":"x","args":{"a":)";
  deep += std::string(100'000, '[') + std::string(100'000, ']') + "}}";
  static_cast<void>(decode_request(deep));  // no crash; what it says does not matter
}

TEST_CASE("text that is not UTF-8 still makes a valid line") {
  CHECK(Json::parse(to_line({{"x", "a\xff"}})).at("x") == "a\xEF\xBF\xBD");
}

// A server on a thread of its own, as a daemon has it.
class RunningServer {
 public:
  explicit RunningServer(const ControlOptions& options) : server_(start(options)) {
    server_->add("echo", Access::status,
                 [](const Json& args, const Caller&) -> Result<Json> { return args; });
    server_->add("who", Access::admin, [](const Json&, const Caller& caller) -> Result<Json> {
      return Json{{"uid", caller.peer.uid}, {"name", caller.name}};
    });
    server_->add("typed", Access::status, [](const Json& args, const Caller&) -> Result<Json> {
      return Json{{"n", args.at("n").get<int>()}};
    });
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    stop_read_.reset(ends[0]);
    stop_write_.reset(ends[1]);
    loop_.watch(stop_read_.get(), POLLIN, [this](short) { loop_.stop(); });
    thread_ = std::thread([this] { static_cast<void>(loop_.run()); });
  }
  ~RunningServer() {
    stop_write_.reset();
    thread_.join();
  }

 private:
  std::unique_ptr<ControlServer> start(const ControlOptions& options) {
    auto server = ControlServer::bind(options, loop_);
    REQUIRE(server);
    return std::move(*server);
  }
  EventLoop loop_;
  std::unique_ptr<ControlServer> server_;
  UniqueFd stop_read_;
  UniqueFd stop_write_;
  std::thread thread_;
};

ControlOptions options_in(const std::filesystem::path& folder) {
  ControlOptions options;
  options.socket = folder / "control.sock";
  return options;
}

TEST_CASE("a daemon answers, and says whom the kernel named") {
  const testkit::TempDir folder;
  const auto options = options_in(folder.path());
  const RunningServer server(options);
  auto client = ControlClient::connect(options.socket);
  REQUIRE(client);
  const auto echo =
      client->call({"echo", {{"text", std::string(3 * control_part_bytes_max, 'y')}}});
  REQUIRE(echo);
  CHECK(echo->at("text").get<std::string>().size() == 3 * control_part_bytes_max);
  const auto who = client->call({"who", Json::object()});
  if (::geteuid() == 0) {
    REQUIRE(who);
    CHECK(who->at("uid") == 0);
  } else {
    REQUIRE_FALSE(who);  // without a group, administrators are root alone
    CHECK(who.error().code == ErrorCode::denied);
  }
}

// What a daemon whose console runs as `console_user` answers to "who" of user `uid`, who asks for
// `person`.
Result<Json> ask_as(uid_t uid, const std::string& console_user, const std::string& person) {
  const testkit::TempDir folder;
  REQUIRE(::chmod(folder.path().c_str(), 0755) == 0);
  auto options = options_in(folder.path());
  options.status_group = options.admin_group = "root";  // which the other user stays in
  options.console_user = console_user;
  int start[2];
  int reply[2];
  REQUIRE(::pipe2(start, O_CLOEXEC) == 0);
  REQUIRE(::pipe2(reply, O_CLOEXEC) == 0);
  const UniqueFd start_read(start[0]);
  UniqueFd start_write(start[1]);
  const UniqueFd reply_read(reply[0]);
  UniqueFd reply_write(reply[1]);
  // Before the server and its thread: a fork keeps one thread, and whatever locks the others held.
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    start_write.reset();
    char byte = 0;
    if (::read(start_read.get(), &byte, 1) != 1 || ::setuid(uid) != 0) ::_exit(1);
    const std::string text =
        encode_reply(control_call(options.socket, {"who", Json::object(), person}));
    ::_exit(::write(reply_write.get(), text.data(), text.size()) > 0 ? 0 : 1);
  }
  reply_write.reset();
  const RunningServer server(options);
  REQUIRE(::write(start_write.get(), "s", 1) == 1);
  std::string text;
  std::array<char, 4096> buffer{};
  for (ssize_t got = 0; (got = ::read(reply_read.get(), buffer.data(), buffer.size())) > 0;) {
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  ::waitpid(child, nullptr, 0);
  return decode_reply(text);
}

TEST_CASE("the console's user and root alone ask for another person") {
  if (::geteuid() != 0) {
    WARN("needs root to become another user: not tested");
    return;
  }
  constexpr uid_t daemon = 1;  // as on every Debian
  CHECK(ask_as(daemon, "daemon", "alice")->at("name") == "alice (console)");
  CHECK(ask_as(daemon, "daemon", "")->at("name") == "daemon");
  CHECK(ask_as(0, "daemon", "alice")->at("name") == "alice (console)");
  for (const char* console : {"nobody", "", "no-such-user"}) {
    INFO(console);
    const auto refused = ask_as(daemon, console, "alice");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == ErrorCode::denied);
  }
}

TEST_CASE("mistakes of a caller are answered, and the connection goes on") {
  const testkit::TempDir folder;
  const auto options = options_in(folder.path());
  const RunningServer server(options);
  auto client = ControlClient::connect(options.socket);
  REQUIRE(client);
  const auto unknown = client->call({"no-such-operation", Json::object()});
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().code == ErrorCode::not_found);
  const auto wrong_type = client->call({"typed", {{"n", "one"}}});
  REQUIRE_FALSE(wrong_type);
  CHECK(wrong_type.error().code == ErrorCode::invalid);
  CHECK(client->call({"typed", {{"n", 1}}}));
}

TEST_CASE("a hostile peer loses its connection, others keep theirs") {
  const testkit::TempDir folder;
  auto options = options_in(folder.path());
  options.request_bytes_max = 1024;
  const RunningServer server(options);
  auto good = ControlClient::connect(options.socket);
  REQUIRE(good);
  auto hostile = Channel::connect(options.socket);
  REQUIRE(hostile);
  const std::string garbage =
      GENERATE(std::string("garbage"), std::string("MC\x01\x00\xff\xff\xff\xff", 8),
               std::string("MC\x01\x01\x00\x00\x08\x00x", 9));
  REQUIRE(hostile->send(as_bytes(garbage)));
  const auto answer = hostile->receive(std::chrono::seconds(10));
  REQUIRE(answer);
  CHECK_FALSE(answer->has_value());
  CHECK(good->call({"echo", Json::object()}));
}

TEST_CASE("M5: damaged and overlong commands end their connection, never the daemon") {
  const testkit::TempDir folder;
  auto options = options_in(folder.path());
  options.request_bytes_max = 64U << 10U;
  const RunningServer server(options);
  const auto good = *split_parts(encode_request({"echo", {{"text", std::string(200, 'x')}}}));
  // Each run: some messages of one connection, most of them damaged; xorshift, a fixed seed.
  std::uint32_t state = 0x4d355eedU;
  const auto next = [&state](std::uint32_t below) {
    state ^= state << 13U;
    state ^= state >> 17U;
    state ^= state << 5U;
    return state % below;
  };
  for (int run = 0; run < 300; ++run) {
    INFO("run " << run);
    auto hostile = Channel::connect(options.socket);
    REQUIRE(hostile);
    for (std::uint32_t messages = next(4) + 1; messages > 0; --messages) {
      std::string part = good[0];
      for (std::uint32_t damage = next(6); damage > 0; --damage) {
        part[next(static_cast<std::uint32_t>(part.size()))] = static_cast<char>(next(256));
      }
      if (next(8) == 0) part.resize(next(static_cast<std::uint32_t>(part.size())) + 1);
      if (next(8) == 0) part.append(next(100'000), 'y');
      if (!hostile->send(as_bytes(part))) break;  // cut off already
    }
    // It goes without reading an answer.
  }
  auto client = ControlClient::connect(options.socket);
  REQUIRE(client);
  const auto answer = client->call({"echo", {{"text", "still here"}}});
  REQUIRE(answer);
  CHECK(answer->at("text") == "still here");
}

TEST_CASE("beyond connections_max a new connection is closed") {
  const testkit::TempDir folder;
  auto options = options_in(folder.path());
  options.connections_max = 2;
  const RunningServer server(options);
  auto first = ControlClient::connect(options.socket);
  auto second = ControlClient::connect(options.socket);
  REQUIRE(first);
  REQUIRE(second);
  REQUIRE(first->call({"echo", Json::object()}));
  REQUIRE(second->call({"echo", Json::object()}));
  auto third = ControlClient::connect(options.socket);
  const bool refused = !third || !third->call({"echo", Json::object()});
  CHECK(refused);
  CHECK(first->call({"echo", Json::object()}));
}

TEST_CASE("nobody listens: unavailable") {
  const testkit::TempDir folder;
  const auto answer = control_call(folder.path() / "none.sock", {"status", Json::object()});
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code == ErrorCode::unavailable);
}

}  // namespace
}  // namespace menshen::apps
