// The C ABI: a face and action units in, frames, JPEG files and shards out.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "abi_calls.h"
#include "action_units.h"
#include "face_crop.h"
#include "geometry.h"
#include "kernels/render/noise.h"
#include "shard.h"

namespace mie::abi {
namespace {

constexpr int kMaxFrames = 65536;

struct Crop {
    std::vector<uint8_t> pixels;
    std::vector<Vec3> landmarks;
};

Crop crop_of(const Frame& image, const double (*landmarks)[3], int side) {
    const FaceCrop crop = face_crop(landmarks, side);
    Crop out{std::vector<uint8_t>(size_t(side) * side * 3), std::vector<Vec3>(kLandmarks)};
    for (int k = 0; k < kLandmarks; ++k) {
        double moved[3];
        crop.to_crop(landmarks[k], moved);
        out.landmarks[size_t(k)] = {moved[0], moved[1], moved[2]};
    }
    cut(image, crop, out.pixels.data());
    return out;
}

// Read only once made: any number of threads may render from it.
struct RigObject : Object {
    static constexpr int kKind = 3;
    static constexpr const char* kName = "rig";
    RigObject(FaceMesh own_mesh, const Crop& crop, int side, const double* ceiling)
        : mesh(std::move(own_mesh)),
          basis(build_basis(mesh, crop.landmarks.data(), side, side, ceiling)),
          source(crop.pixels.data(), side, side, basis.grids.data(), int(basis.channels.size()), 3) {}
    FaceMesh mesh;
    FaceBasis basis;
    RenderSource source;
};

struct ShardObject : Object {
    static constexpr int kKind = 4;
    static constexpr const char* kName = "shard";
    explicit ShardObject(const std::string& name)
        : path(name),
          temporary(name + ".tmp-" + std::to_string(::getpid()) + '-' + std::to_string(++serial)),
          tar(std::make_unique<TarWriter>(temporary)) {}
    ~ShardObject() {
        if (!committed) tar.reset(), std::remove(temporary.c_str());
    }
    static inline std::atomic<int> serial{0};
    std::string path, temporary;
    std::unique_ptr<TarWriter> tar;
    bool closed = false, committed = false;

    // A tar that broke off in the middle cannot go on.
    template <class Body>
    mie_status write(Body&& body) {
        if (closed) throw Failure(MIE_CLOSED, path + " is finished, or failed");
        closed = true;
        body();
        closed = false;
        return MIE_OK;
    }
};

// Coefficients [frames][channels] of a clip, checked against what the renderer carries.
std::vector<int16_t> coefficients_of(const RigObject& rig, const mie_clip& clip) {
    allow(clip.frames >= 1 && clip.frames <= kMaxFrames, "clip.frames must be 1..65536");
    allow(clip.noise_sigma >= 0 && clip.noise_sigma <= 84, "clip.noise_sigma must be 0..84 grey levels");
    given(clip.intensity, "clip.intensity");
    std::vector<double> rest;
    const double* rigid = clip.rigid_px;
    if (!rigid) rest.resize(size_t(clip.frames) * MIE_RIGID), rigid = rest.data();
    for (int64_t i = 0; i < int64_t(clip.frames) * MIE_RIGID; ++i)
        allow(std::fabs(rigid[i]) < 1e4, "clip.rigid_px is not finite, or far too large");
    std::vector<int16_t> out(size_t(clip.frames) * rig.basis.channels.size());
    unit_coefficients(rig.mesh, rig.basis, clip.intensity, rigid, clip.frames, out.data());
    const auto [row, peak_px] = beyond_reach(rig.basis, out.data(), clip.frames);
    allow(row < 0, "frame " + std::to_string(row) + " moves by " + std::to_string(peak_px) + " px, the renderer carries 28: ask for less");
    return out;
}

RenderFormat format_of(int32_t format) {
    allow(format == MIE_RGB || format == MIE_YUV420, "format must be MIE_RGB or MIE_YUV420");
    return format == MIE_RGB ? kRgb : kYuv420;
}

void sync_folder(const std::string& path) {
    const size_t slash = path.rfind('/');
    const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
    const int handle = ::open(folder.c_str(), O_RDONLY);
    if (handle < 0) throw std::system_error(errno, std::generic_category(), folder);
    ::fsync(handle);
    ::close(handle);
}

}  // namespace
}  // namespace mie::abi

using namespace mie;
using namespace mie::abi;

const char* mie_unit_name(int32_t index) {
    const char* name = nullptr;
    guarded([&] {
        static const std::vector<std::string> kNames = unit_names();
        if (index >= 0 && size_t(index) < kNames.size()) name = kNames[size_t(index)].c_str();
        return MIE_OK;
    });
    return name;
}

