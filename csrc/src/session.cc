#include "session.h"

namespace mie {

std::unique_ptr<Session> open_session(const std::string& onnx, const SessionOptions& options) {
    if (options.engine != "openvino") throw EngineMissing("engine '" + options.engine + "' is not known; openvino is");
#if defined(MIE_OPENVINO)
    return open_openvino(onnx, options.device, options.threads);
#else
    static_cast<void>(onnx);
    throw EngineMissing("libmie was built without OpenVINO: build it with OpenVINO_DIR set, or give networks as functions");
#endif
}

}  // namespace mie
