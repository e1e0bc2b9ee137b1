# From a machine's first second to its last. What is above this line was put there for one attempt (cloud.user_data).
# Every address, and the program `shutdown`, come from the environment.
set -u
started=$(date +%s)
export HOME="${HOME:-/root}" PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
home=${ADBREAK_HOME:-/opt/adbreak}
folder=$home/attempts/$job_id-$attempt
venv=$home/venv-${lock_sha256:0:12}
supervisor=

# The hard deadline comes before all else: to the second, and once more by the operating system itself. A clock that is
# wrong makes it no later than what the attempt may last.
left=$((deadline - started))
[ "$left" -gt "$longest" ] && left=$longest
[ "$left" -lt 1 ] && left=1
(sleep "$left"; until shutdown -h now; do sleep 5; done) >/dev/null 2>&1 &
shutdown -h "+$((left / 60 + 1))"

leave() {
    code=$?
    trap - EXIT
    trap '' TERM INT HUP
    if [ "$code" -ne 0 ] && [ -f "$folder/bootstrap.py" ]; then
        timeout 60 "$python" "$folder/bootstrap.py" report "$job" "$attempt" "$folder/boot.log" "$code" "$started"
    fi
    until shutdown -h now; do sleep 5; done
}
trap leave EXIT
trap '[ -n "$supervisor" ] || exit 143; kill -s TERM "$supervisor"' TERM INT HUP

stop() {
    echo "error: $1"
    exit 1
}

mkdir -p "$folder/code" "$home/work" || stop "the folder $home cannot be written"
exec > >(tee "$folder/boot.log") 2>&1
python=$(command -v python3) || python=$venv/bin/python
write_bootstrap >"$folder/bootstrap.py"
fetch() { "$python" "$folder/bootstrap.py" fetch "$@"; }

[ -n "${AWS_DEFAULT_REGION:-}" ] || AWS_DEFAULT_REGION=$("$python" "$folder/bootstrap.py" region) || stop "no region"
export AWS_DEFAULT_REGION

fetch "$code_uri" "$code_sha256" "$folder/code.tar.gz" || stop "the code could not be fetched"
fetch "$lock_uri" "$lock_sha256" "$folder/requirements.txt" || stop "the lock file could not be fetched"
tar -xzf "$folder/code.tar.gz" -C "$folder/code" || stop "the code could not be unpacked"
include=$folder/code/include

make_environment() {
    fetch pypi:uv "$uv_sha256" "$folder/uv.whl" || return 1
    "$python" -m zipfile -e "$folder/uv.whl" "$folder/uv" || return 1
    uv=$(echo "$folder"/uv/uv-*.data/scripts/uv)
    chmod +x "$uv"
    export UV_CACHE_DIR=$home/uv-cache UV_PYTHON_INSTALL_DIR=$home/python UV_LINK_MODE=hardlink
    gpu=
    [ "$gpus" -gt 0 ] && gpu="--requirement $include/ml_training/cloud/gpu_requirements.txt"
    rm -rf "$venv.part"
    "$uv" venv --quiet --relocatable --python 3.11 "$venv.part" || return 1
    # shellcheck disable=SC2086
    "$uv" pip install --quiet --python "$venv.part/bin/python" --requirement "$folder/requirements.txt" $gpu || return 1
    mv "$venv.part" "$venv"
}

arguments=(-m ml_training.cloud.supervisor --job "$job" --attempt "$attempt" --booted-at "$started"
    --boot-log "$folder/boot.log" --usd-per-hour "$usd_per_hour")
export ADBREAK_WORK_DIR=$home/work ADBREAK_STORAGE_ATTEMPTS=2 # the supervisor asks again by itself
cd "$folder" || stop "the folder $folder is gone"
if [ -n "$image" ]; then
    container=adbreak-$attempt
    [ "$gpus" -gt 0 ] && gpu_options=(--gpus all) || gpu_options=()
    case $image in
        *.dkr.ecr.*)
            registry=${image%%/*}
            there=${registry#*.dkr.ecr.}
            aws ecr get-login-password --region "${there%%.*}" | docker login --username AWS --password-stdin "$registry"
            ;;
    esac
    docker pull "$image" || stop "the image $image cannot be pulled"
    env -0 | grep -zE '^(AWS_|ADBREAK_|MLFLOW_)' | tr '\0' '\n' >"$folder/environment"
    docker run --rm --init --network host --name "$container" "${gpu_options[@]}" --env-file "$folder/environment" \
        --env PYTHONPATH="$include" --env PYTHONUNBUFFERED=1 --volume "$home:$home" --workdir "$folder" \
        --stop-timeout 100 "$image" python "${arguments[@]}" &
else
    if [ ! -x "$venv/bin/python" ]; then
        echo "making the environment $venv"
        make_environment || stop "the environment could not be made from the lock file"
    fi
    PYTHONPATH=$include "$venv/bin/python" "${arguments[@]}" --shut-down &
fi
supervisor=$!
wait "$supervisor"
code=$?
while [ "$code" -gt 128 ] && kill -s 0 "$supervisor" 2>/dev/null; do # a signal ended the waiting, not the supervisor
    wait "$supervisor"
    code=$?
done
exit "$code"
