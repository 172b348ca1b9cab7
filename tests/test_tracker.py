"""Following faces: known motion is recovered, nothing is frozen, swapped or invented."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpenvid.faces.detector import CloseLook
from gpenvid.faces.ease import GuardSettings, face_weights, turn
from gpenvid.faces.evidence import is_face
from gpenvid.faces.join import Stretch, apart, joined
from gpenvid.faces.reuse import ReuseSettings, match_faces
from gpenvid.faces.sharpness import sharpness
from gpenvid.faces.shots import CutFinder
from gpenvid.faces.smooth import smooth_parameters
from gpenvid.faces.tracker import Tracker
from gpenvid.faces.tracks import Tracks
from gpenvid.geometry import Face, apply_affine
from gpenvid.job.analyse import tracker_settings
from gpenvid.media.reader import VideoReader
from gpenvid.settings import RestoreSettings

LANDMARKS = np.array([[203.72, 102.80], [244.97, 104.22], [224.41, 129.08], [202.65, 139.02], [244.84, 140.11]])
BOX = np.array([177.5, 56.4, 270.1, 176.4])
SIZE = (320, 240)

Motion = Callable[[int], np.ndarray]


class Oracle:
    """A detector that knows where the portrait was put, exactly or with noise, and counts its calls."""

    name = "oracle"
    sure = 0.8
    close_look: CloseLook | None = None

    def __init__(self, noise: float = 0.0) -> None:
        self.places: dict[bytes, list[Face]] = {}
        self.truth: dict[bytes, list[Face]] = {}
        self.calls = 0
        self._random = np.random.default_rng(0)
        self._noise = noise

    def learn(self, image: np.ndarray, matrices: Sequence[np.ndarray]) -> None:
        faces = []
        for matrix in matrices:
            face = Face(BOX, 0.99, LANDMARKS).transformed(matrix)
            noisy = face.landmarks + self._random.normal(0, self._noise, (5, 2))
            faces.append(Face(face.box, 0.99, noisy))
        self.places[image.tobytes()] = faces
        self.truth[image.tobytes()] = [Face(BOX, 0.99, LANDMARKS).transformed(m) for m in matrices]

    def detect(self, images: Sequence[np.ndarray]) -> list[list[Face]]:
        self.calls += 1
        return [self.places.get(image.tobytes(), []) for image in images]


def _similarity(scale: float, angle: float, x: float, y: float) -> np.ndarray:
    """Puts the portrait's face centre (224, 118) at (x, y)."""
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.array([[c, -s], [s, c]])
    return np.column_stack([linear, np.array([x, y]) - linear @ [224.0, 118.0]])


def _scene(astronaut: np.ndarray, matrices: Sequence[np.ndarray], shade: int = 0) -> np.ndarray:
    """The portrait's head cut out softly and put on a textured background, once per matrix."""
    y, x = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    ground = 110 + 40 * np.sin(x / 23 + shade) + 30 * np.cos(y / 17 - shade) + 20 * np.sin((x + y) / 7)
    picture = np.repeat(ground[:, :, None], 3, axis=2).astype(np.float32)
    head = np.zeros((512, 512), np.float32)
    cv2.ellipse(head, (224, 112), (60, 80), 0, 0, 360, 1.0, -1)
    head = cv2.GaussianBlur(head, (0, 0), 3)
    for matrix in matrices:
        mask = cv2.warpAffine(head, matrix, SIZE)[:, :, None]
        picture += mask * (cv2.warpAffine(astronaut.astype(np.float32), matrix, SIZE) - picture)
    return np.clip(picture, 0, 255).astype(np.uint8)


def _follow(frames: list[np.ndarray], oracle: Oracle) -> Tracks:
    tracker = Tracker(oracle, np.eye(2, 3), SIZE)
    for frame in frames:
        tracker.push(frame)
    return tracker.finish()


