// One network, ready to run on the caller's buffers. Each engine is one file.
#pragma once
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <vector>

namespace mie {

struct TensorSpec {
    std::string name;
    std::vector<int64_t> shape;  // dimensions that the file leaves open are 1
    int64_t elements() const {
        int64_t n = 1;
        for (const int64_t side : shape) n *= side;
        return n;
    }
};

class Session {
  public:
    virtual ~Session() = default;
    virtual const std::vector<TensorSpec>& inputs() const = 0;
    virtual const std::vector<TensorSpec>& outputs() const = 0;
    // float32 buffers in the order described. Any number of threads; they wait for each other.
    virtual void run(const float* const* inputs, float* const* outputs) = 0;
};

struct SessionOptions {
    std::string engine, device;
    int threads;
};

// Throws EngineMissing for an engine not built in or a device that is not there, std::invalid_argument for a network it cannot run.
struct EngineMissing : std::exception {
    explicit EngineMissing(std::string text) : text(std::move(text)) {}
    const char* what() const noexcept override { return text.c_str(); }
    std::string text;
};
std::unique_ptr<Session> open_session(const std::string& onnx, const SessionOptions& options);
std::unique_ptr<Session> open_openvino(const std::string& onnx, const std::string& device, int threads);

}  // namespace mie
