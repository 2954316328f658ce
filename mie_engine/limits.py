"""Every numeric limit of the product, in one table. Inputs are checked against these before any work is done."""

from __future__ import annotations

# images
MAX_IMAGE_BYTES = 64 * 2**20  # one input file
MAX_IMAGE_PIXELS = 50_000_000  # after reading the header, before decoding
MIN_IMAGE_SIDE_PX = 32
MIN_FACE_INTEROCULAR_PX = 20.0  # smaller faces carry no sub-pixel detail
MAX_FACES_PER_IMAGE = 16
MAX_JPEG_SCANS = 100  # progressive files have about ten
MAX_CHUNKS = 100_000  # segments of a JPEG, chunks of a PNG

# video
MAX_VIDEO_PIXELS = 8192 * 4320  # of one picture, before decoding
MAX_VIDEO_FPS = 10_000.0
MIN_VIDEO_FPS = 25  # below, a micro-expression has too few frames: a note, not an error
MAX_FOLDER_FRAMES = 1_000_000

# reading windows out of frames
MAX_WINDOW_REACH_PX = 2**22  # from the source's centre: positions in 2**-32 px stay in int64

# rendering (the integer definition of kernels/render)
MIN_SIZE_PX = 32
MAX_SIZE_PX = 2048
MAX_WIDTH_PX = 8192
MAX_DISPLACEMENT_PX = 28.0  # node limit, Q7 in int16
MAX_CHANNELS = 128  # basis grids of one face
MAX_COEFFICIENT_SUM_Q12 = 32767  # sum of |c| per frame: keeps node sums below 2**30
MAX_NOISE_LEVELS = 84.0
MAX_RENDER_BYTES = 4 * 2**30  # frames of one call, in memory at once
MIN_FRAMES = 2
MAX_FRAMES = 512
MAX_LATTICE_PX = 16384  # from the source's origin: Q16 positions of feature maps stay in int32
MIN_BLUR_SIGMA, MAX_BLUR_SIGMA = 0.5, 4.0  # lattice px, random fields of feature maps: 13 taps hold 3 deviations

# flow
MIN_FLOW_SIDE_PX, MAX_FLOW_SIDE_PX = 32, 4096
MAX_FLOW_PX = 32  # |u|, |v|: more is never found, so it is never answered

# plans
MAX_CLIPS = 100_000_000
MAX_SHARD_CLIPS = 10_000
MAX_FACES = 1_000_000
MAX_SEED = 2**63 - 1
MAX_CSV_BYTES = 256 * 2**20
MAX_WORKERS = 256
MAX_CSV_ROWS = 1_000_000
MAX_CSV_LINE_CHARS = 65_536
MAX_SHEET_ROWS, MAX_SHEET_COLUMNS = 20_000, 100  # of a coding sheet; the largest corpus has some 4,000 rows
MAX_EVENTS = 2000  # of one video, in evaluation
MAX_PLAN_BYTES = 256 * 2**20  # a million identities
MAX_NAME_CHARS = 255

# recognisers
MAX_MODEL_BYTES = 2**30  # one file; the largest published network has 560 MB
MAX_MODEL_INFO_BYTES = 16_384
MAX_MODEL_CLASSES = 64
MAX_MODEL_AUS = 64
MAX_MODEL_MEMBERS = 32  # networks averaged in one file
MAX_MAPS = 1_000_000  # of one call
MAX_SAMPLE_BYTES = 8 * 2**30  # samples of one training, in memory at once
