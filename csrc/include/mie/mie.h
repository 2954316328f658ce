/* mie.h: micro-expressions from C. Recognise: frames in, labelled events out. Synthesise: a face and action units in, clips out.
 *
 * Handles are plain values. One that was never made, or was destroyed, gives MIE_BAD_HANDLE and touches nothing.
 * Every struct that is passed by pointer begins with its size: set it to sizeof, use the _INIT macro.
 * Every function returns a status; mie_last_error() says in a sentence what was wrong. No exception leaves the library.
 * Threads: [any] any number of threads at once. [one] one thread at a time per handle, whichever it is; a call that meets another one on
 * the same handle (also from inside a network callback) does nothing and gives MIE_BUSY.
 * Coordinates: px, x right, y down, pixel centres at integers. Time in seconds. Left and right are the person's own. */
#ifndef MIE_MIE_H
#define MIE_MIE_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define MIE_API
#else
#define MIE_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define MIE_LANDMARKS 478 /* 468 of the mesh, then 5 per iris */
#define MIE_UNITS 40      /* action units by side: mie_unit_name */
#define MIE_RIGID 6       /* x, y, roll, scale, yaw, pitch */
#define MIE_MAX_CLASSES 64
#define MIE_MAX_AUS 64
#define MIE_MAX_RANK 8
#define MIE_CROP_SIDE 224 /* px, of the crop that motion_px counts in */

typedef enum mie_status {
    MIE_OK = 0,
    MIE_EMPTY = 1,       /* nothing to poll */
    MIE_NULL = -1,       /* a pointer that must not be null is */
    MIE_BAD_SIZE = -2,   /* a struct's size, or a buffer's */
    MIE_BAD_HANDLE = -3, /* never made, or destroyed */
    MIE_BAD_VALUE = -4,  /* outside what is allowed */
    MIE_BUSY = -5,       /* another call is at work on this handle */
    MIE_CLOSED = -6,     /* after finish */
    MIE_NETWORK = -7,    /* a network failed, or gave what it must not */
    MIE_NO_ENGINE = -8,  /* not built in, or the device is not there */
    MIE_BAD_MODEL = -9,  /* another file than the sha256 says, or not a network */
    MIE_IO = -10,        /* a file cannot be read or written */
    MIE_NO_MEMORY = -11,
    MIE_INTERNAL = -12
} mie_status;

MIE_API const char* mie_version(void);    /* [any] "0.1.0" */
MIE_API const char* mie_last_error(void); /* [any] of this thread's last call that failed; valid until its next call */

/* ---- networks: sessions of a built-in engine, or the caller's own ---- */

typedef struct {
    uint64_t id;
} mie_session;

typedef struct mie_session_options {
    size_t size;
    const char* path;   /* an ONNX file */
    const char* sha256; /* 64 hex digits that the file must have; null: it must be one that ships with this version */
    const char* engine; /* "openvino" */
    const char* device; /* "CPU", "GPU.0", ...: it runs there or is refused; devices that choose another ("AUTO", ...) are refused */
    int32_t threads;    /* of one run, 1..256 */
} mie_session_options;
#define MIE_SESSION_OPTIONS_INIT {sizeof(mie_session_options), NULL, NULL, "openvino", "CPU", 1}

typedef struct mie_tensor {
    size_t size;
    const char* name; /* valid until the session is destroyed */
    int32_t rank;
    int64_t shape[MIE_MAX_RANK]; /* dimensions that the file leaves open are 1 */
} mie_tensor;
#define MIE_TENSOR_INIT {sizeof(mie_tensor), NULL, 0, {0}}

/* [any] Reads, checks and compiles a network of float32 tensors. */
MIE_API mie_status mie_session_open(const mie_session_options* options, mie_session* session);
/* [any] MIE_BAD_VALUE past the last tensor. */
MIE_API mie_status mie_session_input(mie_session session, int32_t index, mie_tensor* tensor);
MIE_API mie_status mie_session_output(mie_session session, int32_t index, mie_tensor* tensor);
/* [any] One run on the caller's buffers, in the order of description; calls wait for each other. */
MIE_API mie_status mie_session_run(mie_session session, const float* const* inputs, float* const* outputs);
/* [any] What uses the session keeps it alive. */
MIE_API mie_status mie_session_destroy(mie_session session);

/* A network as recogniser and detector take it: a session, or (session.id 0) the caller's function, which returns 0 for success and is
 * called on the thread that pushes. One input and two outputs, whose sizes are those stated where it is used. */
