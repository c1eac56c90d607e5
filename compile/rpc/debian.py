# SPDX-License-Identifier: Apache-2.0
"""What a virtual board is made of, by Debian's release and by architecture: names of packages and files.

Takes the codename of a release and an architecture; gives data for `rootfs` to put together.
"""

import msgspec

from mnc.support.errors import UserError


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """A Debian release, as far as its packages are called or cut otherwise than another's.

    `python` is the board's ("3.13"), whatever runs here; the programs of package `qemu` end in `suffix`.
    `tracing` are packages of an emulator that takes plugins, and of its libraries; none where all emulators
    are linked statically.
    """

    python: str
    ssl: str
    qemu: str
    suffix: str = ""
    tracing: tuple[str, ...] = ()

    @property
    def packages(self) -> tuple[str, ...]:
        """A Python and the libraries that it needs."""
        names = f"python{self.python}-minimal libpython{self.python}-minimal libpython{self.python}-stdlib"
        libraries = (
            f"libc6 libgcc-s1 libstdc++6 libexpat1 zlib1g libffi8 {self.ssl} libbz2-1.0 liblzma5"
        )
        return (*libraries.split(), *names.split())

    def emulator(self, arch: str) -> str:
        """qemu's program for an architecture."""
        return f"qemu-{arch}{self.suffix}"


TRACING = (
    "qemu-user libcapstone4 liburing2 libnuma1 libglib2.0-0 libpcre2-8-0 libgnutls30 libp11-kit0 libidn2-0 "
    "libunistring2 libtasn1-6 libnettle8 libhogweed6 libgmp10 libffi8 zlib1g"
)
RELEASES = {
    "bookworm": Release(
        python="3.11",
        ssl="libssl3",
        qemu="qemu-user-static",
        suffix="-static",
        tracing=tuple(TRACING.split()),
    ),
    "trixie": Release(python="3.13", ssl="libssl3t64", qemu="qemu-user"),
}


class System(msgspec.Struct, frozen=True, kw_only=True):
    """An architecture whose programs qemu-user can run here.

    Where TVM has no wheels for it (`built_for`: zig's triple and CPU), the runtime is compiled, numpy is
    Debian's, and of the other wheels only the Python is used. `links` are made as Debian's alternatives are.
    """

    debian: str
    wheels: str = "aarch64"
    built_for: tuple[str, str] | None = None
    extra: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()


ARM_LIBRARIES = "usr/lib/arm-linux-gnueabihf"
SYSTEMS = {
    "aarch64": System(debian="arm64"),
    "arm": System(
        debian="armhf",
        built_for=("arm-linux-gnueabihf.2.28", "cortex_a7"),
        extra=("python3-numpy", "libblas3", "liblapack3", "libgfortran5"),
        links=(
            (f"{ARM_LIBRARIES}/libblas.so.3", "blas/libblas.so.3"),
            (f"{ARM_LIBRARIES}/liblapack.so.3", "lapack/liblapack.so.3"),
        ),
    ),
}


def release(codename: str) -> Release:
    """The release called so; UserError when its packages are not known."""
    if codename not in RELEASES:
        raise UserError(
            f"virtual boards are put together from packages of Debian's {' or '.join(RELEASES)}, and this "
            f"system is {codename or 'no Debian'}: use one of those, or a real device (docs/devices.md)"
        )
    return RELEASES[codename]


def system(arch: str) -> System:
    """The architecture's; UserError when there is none."""
    if arch not in SYSTEMS:
        raise UserError(
            f"there is no virtual board for {arch}; choose a target of {', '.join(SYSTEMS)}, or connect a "
            "real device (see docs/devices.md)"
        )
    return SYSTEMS[arch]