def _clip(astronaut: np.ndarray, motions: Sequence[Motion], count: int, oracle: Oracle, shade: int = 0) -> list[np.ndarray]:
    frames = []
    for t in range(count):
        matrices = [m for motion in motions if (m := motion(t)) is not None]
        frames.append(_scene(astronaut, matrices, shade))
        oracle.learn(frames[-1], matrices)
    return frames


def _head(t: int) -> np.ndarray:
    return _similarity(0.7 + 0.1 * np.sin(t / 15), 0.15 * np.sin(t / 11), 150 + 40 * np.sin(t / 20), 110 + 15 * np.cos(t / 13))


def test_a_known_motion_is_recovered_within_half_a_pixel(astronaut: np.ndarray) -> None:
    oracle = Oracle()
    frames = _clip(astronaut, [_head], 80, oracle)
    tracks = _follow(frames, oracle)
    (track,) = tracks.tracks
    assert (track.start, track.end) == (0, 80)
    assert oracle.calls == tracks.detector_calls <= 12
    for t in range(80):
        expected = apply_affine(_head(t), LANDMARKS)
        assert np.hypot(*(track.landmarks[t] - expected).T).mean() < 0.5, t


def test_flow_frames_are_marked_and_detected_ones_too(astronaut: np.ndarray) -> None:
    oracle = Oracle()
    tracks = _follow(_clip(astronaut, [_head], 50, oracle), oracle)
    assert tracks.tracks[0].detected.sum() == oracle.calls


def test_a_still_face_is_not_frozen_into_noise(astronaut: np.ndarray) -> None:
    oracle = Oracle(noise=0.6)
    frames = _clip(astronaut, [lambda t: _similarity(0.8, 0.0, 160 + 0.01 * t, 120)], 60, oracle)
    (track,) = _follow(frames, oracle).tracks
    centre = track.parameters[:, 2:]
    assert np.diff(centre, n=2, axis=0).std() < 0.05


def test_a_hard_cut_ends_every_track(astronaut: np.ndarray) -> None:
    oracle = Oracle()
    first = _clip(astronaut, [lambda _: _similarity(0.6, 0, 100, 110)], 20, oracle)
    second = _clip(astronaut, [lambda _: _similarity(1.1, 0, 220, 130)], 20, oracle, shade=9)
    tracks = _follow(first + second, oracle)
    assert [(s.start, s.end) for s in tracks.shots] == [(0, 20), (20, 40)]
    assert [(t.start, t.end) for t in tracks.tracks] == [(0, 20), (20, 40)]


def test_two_people_who_cross_keep_their_tracks(astronaut: np.ndarray) -> None:
    def left(t: int) -> np.ndarray:
        return _similarity(0.45, 0, 70 + 3 * t, 80)

    def right(t: int) -> np.ndarray:
        return _similarity(0.45, 0, 250 - 3 * t, 160)

    oracle = Oracle()
    tracks = _follow(_clip(astronaut, [left, right], 60, oracle), oracle)
    assert len(tracks.tracks) == 2
    for track in tracks.tracks:
        heights = track.landmarks[:, 2, 1]
        assert np.ptp(heights) < 5


def test_an_occlusion_is_bridged(astronaut: np.ndarray) -> None:
    oracle = Oracle()
    frames = _clip(astronaut, [_head], 60, oracle)
    for t in range(30, 36):  # something passes in front
        frames[t] = frames[t].copy()
        x, y = (int(v) for v in _head(t) @ [224, 118, 1])
        frames[t][max(0, y - 75) : y + 75, max(0, x - 55) : x + 55] = 90
        oracle.learn(frames[t], [])
    tracks = _follow(frames, oracle)
    longest = max(tracks.tracks, key=lambda t: t.end - t.start)
    assert (longest.start, longest.end) == (0, 60)


def test_a_flash_does_not_cut(astronaut: np.ndarray) -> None:
    oracle = Oracle()
    frames = _clip(astronaut, [_head], 40, oracle)
    frames[20] = np.full_like(frames[20], 255)
    oracle.learn(frames[20], [])
    assert len(_follow(frames, oracle).shots) == 1


