// The C ABI: versions, errors, sessions, and what recogniser and rig take in common.
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "abi_calls.h"
#include "sha256.h"
#include "shipped.h"

namespace mie::abi {
namespace {

constexpr int64_t kMaxModelBytes = int64_t(1) << 30;
constexpr int64_t kMaxPixels = 8192 * 4320;

std::string& last_error() {
    thread_local std::string text;
    return text;
}

std::string read_model(const char* path) {
    struct stat status;
    if (::stat(path, &status) != 0) throw std::system_error(errno, std::generic_category(), path);
    if (!S_ISREG(status.st_mode)) throw Failure(MIE_IO, std::string(path) + " is no file");  // opening a pipe would wait for ever
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    const int64_t bytes = file ? int64_t(file.tellg()) : -1;
    if (bytes < 0) throw std::system_error(errno ? errno : EIO, std::generic_category(), path);
    if (bytes > kMaxModelBytes) throw Failure(MIE_BAD_MODEL, std::string(path) + " has more than 2^30 bytes");
    std::string data(size_t(bytes), '\0');
    file.seekg(0);
    if (!file.read(data.data(), bytes)) throw std::system_error(errno ? errno : EIO, std::generic_category(), path);
    return data;
}

void check_hash(const std::string& data, const char* path, const char* wanted) {
    const std::string found = sha256(data);
    if (wanted) {
        if (found != wanted) throw Failure(MIE_BAD_MODEL, std::string(path) + " has sha256 " + found + ", expected " + wanted);
        return;
    }
    for (const Shipped& shipped : kShipped)
        if (found == shipped.sha256) return;
    throw Failure(MIE_BAD_MODEL, std::string(path) + " is none of the networks that ship with this version; give its sha256: " + found);
}

mie_status describe(mie_session handle, int32_t index, mie_tensor* tensor, bool input) noexcept {
    return guarded([&] {
        const auto object = Handles<SessionObject>::shared().at(handle.id);
        const auto& specs = input ? object->session->inputs() : object->session->outputs();
        mie_tensor& out = sized(tensor, "tensor");
        allow(index >= 0 && size_t(index) < specs.size(), "the session has " + std::to_string(specs.size()) + " such tensors");
        const TensorSpec& spec = specs[size_t(index)];
        allow(spec.shape.size() <= MIE_MAX_RANK, "tensor " + spec.name + " has too many dimensions");
        out.name = spec.name.c_str();
        out.rank = int32_t(spec.shape.size());
        std::copy(spec.shape.begin(), spec.shape.end(), out.shape);
        return MIE_OK;
    });
}

}  // namespace

mie_status fail(mie_status status, const char* text) noexcept {
    try {
        last_error() = text;
    } catch (...) {
        last_error().clear();
    }
    return status;
}

std::function<void(const float*, float*, float*)> runner(const mie_network& network, const NetworkShape& shape) {
    const std::string name = shape.name;
    if (network.session.id == 0) {
        if (!network.run) throw Failure(MIE_NULL, name + ": give a session or a function");
        return [name, run = network.run, user = network.user](const float* input, float* first, float* second) {
            if (const int32_t code = run(user, input, first, second))
                throw Failure(MIE_NETWORK, name + ": the function returned " + std::to_string(code));
        };
    }
    const auto object = Handles<SessionObject>::shared().at(network.session.id);
    const auto &inputs = object->session->inputs(), &outputs = object->session->outputs();
    if (inputs.size() != 1 || inputs[0].elements() != shape.input)
        throw Failure(MIE_BAD_MODEL, name + ": expected one input of " + std::to_string(shape.input) + " numbers");
    // Outputs are known by name; one that nobody reads still needs a place.
    std::vector<int> role(outputs.size(), 2);
    int found = 0;
    size_t unread = 0;
    for (size_t i = 0; i < outputs.size(); ++i) {
        const int64_t count = outputs[i].elements();
        if (outputs[i].name == shape.first_name && count == shape.first)
            role[i] = 0, ++found;
        else if (outputs[i].name == shape.second_name && count == shape.second)
            role[i] = 1, ++found;
        else
            unread = std::max(unread, size_t(count));
    }
    if (found != 1 + (shape.second > 0))
        throw Failure(MIE_BAD_MODEL, name + ": expected outputs " + shape.first_name + " and " + shape.second_name);
    return [name, object, role, unread](const float* input, float* first, float* second) {
        std::vector<float> rest(unread);
        float* const places[] = {first, second, rest.data()};
        std::vector<float*> targets;
        for (const int r : role) targets.push_back(places[r]);
        try {
            object->session->run(&input, targets.data());
        } catch (const std::exception& error) {
            throw Failure(MIE_NETWORK, name + ": " + error.what());
        }
    };
}

Networks networks_of(const mie_networks* given) {
    const mie_networks& networks = sized(given, "networks");
    return {runner(networks.detector,
                   {"detector", 3 * kDetectorSide * kDetectorSide, "regressors", kAnchors * kRegressors, "classificators", kAnchors}),
            runner(networks.landmarks, {"landmarks", 3 * kLandmarkSide * kLandmarkSide, "Identity", kLandmarks * 3, "Identity_1", 1})};
}

Frame frame_of(const mie_frame* given_frame, const char* name) {
    const mie_frame& f = sized(given_frame, name);
    const std::string what = name;
    allow(f.format >= MIE_RGB && f.format <= MIE_NV12, what + ".format is none of mie_format");
    allow(f.width >= 32 && f.height >= 32 && f.width <= 16384 && f.height <= 16384 && int64_t(f.width) * f.height <= kMaxPixels,
          what + ": sides must be 32..16384 px, at most 35 million pixels");
    constexpr PixelFormat kFormats[] = {PixelFormat::rgb, PixelFormat::grey, PixelFormat::yuv420, PixelFormat::nv12};
    constexpr int kPlanes[] = {1, 1, 3, 2};
    Frame frame{kFormats[f.format], f.width, f.height, {}, {}, f.full_range != 0 || f.format < MIE_YUV420};
    const int64_t half = (int64_t(f.width) + 1) / 2;
    for (int i = 0; i < kPlanes[f.format]; ++i) {
        const int64_t row = i > 0 ? half * (f.format == MIE_NV12 ? 2 : 1) : int64_t(f.width) * (f.format == MIE_RGB ? 3 : 1);
        frame.plane[i] = given(f.plane[i], (what + ".plane").c_str());
        allow(f.stride[i] >= row && f.stride[i] <= int64_t(1) << 24, what + ".stride is not that of a row of pixels");
        frame.stride[i] = f.stride[i];
    }
    return frame;
}

}  // namespace mie::abi

