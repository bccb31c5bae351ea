"""What the core reports becomes the right public exception, which is also the built-in."""

import errno
import pickle

import pytest

from cprof import _core, errors


def core_error(code, message="session: it failed", knob="", value="", remedy=""):
    return _core.CoreError(code, message, knob, value, remedy)


@pytest.mark.parametrize(
    ("code", "options", "kind", "builtin"),
    [
        (errno.ESRCH, {}, errors.TargetGone, ProcessLookupError),
        (errno.EOPNOTSUPP, {}, errors.UnsupportedEvent, ValueError),
        (errno.EINVAL, {}, errors.InvalidOption, ValueError),
        (errno.EBADMSG, {"path": "x"}, errors.CorruptProfile, ValueError),
        (errno.EFBIG, {"path": "x", "is_reading": True}, errors.CorruptProfile, ValueError),
        (errno.EFBIG, {"path": "x"}, OSError, OSError),
        (errno.ENOENT, {"path": "x", "is_reading": True}, FileNotFoundError, OSError),
        (errno.ENOSPC, {"path": "x"}, OSError, OSError),
        (errno.ENOENT, {"command": "x"}, errors.CommandNotFound, FileNotFoundError),
        (errno.EACCES, {"command": "x"}, errors.CommandNotExecutable, PermissionError),
        (errno.ENOEXEC, {"command": "x"}, errors.CommandNotExecutable, PermissionError),
        (errno.EPERM, {}, errors.PermissionDenied, PermissionError),
        (errno.ENODATA, {}, errors.CprofError, errors.CprofError),
        (errno.ENOMEM, {}, MemoryError, MemoryError),
        (errno.EMFILE, {}, OSError, OSError),
    ],
)
def test_the_code_and_what_was_done_decide(code, options, kind, builtin):
    error = errors.from_core(core_error(code), **options)
    assert isinstance(error, kind)
    assert isinstance(error, builtin)


def test_an_event_the_kernel_does_not_know_is_no_missing_command():
    error = errors.from_core(core_error(errno.ENOENT, "event: no cycles here"), command="true")
    assert isinstance(error, errors.UnsupportedEvent)


def test_a_kernel_thread_is_no_target():
    error = errors.from_core(core_error(errno.EINVAL, "session: 2 is a kernel thread"))
    assert isinstance(error, errors.TargetGone)


def test_a_refusal_names_knob_value_and_remedy():
    refusal = core_error(
        errno.EACCES, "session: the kernel refuses to sample",
        "kernel.perf_event_paranoid", "3", "sysctl kernel.perf_event_paranoid=2",
    )  # fmt: skip
    with pytest.raises(errors.PermissionDenied) as caught, errors.translated(command="x"):
        raise refusal
    error = caught.value
    assert (error.knob, error.value) == ("kernel.perf_event_paranoid", "3")
    for part in ("refuses to sample", error.knob, "3", "sysctl kernel.perf_event_paranoid=2"):
        assert part in str(error)
    assert error.errno == errno.EACCES


def test_a_limit_that_is_reached_is_a_refusal_too():
    limit = core_error(errno.EMFILE, "session: too many files", "RLIMIT_NOFILE", "64", "ulimit -n")
    assert errors.from_core(limit).knob == "RLIMIT_NOFILE"
    rate = core_error(errno.EINVAL, "session: 1e9 Hz", "perf_event_max_sample_rate", "1", "less")
    assert isinstance(errors.from_core(rate), errors.InvalidOption)


def test_other_exceptions_pass_untouched():
    with pytest.raises(KeyError), errors.translated():
        raise KeyError("x")


@pytest.mark.parametrize(
    "error",
    [
        errors.CprofError("what", "remedy"),
        errors.PermissionDenied("knob", "value", "remedy"),
        errors.NoSamples("reason", "remedy"),
        errors.TargetGone("gone"),
        errors.MissingPackage("no pandas", "pip install pandas"),
    ],
)
def test_every_error_survives_pickling(error):
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert copy.__dict__ == error.__dict__


def test_every_public_error_is_a_cprof_error():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    raised = [k for k in kinds if issubclass(k, Exception) and k.__module__ == "cprof.errors"]
    assert len(raised) > 10
    assert all(issubclass(k, (errors.CprofError, UserWarning)) for k in raised)