typedef struct mie_network {
    mie_session session;
    int32_t (*run)(void* user, const float* input, float* first, float* second);
    void* user;
} mie_network;

typedef struct mie_networks {
    size_t size;
    mie_network detector;  /* image [128][128][3] in -1..1 -> regressors [896][16] px, scores [896] as logits */
    mie_network landmarks; /* image [256][256][3] in 0..1 -> landmarks [478][3] px, presence [1] as a logit */
} mie_networks;
#define MIE_NETWORKS_INIT                                            \
    {                                                                \
        sizeof(mie_networks), {{0}, NULL, NULL}, { {0}, NULL, NULL } \
    }

/* ---- frames and faces ---- */

typedef enum mie_format { MIE_RGB = 0, MIE_GREY = 1, MIE_YUV420 = 2, MIE_NV12 = 3 } mie_format;

typedef struct mie_frame {
    size_t size;
    int32_t format;          /* mie_format */
    int32_t width, height;   /* px, 32..16384, at most 35 million pixels */
    const uint8_t* plane[3]; /* RGB: [H][W][3]. grey: [H][W]. YUV420: Y, U, V. NV12: Y, UV. Half sizes rounded up */
    int64_t stride[3];       /* bytes between rows of each plane */
    int32_t full_range;      /* of YUV: Y spans 0..255 (1), or 16..235 (0) */
} mie_frame;
#define MIE_FRAME_INIT {sizeof(mie_frame), 0, 0, 0, {NULL, NULL, NULL}, {0, 0, 0}, 0}

typedef struct mie_face {
    double score, presence;             /* of the detector and the landmark network, 0.5..1 */
    double box[4];                      /* left, top, right, bottom */
    double landmarks[MIE_LANDMARKS][3]; /* z in the scale of x, smaller is nearer */
} mie_face;

/* [any] Faces of one picture, largest first, at most `capacity` (1..16). */
MIE_API mie_status mie_find_faces(const mie_networks* networks, const mie_frame* frame, mie_face* faces, int32_t capacity, int32_t* count);

/* ---- recognise ---- */

typedef struct {
    uint64_t id;
} mie_recognizer;

/* What a recogniser network reads and says: maps [3][side][side] 0..255 (u, v, strain) -> logits [classes], au_logits [aus]. */
typedef struct mie_recogniser_info {
    size_t size;
    int32_t classes;                /* 2..MIE_MAX_CLASSES */
    const char* const* class_names; /* may be null: the library does not read them */
    int32_t aus;                    /* 0..MIE_MAX_AUS */
    const int32_t* au_numbers;      /* may be null, likewise */
    int32_t side;                   /* 28, 56 or 64 */
    const char* strain;             /* "true", "shift" or "meb" */
    double temperature;             /* divides the class logits, 0.01..100 */
} mie_recogniser_info;
#define MIE_RECOGNISER_INFO_INIT {sizeof(mie_recogniser_info), 0, NULL, 0, NULL, 0, NULL, 1.0}

/* [any] Of the recogniser that ships with this version. */
MIE_API mie_status mie_shipped_recogniser(mie_recogniser_info* info);

typedef struct mie_recognizer_options {
    size_t size;
    const mie_networks* networks;
    mie_network recogniser;
    const mie_recogniser_info* info; /* null: the shipped recogniser's */
    int32_t max_faces;               /* followed at once, 1..16 */
} mie_recognizer_options;
#define MIE_RECOGNIZER_OPTIONS_INIT {sizeof(mie_recognizer_options), NULL, {{0}, NULL, NULL}, NULL, 2}

typedef struct mie_event {
    size_t size;
    int32_t face; /* from 0 in the order of appearance */
    int32_t best; /* class, or -1: the evidence is too low for one */
    int64_t onset_frame, apex_frame, offset_frame;
    double onset_s, apex_s, offset_s;
    double motion_px, threshold_px; /* height of the motion's peak, and what it had to exceed */
    double score;                   /* probability of the most probable class */
    int32_t classes, aus;
    float scores[MIE_MAX_CLASSES]; /* sum 1 */
    float au[MIE_MAX_AUS];         /* evidence for each action unit, 0..1 */
} mie_event;
#define MIE_EVENT_INIT {sizeof(mie_event), 0, 0, 0, 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0, {0}, {0}}

/* [any] */
MIE_API mie_status mie_recognizer_create(const mie_recognizer_options* options, mie_recognizer* recognizer);
/* [one] The next frame; its pixels are read before the call returns. time_s must grow. After a failed network (MIE_NETWORK) the
 * next frame may follow: lost are this frame's faces, or the events that were to be labelled. */
