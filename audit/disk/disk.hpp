// The calls that make plain files durable, passed in so that tests can fail the N-th one.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <cstddef>
#include <functional>

namespace menshen::audit {

struct DiskCalls {
  std::function<ssize_t(int fd, const void* data, std::size_t size)> write = &::write;
  std::function<int(int fd)> sync = &::fdatasync;
};

}  // namespace menshen::audit
