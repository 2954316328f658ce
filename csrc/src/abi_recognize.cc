// The C ABI: faces, and frames in, events out.
#include <algorithm>
#include <deque>
#include <iterator>

#include "abi_calls.h"
#include "recognizer.h"
#include "shipped.h"

namespace mie::abi {
namespace {

static_assert(MIE_LANDMARKS == kLandmarks && MIE_CROP_SIDE == kCropSide, "mie.h repeats these numbers");

struct RecognizerObject : Object {
    static constexpr int kKind = 2;
    static constexpr const char* kName = "recognizer";
    RecognizerObject(Networks networks, LabelNetwork network, TrackOptions track)
        : recognizer(std::move(networks), std::move(network), track, best_simd()) {}
    Recognizer recognizer;
    std::deque<RecognizedEvent> found;
    bool finished = false;

    void collect() {
        auto events = recognizer.poll();
        std::move(events.begin(), events.end(), std::back_inserter(found));
        recognizer.poll_energy();  // nobody reads it here: it must not pile up
    }
};

LabelNetwork label_network(const mie_recognizer_options& options) {
    mie_recogniser_info info = MIE_RECOGNISER_INFO_INIT;
    if (options.info)
        info = sized(options.info, "options.info");
    else
        mie_shipped_recogniser(&info);
    allow(info.classes >= 2 && info.classes <= MIE_MAX_CLASSES && info.aus >= 0 && info.aus <= MIE_MAX_AUS,
          "info: too many classes or aus");
    allow(info.side == 28 || info.side == 56 || info.side == 64, "info.side must be 28, 56 or 64");
    allow(info.temperature >= 0.01 && info.temperature <= 100, "info.temperature must be 0.01..100");
    const Strain kind = strain_kind(given(info.strain, "info.strain"));
    const NetworkShape shape{"recogniser", 3 * info.side * info.side, "logits", info.classes, "au_logits", info.aus};
    return {info.classes, info.aus, info.side, kind, info.temperature, runner(options.recogniser, shape)};
}

}  // namespace
}  // namespace mie::abi

using namespace mie;
using namespace mie::abi;

mie_status mie_find_faces(const mie_networks* networks, const mie_frame* frame, mie_face* faces, int32_t capacity, int32_t* count) {
    return guarded([&] {
        const Networks ready = networks_of(networks);
        const Frame picture = frame_of(frame, "frame");
        given(faces, "faces"), *given(count, "count") = 0;
        allow(capacity >= 1 && capacity <= 16, "capacity must be 1..16");
        for (const FaceFound& found : find_faces(picture, ready, capacity)) {
            mie_face& face = faces[(*count)++];
            face.score = found.score, face.presence = found.presence;
            std::copy_n(found.box, 4, face.box);
            std::copy_n(&found.landmarks[0][0], 3 * MIE_LANDMARKS, &face.landmarks[0][0]);
        }
        return MIE_OK;
    });
}

mie_status mie_shipped_recogniser(mie_recogniser_info* info) {
    return guarded([&] {
        sized(info, "info") = {sizeof *info,    int32_t(std::size(kShippedClasses)),
                               kShippedClasses, int32_t(std::size(kShippedAus)),
                               kShippedAus,     kShippedSide,
                               kShippedStrain,  kShippedTemperature};
        return MIE_OK;
    });
}

mie_status mie_recognizer_create(const mie_recognizer_options* given_options, mie_recognizer* recognizer) {
    return guarded([&] {
        const mie_recognizer_options& options = sized(given_options, "options");
        given(recognizer, "recognizer");
        auto object =
            std::make_shared<RecognizerObject>(networks_of(options.networks), label_network(options), TrackOptions{options.max_faces});
        recognizer->id = Handles<RecognizerObject>::shared().add(std::move(object));
        return MIE_OK;
    });
}

mie_status mie_recognizer_push(mie_recognizer recognizer, const mie_frame* frame, int64_t index, double time_s) {
    return guarded([&] {
        const Use<RecognizerObject> use(recognizer.id);
        const Frame picture = frame_of(frame, "frame");
        if (use->finished) throw Failure(MIE_CLOSED, "the recognizer has finished: make a new one for the next video");
        use->recognizer.push(picture, index, time_s);
        use->collect();
        return MIE_OK;
    });
}

mie_status mie_recognizer_poll(mie_recognizer recognizer, mie_event* event) {
    return guarded([&] {
        const Use<RecognizerObject> use(recognizer.id);
        mie_event& out = sized(event, "event");
        use->collect();  // what was found before a network failed
        if (use->found.empty()) return MIE_EMPTY;
        const RecognizedEvent& e = use->found.front();
        out = {sizeof out,
               e.face,
               e.label.best,
               e.spot.onset_frame,
               e.spot.apex_frame,
               e.spot.offset_frame,
               e.spot.onset_s,
               e.spot.apex_s,
               e.spot.offset_s,
               e.spot.motion_px,
               e.spot.threshold_px,
               e.label.score,
               int32_t(e.label.scores.size()),
               int32_t(e.label.aus.size()),
               {},
               {}};
        std::copy(e.label.scores.begin(), e.label.scores.end(), out.scores);
        std::copy(e.label.aus.begin(), e.label.aus.end(), out.au);
        use->found.pop_front();
        return MIE_OK;
    });
}

mie_status mie_recognizer_finish(mie_recognizer recognizer) {
    return guarded([&] {
        const Use<RecognizerObject> use(recognizer.id);
        if (use->finished) throw Failure(MIE_CLOSED, "the recognizer has finished already");
        use->finished = true;
        use->recognizer.finish();
        return MIE_OK;
    });
}

mie_status mie_recognizer_destroy(mie_recognizer recognizer) { return destroy<RecognizerObject>(recognizer.id); }
