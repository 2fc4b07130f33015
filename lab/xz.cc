#include "lab/xz.h"

#include <lzma.h>

#include <cstdint>

namespace dentree::lab {

namespace {

std::string Message(lzma_ret result) {
  switch (result) {
    case LZMA_FORMAT_ERROR:
      return "not an .xz file";
    case LZMA_MEM_ERROR:
    case LZMA_MEMLIMIT_ERROR:
      return "takes too much memory to decompress";
    case LZMA_BUF_ERROR:
      return "ends too early";
    default:
      return "compressed data is corrupt";
  }
}

class Decoder {
 public:
  Decoder() : begun_(lzma_stream_decoder(&stream_, kXzMemoryLimit, LZMA_CONCATENATED)) {}
  ~Decoder() { lzma_end(&stream_); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  std::expected<std::string, std::string> Run(std::string_view compressed, size_t limit) {
    std::string out;
    stream_.next_in = reinterpret_cast<const uint8_t*>(compressed.data());
    stream_.avail_in = compressed.size();
    for (lzma_ret result = begun_; result != LZMA_STREAM_END;) {
      if (result != LZMA_OK) return std::unexpected(Message(result));
      uint8_t bytes[64 * 1024];
      stream_.next_out = bytes;
      stream_.avail_out = sizeof(bytes);
      result = lzma_code(&stream_, LZMA_FINISH);
      out.append(reinterpret_cast<const char*>(bytes), sizeof(bytes) - stream_.avail_out);
      if (out.size() > limit) return std::unexpected("is too large once decompressed");
    }
    return out;
  }

 private:
  lzma_stream stream_ = LZMA_STREAM_INIT;
  const lzma_ret begun_;
};

}  // namespace

std::expected<std::string, std::string> DecompressXz(std::string_view compressed, size_t limit) {
  return Decoder().Run(compressed, limit);
}

}  // namespace dentree::lab
