"""Lists of recordings from small folders laid out as the authors distribute theirs, and from the real label file."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.data.recordings import cifar10_dvs, digest, dvs128_gesture, gesture_labels, n_mnist
from tests.event_files import real_events, write_cifar10_dvs, write_gesture, write_n_mnist


def test_cifar10_dvs_is_listed_class_by_class_in_order_of_numbers(tmp_path):
    write_cifar10_dvs(tmp_path, per_class=12, events=1)
    listed = cifar10_dvs(tmp_path)
    assert len(listed) == 120
    assert [each.label for each in listed] == [label for label in range(10) for _ in range(12)]
    assert [each.file for each in listed[36:48]] == [f"cat/cifar10_cat_{i}.aedat" for i in range(12)]
    assert all((tmp_path / each.file).stat().st_size == each.size for each in listed)


def test_n_mnist_is_listed_with_its_parts(tmp_path):
    write_n_mnist(tmp_path, train=3, test=2, events=1)
    listed = n_mnist(tmp_path)
    assert [each.part for each in listed] == ["train"] * 30 + ["test"] * 20
    assert all(each.file.split("/")[:2] == [each.part.title(), str(each.label)] for each in listed)


def test_gestures_are_listed_with_their_times_and_parts(tmp_path):
    write_gesture(tmp_path / "g")
    listed = dvs128_gesture(tmp_path / "g")
    assert [each.label for each in listed] == list(range(11)) * 3
    assert [each.part for each in listed] == ["train"] * 22 + ["test"] * 11
    assert (listed[14].file, listed[14].start, listed[14].end) == ("user02_led.aedat", 6000, 7000)


def test_a_real_label_file_is_read():
    labels = gesture_labels(real_events() / "dvsgesture_labels/user01_natural_labels.csv")
    assert [label for label, _, _ in labels] == [1, 2, 3, 5, 4, 6, 7, 8, 8, 9, 10, 11]
    assert labels[0] == (1, 53036986, 59508469)
    assert labels[-1] == (11, 171367247, 177991967)


HEAD = "class,startTime_usec,endTime_usec\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "does not begin with the line 'class,startTime_usec,endTime_usec'"),
        ("1,2,3\n", "does not begin"),
        (HEAD + "1,2,3\n0,4,5\n", "line 3: '0,4,5', expected a class of 1 to 11"),
        (HEAD + "12,4,5\n", "line 2"),
        (HEAD + "1,5,5\n", "a later end"),
        (HEAD + "1,2\n", "line 2"),
    ],
)
def test_labels_that_cannot_be_are_refused_by_line(tmp_path, content, words):
    path = tmp_path / "labels.csv"
    path.write_text(content)
    with pytest.raises(ValueError, match=words) as failure:
        gesture_labels(path)
    assert str(path) in str(failure.value)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([b"", HEAD.encode()]), st.binary(max_size=60))
def test_any_bytes_give_labels_or_a_message(tmp_path, start, rest):
    path = tmp_path / "labels.csv"
    path.write_bytes(start + rest)
    said = ""
    try:
        assert all(begin < end for _, begin, end in gesture_labels(path))
    except ValueError as failure:
        said = str(failure)
    assert said == "" or str(path) in said


def test_missing_folders_and_odd_names_are_said(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no CIFAR10-DVS in .*expected \*\.aedat files in its folder airplane"):
        cifar10_dvs(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no N-MNIST in .* folder Train/0"):
        n_mnist(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no DVS128 Gesture in .* trials_to_train\.txt"):
        dvs128_gesture(tmp_path)
    write_cifar10_dvs(tmp_path, per_class=1, events=1)
    (tmp_path / "deer/cifar10_deer_0.aedat").rename(tmp_path / "deer/cifar10_deer.aedat")
    with pytest.raises(ValueError, match=r"cifar10_deer\.aedat has no number"):
        cifar10_dvs(tmp_path)


@pytest.mark.parametrize("names", [b"../user01_led.aedat", b"\xff\xfe", b"user01_led"])
def test_a_list_of_trials_that_names_something_else_is_refused(tmp_path, names):
    write_gesture(tmp_path / "g")
    (tmp_path / "g/trials_to_test.txt").write_bytes(names)
    with pytest.raises(ValueError, match=r"trials_to_test\.txt names .* user01_led\.aedat"):
        dvs128_gesture(tmp_path / "g")


def test_a_digest_tells_lists_apart(tmp_path):
    write_n_mnist(tmp_path, events=1)
    listed = n_mnist(tmp_path)
    changed = [
        listed[1:],
        listed[::-1],
        *([replace(listed[0], **change), *listed[1:]] for change in ({"size": 1}, {"label": 3}, {"file": "x"})),
    ]
    assert len({digest(each) for each in [listed, *changed]}) == 6
    assert digest(listed) == digest(n_mnist(tmp_path))