using namespace mie;
using namespace mie::abi;

const char* mie_version(void) { return MIE_VERSION; }
const char* mie_last_error(void) { return last_error().c_str(); }

mie_status mie_session_open(const mie_session_options* given_options, mie_session* session) {
    return guarded([&] {
        const mie_session_options& options = sized(given_options, "options");
        given(session, "session");
        given(options.path, "options.path"), given(options.engine, "options.engine"), given(options.device, "options.device");
        allow(options.threads >= 1 && options.threads <= 256, "options.threads must be 1..256");
        const std::string data = read_model(options.path);
        check_hash(data, options.path, options.sha256);
        auto object = std::make_shared<SessionObject>();
        try {
            object->session = open_session(data, {options.engine, options.device, options.threads});
        } catch (const std::invalid_argument& error) {
            throw Failure(MIE_BAD_MODEL, std::string(options.path) + ": " + error.what());
        }
        session->id = Handles<SessionObject>::shared().add(std::move(object));
        return MIE_OK;
    });
}

mie_status mie_session_input(mie_session session, int32_t index, mie_tensor* tensor) { return describe(session, index, tensor, true); }
mie_status mie_session_output(mie_session session, int32_t index, mie_tensor* tensor) { return describe(session, index, tensor, false); }

mie_status mie_session_run(mie_session session, const float* const* inputs, float* const* outputs) {
    return guarded([&] {
        const auto object = Handles<SessionObject>::shared().at(session.id);
        given(inputs, "inputs"), given(outputs, "outputs");
        for (size_t i = 0; i < object->session->inputs().size(); ++i) given(inputs[i], "inputs[i]");
        for (size_t i = 0; i < object->session->outputs().size(); ++i) given(outputs[i], "outputs[i]");
        try {
            object->session->run(inputs, outputs);
        } catch (const std::exception& error) {
            throw Failure(MIE_NETWORK, error.what());
        }
        return MIE_OK;
    });
}

mie_status mie_session_destroy(mie_session session) { return destroy<SessionObject>(session.id); }
