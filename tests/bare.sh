#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Proves that the two command lines of README.md work as pasted on a bare Debian 12: makes one in a folder
# with debootstrap (git in it, but no make, no compiler), copies this source tree in and runs them there.
#
#     sudo tests/bare.sh [FOLDER]
#
# FOLDER must not exist; the default is a temporary one that is removed again. MIRROR= is where packages come
# from. AS=user runs the lines as a user with sudo, otherwise as root without sudo.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
	echo "tests/bare.sh: $*" >&2
	exit 1
}

mirror=${MIRROR:-http://deb.debian.org/debian}
[ "$(id -u)" = 0 ] || fail "debootstrap and chroot need root"
command -v debootstrap >/dev/null || fail "needs the package debootstrap"
mapfile -t lines < <(grep -oE '^ *command -v make.* make (demo|test)$' README.md)
[ ${#lines[@]} = 2 ] || fail "README.md:1: no two lines 'command -v make ... make demo', 'make test'"

if [ $# -gt 0 ]; then
	root=$1
	[ ! -e "$root" ] || fail "$root exists"
	mkdir -p "$root"
else
	root=$(mktemp -d)
fi
root=$(realpath "$root")
chmod 755 "$root"
mounted=false
finish() {
	! $mounted || umount "$root/proc"
	# Never across a mount that would not go.
	[ $# -gt 0 ] || rm -rf --one-file-system "$root"
}
if [ $# -gt 0 ]; then trap 'finish keep' EXIT; else trap finish EXIT; fi

packages=git
[ "${AS-}" != user ] || packages=git,sudo
debootstrap --variant=minbase --include="$packages" bookworm "$root" "$mirror" >"$root.log" 2>&1 ||
	{ tail -n 20 "$root.log" >&2; fail "debootstrap failed, see $root.log"; }
rm -f "$root.log"
if mount -t proc proc "$root/proc" 2>/dev/null; then
	mounted=true
else
	echo "bare: no permission to mount /proc, going on without it"
fi
for tool in make gcc cc clang; do
	! chroot "$root" sh -c "command -v $tool" || fail "$tool is there already: not bare"
done

run=(env -i TERM="${TERM-dumb}" LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
home=/root
if [ "${AS-}" = user ]; then
	chroot "$root" useradd --create-home --shell /bin/bash tester
	echo 'tester ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/tester"
	home=/home/tester
fi
# What a clone has once this tree is committed.
mkdir "$root$home/libcgc"
git ls-files -z --cached --others --exclude-standard | tar -c --null -T - --ignore-failed-read |
	tar -x -C "$root$home/libcgc"
[ "${AS-}" != user ] || chroot "$root" chown -R tester: "$home/libcgc"

good=0
for line in "${lines[@]}"; do
	line=${line#"${line%%[! ]*}"}
	echo "bare: \$ $line"
	if [ "${AS-}" = user ]; then
		"${run[@]}" chroot "$root" su - tester -c "cd libcgc && $line" && status=0 || status=$?
	else
		"${run[@]}" HOME=$home chroot "$root" bash -c "cd $home/libcgc && $line" && status=0 || status=$?
	fi
	echo "bare: exit status $status"
	[ "$status" != 0 ] || good=$((good + 1))
done
echo "bare: $good of ${#lines[@]} command lines work"
[ "$good" = ${#lines[@]} ]
