"""Video, sound and images, in and out: the only place that touches a codec.

Outside this package a frame is `frame_HW3`: uint8 RGB, upright, square pixels. A file's clock
starts where the file says; `VideoFrame.time_s` and `Audio` count on that same clock.

    source.py   open a file, or say in one line why not
    probe.py    what a video holds: exact frame count, times, rotation, sound
    reader.py   frames one by one, in constant memory
    writer.py   H.264/AAC MP4, whole or not at all
    audio.py    sound as arrays
    track.py    a sound track for the writer: copied packet by packet, or encoded
    colour.py   the one place that turns YUV into RGB and back
    hdr.py      PQ and HLG to the standard range
    image.py    still images of every kind
    tensors.py  frames to network input and back
    samples.py  media of awkward kinds, made for tests and figures
"""

from lab.media.audio import Audio, read_audio, write_wav
from lab.media.image import read_image, write_image
from lab.media.probe import VideoInfo, probe
from lab.media.reader import VideoFrame, VideoReader, read_frames
from lab.media.tensors import frames_to_tensor, tensor_to_frames
from lab.media.writer import VideoWriter

__all__ = [
    "Audio",
    "VideoFrame",
    "VideoInfo",
    "VideoReader",
    "VideoWriter",
    "frames_to_tensor",
    "probe",
    "read_audio",
    "read_frames",
    "read_image",
    "tensor_to_frames",
    "write_image",
    "write_wav",
]
