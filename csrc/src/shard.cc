#include "shard.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <system_error>

namespace mie {
namespace {

constexpr size_t kBlock = 512, kRecord = 20 * kBlock, kBuffer = size_t(1) << 20;

struct Header {  // POSIX.1-1988 ustar
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100], magic[6], version[2];
    char user[32], group[32], major[8], minor[8], prefix[155], pad[12];
};
static_assert(sizeof(Header) == kBlock, "a tar header is one block");

}  // namespace

TarWriter::TarWriter(std::string path) : path_(std::move(path)) {
    file_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (file_ < 0) fail("cannot create");
    buffer_.reserve(kBuffer + kBlock);
}

TarWriter::~TarWriter() {
    if (file_ >= 0) ::close(file_);
}

void TarWriter::fail(const char* what) { throw std::system_error(errno, std::generic_category(), std::string(what) + " " + path_); }

void TarWriter::flush() {
    for (size_t done = 0; done < buffer_.size();) {
        const ssize_t n = ::write(file_, buffer_.data() + done, buffer_.size() - done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) fail("cannot write");
        done += size_t(n);
    }
    buffer_.clear();
}

void TarWriter::put(const void* data, size_t size) {
    const auto* bytes = static_cast<const uint8_t*>(data);
    buffer_.insert(buffer_.end(), bytes, bytes + size);
    written_ += int64_t(size);
    if (buffer_.size() >= kBuffer) flush();
}

TarEntry TarWriter::add(const std::string& name, const void* data, size_t size) {
    if (name.empty() || name.size() > sizeof(Header::name)) throw std::invalid_argument("tar: name must have 1 to 100 bytes: " + name);
    if (size >= (size_t(1) << 33)) throw std::invalid_argument("tar: " + name + " is too large for the format");
    Header h{};
    std::memcpy(h.name, name.data(), name.size());
    std::memcpy(h.mode, "0000644", 8), std::memcpy(h.uid, "0000000", 8), std::memcpy(h.gid, "0000000", 8);
    std::snprintf(h.size, sizeof h.size, "%011llo", static_cast<unsigned long long>(size));
    std::memcpy(h.mtime, "00000000000", 12);
    std::memset(h.checksum, ' ', sizeof h.checksum);
    h.type = '0';
    std::memcpy(h.magic, "ustar", 6), std::memcpy(h.version, "00", 2);
    unsigned sum = 0;
    for (size_t i = 0; i < sizeof h; ++i) sum += reinterpret_cast<const uint8_t*>(&h)[i];
    std::snprintf(h.checksum, sizeof h.checksum, "%06o", sum);
    h.checksum[7] = ' ';
    put(&h, sizeof h);
    const TarEntry entry{written_, int64_t(size)};
    put(data, size);
    static const uint8_t zeros[kBlock] = {};
    if (size % kBlock) put(zeros, kBlock - size % kBlock);
    return entry;
}

int64_t TarWriter::finish() {
    const std::vector<uint8_t> end(2 * kBlock + (kRecord - (size_t(written_) + 2 * kBlock) % kRecord) % kRecord, 0);
    put(end.data(), end.size());
    flush();
    if (::fsync(file_) != 0) fail("cannot flush");
    const int closed = ::close(file_);
    file_ = -1;
    if (closed != 0) fail("cannot close");
    return written_;
}

std::vector<TarEntry> add_clip(TarWriter& tar, const RenderSource& source, const int16_t* coefficients,
                               const std::vector<std::string>& names, const ClipNoise& noise, FrameEncoder& encoder, SimdLevel level) {
    RenderParams p = source.params(encoder.format());
    std::vector<uint8_t> frame(size_t(frame_bytes(p.width, p.height, encoder.format())));
    std::vector<uint8_t> file;
    p.frames = 1, p.target = frame.data(), p.frame_stride = int64_t(frame.size());
    p.noise_q15 = noise.q15, p.key[0] = noise.key[0], p.key[1] = noise.key[1];
    std::vector<TarEntry> entries;
    for (size_t t = 0; t < names.size(); ++t) {
        p.first_frame = uint32_t(t), p.coefficients = coefficients + t * size_t(p.channels);
        render_cpu(p, level, 1);
        encoder.encode(frame.data(), p.width, p.height, file);
        entries.push_back(tar.add(names[t], file.data(), file.size()));
    }
    return entries;
}

}  // namespace mie
