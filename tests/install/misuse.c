/* Everything a caller can do wrong with mie.h gives a status and does nothing else. Prints "all refused"; exits 1 at the first surprise. */
#include <mie/mie.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPECT(call, wanted)                                                                                         \
    do {                                                                                                             \
        const mie_status got = (call);                                                                               \
        if (got != (wanted)) {                                                                                       \
            fprintf(stderr, "line %d: %s is %d, expected %d: %s\n", __LINE__, #call, got, wanted, mie_last_error()); \
            exit(1);                                                                                                 \
        }                                                                                                            \
        if (got < 0 && !mie_last_error()[0]) fprintf(stderr, "line %d: no error text\n", __LINE__), exit(1);         \
    } while (0)

static mie_recognizer within;
static mie_frame picture = MIE_FRAME_INIT;
static int entered, answer;

static void* from_another_thread(void* unused) {
    mie_event event = MIE_EVENT_INIT;
    EXPECT(mie_recognizer_push(within, &picture, 9, 9.0), MIE_BUSY);
    EXPECT(mie_recognizer_poll(within, &event), MIE_BUSY);
    EXPECT(mie_recognizer_destroy(within), MIE_BUSY);
    return unused;
}

static int32_t no_face(void* user, const float* input, float* first, float* second) {
    int i;
    (void)user, (void)input, (void)first;
    for (i = 0; i < 896; ++i) second[i] = -100;
    if (within.id) {
        pthread_t thread;
        ++entered;
        EXPECT(mie_recognizer_push(within, &picture, 9, 9.0), MIE_BUSY);
        EXPECT(mie_recognizer_finish(within), MIE_BUSY);
        EXPECT(mie_recognizer_destroy(within), MIE_BUSY);
        pthread_create(&thread, NULL, from_another_thread, NULL);
        pthread_join(thread, NULL);
    }
    return answer;
}

static void sessions(void) {
    mie_session_options options = MIE_SESSION_OPTIONS_INIT;
    mie_session session = {0};
    mie_tensor tensor = MIE_TENSOR_INIT;
    EXPECT(mie_session_open(NULL, &session), MIE_NULL);
    EXPECT(mie_session_open(&options, &session), MIE_NULL);
    options.path = "/no/such/file.onnx";
    EXPECT(mie_session_open(&options, NULL), MIE_NULL);
    EXPECT(mie_session_open(&options, &session), MIE_IO);
    options.path = "/";
    EXPECT(mie_session_open(&options, &session), MIE_IO);
    options.path = "/etc/hostname";
    EXPECT(mie_session_open(&options, &session), MIE_BAD_MODEL);
    options.sha256 = "00";
    EXPECT(mie_session_open(&options, &session), MIE_BAD_MODEL);
    options.threads = 0;
    EXPECT(mie_session_open(&options, &session), MIE_BAD_VALUE);
    options.size = 1;
    EXPECT(mie_session_open(&options, &session), MIE_BAD_SIZE);
    EXPECT(mie_session_input(session, 0, &tensor), MIE_BAD_HANDLE);
    EXPECT(mie_session_run(session, NULL, NULL), MIE_BAD_HANDLE);
    EXPECT(mie_session_destroy(session), MIE_BAD_HANDLE);
}

static void recognizers(void) {
    mie_networks networks = MIE_NETWORKS_INIT;
    mie_recognizer_options options = MIE_RECOGNIZER_OPTIONS_INIT;
    mie_recognizer recognizer = {0}, other = {0};
    mie_recogniser_info info = MIE_RECOGNISER_INFO_INIT;
    mie_event event = MIE_EVENT_INIT;
    mie_face face;
    int32_t count = 7;
    mie_frame bad;

    EXPECT(mie_recognizer_create(NULL, &recognizer), MIE_NULL);
    EXPECT(mie_recognizer_create(&options, &recognizer), MIE_NULL);
    options.networks = &networks;
    EXPECT(mie_recognizer_create(&options, &recognizer), MIE_NULL);
    networks.detector.run = networks.landmarks.run = options.recogniser.run = no_face;
    networks.size = 0;
    EXPECT(mie_recognizer_create(&options, &recognizer), MIE_BAD_SIZE);
    networks.size = sizeof networks, options.max_faces = 17;
    EXPECT(mie_recognizer_create(&options, &recognizer), MIE_BAD_VALUE);
    options.max_faces = 2, options.recogniser.session.id = 12345;
    EXPECT(mie_recognizer_create(&options, &recognizer), MIE_BAD_HANDLE);
    options.recogniser.session.id = 0, options.info = &info;
    EXPECT(mie_recognizer_create(&options, &recognizer), MIE_BAD_VALUE);
    options.info = NULL;
    EXPECT(mie_recognizer_create(&options, NULL), MIE_NULL);
    EXPECT(mie_recognizer_create(&options, &recognizer), MIE_OK);
    EXPECT(mie_shipped_recogniser(NULL), MIE_NULL);

    EXPECT(mie_recognizer_push(recognizer, NULL, 0, 0.0), MIE_NULL);
    bad = picture, bad.size -= 8;
    EXPECT(mie_recognizer_push(recognizer, &bad, 0, 0.0), MIE_BAD_SIZE);
    bad = picture, bad.format = 4;
    EXPECT(mie_recognizer_push(recognizer, &bad, 0, 0.0), MIE_BAD_VALUE);
    bad = picture, bad.width = -64;
    EXPECT(mie_recognizer_push(recognizer, &bad, 0, 0.0), MIE_BAD_VALUE);
    bad = picture, bad.width = bad.height = 16384;
    EXPECT(mie_recognizer_push(recognizer, &bad, 0, 0.0), MIE_BAD_VALUE);
    bad = picture, bad.stride[0] = 63;
    EXPECT(mie_recognizer_push(recognizer, &bad, 0, 0.0), MIE_BAD_VALUE);
    bad = picture, bad.plane[0] = NULL;
    EXPECT(mie_recognizer_push(recognizer, &bad, 0, 0.0), MIE_NULL);
    bad = picture, bad.format = MIE_YUV420;
    EXPECT(mie_recognizer_push(recognizer, &bad, 0, 0.0), MIE_NULL);
    EXPECT(mie_recognizer_push(recognizer, &picture, 0, 0.0 / (picture.width - 64.0)), MIE_BAD_VALUE); /* not a number */
    EXPECT(mie_recognizer_push(recognizer, &picture, 0, 0.0), MIE_OK);
    EXPECT(mie_recognizer_push(recognizer, &picture, 1, 0.0), MIE_BAD_VALUE); /* time stands still */
    answer = 5;
    EXPECT(mie_recognizer_push(recognizer, &picture, 2, 1.0), MIE_NETWORK);
    answer = 0;
    within = recognizer;
    EXPECT(mie_recognizer_push(recognizer, &picture, 3, 2.0), MIE_OK); /* from which all other calls are refused */
    within.id = 0;
    if (entered != 1) fprintf(stderr, "the network ran %d times\n", entered), exit(1);

    event.size = 8;
    EXPECT(mie_recognizer_poll(recognizer, &event), MIE_BAD_SIZE);
    EXPECT(mie_recognizer_poll(recognizer, NULL), MIE_NULL);
    event.size = sizeof event;
    EXPECT(mie_recognizer_poll(recognizer, &event), MIE_EMPTY);
    EXPECT(mie_recognizer_finish(recognizer), MIE_OK);
    EXPECT(mie_recognizer_finish(recognizer), MIE_CLOSED);
    EXPECT(mie_recognizer_push(recognizer, &picture, 4, 3.0), MIE_CLOSED);
    EXPECT(mie_recognizer_poll(recognizer, &event), MIE_EMPTY);
    EXPECT(mie_recognizer_destroy(recognizer), MIE_OK);
    EXPECT(mie_recognizer_destroy(recognizer), MIE_BAD_HANDLE);
    EXPECT(mie_recognizer_create(&options, &other), MIE_OK); /* takes the same place, not the same name */
    EXPECT(mie_recognizer_push(recognizer, &picture, 0, 0.0), MIE_BAD_HANDLE);
    EXPECT(mie_recognizer_poll(recognizer, &event), MIE_BAD_HANDLE);
    recognizer.id = other.id & 0xFFFFFFFF;
    EXPECT(mie_recognizer_finish(recognizer), MIE_BAD_HANDLE);
    EXPECT(mie_recognizer_destroy(other), MIE_OK);

    EXPECT(mie_find_faces(&networks, &picture, NULL, 1, &count), MIE_NULL);
    EXPECT(mie_find_faces(&networks, &picture, &face, 0, &count), MIE_BAD_VALUE);
    EXPECT(mie_find_faces(&networks, &picture, &face, 1, NULL), MIE_NULL);
    EXPECT(mie_find_faces(&networks, &picture, &face, 1, &count), MIE_OK);
    if (count != 0) exit(1);
}

static void rigs(const char* mesh, const char* folder) {
    static double landmarks[MIE_LANDMARKS][3], intensity[MIE_UNITS];
    static uint8_t pixels[64 * 64 * 3];
    mie_rig_options options = MIE_RIG_OPTIONS_INIT;
    mie_clip clip = MIE_CLIP_INIT;
    mie_rig rig = {0};
    mie_shard shard = {0};
    char path[4096];
    uint8_t jpeg[8];
    size_t bytes = sizeof jpeg;
    int i;

    EXPECT(mie_rig_create(&options, &rig), MIE_NULL);
    options.mesh_path = "/no/such/mesh", options.image = &picture, options.landmarks = (const double (*)[3])landmarks, options.side_px = 64;
    EXPECT(mie_rig_create(&options, &rig), MIE_BAD_VALUE); /* all landmarks in one point */
    for (i = 0; i < MIE_LANDMARKS; ++i) landmarks[i][0] = 1e300 * i;
    EXPECT(mie_rig_create(&options, &rig), MIE_BAD_VALUE);
    srand(1);
    for (i = 0; i < 3 * MIE_LANDMARKS; ++i) landmarks[i / 3][i % 3] = 10 + rand() % 40;
    landmarks[33][0] = landmarks[133][0] = 20, landmarks[362][0] = landmarks[263][0] = 44;
    landmarks[33][1] = landmarks[133][1] = landmarks[362][1] = landmarks[263][1] = 25;
    EXPECT(mie_rig_create(&options, &rig), MIE_IO);
    options.mesh_path = "/etc/hostname";
    EXPECT(mie_rig_create(&options, &rig), MIE_BAD_VALUE);
    options.mesh_path = mesh, options.side_px = 31;
    EXPECT(mie_rig_create(&options, &rig), MIE_BAD_VALUE);
    options.side_px = 64, options.ceiling = intensity, intensity[0] = 2;
    EXPECT(mie_rig_create(&options, &rig), MIE_BAD_VALUE);
    intensity[0] = 0;
    EXPECT(mie_rig_create(&options, &rig), MIE_OK);

    EXPECT(mie_rig_render(rig, NULL, MIE_RGB, 1, pixels, sizeof pixels), MIE_NULL);
    EXPECT(mie_rig_render(rig, &clip, MIE_RGB, 1, pixels, sizeof pixels), MIE_BAD_VALUE);
    clip.frames = 1;
    EXPECT(mie_rig_render(rig, &clip, MIE_RGB, 1, pixels, sizeof pixels), MIE_NULL);
    clip.intensity = intensity;
    EXPECT(mie_rig_render(rig, &clip, MIE_RGB, 1, pixels, sizeof pixels - 1), MIE_BAD_SIZE);
    EXPECT(mie_rig_render(rig, &clip, MIE_NV12, 1, pixels, sizeof pixels), MIE_BAD_VALUE);
    EXPECT(mie_rig_render(rig, &clip, MIE_RGB, 0, pixels, sizeof pixels), MIE_BAD_VALUE);
    EXPECT(mie_rig_render(rig, &clip, MIE_RGB, 1, NULL, sizeof pixels), MIE_NULL);
    intensity[3] = 0.5; /* above the ceiling that the rig was made for */
    EXPECT(mie_rig_render(rig, &clip, MIE_RGB, 1, pixels, sizeof pixels), MIE_BAD_VALUE);
    intensity[3] = 0, clip.noise_sigma = -1;
    EXPECT(mie_rig_render(rig, &clip, MIE_RGB, 1, pixels, sizeof pixels), MIE_BAD_VALUE);
    clip.noise_sigma = 0;
    EXPECT(mie_rig_render(rig, &clip, MIE_RGB, 1, pixels, sizeof pixels), MIE_OK);
    EXPECT(mie_encode_jpeg(NULL, 64, 95, jpeg, &bytes), MIE_NULL);
    EXPECT(mie_encode_jpeg(pixels, 64, 0, jpeg, &bytes), MIE_BAD_VALUE);
    EXPECT(mie_encode_jpeg(pixels, 64, 95, jpeg, &bytes), MIE_BAD_SIZE);
    if (bytes <= sizeof jpeg || mie_unit_name(-1) || mie_unit_name(MIE_UNITS) || !mie_unit_name(MIE_UNITS - 1)) exit(1);

    EXPECT(mie_shard_create(NULL, &shard), MIE_NULL);
    EXPECT(mie_shard_create("/no/such/folder/a.tar", &shard), MIE_IO);
    snprintf(path, sizeof path, "%s/a.tar", folder);
    EXPECT(mie_shard_create(path, &shard), MIE_OK);
    EXPECT(mie_shard_add(shard, "", "x", 1), MIE_BAD_VALUE);
    EXPECT(mie_shard_add(shard, "x", NULL, 1), MIE_NULL);
    EXPECT(mie_shard_add_clip(shard, rig, &clip, "", 95), MIE_BAD_VALUE);
    EXPECT(mie_shard_add_clip(shard, rig, &clip, "clip", 95), MIE_OK);
    EXPECT(mie_rig_destroy(rig), MIE_OK);
    EXPECT(mie_rig_render(rig, &clip, MIE_RGB, 1, pixels, sizeof pixels), MIE_BAD_HANDLE);
    EXPECT(mie_shard_add_clip(shard, rig, &clip, "clip", 95), MIE_BAD_HANDLE);
    EXPECT(mie_shard_finish(shard), MIE_OK);
    EXPECT(mie_shard_finish(shard), MIE_CLOSED);
    EXPECT(mie_shard_add(shard, "x", "x", 1), MIE_CLOSED);
    EXPECT(mie_shard_destroy(shard), MIE_OK);
    EXPECT(mie_shard_destroy(shard), MIE_BAD_HANDLE);
    snprintf(path, sizeof path, "%s/b.tar", folder);
    EXPECT(mie_shard_create(path, &shard), MIE_OK);
    EXPECT(mie_shard_destroy(shard), MIE_OK); /* unfinished: nothing is left of it */
}

int main(int argc, char** argv) {
    static uint8_t grey[64 * 64];
    if (argc != 3) return 2;
    picture.format = MIE_GREY, picture.width = picture.height = 64, picture.plane[0] = grey, picture.stride[0] = 64;
    sessions();
    recognizers();
    rigs(argv[1], argv[2]);
#ifdef __SANITIZE_ADDRESS__
    puts("sanitized");
#endif
    puts("all refused");
    return 0;
}