def test_flicker_and_a_fade_do_not_cut(astronaut: np.ndarray) -> None:
    oracle = Oracle()
    frames = []
    for t in range(50):
        gain = (1 + 0.25 * np.sin(2.5 * t)) * (1 if t < 25 else 1 - (t - 25) / 40)
        frames.append(np.clip(_scene(astronaut, [_head(t)]) * gain, 0, 255).astype(np.uint8))
        oracle.learn(frames[-1], [_head(t)])
    tracks = _follow(frames, oracle)
    assert len(tracks.shots) == 1
    assert [(t.start, t.end) for t in tracks.tracks] == [(0, 50)]


def test_a_face_in_one_single_frame_of_a_shot_of_its_own_is_found(astronaut: np.ndarray) -> None:
    oracle = Oracle()
    before = [_scene(astronaut, [], 3)] * 10
    face = _clip(astronaut, [lambda _: _similarity(1.2, 0, 160, 120)], 1, oracle, shade=30)
    after = [_scene(astronaut, [], 77)] * 10
    tracks = _follow(before + face + after, oracle)
    assert [(t.start, t.end) for t in tracks.tracks] == [(10, 11)]


def test_five_thousand_frames_of_nothing_are_nothing() -> None:
    oracle = Oracle()
    tracker = Tracker(oracle, np.eye(2, 3), SIZE)
    empty = np.zeros((36, 64, 3), np.uint8)
    for _ in range(5000):
        tracker.push(empty)
    tracks = tracker.finish()
    assert (tracks.frames, tracks.tracks, len(tracks.shots)) == (5000, [], 1)
    assert oracle.calls < 0.09 * 5000


def test_no_frames_are_no_tracks() -> None:
    tracks = Tracker(Oracle(), np.eye(2, 3), SIZE).finish()
    assert (tracks.frames, tracks.shots, tracks.tracks) == (0, [], [])


def test_a_weak_flicker_of_the_detector_is_no_track(astronaut: np.ndarray) -> None:
    oracle = Oracle()
    frames = _clip(astronaut, [], 30, oracle)
    for t in (7, 16):
        oracle.places[frames[t].tobytes()] = [Face(BOX * 0.5, 0.55, LANDMARKS * 0.5)]
    assert _follow(frames, oracle).tracks == []


