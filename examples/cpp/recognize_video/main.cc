// recognize_video DATA < video.y4m: one line per micro-expression. DATA: the folder with the networks (share/mie).
// Any video becomes such a stream with `ffmpeg -i video.mp4 -pix_fmt yuv420p -f yuv4mpegpipe -`.
#include <cstdio>
#include <iostream>
#include <mie/mie.hpp>
#include <sstream>

namespace {

struct Header {
    int width = 0, height = 0;
    double fps = 0;
    bool full_range = false;
};

Header read_header(std::istream& in) {
    Header header;
    std::string line, word;
    std::getline(in, line);
    std::istringstream words(line);
    words >> word;
    if (word != "YUV4MPEG2") throw std::runtime_error("this is not a .y4m stream");
    while (words >> word) {
        int above = 0, below = 0;
        if (word[0] == 'W') header.width = std::stoi(word.substr(1));
        if (word[0] == 'H') header.height = std::stoi(word.substr(1));
        if (word[0] == 'F' && std::sscanf(word.c_str(), "F%d:%d", &above, &below) == 2 && below > 0) header.fps = double(above) / below;
        if (word[0] == 'C' && word != "C420" && word != "C420jpeg" && word != "C420mpeg2" && word != "C420paldv")
            throw std::runtime_error("only 8-bit 4:2:0 is read: add -pix_fmt yuv420p");
        if (word == "XCOLORRANGE=FULL") header.full_range = true;
    }
    if (header.width < 1 || header.height < 1 || header.width > 16384 || header.height > 16384 || !(header.fps > 0))
        throw std::runtime_error("the .y4m header lacks size or rate");
    return header;
}

void print_events(mie::Recognizer& recognizer, const mie_recogniser_info& info) {
    while (const auto event = recognizer.poll()) {
        std::printf("%d,%lld,%lld,%lld,%.6f,%.6f,%.6f,%s,%.6f", event->face, static_cast<long long>(event->onset_frame),
                    static_cast<long long>(event->apex_frame), static_cast<long long>(event->offset_frame), event->onset_s, event->apex_s,
                    event->offset_s, event->best < 0 ? "uncertain" : info.class_names[event->best], event->score);
        for (int k = 0; k < event->classes; ++k) std::printf(",%.6f", double(event->scores[k]));
        for (int k = 0; k < event->aus; ++k) std::printf(",%.6f", double(event->au[k]));
        std::printf("\n");
    }
}

}  // namespace

int main(int argc, char** argv) try {
    if (argc != 2) throw std::runtime_error("usage: recognize_video DATA < video.y4m");
    const std::string data = std::string(argv[1]) + "/";
    const mie::Session detector(data + "face_detector.onnx"), landmarks(data + "face_landmarks_detector.onnx"),
        network(data + "recogniser.onnx");
    mie::Recognizer recognizer(mie::networks(detector.network(), landmarks.network()), network.network());

    const mie_recogniser_info info = mie::shipped_recogniser();
    std::printf("face,onset_frame,apex_frame,offset_frame,onset_s,apex_s,offset_s,label,score");
    for (int k = 0; k < info.classes; ++k) std::printf(",%s", info.class_names[k]);
    for (int k = 0; k < info.aus; ++k) std::printf(",AU%d", info.au_numbers[k]);
    std::printf("\n");

    std::ios::sync_with_stdio(false);
    const Header video = read_header(std::cin);
    std::vector<uint8_t> planes(size_t(video.width) * video.height + 2 * size_t((video.width + 1) / 2) * size_t((video.height + 1) / 2));
    std::string line;
    for (int64_t index = 0; std::getline(std::cin, line); ++index) {
        if (line.rfind("FRAME", 0) != 0) throw std::runtime_error("a FRAME is missing in the .y4m stream");
        if (!std::cin.read(reinterpret_cast<char*>(planes.data()), std::streamsize(planes.size())))
            throw std::runtime_error("the last frame is cut short");
        const mie_frame frame = mie::yuv420_frame(planes.data(), video.width, video.height, video.full_range);
        recognizer.push(frame, index, double(index) / video.fps);
        print_events(recognizer, info);
    }
    recognizer.finish();
    print_events(recognizer, info);
} catch (const std::exception& error) {
    std::fprintf(stderr, "recognize_video: %s\n", error.what());
    return 1;
}