MIE_API mie_status mie_recognizer_push(mie_recognizer recognizer, const mie_frame* frame, int64_t index, double time_s);
/* [one] The next event, MIE_OK, or MIE_EMPTY. An event is known 0.6 s after its offset. */
MIE_API mie_status mie_recognizer_poll(mie_recognizer recognizer, mie_event* event);
/* [one] The video has ended: what is open is decided. Then poll; push gives MIE_CLOSED. */
MIE_API mie_status mie_recognizer_finish(mie_recognizer recognizer);
/* [one] */
MIE_API mie_status mie_recognizer_destroy(mie_recognizer recognizer);

/* ---- synthesise ---- */

typedef struct {
    uint64_t id;
} mie_rig; /* a face made ready to be rendered */
typedef struct {
    uint64_t id;
} mie_shard; /* a tar file of frames */

/* [any] "AU12L"; null outside 0..MIE_UNITS - 1. */
MIE_API const char* mie_unit_name(int32_t index);

typedef struct mie_rig_options {
    size_t size;
    const char* mesh_path; /* mp468_ict_arkit_deltas.npy, installed beside the networks */
    const mie_frame* image;
    const double (*landmarks)[3]; /* [478], px of the image, see mie_find_faces */
    int32_t side_px;              /* of the aligned crop that is rendered, 32..2048 */
    const double* ceiling;        /* [MIE_UNITS] the highest intensity that will be asked for, 0..1; null: 1 for all */
} mie_rig_options;
#define MIE_RIG_OPTIONS_INIT {sizeof(mie_rig_options), NULL, NULL, NULL, 256, NULL}

typedef struct mie_clip {
    size_t size;
    int32_t frames;          /* 1..65536 */
    const double* intensity; /* [frames][MIE_UNITS] 0 to the rig's ceiling */
    const double* rigid_px;  /* [frames][MIE_RIGID] head motion, px at the image corner; null: the head rests */
    double noise_sigma;      /* sensor noise, grey levels, 0..84 */
    uint32_t key[2];         /* of the noise: the same key, the same bytes on every machine */
} mie_clip;
#define MIE_CLIP_INIT {sizeof(mie_clip), 0, NULL, NULL, 0.0, {0, 0}}

/* [any] */
MIE_API mie_status mie_rig_create(const mie_rig_options* options, mie_rig* rig);
/* [any] Frames one after another: MIE_RGB [S][S][3], or MIE_YUV420 as Y, Cb, Cr (full range). bytes: room at `target`; MIE_BAD_SIZE where
 * it is not frames * mie_frame_bytes. threads 1..256; any number gives the same bytes. */
MIE_API mie_status mie_rig_render(mie_rig rig, const mie_clip* clip, int32_t format, int32_t threads, uint8_t* target, size_t bytes);
/* [any] What uses the rig keeps it alive. */
MIE_API mie_status mie_rig_destroy(mie_rig rig);
/* [any] Bytes of one rendered frame; 0 for a format or a side that is not rendered. */
MIE_API size_t mie_frame_bytes(int32_t side_px, int32_t format);

/* [any] Baseline JPEG 4:2:0 of one YUV420 frame, quality 1..100. *bytes: room at `target`, then the file's size, also with MIE_BAD_SIZE
 * where the room is too small. */
MIE_API mie_status mie_encode_jpeg(const uint8_t* yuv420, int32_t side_px, int32_t quality, uint8_t* target, size_t* bytes);

/* [any] Begins a tar under a temporary name in the same folder. */
MIE_API mie_status mie_shard_create(const char* path, mie_shard* shard);
/* [one] Renders a clip and adds it as <key>.000.jpg, <key>.001.jpg, ... */
MIE_API mie_status mie_shard_add_clip(mie_shard shard, mie_rig rig, const mie_clip* clip, const char* key, int32_t quality);
/* [one] Adds a file; name: 1..100 bytes. */
MIE_API mie_status mie_shard_add(mie_shard shard, const char* name, const void* data, size_t bytes);
/* [one] Ends the tar, makes it durable and gives it its name. After that, or after a failure, only destroy is allowed (MIE_CLOSED). */
MIE_API mie_status mie_shard_finish(mie_shard shard);
/* [one] An unfinished tar is deleted. */
MIE_API mie_status mie_shard_destroy(mie_shard shard);

#ifdef __cplusplus
}
#endif
#endif
