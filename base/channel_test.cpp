#include "base/channel.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <thread>

#include "tests/testkit/temp_dir.hpp"

namespace menshen {
namespace {

using std::chrono::milliseconds;
using testkit::TempDir;

struct Pair {
  Channel client;
  Channel server;
};

Pair connect(Listener& listener, const std::filesystem::path& path) {
  auto client = Channel::connect(path);
  REQUIRE(client);
  auto server = listener.accept();
  REQUIRE(server);
  REQUIRE(server->has_value());
  return {std::move(*client), std::move(**server)};
}

std::array<UniqueFd, 2> socket_pair() {
  std::array<int, 2> ends{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) == 0);
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// A server that was killed: its socket file is there, nobody listens.
void leave_stale_socket(const std::filesystem::path& path) {
  const UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.native().copy(std::begin(address.sun_path), sizeof(address.sun_path) - 1);
  REQUIRE(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
}

TEST_CASE("messages keep their boundaries, both ways") {
  const TempDir folder;
  auto listener = Listener::bind(folder / "s").value();
  CHECK_FALSE(listener.accept().value());
  auto [client, server] = connect(listener, folder / "s");
  REQUIRE(client.send(as_bytes("one")));
  REQUIRE(client.send(as_bytes("two")));
  CHECK(server.receive().value() == "one");
  CHECK(server.receive().value() == "two");
  REQUIRE(server.send(as_bytes("back")));
  CHECK(client.receive().value() == "back");
}

TEST_CASE("the kernel tells who the peer is") {
  const TempDir folder;
  auto listener = Listener::bind(folder / "s").value();
  auto [client, server] = connect(listener, folder / "s");
  const PeerCredentials peer = server.peer().value();
  CHECK(peer.pid == ::getpid());
  CHECK(peer.uid == ::geteuid());
  CHECK(peer.gid == ::getegid());

  // Another user must get in, where the test can become one.
  if (::geteuid() == 0) {
    REQUIRE(::chmod(folder.path().c_str(), 0711) == 0);
    REQUIRE(::chmod((folder / "s").c_str(), 0666) == 0);
  }
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    if (::geteuid() == 0 &&
        (::setresgid(65534, 65534, 65534) != 0 || ::setresuid(65534, 65534, 65534) != 0))
      ::_exit(2);
    auto channel = Channel::connect(folder / "s");
    // Stays until the parent has looked.
    ::_exit(channel && channel->receive() ? 0 : 1);
  }
  pollfd waiting{listener.fd(), POLLIN, 0};
  int status = 0;
  if (::poll(&waiting, 1, 10'000) == 1) {
    auto other = std::move(*listener.accept().value());
    CHECK(other.peer().value().pid == child);
    if (::geteuid() == 0) {
      CHECK(other.peer().value().uid == 65534);
      CHECK(other.peer().value().gid == 65534);
    }
    CHECK(other.send(as_bytes("go")));
  }
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("the largest message passes, a larger one and an empty one do not leave") {
  const TempDir folder;
  auto listener = Listener::bind(folder / "s").value();
  auto [client, server] = connect(listener, folder / "s");
  const std::string largest(message_bytes_max, 'x');
  REQUIRE(client.send(as_bytes(largest)));
  CHECK(server.receive().value() == largest);
  REQUIRE(server.send(as_bytes(largest)));
  CHECK(client.receive().value() == largest);
  CHECK(client.send(as_bytes(largest + "x")).error().code == ErrorCode::limit);
  CHECK(client.send({}).error().code == ErrorCode::invalid);
  REQUIRE(client.send(as_bytes("still works")));
  CHECK(server.receive().value() == "still works");
}

TEST_CASE("a hostile peer's message that is too large ends the connection") {
  auto [hostile, ours] = socket_pair();
  Channel channel(std::move(ours));
  const std::string large(message_bytes_max + 1, 'x');
  REQUIRE(::send(hostile.get(), large.data(), large.size(), MSG_NOSIGNAL) ==
          static_cast<ssize_t>(large.size()));
  CHECK(channel.receive().error().code == ErrorCode::limit);
  CHECK(channel.receive().value() == std::nullopt);
  CHECK_FALSE(channel.send(as_bytes("x")));
  CHECK(::send(hostile.get(), "x", 1, MSG_NOSIGNAL) < 0);
}

TEST_CASE("a hostile peer's empty message reads as the end") {
  auto [hostile, ours] = socket_pair();
  Channel channel(std::move(ours));
  REQUIRE(::send(hostile.get(), "", 0, MSG_NOSIGNAL) == 0);
  CHECK(channel.receive().value() == std::nullopt);
}

TEST_CASE("what was sent before the end is still read") {
  const TempDir folder;
  auto listener = Listener::bind(folder / "s").value();
  auto [client, server] = connect(listener, folder / "s");
  REQUIRE(client.send(as_bytes("last words")));
  { const Channel gone = std::move(client); }
  CHECK(server.receive().value() == "last words");
  CHECK(server.receive().value() == std::nullopt);
  CHECK(server.send(as_bytes("x")).error().code == ErrorCode::unavailable);
}

TEST_CASE("a peer that dies is an end, with unread messages too") {
  auto [theirs, ours] = socket_pair();
  Channel channel(std::move(ours));
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) ::_exit(::raise(SIGKILL));
  theirs.reset();
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(channel.receive().value() == std::nullopt);

  auto [other, mine] = socket_pair();
  Channel with_unread(std::move(mine));
  REQUIRE(with_unread.send(as_bytes("never read")));
  other.reset();  // the kernel resets the connection: the message is lost
  CHECK(with_unread.receive().value() == std::nullopt);
}

TEST_CASE("silence and a full buffer run into the timeout") {
  auto [theirs, ours] = socket_pair();
  Channel channel(std::move(ours));
  CHECK(channel.receive(milliseconds(0)).error().code == ErrorCode::unavailable);
  CHECK(channel.receive(milliseconds(1)).error().code == ErrorCode::unavailable);
  const std::string message(10'000, 'x');
  std::size_t sent = 0;
  Result<void> result;
  while ((result = channel.send(as_bytes(message), milliseconds(0)))) ++sent;
  CHECK(result.error().code == ErrorCode::unavailable);
  CHECK(sent > 0);
}

TEST_CASE("a sender waits for a slow reader and loses nothing") {
  auto [left, right] = socket_pair();
  Channel sender(std::move(left));
  Channel receiver(std::move(right));
  constexpr int messages = 500;
  std::thread writer([&sender] {
    for (int i = 0; i < messages; ++i) {
      if (!sender.send(as_bytes(std::to_string(i) + std::string(5000, 'x')))) return;
    }
  });
  int in_order = 0;
  for (int i = 0; i < messages; ++i) {
    const auto message = receiver.receive();
    if (message && *message && **message == std::to_string(i) + std::string(5000, 'x')) ++in_order;
  }
  writer.join();
  CHECK(in_order == messages);
}

TEST_CASE("nobody there") {
  const TempDir folder;
  CHECK(Channel::connect(folder / "none").error().code == ErrorCode::unavailable);
  leave_stale_socket(folder / "s");
  CHECK(Channel::connect(folder / "s").error().code == ErrorCode::unavailable);
  CHECK(Channel::connect(std::string(200, 'x')).error().code == ErrorCode::limit);
  CHECK(Channel::connect("").error().code == ErrorCode::invalid);
}

TEST_CASE("a stale socket is replaced, a live one and another's file are not") {
  const TempDir folder;
  leave_stale_socket(folder / "s");
  {
    auto listener = Listener::bind(folder / "s").value();
    CHECK(Listener::bind(folder / "s").error().code == ErrorCode::exists);
    // The failed attempt has left the live server as it was.
    auto [client, server] = connect(listener, folder / "s");
    CHECK(client.send(as_bytes("x")));
  }
  CHECK_FALSE(std::filesystem::exists(folder / "s"));
  folder.write("file", "precious");
  CHECK(Listener::bind(folder / "file").error().code == ErrorCode::exists);
  CHECK(folder.read("file") == "precious");
  CHECK(Listener::bind(folder / "none" / "s").error().code == ErrorCode::not_found);
}

TEST_CASE("a listener removes its own file, not a successor's") {
  const TempDir folder;
  auto first = Listener::bind(folder / "s").value();
  std::filesystem::remove(folder / "s");
  folder.write("keeps the inode number from being used again", "");
  auto second = Listener::bind(folder / "s").value();
  first = std::move(second);
  CHECK(std::filesystem::exists(folder / "s"));
  CHECK(Channel::connect(folder / "s"));
}

TEST_CASE("mode and group decide who may connect") {
  const TempDir folder;
  const auto listener = Listener::bind(folder / "s", 0600).value();
  struct stat status {};
  REQUIRE(::stat((folder / "s").c_str(), &status) == 0);
  CHECK((status.st_mode & 07777U) == 0600);
  CHECK(Listener::bind(folder / "t", 0660, "no-such-group").error().code == ErrorCode::not_found);
  CHECK_FALSE(std::filesystem::exists(folder / "t"));
  if (::geteuid() == 0) {
    const auto grouped = Listener::bind(folder / "u", 0660, "daemon").value();
    REQUIRE(::stat((folder / "u").c_str(), &status) == 0);
    CHECK(status.st_gid == 1);
  }
}

}  // namespace
}  // namespace menshen
