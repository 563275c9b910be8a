// Any bytes at the console's HTTP surface, as one connection sends them: with no session, and the
// same behind a session's cookie and token.
#include <cstdint>

#include "console/http/server.hpp"
#include "console/testing/fake_backend.hpp"

using namespace menshen;
using namespace menshen::console;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  class Surface : public Service {
   public:
    std::size_t body_bytes_max(const RequestHead& head) override {
      return console_.api.body_bytes_max(with_session(head));
    }
    Response answer(const Request& request) override {
      static_cast<void>(console_.api.answer(request));
      Request own = request;
      static_cast<RequestHead&>(own) = with_session(request);
      Response response = console_.api.answer(own);
      response.stream = nullptr;  // endless
      return response;
    }

   private:
    RequestHead with_session(const RequestHead& head) {
      RequestHead own = head;
      const Request someone =
          console_.request_of(roles[head.path.size() % roles.size()], head.method, head.path);
      own.session = someone.session;
      own.csrf = someone.csrf;
      own.origin.clear();
      return own;
    }
    FakeConsole console_;
  };
  static Surface surface;
  static_cast<void>(
      Server::answer_bytes(surface, std::string_view(reinterpret_cast<const char*>(data), size)));
  return 0;
}
