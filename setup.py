"""Build the one C extension, `cprof._core`. Everything else is in pyproject.toml.

CPROF_SANITIZE=address,undefined   build it with these sanitizers (`make asan-py`)
CPROF_COVERAGE=1                   build it for gcov
CPROF_WERROR=1                     warnings are errors
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from glob import glob
from typing import Any

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# pkg-config name, and the package that has it: (Debian, Ubuntu) and (Fedora, RHEL).
# libunwind-generic is the remote unwinder of nongnu libunwind: LLVM's libunwind, which has
# the same header name, has no such module.
LIBRARIES = {
    "libunwind-generic": ("libunwind-dev", "libunwind-devel"),
    "libdw": ("libdw-dev", "elfutils-devel"),
    "libelf": ("libelf-dev", "elfutils-libelf-devel"),
    "libprotobuf-c": ("libprotobuf-c-dev", "protobuf-c-devel"),
    "zlib": ("zlib1g-dev", "zlib-devel"),
    "liblzma": ("liblzma-dev", "xz-devel"),
}
HEADERS = {
    "libunwind.h": LIBRARIES["libunwind-generic"],
    "libunwind-ptrace.h": LIBRARIES["libunwind-generic"],
    "elfutils/libdw.h": LIBRARIES["libdw"],
    "gelf.h": LIBRARIES["libelf"],
    "protobuf-c/protobuf-c.h": LIBRARIES["libprotobuf-c"],
    "zlib.h": LIBRARIES["zlib"],
    "lzma.h": LIBRARIES["liblzma"],
    "Python.h": ("python3-dev", "python3-devel"),
    "linux/perf_event.h": ("linux-libc-dev", "kernel-headers"),
}
IS_FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
IS_ABI3 = not IS_FREE_THREADED


def missing(what: str, packages: list[tuple[str, str]]) -> SystemExit:
    """The end of the build: what is missing and the command that installs it."""
    apt = " ".join(dict.fromkeys(debian for debian, _ in packages))
    dnf = " ".join(dict.fromkeys(fedora for _, fedora in packages))
    return SystemExit(
        f"\ncprof cannot be built: {what}. Install it and try again:\n"
        f"  Debian, Ubuntu:  apt-get install {apt}\n"
        f"  Fedora, RHEL:    dnf install {dnf}\n"
    )


def run(*command: str, stdin: str = "") -> tuple[bool, str]:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    return done.returncode == 0, done.stdout


def pkg_config_flags() -> tuple[list[str], list[str]]:
    """(compiler flags, linker flags) of all libraries."""
    program = os.environ.get("PKG_CONFIG", "pkg-config")
    if not shutil.which(program):
        raise missing(f"there is no `{program}`", [("pkg-config", "pkgconf-pkg-config")])
    absent = [name for name in LIBRARIES if not run(program, "--exists", name)[0]]
    if absent:
        what = f"pkg-config does not find {', '.join(absent)}"
        raise missing(what, [LIBRARIES[name] for name in absent])
    flags = [run(program, kind, *LIBRARIES)[1].split() for kind in ("--cflags", "--libs")]
    return flags[0], flags[1]


def check_compiler(compiler: list[str], flags: list[str]) -> None:
    if not shutil.which(compiler[0]):
        raise missing(f"there is no C compiler `{compiler[0]}`", [("gcc libc6-dev", "gcc")])
    preprocess = [*compiler, *flags, "-E", "-x", "c", "-", "-o", os.devnull]
    if not run(*preprocess, stdin="#include <stdlib.h>\n")[0]:
        raise missing("the C compiler finds no <stdlib.h>", [("libc6-dev", "glibc-devel")])
    absent = [h for h in HEADERS if not run(*preprocess, stdin=f"#include <{h}>\n")[0]]
    if absent:
        what = f"the C compiler finds no {', '.join(f'<{h}>' for h in absent)}"
        raise missing(what, [HEADERS[h] for h in absent])


class BuildCore(build_ext):
    """Asks for the libraries only when it compiles, so that an sdist needs none of them."""

    def build_extension(self, ext: Extension) -> None:
        cflags, libs = pkg_config_flags()
        python = [f"-I{path}" for path in self.include_dirs or []]
        check_compiler(self.compiler.compiler_so, [*cflags, *python])
        ext.extra_compile_args += cflags
        ext.extra_link_args += libs
        compile_in_turn = self.compiler.compile

        def compile_at_once(sources: list[str], **options: Any) -> list[str]:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                made = pool.map(lambda source: compile_in_turn([source], **options), sources)
                return [path for paths in made for path in paths]

        self.compiler.compile = compile_at_once
        super().build_extension(ext)


def flags_asked_for() -> tuple[list[str], list[str]]:
    """What the environment adds: (compiler flags, linker flags)."""
    compile_args, link_args = [], []
    if sanitizers := os.environ.get("CPROF_SANITIZE"):
        compile_args += [f"-fsanitize={sanitizers}", "-fno-sanitize-recover=all", "-O1"]
        compile_args += ["-fno-omit-frame-pointer"]
        link_args += [f"-fsanitize={sanitizers}"]
    if os.environ.get("CPROF_COVERAGE") == "1":
        compile_args += ["--coverage", "-O0"]
        link_args += ["--coverage"]
    if os.environ.get("CPROF_WERROR") == "1":
        compile_args += ["-Werror"]
    return compile_args, link_args


if not sys.platform.startswith("linux"):
    raise SystemExit("cprof reads Linux perf events: it can only be built on Linux")

more_compile_args, more_link_args = flags_asked_for()
core = Extension(
    "cprof._core",
    sources=sorted(glob("csrc/core/*.c") + glob("csrc/proto/*.c") + glob("csrc/py/*.c")),
    depends=sorted(glob("csrc/*/*.h")),
    define_macros=[("Py_LIMITED_API", "0x030b0000")] if IS_ABI3 else [],
    py_limited_api=IS_ABI3,
    extra_compile_args=[
        # Not -I: <elf.h> is the system's, "elf.h" is the core's.
        *("-iquote" + folder for folder in ("csrc/core", "csrc/proto", "csrc/py")),
        *("-std=gnu11", "-O2", "-g", "-fvisibility=hidden", "-Wall", "-Wextra"),
        *more_compile_args,
    ],
    extra_link_args=["-lpthread", "-ldl", "-lm", *more_link_args],
)
setup(
    ext_modules=[core],
    cmdclass={"build_ext": BuildCore},
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if IS_ABI3 else {},
)
