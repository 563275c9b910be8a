// A SQLite VFS that passes everything on to the default one until the N-th write, sync or truncate,
// which fails; with `persistent`, so does every one after it (a full disk). Temporary files are
// refused. For tests.
#pragma once

#include <sqlite3.h>

#include <cstring>
#include <string>

namespace menshen::audit {

class FaultVfs {
 public:
  explicit FaultVfs(std::string name) : name_(std::move(name)) {
    base_ = sqlite3_vfs_find(nullptr);
    vfs_ = *base_;
    vfs_.zName = name_.c_str();
    vfs_.pAppData = this;
    vfs_.szOsFile = static_cast<int>(sizeof(File)) + base_->szOsFile;
    vfs_.xOpen = [](sqlite3_vfs* vfs, const char* path, sqlite3_file* file, int flags, int* out) {
      auto* self = static_cast<FaultVfs*>(vfs->pAppData);
      auto* wrapper = reinterpret_cast<File*>(file);
      wrapper->self = self;
      wrapper->base.pMethods = nullptr;
      // Where the daemons run there is no folder for temporary files.
      if (path == nullptr) return SQLITE_CANTOPEN;
      const int result = self->base_->xOpen(self->base_, path, wrapper->real(), flags, out);
      wrapper->base.pMethods = result == SQLITE_OK ? &self->methods_ : nullptr;
      return result;
    };
    fill_methods();
    sqlite3_vfs_register(&vfs_, 0);
  }
  ~FaultVfs() { sqlite3_vfs_unregister(&vfs_); }
  FaultVfs(const FaultVfs&) = delete;
  FaultVfs& operator=(const FaultVfs&) = delete;

  [[nodiscard]] const char* name() const { return name_.c_str(); }
  // The n-th call from now fails with `error` (SQLITE_FULL, SQLITE_IOERR_FSYNC ...). 0: none.
  void fail_at(int n, int error, bool persistent = false) {
    calls_ = 0;
    fail_at_ = n;
    error_ = error;
    persistent_ = persistent;
    failed_ = false;
  }
  [[nodiscard]] bool failed() const { return failed_; }

  // One more call that may fail: for plain files whose calls the test passes in.
  [[nodiscard]] bool refuse() {
    ++calls_;
    const bool now = fail_at_ != 0 && (persistent_ ? calls_ >= fail_at_ : calls_ == fail_at_);
    failed_ = failed_ || now;
    return now;
  }

 private:
  struct File {
    sqlite3_file base;
    FaultVfs* self;
    sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
  };
  static File* of(sqlite3_file* file) { return reinterpret_cast<File*>(file); }
  static const sqlite3_io_methods* next(sqlite3_file* file) { return of(file)->real()->pMethods; }

  void fill_methods() {
    methods_.iVersion = 2;
    methods_.xClose = [](sqlite3_file* f) { return next(f)->xClose(of(f)->real()); };
    methods_.xRead = [](sqlite3_file* f, void* p, int n, sqlite3_int64 at) {
      return next(f)->xRead(of(f)->real(), p, n, at);
    };
    methods_.xWrite = [](sqlite3_file* f, const void* p, int n, sqlite3_int64 at) {
      if (of(f)->self->refuse()) {
        // Half of it arrives, as on a real disk.
        static_cast<void>(next(f)->xWrite(of(f)->real(), p, n / 2, at));
        return of(f)->self->error_;
      }
      return next(f)->xWrite(of(f)->real(), p, n, at);
    };
    methods_.xTruncate = [](sqlite3_file* f, sqlite3_int64 size) {
      return of(f)->self->refuse() ? SQLITE_IOERR_TRUNCATE
                                   : next(f)->xTruncate(of(f)->real(), size);
    };
    // Nobody pulls a plug in these tests: waiting for a real disk would only make them slow.
    methods_.xSync = [](sqlite3_file* f, int) {
      return of(f)->self->refuse() ? SQLITE_IOERR_FSYNC : SQLITE_OK;
    };
    methods_.xFileSize = [](sqlite3_file* f, sqlite3_int64* size) {
      return next(f)->xFileSize(of(f)->real(), size);
    };
    methods_.xLock = [](sqlite3_file* f, int l) { return next(f)->xLock(of(f)->real(), l); };
    methods_.xUnlock = [](sqlite3_file* f, int l) { return next(f)->xUnlock(of(f)->real(), l); };
    methods_.xCheckReservedLock = [](sqlite3_file* f, int* out) {
      return next(f)->xCheckReservedLock(of(f)->real(), out);
    };
    methods_.xFileControl = [](sqlite3_file* f, int op, void* arg) {
      return next(f)->xFileControl(of(f)->real(), op, arg);
    };
    methods_.xSectorSize = [](sqlite3_file* f) { return next(f)->xSectorSize(of(f)->real()); };
    methods_.xDeviceCharacteristics = [](sqlite3_file* f) {
      return next(f)->xDeviceCharacteristics(of(f)->real());
    };
    methods_.xShmMap = [](sqlite3_file* f, int page, int size, int extend, void volatile** out) {
      return next(f)->xShmMap(of(f)->real(), page, size, extend, out);
    };
    methods_.xShmLock = [](sqlite3_file* f, int offset, int n, int flags) {
      return next(f)->xShmLock(of(f)->real(), offset, n, flags);
    };
    methods_.xShmBarrier = [](sqlite3_file* f) { next(f)->xShmBarrier(of(f)->real()); };
    methods_.xShmUnmap = [](sqlite3_file* f, int remove) {
      return next(f)->xShmUnmap(of(f)->real(), remove);
    };
  }

  std::string name_;
  sqlite3_vfs* base_ = nullptr;
  sqlite3_vfs vfs_{};
  sqlite3_io_methods methods_{};
  int calls_ = 0;
  int fail_at_ = 0;
  int error_ = SQLITE_OK;
  bool persistent_ = false;
  bool failed_ = false;
};

}  // namespace menshen::audit
