"""The C stack that faulthandler of Python 3.14 writes is read, as far as it is inside Python."""

from heka_raven.gunicorn.c_stack import NativeFrame, place_of, read_c_stack

# Python 3.14.8 of Debian, ctypes.memmove(8, b"abc", 3); shortened outside.
DEBIAN = """Fatal Python error: Segmentation fault

Current thread 0x00007f6ccb09d200 [python3] (most recent call first):
  File "/srv/shop/app.py", line 2 in view

Current thread's C stack trace (most recent call first):
  Binary file "python3", at _Py_DumpStack+0x4a [0x499c1d]
  Binary file "python3" [0x53bf79]
  Binary file "/usr/lib/x86_64-linux-gnu/libc.so.6", at +0x406b0 [0x7f6ccb0de6b0]
  Binary file "/usr/lib/x86_64-linux-gnu/libc.so.6", at +0x16778d [0x7f6ccb20578d]
  Binary file "/usr/lib/x86_64-linux-gnu/libffi.so.8", at +0xc056 [0x7f6ccada1056]
  Binary file "/usr/lib/x86_64-linux-gnu/libffi.so.8", at ffi_call+0x155 [0x7f6ccad9ffe5]
  Binary file "/usr/lib/python3.14/lib-dynload/_ctypes.cpython-314-x86_64-linux-gnu.so", at +0x1661c [0x7f6ccadc261c]
  Binary file "python3" [0x57313b]
  Binary file "python3" [0x44e447]
  Binary file "python3", at PyEval_EvalCode+0x9d [0x58f09d]
  Binary file "python3", at _start+0x21 [0x6d6ce1]

Extension modules: a (total: 1)
"""
LIBC = "/usr/lib/x86_64-linux-gnu/libc.so.6"


def lines(*frames):
    heading = "Current thread's C stack trace (most recent call first):"
    return "\n".join([heading, *(f"  Binary file {frame}" for frame in frames)])


def test_what_debian_writes():
    """Outermost first, without faulthandler's own frames and those that led to Python."""
    frames = read_c_stack(DEBIAN)
    assert ["_ctypes.cpython-314-x86_64-linux-gnu.so", "libffi.so.8", "libffi.so.8", "libc.so.6"] == [
        frame.library for frame in frames
    ]
    assert ["", "ffi_call", "", ""] == [frame.function for frame in frames]
    assert NativeFrame(LIBC, "", "0x7f6ccb20578d") == frames[-1]
    assert "ffi_call" == place_of(frames)
    assert {
        "platform": "native",
        "instruction_addr": "0x7f6ccb20578d",
        "in_app": False,
        "filename": "libc.so.6",
        "package": LIBC,
    } == frames[-1].as_frame()


def test_the_interpreter_itself():
    """Where the interpreter crashed, the innermost frame stays."""
    own = ['"/lib/libpython3.14.so", at _Py_DumpStack+0x4a [0x1]', f'"{LIBC}", at +0x406b0 [0x2]']
    loop = '"/lib/libpython3.14.so", at _PyEval_EvalFrameDefault+0x99 [0x3]'
    assert ["_PyEval_EvalFrameDefault"] == [frame.function for frame in read_c_stack(lines(*own, loop, loop))]


def test_a_library_without_names():
    """It is told by its file; what the loader does not know has an address alone."""
    own = ['"python3" [0x1]', f'"{LIBC}", at +0 [0x2]']
    frames = read_c_stack(lines(*own, "'<unknown>' [0x0]", '"/srv/my lib.so", at +0x12 [0x4]'))
    assert [("my lib.so", "0x4"), ("", "0x0")] == [(frame.library, frame.address) for frame in frames]
    assert "my lib.so" == place_of(frames)
    assert {"platform": "native", "instruction_addr": "0x0", "in_app": False} == frames[-1].as_frame()


def test_no_c_stack():
    """Earlier Pythons write none; a torn or foreign text is none."""
    assert [] == read_c_stack(DEBIAN.partition("Current thread's C stack")[0]) == read_c_stack("")
    assert [] == read_c_stack(lines("nonsense")) == read_c_stack(lines("<system returned no stack trace>"))
    assert "" == place_of([])
