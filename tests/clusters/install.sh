#!/usr/bin/env bash
# Install what the named cluster managers need on Debian 12, as root; quick if it is there already.
#   tests/clusters/install.sh slurm pbs moab sge
set -euo pipefail

export DEBIAN_FRONTEND=noninteractive
apt=(apt-get -qq -o DPkg::Lock::Timeout=300 --no-install-recommends -y)

is_installed() { dpkg-query -W -f='${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed; }

# The daemons that come with a package stay down: the test beds start their own.
keep_daemons_down() {
    local policy=/usr/sbin/policy-rc.d
    [[ -e $policy ]] && return
    trap "rm -f $policy" EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
}

need() {
    local missing=() package
    for package; do is_installed "$package" || missing+=("$package"); done
    ((${#missing[@]})) || return 0
    keep_daemons_down
    "${apt[@]}" install "${missing[@]}" >/dev/null 2>&1 && return
    patiently "${apt[@]}" update # the lists are old, or there are none
    patiently "${apt[@]}" install "${missing[@]}" >/dev/null
}

# Others may be installing something, too; not every lock of apt can be waited for.
patiently() {
    for _ in 1 2 3 4; do
        "$@" && return
        sleep 10
    done
    "$@"
}

# PBS and Moab commands in front of Slurm. The package refuses to be installed beside Grid Engine's.
unpack_torque() {
    local folder=/usr/local/lib/slurm-wlm-torque part
    [[ -e $folder/usr/bin/qsub ]] && return
    part=$(mktemp -d)
    chmod a+rx "$part" && chown _apt "$part"
    (cd "$part" && "${apt[@]}" download slurm-wlm-torque)
    dpkg-deb -x "$part"/*.deb "$part/unpacked"
    chmod a+rx "$part/unpacked"
    rm -rf "$folder"
    mv "$part/unpacked" "$folder"
    rm -rf "$part"
}

# Its users have other numbers outside; condor.py says why.
shift_owners() {
    local kind number
    for kind in u g; do
        for number in $(find "$1" -xdev -printf "%${kind^^}\n" | sort -un); do
            if [[ $kind == u ]]; then
                find "$1" -xdev -uid "$number" -exec chown -h "$((number + 200000))" {} +
            else
                find "$1" -xdev -gid "$number" -exec chgrp -h "$((number + 200000))" {} +
            fi
        done
    done
}

# HTCondor is in Debian 13, and not in 12: it gets a Debian of its own, with what Python links to.
make_condor_root() {
    local root=/opt/amltk-condor mirror
    [[ -e $root/.ready ]] && return
    need debootstrap
    mirror=$(apt-cache policy | grep -om 1 'https\?://[^ ]*debian')
    rm -rf "$root"
    debootstrap --variant=minbase trixie "$root" "$mirror" >/dev/null
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod +x "$root/usr/sbin/policy-rc.d"
    cp /etc/resolv.conf /etc/hosts "$root/etc/"
    unshare --mount bash -c 'mount -t proc proc "$1/proc" && shift && chroot "$@"' - "$root" "$root" \
        apt-get install -qq -y --no-install-recommends minicondor \
        libsqlite3-0 libffi8 libssl3t64 libbz2-1.0 liblzma5 libreadline8t64 zlib1g libncursesw6 >/dev/null
    chroot "$root" useradd --uid 2000 --create-home dask
    chmod 755 "$root/root"
    touch "$root/etc/condor/config.d/99-amltk"
    shift_owners "$root"
    touch "$root/.ready"
}

((EUID == 0)) || { echo "Only root can install cluster managers." >&2; exit 1; }

slurm=(munge slurmctld slurmd slurm-client)
for manager; do
    case $manager in
        slurm) need "${slurm[@]}" ;;
        pbs | moab) need "${slurm[@]}" libslurm-perl libslurmdb-perl libswitch-perl; unpack_torque ;;
        sge) need gridengine-master gridengine-exec gridengine-client ;;
        oar) need oar-server oar-server-pgsql oar-user oar-user-pgsql oar-node \
            postgresql openssh-server openssh-client ;;
        condor) make_condor_root ;;
        *) echo "Nothing is known about how to install '$manager'." >&2; exit 1 ;;
    esac
done
