#include "apps/control/client.hpp"

#include "apps/control/parts.hpp"

namespace menshen::apps {

Result<ControlClient> ControlClient::connect(const std::filesystem::path& socket) {
  return ControlClient(MENSHEN_TRY(Channel::connect(socket)));
}

Result<Json> ControlClient::call(const Request& request, std::chrono::milliseconds timeout) {
  for (const std::string& part : MENSHEN_TRY(split_parts(encode_request(request)))) {
    MENSHEN_CHECK(channel_.send(as_bytes(part), timeout));
  }
  PartAssembler assembler;
  for (;;) {
    const auto part = MENSHEN_TRY(channel_.receive(timeout));
    if (!part) {
      return fail(ErrorCode::unavailable, {"守护进程关闭了连接，未作应答",
                                           "the daemon closed the connection without an answer"});
    }
    const auto message = MENSHEN_TRY(assembler.add(*part));
    if (message) return decode_reply(*message);
  }
}

Result<Json> control_call(const std::filesystem::path& socket, const Request& request,
                          std::chrono::milliseconds timeout) {
  ControlClient client = MENSHEN_TRY(ControlClient::connect(socket));
  return client.call(request, timeout);
}

}  // namespace menshen::apps
