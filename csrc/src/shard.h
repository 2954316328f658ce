// A shard: a tar file whose bytes depend on nothing but what is put in. The caller commits it by renaming.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "encode.h"
#include "kernels/render/source.h"

namespace mie {

struct TarEntry {
    int64_t offset;  // of the first data byte
    int64_t size;
};

// POSIX ustar with fixed times, owners and modes. Throws std::system_error with the path on any write error.
class TarWriter {
  public:
    explicit TarWriter(std::string path);
    ~TarWriter();  // closes; an unfinished file stays unfinished
    TarWriter(const TarWriter&) = delete;
    TarWriter& operator=(const TarWriter&) = delete;

    TarEntry add(const std::string& name, const void* data, size_t size);  // name: at most 100 bytes
    int64_t finish();                                                      // end blocks, flush, fsync, close; returns the file's size

  private:
    void put(const void* data, size_t size);
    void flush();
    [[noreturn]] void fail(const char* what);

    std::string path_;
    int file_ = -1;
    int64_t written_ = 0;
    std::vector<uint8_t> buffer_;
};

struct ClipNoise {
    int32_t q15 = 0;
    uint32_t key[2] = {0, 0};
};

// Renders, encodes and appends the frames of one clip, one after the other on the calling thread: a frame never leaves the cache.
std::vector<TarEntry> add_clip(TarWriter& tar, const RenderSource& source, const int16_t* coefficients,
                               const std::vector<std::string>& names, const ClipNoise& noise, FrameEncoder& encoder, SimdLevel level);

}  // namespace mie
