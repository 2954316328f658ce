/* apex MESH image.rgb WIDTH HEIGHT landmarks.f64 OUT.jpg: the apex of a frown. Needs no network: the landmarks are given.
 * image.rgb: raw bytes [H][W][3]. landmarks.f64: doubles [478][3], px. */
#include <mie/mie.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int read_all(const char* path, void* target, size_t bytes) {
    FILE* file = fopen(path, "rb");
    const int whole = file && fread(target, 1, bytes, file) == bytes;
    if (file) fclose(file);
    return whole;
}

int main(int argc, char** argv) {
    const int side = 256;
    mie_frame image = MIE_FRAME_INIT;
    mie_rig_options options = MIE_RIG_OPTIONS_INIT;
    mie_clip clip = MIE_CLIP_INIT;
    mie_rig rig = {0};
    double landmarks[MIE_LANDMARKS][3], intensity[MIE_UNITS] = {0};
    size_t bytes = 1 << 20, frame_bytes = mie_frame_bytes(side, MIE_YUV420);
    uint8_t *pixels, *frame = malloc(frame_bytes), *jpeg = malloc(bytes);
    FILE* out;
    int done = 0;
    int32_t unit;

    if (argc != 7) return fprintf(stderr, "usage: apex MESH image.rgb WIDTH HEIGHT landmarks.f64 OUT.jpg\n"), 2;
    image.width = atoi(argv[3]), image.height = atoi(argv[4]);
    if (image.width < 1 || image.height < 1 || image.width > 16384 || image.height > 16384)
        return fprintf(stderr, "apex: no such size\n"), 2;
    pixels = malloc((size_t)image.width * image.height * 3);
    if (!pixels || !frame || !jpeg || !read_all(argv[2], pixels, (size_t)image.width * image.height * 3) ||
        !read_all(argv[5], landmarks, sizeof landmarks))
        return fprintf(stderr, "apex: an input cannot be read\n"), 3;
    image.format = MIE_RGB, image.plane[0] = pixels, image.stride[0] = 3 * (int64_t)image.width;
    for (unit = 0; unit < MIE_UNITS; ++unit)
        if (!strncmp(mie_unit_name(unit), "AU4", 3) && mie_unit_name(unit)[3] != '3' && mie_unit_name(unit)[3] != '5')
            intensity[unit] = 0.4;

    options.mesh_path = argv[1], options.image = &image, options.landmarks = (const double (*)[3])landmarks, options.side_px = side;
    clip.frames = 1, clip.intensity = intensity;
    if (mie_rig_create(&options, &rig) == MIE_OK && mie_rig_render(rig, &clip, MIE_YUV420, 1, frame, frame_bytes) == MIE_OK &&
        mie_encode_jpeg(frame, side, 95, jpeg, &bytes) == MIE_OK && (out = fopen(argv[6], "wb"))) {
        done = fwrite(jpeg, 1, bytes, out) == bytes;
        done = fclose(out) == 0 && done;
    }
    if (!done) fprintf(stderr, "apex: %s\n", mie_last_error());
    mie_rig_destroy(rig);
    free(pixels), free(frame), free(jpeg);
    return done ? 0 : 1;
}
