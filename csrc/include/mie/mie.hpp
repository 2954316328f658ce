// mie.hpp: mie.h with owners and exceptions. Header only; the thread rules are those of mie.h.
#pragma once
#include <mie/mie.h>

#include <array>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace mie {
inline namespace sdk {  // its symbols are others than those inside libmie

class Error : public std::runtime_error {
  public:
    Error(mie_status status, const std::string& text) : std::runtime_error(text), status(status) {}
    mie_status status;
};

inline void check(mie_status status) {
    if (status < 0) throw Error(status, mie_last_error());
}

// Owns one handle; moves, does not copy.
template <class Handle, mie_status (*destroy)(Handle)>
class Owner {
  public:
    Owner() = default;
    Owner(Owner&& other) noexcept : handle_(std::exchange(other.handle_, Handle{0})) {}
    Owner& operator=(Owner&& other) noexcept {
        std::swap(handle_, other.handle_);
        return *this;
    }
    ~Owner() {
        if (handle_.id) destroy(handle_);
    }
    Handle get() const { return handle_; }

  protected:
    Handle handle_{0};
};

class Session : public Owner<mie_session, mie_session_destroy> {
  public:
    // sha256 empty: one of the networks that ship. Threads: of one run.
    explicit Session(const std::string& path, const std::string& sha256 = "", const std::string& device = "CPU", int threads = 1,
                     const std::string& engine = "openvino") {
        mie_session_options options = MIE_SESSION_OPTIONS_INIT;
        options.path = path.c_str(), options.sha256 = sha256.empty() ? nullptr : sha256.c_str();
        options.engine = engine.c_str(), options.device = device.c_str(), options.threads = threads;
        check(mie_session_open(&options, &handle_));
    }
    mie_network network() const { return {handle_, nullptr, nullptr}; }
};

// Detector and landmark network; the sessions may be destroyed once something was made with them.
inline mie_networks networks(const mie_network& detector, const mie_network& landmarks) {
    return {sizeof(mie_networks), detector, landmarks};
}

inline mie_frame rgb_frame(const uint8_t* pixels, int width, int height, int64_t stride) {
    return {sizeof(mie_frame), MIE_RGB, width, height, {pixels, nullptr, nullptr}, {stride, 0, 0}, 1};
}

// Packed planes one after another: Y, U, V.
inline mie_frame yuv420_frame(const uint8_t* planes, int width, int height, bool full_range) {
    const int64_t half = (width + 1) / 2, rows = (height + 1) / 2, luma = int64_t(width) * height;
    return {sizeof(mie_frame),   MIE_YUV420, width, height, {planes, planes + luma, planes + luma + half * rows},
            {width, half, half}, full_range};
}

inline std::vector<mie_face> find_faces(const mie_networks& networks, const mie_frame& frame, int most = 16) {
    std::vector<mie_face> faces(size_t(most > 0 ? most : 0));
    int32_t count = 0;
    check(mie_find_faces(&networks, &frame, faces.data(), most, &count));
    faces.resize(size_t(count));
    return faces;
}

class Recognizer : public Owner<mie_recognizer, mie_recognizer_destroy> {
  public:
    Recognizer(const mie_networks& networks, const mie_network& recogniser, const mie_recogniser_info* info = nullptr, int max_faces = 2) {
        mie_recognizer_options options = MIE_RECOGNIZER_OPTIONS_INIT;
        options.networks = &networks, options.recogniser = recogniser, options.info = info, options.max_faces = max_faces;
        check(mie_recognizer_create(&options, &handle_));
    }
    void push(const mie_frame& frame, int64_t index, double time_s) { check(mie_recognizer_push(handle_, &frame, index, time_s)); }
    void finish() { check(mie_recognizer_finish(handle_)); }
    std::optional<mie_event> poll() {
        mie_event event = MIE_EVENT_INIT;
        const mie_status status = mie_recognizer_poll(handle_, &event);
        check(status);
        return status == MIE_OK ? std::optional(event) : std::nullopt;
    }
};

inline mie_recogniser_info shipped_recogniser() {
    mie_recogniser_info info = MIE_RECOGNISER_INFO_INIT;
    check(mie_shipped_recogniser(&info));
    return info;
}

using Units = std::array<double, MIE_UNITS>;

// Position of a unit such as "AU12L". Throws Error for a name that there is not.
inline int unit(const std::string& name) {
    for (int32_t i = 0; const char* known = mie_unit_name(i); ++i)
        if (name == known) return i;
    throw Error(MIE_BAD_VALUE, "no action unit is called " + name);
}

// Intensities of a clip; the record that the C functions take is made when it is needed.
struct Clip {
    std::vector<Units> intensity;
    std::vector<std::array<double, MIE_RIGID>> rigid_px;  // empty: the head rests
    double noise_sigma = 0;
    uint32_t key[2] = {0, 0};

    mie_clip record() const {
        if (!rigid_px.empty() && rigid_px.size() != intensity.size()) throw Error(MIE_BAD_SIZE, "rigid_px has another number of frames");
        return {sizeof(mie_clip),
                int32_t(intensity.size()),
                intensity.empty() ? nullptr : intensity[0].data(),
                rigid_px.empty() ? nullptr : rigid_px[0].data(),
                noise_sigma,
                {key[0], key[1]}};
    }
};

class Rig : public Owner<mie_rig, mie_rig_destroy> {
  public:
    Rig(const std::string& mesh_path, const mie_frame& image, const double (*landmarks)[3], int side_px = 256,
        const Units* ceiling = nullptr)
        : side_px_(side_px) {
        mie_rig_options options = MIE_RIG_OPTIONS_INIT;
        options.mesh_path = mesh_path.c_str(), options.image = &image, options.landmarks = landmarks, options.side_px = side_px;
        options.ceiling = ceiling ? ceiling->data() : nullptr;
        check(mie_rig_create(&options, &handle_));
    }
    std::vector<uint8_t> render(const Clip& clip, mie_format format = MIE_RGB, int threads = 1) const {
        const mie_clip record = clip.record();
        std::vector<uint8_t> frames(clip.intensity.size() * mie_frame_bytes(side_px_, format));
        check(mie_rig_render(handle_, &record, format, threads, frames.data(), frames.size()));
        return frames;
    }

  private:
    int side_px_;
};

class Shard : public Owner<mie_shard, mie_shard_destroy> {
  public:
    explicit Shard(const std::string& path) { check(mie_shard_create(path.c_str(), &handle_)); }
    void add_clip(const Rig& rig, const Clip& clip, const std::string& key, int quality = 95) {
        const mie_clip record = clip.record();
        check(mie_shard_add_clip(handle_, rig.get(), &record, key.c_str(), quality));
    }
    void add(const std::string& name, const std::string& data) { check(mie_shard_add(handle_, name.c_str(), data.data(), data.size())); }
    void finish() { check(mie_shard_finish(handle_)); }
};

}  // namespace sdk
}  // namespace mie
