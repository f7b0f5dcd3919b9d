"""Builds the ROS 2 messages that have no wheels, into this environment: of event cameras, and of recognition.

    pip install 'livesnn[ros2]' catkin_pkg
    python -m tests.build_ros_messages

It needs g++. Where ROS 2 is installed, its packages are better: ros-$ROS_DISTRO-event-camera-msgs.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import numpy as np

HEADER = "std_msgs/Header header\n"
PACKAGES = {
    "event_camera_msgs": {
        "EventPacket": f"{HEADER}uint32 height\nuint32 width\nuint64 seq\nuint64 time_base\nstring encoding\n"
        "bool is_bigendian\nuint8[] events\n"
    },
    "dvs_msgs": {
        "Event": "uint16 x\nuint16 y\nbuiltin_interfaces/Time ts\nbool polarity\n",
        "EventArray": f"{HEADER}uint32 height\nuint32 width\nEvent[] events\n",
    },
    "vision_msgs": {
        "ObjectHypothesis": "string class_id\nfloat64 score\n",
        "Classification": f"{HEADER}ObjectHypothesis[] results\n",
    },
}
PREFIX = Path(sys.prefix)
LIBRARIES = PREFIX / "lib"  # where the wheels' are, which ROS finds
MODULES = Path(sysconfig.get_path("platlib"))
KINDS = (
    "rosidl_generator_c",
    "rosidl_generator_py",
    "rosidl_typesupport_fastrtps_c",
    "rosidl_typesupport_introspection_c",
)
USED = [f"-l{package}__{kind}" for package in ("std_msgs", "builtin_interfaces") for kind in KINDS]
USED += [f"-lrosidl_{name}" for name in ("runtime_c", "typesupport_c", "typesupport_introspection_c")]
USED += ["-lrosidl_typesupport_fastrtps_c", "-lrosidl_typesupport_fastrtps_cpp", "-lfastcdr"]


def generate(package: str, sources: Path, folder: Path) -> None:
    """Write the code of a package's messages, in C and for Python."""
    from rosidl_cli import entry_points
    from rosidl_cli.command.generate.api import generate as generate_all

    # Each wheel names its generators twice, which rosidl refuses.
    entry_points.get_entry_points = lambda group, *, specs=None, strict=False: {
        each.name: each
        for each in importlib.metadata.entry_points(group=group)
        if specs is None or each.name in specs
    }
    (sources / package / "msg").mkdir(parents=True)
    for name, text in PACKAGES[package].items():
        (sources / package / "msg" / f"{name}.msg").write_text(text)
    generate_all(
        package_name=package,
        interface_files=[f"{sources / package}:msg/{name}.msg" for name in PACKAGES[package]],
        include_paths=[str(PREFIX / "share")],
        output_path=folder,
        types=["c", "py"],
        typesupports=["c", "fastrtps_c", "introspection_c"],
    )


def build(package: str, code: Path) -> None:
    """Compile a package's code to libraries, and to a package of Python."""
    headers = code / "include"
    for kind in ("c", "fastrtps_c", "introspection_c"):
        shutil.copytree(code / kind / "msg", headers / package / "msg", dirs_exist_ok=True)
    shutil.copytree(code / "py" / "msg", MODULES / package / "msg", dirs_exist_ok=True)
    (MODULES / package / "__init__.py").touch()
    include = [headers, *(PREFIX / "include").glob("*/"), PREFIX / "include", sysconfig.get_path("include")]
    flags = ["-O1", "-fPIC", "-shared", "-Wl,--no-as-needed", f"-L{LIBRARIES}"]
    flags += [f"-I{each}" for each in (*include, np.get_include())]

    def link(out: Path, sources: Path, pattern: str, *needs: str) -> None:
        compiler = ["g++", "-std=c++17"] if pattern.endswith("cpp") else ["gcc"]
        own = [f"-l{package}__rosidl_{need}" for need in needs]
        subprocess.run([*compiler, *flags, "-o", out, *sources.glob(pattern), *own, *USED], check=True)

    def library(kind: str, sources: str, pattern: str, *needs: str) -> None:
        link(LIBRARIES / f"lib{package}__rosidl_{kind}.so", code / sources, pattern, *needs)

    library("generator_c", "c/msg/detail", "*.c")
    library("typesupport_fastrtps_c", "fastrtps_c/msg/detail", "*.cpp", "generator_c")
    library("typesupport_introspection_c", "introspection_c/msg/detail", "*.c", "generator_c")
    library("typesupport_c", "c/msg", "*.cpp", "generator_c")
    library("generator_py", "py/msg", "*_s.c", "generator_c", "typesupport_c")
    ending = sysconfig.get_config_var("EXT_SUFFIX")
    for kind in ("typesupport_c", "typesupport_fastrtps_c"):
        module = MODULES / package / f"{package}_s__rosidl_{kind}{ending}"
        link(module, code / "py", f"*.ep.rosidl_{kind}.c", "generator_py", kind, "generator_c")


def main() -> None:
    """Build all of them."""
    if missing := [each for each in ("gcc", "g++") if shutil.which(each) is None]:
        sys.exit(f"the messages need {' and '.join(missing)}: sudo apt install g++")
    os.environ["AMENT_PREFIX_PATH"] = str(PREFIX)
    with tempfile.TemporaryDirectory() as folder:
        for package in PACKAGES:
            code = Path(folder, package)
            generate(package, code / "sources", code)
            build(package, code)


if __name__ == "__main__":
    main()