mie_status mie_rig_create(const mie_rig_options* given_options, mie_rig* rig) {
    return guarded([&] {
        const mie_rig_options& options = sized(given_options, "options");
        given(rig, "rig"), given(options.mesh_path, "options.mesh_path"), given(options.landmarks, "options.landmarks");
        const Frame image = frame_of(options.image, "options.image");
        allow(options.side_px >= 32 && options.side_px <= 2048, "options.side_px must be 32..2048");
        std::vector<double> ceiling(MIE_UNITS, 1.0);
        if (options.ceiling) ceiling.assign(options.ceiling, options.ceiling + MIE_UNITS);
        for (const double highest : ceiling) allow(highest >= 0 && highest <= 1, "options.ceiling must be 0..1");
        const Crop crop = crop_of(image, options.landmarks, options.side_px);
        auto object = std::make_shared<RigObject>(load_face_mesh(options.mesh_path), crop, options.side_px, ceiling.data());
        rig->id = Handles<RigObject>::shared().add(std::move(object));
        return MIE_OK;
    });
}

mie_status mie_rig_render(mie_rig handle, const mie_clip* given_clip, int32_t format, int32_t threads, uint8_t* target, size_t bytes) {
    return guarded([&] {
        const auto rig = Handles<RigObject>::shared().at(handle.id);
        const mie_clip& clip = sized(given_clip, "clip");
        given(target, "target");
        allow(threads >= 1 && threads <= 256, "threads must be 1..256");
        RenderParams params = rig->source.params(format_of(format));
        const auto coefficients = coefficients_of(*rig, clip);
        const size_t needed = size_t(clip.frames) * mie_frame_bytes(rig->source.width(), format);
        if (bytes != needed)
            throw Failure(MIE_BAD_SIZE, "target has " + std::to_string(bytes) + " bytes, expected " + std::to_string(needed));
        params.coefficients = coefficients.data();
        params.frames = clip.frames;
        params.noise_q15 = noise_word(clip.noise_sigma);
        params.key[0] = clip.key[0], params.key[1] = clip.key[1];
        params.target = target;
        render_cpu(params, best_simd(), threads);
        return MIE_OK;
    });
}

mie_status mie_rig_destroy(mie_rig rig) { return destroy<RigObject>(rig.id); }

size_t mie_frame_bytes(int32_t side_px, int32_t format) {
    const bool known = side_px >= 1 && side_px <= kMaxRenderSidePx && (format == MIE_RGB || format == MIE_YUV420);
    return known ? size_t(frame_bytes(side_px, side_px, format == MIE_RGB ? kRgb : kYuv420)) : 0;
}

mie_status mie_encode_jpeg(const uint8_t* yuv420, int32_t side_px, int32_t quality, uint8_t* target, size_t* bytes) {
    return guarded([&] {
        given(yuv420, "yuv420"), given(bytes, "bytes");
        allow(side_px >= 1 && side_px <= kMaxRenderSidePx, "side_px must be 1..8192");
        std::vector<uint8_t> file;
        make_jpeg_encoder(quality, best_simd())->encode(yuv420, side_px, side_px, file);
        const size_t room = std::exchange(*bytes, file.size());
        if (room < file.size()) throw Failure(MIE_BAD_SIZE, "the file has " + std::to_string(file.size()) + " bytes");
        std::copy(file.begin(), file.end(), given(target, "target"));
        return MIE_OK;
    });
}

mie_status mie_shard_create(const char* path, mie_shard* shard) {
    return guarded([&] {
        given(shard, "shard");
        shard->id = Handles<ShardObject>::shared().add(std::make_shared<ShardObject>(given(path, "path")));
        return MIE_OK;
    });
}

mie_status mie_shard_add_clip(mie_shard shard, mie_rig handle, const mie_clip* given_clip, const char* key, int32_t quality) {
    return guarded([&] {
        const Use<ShardObject> use(shard.id);
        const auto rig = Handles<RigObject>::shared().at(handle.id);
        const mie_clip& clip = sized(given_clip, "clip");
        const std::string stem = given(key, "key");
        allow(!stem.empty() && stem.size() <= 80, "key must have 1..80 bytes");
        const auto coefficients = coefficients_of(*rig, clip);
        const auto encoder = make_jpeg_encoder(quality, best_simd());
        std::vector<std::string> names;
        for (int t = 0; t < clip.frames; ++t) {
            char number[16];
            std::snprintf(number, sizeof number, ".%03d.jpg", t);
            names.push_back(stem + number);
        }
        const ClipNoise noise{noise_word(clip.noise_sigma), {clip.key[0], clip.key[1]}};
        return use->write([&] { add_clip(*use->tar, rig->source, coefficients.data(), names, noise, *encoder, best_simd()); });
    });
}

mie_status mie_shard_add(mie_shard shard, const char* name, const void* data, size_t bytes) {
    return guarded([&] {
        const Use<ShardObject> use(shard.id);
        const std::string own = given(name, "name");
        allow(!own.empty() && own.size() <= 100, "name must have 1..100 bytes");
        if (bytes) given(data, "data");
        return use->write([&] { use->tar->add(own, data, bytes); });
    });
}

mie_status mie_shard_finish(mie_shard shard) {
    return guarded([&] {
        const Use<ShardObject> use(shard.id);
        const mie_status status = use->write([&] {
            use->tar->finish();
            if (std::rename(use->temporary.c_str(), use->path.c_str()) != 0)
                throw std::system_error(errno, std::generic_category(), use->path);
            use->committed = true;
            sync_folder(use->path);
        });
        use->closed = true;
        return status;
    });
}

mie_status mie_shard_destroy(mie_shard shard) { return destroy<ShardObject>(shard.id); }
