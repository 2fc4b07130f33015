// The same question to Linux: distinct missing names of one directory of a real ext4, in a file
// that is mounted through a loop device.
//
// Needs root, mkfs.ext4, mount and umount. Nothing stays behind: the file is in a directory of its
// own among the temporary ones, unmounted and removed at the end.
#pragma once

#include <atomic>
#include <cstdint>
#include <expected>
#include <string>

namespace dentree::lab {

struct Ext4Result {
  uint64_t names = 0;
  double miss_ns = 0;         // mean of the first lookup of a name
  double hit_ns = 0;          // mean of the second
  double bytes_per_name = 0;  // what the kernel's dentry slabs grew by; 0: nobody says
  double rmdir_seconds = 0;   // of the directory, afterwards
};

// The error says why it was not done.
std::expected<Ext4Result, std::string> RunExt4(uint64_t names, const std::atomic<bool>* interrupt);

std::string Ext4Text(const std::expected<Ext4Result, std::string>& result);

}  // namespace dentree::lab
