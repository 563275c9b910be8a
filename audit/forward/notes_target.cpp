#include "audit/forward/notes_target.hpp"

#include <fcntl.h>
#include <unistd.h>

#include "base/file.hpp"

namespace menshen::audit {
namespace {

class NotesTarget : public Target {
 public:
  explicit NotesTarget(std::filesystem::path file)
      : file_(std::move(file)), name_("file://" + file_.string()) {}

  const std::string& name() const override { return name_; }
  Result<void> send(std::span<const FeedRecord>) override { return {}; }
  Result<void> send(const SignedNote& note) override {
    // Opened each time: the mount may have gone and come back.
    const UniqueFd fd(
        ::open(file_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0644));
    if (!fd) return fail_errno({"无法写入 " + file_.string(), "cannot write " + file_.string()});
    MENSHEN_CHECK(write_all(fd.get(), as_bytes(note.text + "\n")));
    if (::fsync(fd.get()) == 0) return {};
    return fail_errno({"无法落盘 " + file_.string(), "cannot make durable " + file_.string()});
  }
  Result<void> confirm() override { return {}; }
  void reset() override {}

 private:
  std::filesystem::path file_;
  std::string name_;
};

}  // namespace

std::unique_ptr<Target> make_notes_target(std::filesystem::path file) {
  return std::make_unique<NotesTarget>(std::move(file));
}

}  // namespace menshen::audit
