#include "base/result.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <system_error>

namespace menshen {
namespace {

struct Reason {
  int error;
  ErrorCode code;
  std::string_view zh;  // glibc has no Chinese of its own in the C locale that daemons run in
  std::string_view en;
};

constexpr std::array reasons = {
    Reason{EPERM, ErrorCode::denied, "操作不允许", "operation not permitted"},
    Reason{EACCES, ErrorCode::denied, "权限不足", "permission denied"},
    Reason{EROFS, ErrorCode::denied, "文件系统只读", "the file system is read-only"},
    Reason{ENOENT, ErrorCode::not_found, "不存在", "no such file or directory"},
    Reason{ENOTDIR, ErrorCode::not_found, "路径中有一段不是目录",
           "a part of the path is no directory"},
    Reason{ENODEV, ErrorCode::not_found, "没有此设备", "no such device"},
    Reason{ENXIO, ErrorCode::not_found, "没有此设备或地址", "no such device or address"},
    Reason{ESRCH, ErrorCode::not_found, "没有此进程", "no such process"},
    Reason{EEXIST, ErrorCode::exists, "已存在", "it exists already"},
    Reason{ENOTEMPTY, ErrorCode::exists, "目录非空", "the directory is not empty"},
    Reason{EADDRINUSE, ErrorCode::exists, "地址已被占用", "the address is in use"},
    Reason{EISDIR, ErrorCode::invalid, "是一个目录", "it is a directory"},
    Reason{ENAMETOOLONG, ErrorCode::limit, "名称过长", "the name is too long"},
    Reason{ELOOP, ErrorCode::invalid, "符号链接层数过多", "too many symbolic links"},
    Reason{EAGAIN, ErrorCode::unavailable, "资源暂时不可用", "temporarily unavailable"},
    Reason{ETIMEDOUT, ErrorCode::unavailable, "超时", "timed out"},
    Reason{ECONNREFUSED, ErrorCode::unavailable, "对方拒绝连接", "connection refused"},
    Reason{ECONNRESET, ErrorCode::unavailable, "对方重置了连接", "connection reset by the peer"},
    Reason{ENOTCONN, ErrorCode::unavailable, "尚未连接", "not connected"},
    Reason{EPIPE, ErrorCode::unavailable, "对方已关闭连接", "the peer has closed the connection"},
    Reason{EHOSTUNREACH, ErrorCode::unavailable, "主机不可达", "no route to the host"},
    Reason{ENETUNREACH, ErrorCode::unavailable, "网络不可达", "the network is unreachable"},
    Reason{EBUSY, ErrorCode::unavailable, "正被占用", "it is busy"},
    Reason{ENOSYS, ErrorCode::unavailable, "内核不支持", "the kernel does not support it"},
    Reason{EOPNOTSUPP, ErrorCode::unavailable, "不支持此操作", "operation not supported"},
    Reason{EAFNOSUPPORT, ErrorCode::unavailable, "不支持此地址族", "address family not supported"},
    Reason{EPROTONOSUPPORT, ErrorCode::unavailable, "不支持此协议", "protocol not supported"},
    Reason{EMFILE, ErrorCode::limit, "本进程打开的文件过多", "too many open files"},
    Reason{ENFILE, ErrorCode::limit, "系统打开的文件过多", "too many open files in the system"},
    Reason{EMSGSIZE, ErrorCode::limit, "消息过长", "the message is too long"},
    Reason{EFBIG, ErrorCode::limit, "文件过大", "the file is too large"},
    Reason{E2BIG, ErrorCode::limit, "参数过长", "the argument list is too long"},
    Reason{EDQUOT, ErrorCode::limit, "超出磁盘配额", "the disk quota is used up"},
    Reason{ENOSPC, ErrorCode::io, "磁盘空间不足", "no space left on the device"},
    Reason{ENOMEM, ErrorCode::io, "内存不足", "out of memory"},
    Reason{EIO, ErrorCode::io, "输入输出错误", "input/output error"},
    Reason{EINVAL, ErrorCode::io, "参数无效", "invalid argument"},
    Reason{EBADF, ErrorCode::io, "文件描述符无效", "bad file descriptor"},
};

}  // namespace

tl::unexpected<Error> fail_errno(Text what, int error) {
  const auto* reason = std::find_if(reasons.begin(), reasons.end(),
                                    [error](const Reason& r) { return r.error == error; });
  if (reason != reasons.end()) {
    return fail_while(std::move(what),
                      {reason->code, {std::string(reason->zh), std::string(reason->en)}});
  }
  const std::string system = std::generic_category().message(error);
  return fail_while(std::move(what),
                    {ErrorCode::io, {fmt::format("系统错误 {}（{}）", error, system), system}});
}

tl::unexpected<Error> fail_while(Text what, const Error& reason) {
  what.zh += "：";
  what.zh += reason.text.zh;
  what.en += ": ";
  what.en += reason.text.en;
  return fail(reason.code, std::move(what));
}

}  // namespace menshen
