// synthesize DATA face.ppm OUT.tar: a smile that comes and goes within half a second, 16 frames, as a tar of JPEG files.
// DATA: the folder with networks and mesh (share/mie). Any picture becomes a .ppm with `ffmpeg -i face.jpg face.ppm`.
#include <cmath>
#include <cstdio>
#include <fstream>
#include <mie/mie.hpp>

namespace {

struct Picture {
    int width = 0, height = 0;
    std::vector<uint8_t> rgb;
};

Picture read_ppm(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::string kind;
    int top = 0;
    Picture picture;
    if (!(file >> kind >> picture.width >> picture.height >> top) || kind != "P6" || top != 255 || picture.width < 1 ||
        picture.height < 1 || picture.width > 16384 || picture.height > 16384)
        throw std::runtime_error(path + " is not an 8-bit binary .ppm");
    file.get();
    picture.rgb.resize(size_t(picture.width) * picture.height * 3);
    if (!file.read(reinterpret_cast<char*>(picture.rgb.data()), std::streamsize(picture.rgb.size())))
        throw std::runtime_error(path + " is cut short");
    return picture;
}

}  // namespace

int main(int argc, char** argv) try {
    if (argc != 4) throw std::runtime_error("usage: synthesize DATA face.ppm OUT.tar");
    const std::string data = std::string(argv[1]) + "/";
    const Picture picture = read_ppm(argv[2]);
    const mie_frame image = mie::rgb_frame(picture.rgb.data(), picture.width, picture.height, 3 * int64_t(picture.width));

    const mie::Session detector(data + "face_detector.onnx"), landmarks(data + "face_landmarks_detector.onnx");
    const auto faces = mie::find_faces(mie::networks(detector.network(), landmarks.network()), image, 1);
    if (faces.empty()) throw std::runtime_error("no face found");
    mie::Units ceiling{};
    ceiling[size_t(mie::unit("AU12L"))] = ceiling[size_t(mie::unit("AU12R"))] = 0.3;
    const mie::Rig rig(data + "mp468_ict_arkit_deltas.npy", image, faces[0].landmarks, 256, &ceiling);

    mie::Clip clip;
    clip.noise_sigma = 1;
    for (int t = 0; t < 16; ++t) {
        const double rise = std::sin(std::acos(-1.0) * t / 15);
        mie::Units& units = clip.intensity.emplace_back();
        for (size_t u = 0; u < units.size(); ++u) units[u] = ceiling[u] * rise * rise;
    }
    mie::Shard shard(argv[3]);
    shard.add_clip(rig, clip, "smile");
    shard.finish();
} catch (const std::exception& error) {
    std::fprintf(stderr, "synthesize: %s\n", error.what());
    return 1;
}
