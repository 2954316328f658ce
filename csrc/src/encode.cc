#include "encode.h"

#include <algorithm>
#include <stdexcept>

#if MIE_HAVE_JPEG
#include <jpeglib.h>

#include <csetjmp>
#include <cstdio>  // jpeglib.h needs FILE before it
#include <cstring>
#endif

namespace mie {

#if MIE_HAVE_JPEG
namespace {

constexpr int kMcu = 16;  // luma samples a side of a 4:2:0 block

struct Failure {
    jpeg_error_mgr manager;
    std::jmp_buf jump;
    char text[JMSG_LENGTH_MAX];
};

struct Destination {
    jpeg_destination_mgr manager;
    std::vector<uint8_t>* bytes;
};

void fail(j_common_ptr c) {
    auto* failure = reinterpret_cast<Failure*>(c->err);
    c->err->format_message(c, failure->text);
    std::longjmp(failure->jump, 1);
}

void begin(j_compress_ptr c) {
    auto* d = reinterpret_cast<Destination*>(c->dest);
    d->bytes->resize(std::max<size_t>(d->bytes->capacity(), 1 << 16));
    d->manager.next_output_byte = d->bytes->data(), d->manager.free_in_buffer = d->bytes->size();
}

boolean grow(j_compress_ptr c) {
    auto* d = reinterpret_cast<Destination*>(c->dest);
    const size_t used = d->bytes->size();
    d->bytes->resize(2 * used);
    d->manager.next_output_byte = d->bytes->data() + used, d->manager.free_in_buffer = d->bytes->size() - used;
    return TRUE;
}

void end(j_compress_ptr c) {
    auto* d = reinterpret_cast<Destination*>(c->dest);
    d->bytes->resize(d->bytes->size() - d->manager.free_in_buffer);
}

class JpegEncoder final : public FrameEncoder {
  public:
    explicit JpegEncoder(int quality) {
        c_.err = jpeg_std_error(&failure_.manager);
        failure_.manager.error_exit = fail;
        jpeg_create_compress(&c_);
        destination_.manager.init_destination = begin, destination_.manager.empty_output_buffer = grow,
        destination_.manager.term_destination = end;
        c_.dest = &destination_.manager;
        c_.input_components = 3, c_.in_color_space = JCS_YCbCr;
        jpeg_set_defaults(&c_);
        jpeg_set_quality(&c_, quality, TRUE);
        c_.raw_data_in = TRUE, c_.dct_method = JDCT_ISLOW;
        c_.comp_info[0].h_samp_factor = c_.comp_info[0].v_samp_factor = 2;
    }
    ~JpegEncoder() override { jpeg_destroy_compress(&c_); }
    JpegEncoder(const JpegEncoder&) = delete;
    JpegEncoder& operator=(const JpegEncoder&) = delete;

    RenderFormat format() const override { return kYuv420; }

    void encode(const uint8_t* frame, int width, int height, std::vector<uint8_t>& out) override {
        const int cw = (width + 1) / 2, ch = (height + 1) / 2;
        const uint8_t* planes[3] = {frame, frame + size_t(width) * height, frame + size_t(width) * height + size_t(cw) * ch};
        const bool is_whole = width % kMcu == 0;  // else rows are copied with their last sample repeated
        const int padded = (width + kMcu - 1) / kMcu * kMcu;
        if (!is_whole) rows_.resize(size_t(padded) * kMcu * 2);
        destination_.bytes = &out;
        if (setjmp(failure_.jump)) {
            jpeg_abort_compress(&c_);
            throw std::runtime_error(std::string("jpeg: ") + failure_.text);
        }
        c_.image_width = unsigned(width), c_.image_height = unsigned(height);
        jpeg_start_compress(&c_, TRUE);
        while (c_.next_scanline < c_.image_height) {
            const int y0 = int(c_.next_scanline);
            uint8_t* spare = rows_.data();
            const auto rows = [&](int plane, JSAMPROW* row, int first, int count, int w, int h, int padded_w) {
                for (int r = 0; r < count; ++r) {
                    const uint8_t* from = planes[plane] + size_t(std::min(first + r, h - 1)) * w;
                    if (is_whole) {
                        row[r] = const_cast<JSAMPROW>(from);
                        continue;
                    }
                    std::memcpy(spare, from, size_t(w));
                    std::memset(spare + w, from[w - 1], size_t(padded_w - w));
                    row[r] = spare, spare += padded_w;
                }
            };
            JSAMPROW luma[kMcu], cb[kMcu / 2], cr[kMcu / 2];
            rows(0, luma, y0, kMcu, width, height, padded);
            rows(1, cb, y0 / 2, kMcu / 2, cw, ch, padded / 2);
            rows(2, cr, y0 / 2, kMcu / 2, cw, ch, padded / 2);
            JSAMPARRAY all[3] = {luma, cb, cr};
            jpeg_write_raw_data(&c_, all, kMcu);
        }
        jpeg_finish_compress(&c_);
    }

  private:
    jpeg_compress_struct c_{};
    Failure failure_{};
    Destination destination_{};
    std::vector<uint8_t> rows_;
};

#define MIE_TEXT(x) #x
#define MIE_VALUE(x) MIE_TEXT(x)

}  // namespace

std::unique_ptr<FrameEncoder> make_jpeg_encoder(int quality) { return std::make_unique<JpegEncoder>(quality); }
#ifdef LIBJPEG_TURBO_VERSION
std::string jpeg_library() { return "libjpeg-turbo " MIE_VALUE(LIBJPEG_TURBO_VERSION); }
#else
std::string jpeg_library() { return "libjpeg " MIE_VALUE(JPEG_LIB_VERSION); }
#endif

#else

std::unique_ptr<FrameEncoder> make_jpeg_encoder(int) { throw std::runtime_error("jpeg: libmie was built without libjpeg-turbo"); }
std::string jpeg_library() { return {}; }

#endif

}  // namespace mie
