// PassThrough: a System that hands every call on; who changes one overrides one.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/model/system.h"

namespace dentree::model {

class PassThrough : public System {
 public:
  explicit PassThrough(std::unique_ptr<System> below) : below_(std::move(below)) {}

  int64_t Open(int dir, const std::string& path, int flags, unsigned mode) override {
    return below_->Open(dir, path, flags, mode);
  }
  int64_t Close(int fd) override { return below_->Close(fd); }
  int64_t Dup(int fd) override { return below_->Dup(fd); }
  int64_t Read(int fd, std::span<char> out) override { return below_->Read(fd, out); }
  int64_t Write(int fd, std::string_view in) override { return below_->Write(fd, in); }
  int64_t Pread(int fd, std::span<char> out, int64_t pos) override {
    return below_->Pread(fd, out, pos);
  }
  int64_t Pwrite(int fd, std::string_view in, int64_t pos) override {
    return below_->Pwrite(fd, in, pos);
  }
  int64_t Lseek(int fd, int64_t offset, int whence) override {
    return below_->Lseek(fd, offset, whence);
  }
  int64_t Ftruncate(int fd, int64_t size) override { return below_->Ftruncate(fd, size); }
  int64_t List(int fd, std::vector<Entry>& entries) override { return below_->List(fd, entries); }
  int64_t Fstat(int fd, Attr& attr) override { return below_->Fstat(fd, attr); }
  int64_t Fchmod(int fd, unsigned mode) override { return below_->Fchmod(fd, mode); }
  int64_t Fchown(int fd, uint32_t uid, uint32_t gid) override {
    return below_->Fchown(fd, uid, gid);
  }
  int64_t Fchdir(int fd) override { return below_->Fchdir(fd); }
  int64_t Fsync(int fd) override { return below_->Fsync(fd); }
  int64_t Openat2(int dir, const std::string& path, uint64_t flags, uint64_t mode,
                  uint64_t resolve) override {
    return below_->Openat2(dir, path, flags, mode, resolve);
  }
  int64_t Fallocate(int fd, int mode, int64_t offset, int64_t size) override {
    return below_->Fallocate(fd, mode, offset, size);
  }
  int64_t CopyRange(int in, int64_t in_pos, int out, int64_t out_pos, size_t size) override {
    return below_->CopyRange(in, in_pos, out, out_pos, size);
  }
  int64_t Futimens(int fd, TimeChange atime, TimeChange mtime) override {
    return below_->Futimens(fd, atime, mtime);
  }
  int64_t GetStatusFlags(int fd) override { return below_->GetStatusFlags(fd); }
  int64_t SetStatusFlags(int fd, int flags) override { return below_->SetStatusFlags(fd, flags); }
  int64_t GetFileFlags(int fd) override { return below_->GetFileFlags(fd); }
  int64_t SetFileFlags(int fd, uint32_t flags) override { return below_->SetFileFlags(fd, flags); }
  int64_t Linkat(int from_dir, const std::string& from, int to_dir, const std::string& to,
                 int flags) override {
    return below_->Linkat(from_dir, from, to_dir, to, flags);
  }
  int64_t Renameat(int from_dir, const std::string& from, int to_dir, const std::string& to,
                   unsigned flags) override {
    return below_->Renameat(from_dir, from, to_dir, to, flags);
  }
  int64_t Getxattr(const Target& of, const std::string& name, size_t room,
                   std::string& value) override {
    return below_->Getxattr(of, name, room, value);
  }
  int64_t Setxattr(const Target& of, const std::string& name, const std::string& value,
                   int flags) override {
    return below_->Setxattr(of, name, value, flags);
  }
  int64_t Removexattr(const Target& of, const std::string& name) override {
    return below_->Removexattr(of, name);
  }
  int64_t Listxattr(const Target& of, size_t room, std::string& names) override {
    return below_->Listxattr(of, room, names);
  }
  int64_t Stat(int dir, const std::string& path, bool follow, Attr& attr) override {
    return below_->Stat(dir, path, follow, attr);
  }
  int64_t Access(int dir, const std::string& path, unsigned want) override {
    return below_->Access(dir, path, want);
  }
  int64_t Mkdir(int dir, const std::string& path, unsigned mode) override {
    return below_->Mkdir(dir, path, mode);
  }
  int64_t Mknod(int dir, const std::string& path, unsigned mode, uint32_t rdev) override {
    return below_->Mknod(dir, path, mode, rdev);
  }
  int64_t Rmdir(int dir, const std::string& path) override { return below_->Rmdir(dir, path); }
  int64_t Unlink(int dir, const std::string& path) override { return below_->Unlink(dir, path); }
  int64_t Symlink(const std::string& target, int dir, const std::string& path) override {
    return below_->Symlink(target, dir, path);
  }
  int64_t Link(const std::string& from, const std::string& to, bool follow) override {
    return below_->Link(from, to, follow);
  }
  int64_t Rename(const std::string& from, const std::string& to, unsigned flags) override {
    return below_->Rename(from, to, flags);
  }
  int64_t Readlink(int dir, const std::string& path, std::string& target) override {
    return below_->Readlink(dir, path, target);
  }
  int64_t Chmod(const std::string& path, unsigned mode) override {
    return below_->Chmod(path, mode);
  }
  int64_t Chown(const std::string& path, uint32_t uid, uint32_t gid, bool follow) override {
    return below_->Chown(path, uid, gid, follow);
  }
  int64_t Utimens(const std::string& path, TimeChange atime, TimeChange mtime,
                  bool follow) override {
    return below_->Utimens(path, atime, mtime, follow);
  }
  int64_t Truncate(const std::string& path, int64_t size) override {
    return below_->Truncate(path, size);
  }
  int64_t NameMax(const std::string& path) override { return below_->NameMax(path); }
  int64_t Chdir(const std::string& path) override { return below_->Chdir(path); }
  int64_t Getcwd(std::string& path) override { return below_->Getcwd(path); }
  int64_t Umask(unsigned mask) override { return below_->Umask(mask); }
  void Become(size_t who) override { below_->Become(who); }
  void Inspect(bool on) override { below_->Inspect(on); }

 protected:
  System& below() { return *below_; }

 private:
  const std::unique_ptr<System> below_;
};

}  // namespace dentree::model
