# SPDX-License-Identifier: MIT
"""Builds what the scripts beside this file run: optimised, exec and io only, so that no library is needed."""
import os, shlex, subprocess, sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FOLDER = os.path.join(ROOT, "build", "compare")


def build(folder, target):
    options = ["-DCMAKE_BUILD_TYPE=RelWithDebInfo", "-DTHRUM_LAYERS=exec;io", "-DTHRUM_BENCH=ON", "-DTHRUM_TESTS=OFF"]
    for command in (["cmake", "-S", ROOT, "-B", folder, *options],
                    ["cmake", "--build", folder, "--parallel", "2", "--target", target]):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"bench: {shlex.join(command)} failed:\n{done.stdout}{done.stderr}")


def program(folder, target):
    return os.path.join(os.path.abspath(folder), "bench", target)
