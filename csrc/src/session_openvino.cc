// Built only where OpenVINO is found; without it the networks are the caller's functions.
#include <algorithm>
#include <map>
#include <mutex>
#include <openvino/openvino.hpp>
#include <stdexcept>

#include "session.h"

namespace mie {
namespace {

ov::Core& core() {
    static auto* shared = new ov::Core;  // never destroyed: its plugins would outlive it otherwise
    return *shared;
}

// A device of its own, not one that chooses among others. Asks its plugin only: loading the others takes longer than all the rest.
void require_device(const std::string& device) {
    const size_t dot = std::min(device.find('.'), device.size());
    const std::string plugin = device.substr(0, dot), id = device.substr(std::min(dot + 1, device.size()));
    if (plugin != "CPU" && plugin != "GPU" && plugin != "NPU") throw EngineMissing("'" + device + "' is none of CPU, GPU, GPU.0, ..., NPU");
    std::vector<std::string> ids;
    try {
        ids = core().get_property(plugin, ov::available_devices);
    } catch (const ov::Exception&) {  // no such plugin, or no driver
    }
    const bool here = dot == device.size() ? !ids.empty() : std::find(ids.begin(), ids.end(), id) != ids.end();
    if (!here) throw EngineMissing("openvino finds no device '" + device + "' here");
}

class OpenVino final : public Session {
  public:
    OpenVino(const std::string& onnx, const std::string& device, int threads) {
        require_device(device);
        try {
            std::shared_ptr<ov::Model> model = core().read_model(onnx, ov::Tensor());
            std::map<std::string, ov::PartialShape> shapes;
            for (const auto& input : model->inputs()) {
                ov::PartialShape shape = input.get_partial_shape();
                for (auto& side : shape)
                    if (side.is_dynamic()) side = 1;
                shapes[input.get_any_name()] = shape;
            }
            model->reshape(shapes);
            // float32 is asked for: left alone, the CPU plugin computes in bfloat16 where the processor can
            ov::AnyMap properties{ov::hint::inference_precision(ov::element::f32),
                                  ov::hint::performance_mode(ov::hint::PerformanceMode::LATENCY)};
            if (device == "CPU") properties.emplace(ov::inference_num_threads(threads));
            request_ = core().compile_model(model, device, properties).create_infer_request();
            for (const auto& port : model->inputs()) inputs_.push_back(spec(port));
            for (const auto& port : model->outputs()) outputs_.push_back(spec(port));
        } catch (const ov::Exception& error) {
            throw std::invalid_argument(std::string("openvino refuses the network: ") + error.what());
        }
    }

    const std::vector<TensorSpec>& inputs() const override { return inputs_; }
    const std::vector<TensorSpec>& outputs() const override { return outputs_; }

    void run(const float* const* inputs, float* const* outputs) override {
        const std::lock_guard<std::mutex> alone(lock_);
        for (size_t i = 0; i < inputs_.size(); ++i) request_.set_input_tensor(i, tensor(inputs_[i], const_cast<float*>(inputs[i])));
        for (size_t i = 0; i < outputs_.size(); ++i) request_.set_output_tensor(i, tensor(outputs_[i], outputs[i]));
        request_.infer();
    }

  private:
    static TensorSpec spec(const ov::Output<ov::Node>& port) {
        if (port.get_element_type() != ov::element::f32) throw std::invalid_argument("tensor " + port.get_any_name() + " is not float32");
        if (port.get_partial_shape().is_dynamic()) throw std::invalid_argument("tensor " + port.get_any_name() + " has no fixed shape");
        const ov::Shape& shape = port.get_shape();
        return {port.get_any_name(), {shape.begin(), shape.end()}};
    }
    static ov::Tensor tensor(const TensorSpec& spec, float* data) {
        return {ov::element::f32, ov::Shape(spec.shape.begin(), spec.shape.end()), data};
    }

    ov::InferRequest request_;
    std::vector<TensorSpec> inputs_, outputs_;
    std::mutex lock_;
};

}  // namespace

std::unique_ptr<Session> open_openvino(const std::string& onnx, const std::string& device, int threads) {
    return std::make_unique<OpenVino>(onnx, device, threads);
}

}  // namespace mie
