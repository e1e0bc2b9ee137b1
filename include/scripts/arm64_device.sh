#!/bin/bash
# An emulated ARM64 device: proves on aarch64, without a board, that a model gives its golden outputs bit for bit.
#   include/scripts/arm64_device.sh make .state/arm64
#   include/scripts/arm64_device.sh check .state/arm64 RUN/int8 [MORE_FOLDERS]
# make: a Debian arm64 root from the distribution's packages with numpy and the LiteRT runtime, 300 MB, some minutes.
# No root rights and no Docker; it needs qemu-user-static, apt-get, dpkg-deb, a network. Done once; again does nothing.
# check: the golden inputs of every part of the models; exits 1 when an output differs. FOLDER/python3 is the device's
# Python. qemu emulates the processor of a Raspberry Pi 5 (Cortex-A76); its times say nothing of one.
set -euo pipefail
repository=$(cd "$(dirname "$0")/../.." && pwd)
usage="usage: arm64_device.sh make FOLDER | check FOLDER MODEL_FOLDER..."
suite=${SUITE:-bookworm}
runtime=${RUNTIME:-2.3.0}
mirror=${MIRROR:-http://deb.debian.org/debian}
uv=${UV:-$repository/.venv/uv/bin/uv}

fail() {
    echo "error: $1" >&2
    exit 1
}

make_root() {
    local folder=$1 debian=$1/debian apt=$1/apt
    for tool in qemu-aarch64-static:qemu-user-static apt-get:apt dpkg-deb:dpkg; do
        command -v "${tool%%:*}" >/dev/null || fail "there is no ${tool%%:*}: sudo apt install ${tool#*:}"
    done
    [ ! -e "$folder/complete" ] || return 0
    mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial" "$debian/proc"
    : > "$apt/status"
    local key=/usr/share/keyrings/debian-archive-keyring.gpg
    [ -e "$key" ] || fail "there is no $key: sudo apt install debian-archive-keyring"
    echo "deb [arch=arm64 signed-by=$key] $mirror $suite main" > "$apt/sources.list"
    local options=(
        -q -o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null -o "Dir::State=$apt/state"
        -o "Dir::State::status=$apt/status" -o "Dir::Cache=$apt/cache" -o APT::Architecture=arm64
        -o APT::Architectures::=arm64 -o APT::Install-Recommends=false -o APT::Sandbox::User="$(id -un)"
    )
    apt-get "${options[@]}" update >&2
    apt-get "${options[@]}" install -y --download-only python3-minimal libpython3-stdlib libstdc++6 >&2
    for package in "$apt"/cache/archives/*.deb; do
        dpkg-deb --extract "$package" "$debian"
    done
    write_python "$folder"
    local version
    version=$("$folder/python3" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    "$uv" pip install --quiet --only-binary :all: --python-platform aarch64-manylinux_2_28 --python-version "$version" \
        --target "$debian/wheels" numpy "ai-edge-litert==$runtime"
    rm -rf "$apt"
    : > "$folder/complete"
}

write_python() {
    local core='Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x4\nCPU part\t: 0xd0b\nCPU revision\t: 1\n\n'
    for number in 0 1 2 3; do  # of a Raspberry Pi 5; the runtime dies on the host's
        printf 'processor\t: %d\nBogoMIPS\t: 108.00\n'"$core" "$number"
    done > "$1/debian/proc/cpuinfo"
    cat > "$1/python3" <<'PYTHON'
#!/bin/bash
# Python of the emulated ARM64 device beside this file.
debian=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)/debian
export QEMU_CPU=${QEMU_CPU:-cortex-a76} PYTHONHOME=/usr PYTHONPATH=$debian/wheels${PYTHONPATH:+:$PYTHONPATH}
exec qemu-aarch64-static -L "$debian" "$debian/usr/bin/python3" "$@"
PYTHON
    chmod +x "$1/python3"
}

check() {
    local folder=$1 failed=0 answer
    shift
    [ -e "$folder/complete" ] || fail "there is no device in $folder: arm64_device.sh make $folder"
    for model in "$@"; do
        answer=$(PYTHONPATH=$repository/include "$folder/python3" -m ml_training.edge.device_runner \
            --folder "$model" --only-golden --install never 2>/dev/null) || true
        case $answer in
            *'"machine": "aarch64"'*'"golden_exact": true'*) echo "exact on aarch64: $model" ;;
            *) echo "DIFFERS on aarch64: $model: ${answer:-the runner died}"; failed=1 ;;
        esac
    done
    return $failed
}


[ $# -ge 2 ] || { echo "$usage" >&2; exit 2; }
action=$1
folder=$(mkdir -p "$2" && cd "$2" && pwd)
case $action in
    make) make_root "$folder" ;;
    check) [ $# -ge 3 ] || { echo "$usage" >&2; exit 2; }; check "$folder" "${@:3}" ;;
    *) echo "$usage" >&2; exit 2 ;;
esac