def test_a_monochrome_shot_is_told_from_a_coloured_one(astronaut: np.ndarray) -> None:
    gray = np.repeat(cv2.cvtColor(astronaut, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2)
    for picture, expected in ((gray, True), (astronaut, False)):
        tracker = Tracker(Oracle(), np.eye(2, 3), SIZE)
        for _ in range(6):
            tracker.push(picture)
        assert tracker.finish().shots[0].monochrome == expected


def test_matching_takes_the_nearest_pairs() -> None:
    faces = [Face(BOX, 0.9, LANDMARKS), Face(BOX + 60, 0.9, LANDMARKS + 60)]
    assert sorted(match_faces([LANDMARKS + 58, LANDMARKS + 3], faces, 0.5)) == [(0, 1), (1, 0)]
    assert match_faces([LANDMARKS + 300], faces, 0.5) == []


@given(st.integers(3, 80), st.floats(-3, 3), st.floats(-0.02, 0.02))
@settings(max_examples=30)
def test_smoothing_leaves_a_steady_motion_alone(count: int, speed: float, zoom: float) -> None:
    t = np.arange(count)
    values = np.column_stack([5 + zoom * t, 0.01 * t, 100 + speed * t, 50 - speed * t])
    assert np.abs(smooth_parameters(values) - values).max() < 1e-6


def test_smoothing_does_not_lag_on_a_fast_turn() -> None:
    t = np.arange(60)
    x = 100 + 60 / (1 + np.exp(-(t - 30) / 2.0))  # 60 pixels within ten frames
    values = np.column_stack([np.full(60, np.log(200.0)), np.zeros(60), x, np.full(60, 80.0)])
    eyes = 0.2097 * 200
    assert np.abs(smooth_parameters(values) - values).max() < 0.04 * eyes


def test_smoothing_follows_the_weave_of_film() -> None:
    t = np.arange(90)
    x = 100 + 4 * np.sin(t * 1.1)  # a tenth of the eye distance to either side, six frames a period
    values = np.column_stack([np.full(90, np.log(200.0)), np.zeros(90), x, np.full(90, 80.0)])
    moving = np.abs(np.gradient(x)) > 0.04 * 0.2097 * 200  # all but the turns
    assert np.abs(smooth_parameters(values) - values)[moving].max() < 0.04 * 0.2097 * 200


def test_smoothing_takes_the_jitter_out_of_a_still_face() -> None:
    noise = np.random.default_rng(2).normal(0, 0.4, (120, 4)) * [0.004, 0.004, 1, 1]
    values = noise + np.array([np.log(200.0), 0, 100, 100])
    before, after = (np.diff(v[:, 2:], n=2, axis=0).std() for v in (values, smooth_parameters(values)))
    assert after < 0.35 * before


def test_faces_ease_in_and_out_inside_a_shot_only() -> None:
    landmarks = np.repeat(LANDMARKS[None], 40, axis=0)
    inside, _ = face_weights(landmarks, 10, (0, 100), GuardSettings())
    whole, _ = face_weights(landmarks, 0, (0, 40), GuardSettings())
    assert inside[0] < 0.2
    assert inside[-1] < 0.2
    assert np.all(np.diff(inside[:7]) > 0)
    assert np.all(whole == 1)


def test_faces_too_small_are_left_alone_and_flagged() -> None:
    landmarks = np.repeat(LANDMARKS[None] * 0.1, 30, axis=0)
    weights, flags = face_weights(landmarks, 5, (0, 100), GuardSettings())
    assert np.all(weights == 0)
    assert [(f.start, f.end, f.reason) for f in flags] == [(5, 35, "too small")]


def test_a_profile_is_left_alone_and_a_moment_of_it_is_not() -> None:
    profile = LANDMARKS.copy()
    profile[0], profile[3] = [238, 103], [236, 140]
    profile[2] = [262, 128]
    assert turn(profile[None])[0] > 0.8
    assert turn(LANDMARKS[None])[0] < 0.2
    landmarks = np.repeat(LANDMARKS[None], 60, axis=0)
    landmarks[20:40] = profile
    weights, flags = face_weights(landmarks, 0, (0, 60), GuardSettings())
    assert weights[30] < 0.05
    assert weights[5] > 0.95
    assert flags[0].reason == "turned away"
    landmarks[20:40] = LANDMARKS
    landmarks[30] = profile
    assert face_weights(landmarks, 0, (0, 60), GuardSettings())[0].min() > 0.9


def test_cut_finder_answers_once_per_frame() -> None:
    finder = CutFinder()
    random = np.random.default_rng(0)
    frames = [random.integers(0, 255, (72, 128), np.uint8) for _ in range(9)]
    answers = [a for f in frames for a in finder.push(f)] + finder.finish()
    assert len(answers) == 9
    assert answers[0]


@pytest.mark.parametrize("kind", ["empty", "one"])
def test_short_tracks_can_be_smoothed(kind: str) -> None:
    values = np.zeros((0 if kind == "empty" else 1, 4))
    assert smooth_parameters(values).shape == values.shape


@pytest.mark.parametrize(
    ("clip", "cuts"),
    [
        ("deepremaster_a-bomb.mp4", [0, 44, 134, 299]),
        ("fate_scte20_interlaced.ts", [0, 88]),  # two views of one studio
        ("liveportrait_d12.mp4", [0]),  # fast head turns
        ("facefusion_dance-360p.mp4", [0]),
    ],
)
def test_shots_of_real_clips_are_found(clip: str, cuts: list[int], shared: Path) -> None:
    tracker = Tracker(Oracle(), np.eye(2, 3), SIZE)
    for frame in VideoReader(shared / "media" / "clips" / clip).frames():
        tracker.push(frame.thumbnail(*SIZE))
    assert [s.start for s in tracker.finish().shots] == cuts


class PixelLook:
    """Close looks that know the portrait by where it truly is: exact landmarks where it is, no belief where it is not."""

    def __init__(self, oracle: Oracle, bias: float = 0.0) -> None:
        self._oracle = oracle
        self._bias = bias

    def look(self, images: Sequence[np.ndarray], landmarks: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        places, beliefs = [], []
        for image, points in zip(images, landmarks, strict=True):
            there = [f for f in self._oracle.truth[image.tobytes()] if np.hypot(*(f.landmarks - points).T).mean() < 0.5 * f.eye_distance]
            places.append(np.asarray(there[0].landmarks if there else points) + self._bias)
            beliefs.append(1.0 if there else 0.0)
        return np.stack(places), np.array(beliefs)


def _blind(oracle: Oracle, frames: list[np.ndarray], spell: range) -> None:
    """The detector sees nothing in these frames, though faces are there."""
    for t in spell:
        oracle.places[frames[t].tobytes()] = []


def test_close_looks_carry_a_face_through_frames_in_which_the_detector_is_blind(astronaut: np.ndarray) -> None:
    oracle = Oracle()
    frames = _clip(astronaut, [_head], 70, oracle)
    oracle.close_look = PixelLook(oracle)
    _blind(oracle, frames, range(28, 40))
    (track,) = _follow(frames, oracle).tracks
    assert (track.start, track.end) == (0, 70)


def test_people_keep_their_tracks_where_a_window_is_halved_and_its_middle_misses_one(astronaut: np.ndarray) -> None:
    oracle = Oracle()
    people = [lambda t, x=x, y=y: _similarity(0.45, 0, x + t / 8, y) for x, y in ((70, 80), (230, 150))]
    frames = _clip(astronaut, people, 50, oracle)
    oracle.close_look = PixelLook(oracle)
    nothing = Face(BOX * 0.45 + [60, 130, 60, 130], 0.9, LANDMARKS * 0.45 + [60, 130])
    window = ReuseSettings().window
    oracle.places[frames[window].tobytes()].append(nothing)  # no close look knows it, so that the window from here is halved
    oracle.places[frames[window + window // 2].tobytes()].pop(0)
    tracks = _follow(frames, oracle)
    assert tracks.detector_calls > 1 + math.ceil(49 / window)
    assert [(t.start, t.end) for t in tracks.tracks] == [(0, 50)] * 2
    assert all(np.ptp(t.landmarks[:, 2, 1]) < 5 for t in tracks.tracks)


def test_a_face_that_the_detector_places_anew_stays_one(astronaut: np.ndarray) -> None:
    oracle = Oracle()
    frames = _clip(astronaut, [_head], 60, oracle)
    for frame in frames[20:]:  # farther off than detections of one face may lie apart
        (face,) = oracle.places[frame.tobytes()]
        oracle.places[frame.tobytes()] = [Face(face.box, face.score, np.add(face.landmarks, (0.7 * face.eye_distance, 0)))]
    (track,) = _follow(frames, oracle).tracks
    assert (track.start, track.end) == (0, 60)


_STRETCHES = st.tuples(st.integers(1, 8), st.integers(1, 8), st.integers(0, 8), st.integers(0, 8))


@given(_STRETCHES)
def test_two_stretches_that_meet_become_one_that_leaves_the_first_and_arrives_at_the_last(parts: tuple[int, int, int, int]) -> None:
    alone, common, rest, shift = parts

    def stretch(start: int, count: int, x: float) -> Stretch:
        return Stretch(start, [Face(BOX, 0.9, np.add(LANDMARKS, (x + t, 0.0))) for t in range(start, start + count)], [x / 10] * count)

    early, late = stretch(3, alone + common, 0.0), stretch(3 + alone, common + rest, float(shift))
    whole = joined(early, late)
    assert (whole.start, whole.end) == (3, 3 + alone + common + rest)
    assert apart(early, late) == pytest.approx(shift / Face(BOX, 1.0, LANDMARKS).unit)
    steps = np.diff([f.landmarks[0, 0] for f in whole.faces])
    assert (steps >= 1 - 1e-9).all()
    assert (steps <= 1 + shift / (common + 1) + 1e-9).all()
    assert whole.faces[0].landmarks[0, 0] == pytest.approx(LANDMARKS[0, 0] + 3)
    assert {whole.belief(t) for t in range(3, whole.end)} <= {0.0, shift / 10}


def test_a_face_that_leaves_is_followed_to_where_close_looks_lose_it(astronaut: np.ndarray) -> None:
    oracle = Oracle()
    frames = _clip(astronaut, [lambda t: _head(t) if t < 37 else None], 70, oracle)
    oracle.close_look = PixelLook(oracle)
    (track,) = _follow(frames, oracle).tracks
    assert (track.start, track.end) == (0, 37)


def test_close_looks_spare_detector_calls(astronaut: np.ndarray) -> None:
    def fast(t: int) -> np.ndarray:
        return _similarity(0.8, 0.5 * np.sin(t / 4), 160 + 60 * np.sin(t / 5), 120)

    calls = []
    for looking in (False, True):
        oracle = Oracle(noise=5.0)  # both ends of a window disagree by more than flow alone is trusted with
        frames = _clip(astronaut, [fast], 64, oracle)
        oracle.close_look = PixelLook(oracle) if looking else None
        tracks = _follow(frames, oracle)
        assert [(t.start, t.end) for t in tracks.tracks] == [(0, 64)]
        calls.append(tracks.detector_calls)
        assert (tracks.close_looks > 0) == looking
    assert calls[1] <= 1 + math.ceil(63 / ReuseSettings().window) < calls[0]


def test_a_constant_bias_of_close_looks_does_not_move_landmarks(astronaut: np.ndarray) -> None:
    oracle = Oracle()
    frames = _clip(astronaut, [_head], 50, oracle)
    oracle.close_look = PixelLook(oracle, bias=2.0)
    (track,) = _follow(frames, oracle).tracks
    for t in range(50):
        assert np.hypot(*(track.landmarks[t] - apply_affine(_head(t), LANDMARKS)).T).mean() < 0.5, t


def test_a_weak_face_counts_where_close_looks_believe_in_it_all_along(astronaut: np.ndarray) -> None:
    oracle = Oracle()
    frames = _clip(astronaut, [_head], 50, oracle)
    oracle.places = {key: [Face(f.box, 0.6, f.landmarks) for f in faces] for key, faces in oracle.places.items()}
    assert _follow(frames, oracle).tracks == []
    oracle.close_look = PixelLook(oracle)
    assert [(t.start, t.end) for t in _follow(frames, oracle).tracks] == [(0, 50)]


def test_a_detection_that_no_close_look_confirms_makes_no_track(astronaut: np.ndarray) -> None:
    oracle = Oracle()
    frames = _clip(astronaut, [], 50, oracle)
    false = Face(BOX - 60, 0.85, LANDMARKS - 60)
    for t in (16, 48):
        oracle.places[frames[t].tobytes()] = [false]
    oracle.close_look = PixelLook(oracle)
    assert _follow(frames, oracle).tracks == []


@pytest.mark.parametrize(
    ("what", "scores", "beliefs", "length", "counts"),
    [
        ("one sure face that was never looked at closely", [0.46], [], 1, True),
        ("a face that nothing doubts", [0.5, 0.4], [0.99] * 30, 40, True),
        ("leaves: seen a little above what is sure, doubted", [0.59], [0.60] + [0.86] * 3 + [0.99] * 20, 29, False),
        ("a hand for ten frames, seen once, half doubted", [0.46], [0.95, 0.96] + [0.99] * 6, 10, False),
        ("the same doubts over a face that is seen again", [0.46, 0.40], [0.95, 0.96] + [0.99] * 6, 10, True),
        ("the same doubts over leaves that no second call sees", [0.47], [0.95] * 3 + [0.99] * 25, 31, False),
        ("the same doubts over a face in coarse blocks that stays longer", [0.47], [0.95] * 3 + [0.99] * 26, 32, True),
        ("the same doubts over a face in coarse blocks that stays", [0.49], [0.95] * 3 + [0.99] * 50, 60, True),
        ("a clear face that turns away and is doubted there", [0.80], [0.99] * 20 + [0.2] * 10, 40, True),
        ("weak scores that close looks believe in all along", [0.42, 0.40], [0.985] * 8, 8, True),
        ("the same for a moment only", [0.42, 0.40], [0.985] * 5, 5, False),
        ("a weak score, once", [0.42], [0.99] * 30, 40, False),
        ("weak scores that close looks doubt", [0.44, 0.43, 0.44], [0.97] * 30, 40, False),
        ("weak scores and no close look", [0.44, 0.43, 0.44], [], 40, False),
    ],
)
def test_a_track_is_a_face_by_its_best_score_or_by_what_close_looks_say(
    what: str, scores: list[float], beliefs: list[float], length: int, counts: bool
) -> None:
    assert is_face(scores, beliefs, length, sure=0.45) is counts, what


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5), st.lists(st.floats(0, 1), max_size=5), st.integers(1, 99), st.floats(0, 1))
def test_more_evidence_never_makes_a_face_of_a_track_less_likely(
    scores: list[float], beliefs: list[float], length: int, more: float
) -> None:
    if is_face(scores, beliefs, length, sure=0.45):
        assert is_face([*scores, more], beliefs, length, sure=0.45)
        assert is_face(scores, beliefs, length + 1, sure=0.45)
        assert is_face(scores, [max(b, more) for b in beliefs], length, sure=0.45)


def test_a_moment_of_blur_is_left_alone_and_a_soft_face_is_not(astronaut: np.ndarray) -> None:
    oracle = Oracle()
    frames = []
    for t, frame in enumerate(_clip(astronaut, [_head], 60, oracle)):
        blurred = cv2.GaussianBlur(frame, (0, 0), 5.0) if 25 <= t < 40 else cv2.GaussianBlur(frame, (0, 0), 0.8)
        oracle.places[blurred.tobytes()] = oracle.places[frame.tobytes()]
        frames.append(blurred)
    (track,) = _follow(frames, oracle).tracks
    assert {f.reason for f in track.flags} == {"too blurred"}
    assert track.weights[32] < 0.01
    assert min(track.weights[:18].min(), track.weights[48:].min()) > 0.98


def test_sharpness_is_the_same_for_every_size_and_contrast_of_a_face(astronaut: np.ndarray) -> None:
    def gray(scale: float, contrast: float = 1.0) -> float:
        picture = cv2.cvtColor(_scene(astronaut, [_similarity(scale, 0.2, 160, 120)]), cv2.COLOR_RGB2GRAY)
        picture = np.clip(128 + contrast * (picture.astype(float) - 128), 0, 255).astype(np.uint8)
        return sharpness(picture, apply_affine(_similarity(scale, 0.2, 160, 120), LANDMARKS))

    assert gray(1.2) == pytest.approx(gray(0.8), rel=0.25)
    assert gray(1.2, 0.6) == pytest.approx(gray(1.2), rel=0.2)


def test_sharpness_of_a_face_outside_the_picture_is_zero() -> None:
    assert sharpness(np.zeros((40, 40), np.uint8), LANDMARKS + 500) == 0


def test_the_strictest_guard_against_blur_is_a_number_and_not_off() -> None:
    guards = tracker_settings(RestoreSettings(least_sharpness=1.0)).guards
    assert guards.blur[0] == 1.0
    assert guards.blur[1] > guards.blur[0]
