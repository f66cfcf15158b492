#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What is installed can be used, by a program that knows pkg-config and nothing else of the library: linked with
# it, linked statically, and loaded while it runs. Programs: tests/install/.
# usage: tests/test_install.sh BUILD_DIR
set -u
build=$(cd "${1:?usage: tests/test_install.sh BUILD_DIR}" && pwd) || exit 1
top=$(cd "$(dirname "$0")/.." && pwd)
mode=$(basename "$build")
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
passed=0
failed=0

judge() {
	if [ "$2" = 0 ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "not ok: $1"
		tail -n 40 "$scratch/out"
	fi
}

# attempt DESCRIPTION COMMAND...: is its exit status 0?
attempt() {
	local description=$1
	shift
	"$@" >"$scratch/out" 2>&1
	judge "$description" $?
}

finish() {
	echo "$passed passed, $failed failed"
	[ "$failed" = 0 ]
	exit
}

if [ "$build" != "$top/build/$mode" ]; then
	echo "tests/test_install.sh: $build is not a build directory of $top" >&2
	exit 1
fi
if ! command -v pkg-config >"$scratch/out"; then
	echo "tests/test_install.sh: no pkg-config: install the package pkgconf" >&2
	exit 1
fi

# ---- Installing ----------------------------------------------------------------------------------
install=(env -u prefix -u libdir -u includedir -u DESTDIR make -C "$top" install "MODE=$mode")
root=$scratch/root prefix=$scratch/prefix
attempt 'make install DESTDIR= prefix=/usr' "${install[@]}" DESTDIR="$root" prefix=/usr
attempt 'make install prefix=' "${install[@]}" prefix="$prefix"
attempt 'make install over what is there' "${install[@]}" prefix="$prefix"
[ "$failed" = 0 ] || finish
for file in include/cgc.h include/cgc/fast.h lib/libcgc.a lib/libcgc.so lib/libcgc.so.0 lib/pkgconfig/cgc.pc; do
	attempt "$file is below DESTDIR/usr, and the same below prefix" test -s "$root/usr/$file" -a -s "$prefix/$file"
done
diff <(cd "$root/usr" && find . | sort) <(cd "$prefix" && find . | sort) >"$scratch/out"
judge 'DESTDIR and prefix install the same files' $?
attempt 'no file that is installed for /usr names DESTDIR' test -z "$(grep -rlF "$root" "$root")"
attempt 'every symbolic link leads to a file' test -z "$(find -L "$root" "$prefix" -type l)"

# With PKG_CONFIG_SYSROOT_DIR a package below DESTDIR is found where it lies, not where it will be.
below_root() {
	PKG_CONFIG_PATH=$root/usr/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root pkg-config "$@" cgc
}
below_prefix() {
	PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config "$@" cgc
}

version=$(awk '/define CGC_VERSION_/ { v = v s $3; s = "." } END { print v }' "$prefix/include/cgc.h")
for place in below_root below_prefix; do
	echo "pkg-config: $($place --modversion), cgc.h: $version" >"$scratch/out"
	[ "$($place --modversion)" = "$version" ]
	judge "$place: pkg-config tells the version of cgc.h" $?
done

# ---- The shared library --------------------------------------------------------------------------
library=$prefix/lib/libcgc.so.0
dynamic=$(readelf --dynamic --wide "$library")
echo "$dynamic" >"$scratch/out"
grep -qF 'Library soname: [libcgc.so.0]' <<<"$dynamic"
judge 'the SONAME is libcgc.so.0' $?
! grep -q TEXTREL <<<"$dynamic"
judge 'no relocations of its text' $?
readelf --program-headers --wide "$library" >"$scratch/out"
grep -q 'GNU_STACK.* RW ' "$scratch/out"
judge 'its stack is not executable' $?

# What it exports (the version's own name is absolute), and what the headers declare so, on as many lines as they like.
nm --dynamic --defined-only --format=posix "$library" |
	awk '$2 != "A" { sub(/@.*/, "", $1); print $1 }' | sort >"$scratch/exported"
gcc -E -P "$prefix/include/cgc.h" | tr '\n' ' ' | sed 's/[;}]/&\n/g' | grep 'visibility("default")' |
	grep -oP '\bcgc_\w+(?= *\(| __attribute__)' | sort >"$scratch/declared"
echo 'the list of exported symbols is empty' >"$scratch/out"
[ -s "$scratch/exported" ]
judge 'there are exported symbols' $?
! grep -v '^cgc_' "$scratch/exported" >"$scratch/out"
judge 'every exported symbol begins with cgc_' $?
comm -13 "$scratch/declared" "$scratch/exported" >"$scratch/out"
[ ! -s "$scratch/out" ]
judge 'every exported symbol is declared in cgc.h or cgc/fast.h' $?
comm -23 "$scratch/declared" "$scratch/exported" >"$scratch/out"
[ ! -s "$scratch/out" ]
judge 'every CGC_API function and variable is exported' $?

case $mode in
*san)
	echo "skipped: programs for the library: in $mode it needs a sanitizer, of which pkg-config knows nothing"
	finish
	;;
esac

# ---- Programs linked with it ---------------------------------------------------------------------
cp "$top"/tests/install/* "$scratch" || exit 1
cp "$scratch/program.c" "$scratch/program.cc"
cd "$scratch" || exit 1
# The same without the shared library: -lcgc can only be the static one.
cp -R "$prefix" "$scratch/static" && rm "$scratch"/static/lib/libcgc.so*
sed -i "s|^prefix=.*|prefix=$scratch/static|; s|^\(.*dir=\)$prefix|\1$scratch/static|" static/lib/pkgconfig/cgc.pc
below_static() {
	PKG_CONFIG_PATH=$scratch/static/lib/pkgconfig pkg-config --static "$@" cgc
}

# runs WHAT LIBRARY_PATH: does ./program run, and was compiled with the header that was installed?
runs() {
	{ LD_LIBRARY_PATH=$2 timeout 60 ./program; } >out 2>&1
	local status=$?
	[ $status = 0 ] && [ "$(cat out)" = "$version" ]
	judge "$1: runs (exit status $status)" $?
}

needs_library() {
	readelf --dynamic --wide program | grep -q 'NEEDED.*\[libcgc\.so\.0\]'
}

# builds WHAT COMMAND...: what the build before left must not run instead.
builds() {
	rm -f program
	attempt "$1: builds" "${@:2}"
}

# build_and_run COMPILER STANDARD SOURCE: in all ways of linking.
build_and_run() {
	local what="$1 -std=$2" flags
	local compile=("$1" "-std=$2" -O2 -Wall -Wextra -Werror "$3" -o program)
	# The words of pkg-config are meant to be split.
	read -ra flags <<<"$(below_prefix --cflags --libs)"
	builds "$what, shared" "${compile[@]}" "${flags[@]}"
	attempt "$what, shared: needs libcgc.so.0" needs_library
	runs "$what, shared" "$prefix/lib"

	read -ra flags <<<"$(below_root --cflags --libs)"
	builds "$what, below DESTDIR" "${compile[@]}" "${flags[@]}"
	runs "$what, below DESTDIR" "$root/usr/lib"

	read -ra flags <<<"$(below_static --cflags --libs)"
	builds "$what, libcgc.a" "${compile[@]}" "${flags[@]}"
	! needs_library
	judge "$what, libcgc.a: does not need libcgc.so.0" $?
	runs "$what, libcgc.a" ''

	read -ra flags <<<"$(below_prefix --static --cflags --libs)"
	builds "$what, -static" "${compile[@]}" -static "${flags[@]}"
	runs "$what, -static" ''
}

seen=
for compiler in "${CC:-gcc}" gcc clang; do
	command -v "$compiler" >out || continue
	case " $seen " in *" $compiler "*) continue ;; esac
	seen="$seen $compiler"
	build_and_run "$compiler" c11 program.c
	build_and_run "$compiler" c17 program.c
done
attempt 'there is a compiler' test -n "$seen"

# A header for C++ says so by __cplusplus.
if grep -q __cplusplus "$prefix/include/cgc.h"; then
	for compiler in g++ clang++; do
		command -v "$compiler" >out && build_and_run "$compiler" gnu++20 program.cc
	done
else
	echo 'skipped: C++: cgc.h is for C only'
fi

# ---- Loaded while a program runs -----------------------------------------------------------------
read -ra cflags <<<"$(below_prefix --cflags)"
read -ra flags <<<"$(below_prefix --cflags --libs)"
attempt 'a host builds without the library' gcc -std=gnu11 -Wall -Wextra -Werror "${cflags[@]}" host.c -o host
attempt 'a host with jemalloc builds' gcc -std=gnu11 "${cflags[@]}" host.c -o host_jemalloc -Wl,--no-as-needed -ljemalloc
attempt 'a plugin builds with it' gcc -std=gnu11 -Wall -Wextra -Werror -shared -fPIC plugin.c -o plugin.so \
	"${flags[@]}" -Wl,-rpath,"$prefix/lib"
! readelf --dynamic --wide host host_jemalloc 2>&1 | grep libcgc >out
judge 'neither host needs libcgc.so.0' $?

# load HOST KIND FILE: sets status; a signal is told in out.
load() {
	{ timeout 60 "./$1" "$2" "$3"; } >out 2>&1
	status=$?
	echo "(exit status $status)" >>out
}

for what in "library $library" "plugin $scratch/plugin.so"; do
	read -r kind file <<<"$what"
	# docs/manual.md, Loading at run time: jemalloc's variables of a thread are more than what glibc keeps free.
	export GLIBC_TUNABLES=glibc.rtld.optional_static_tls=4096
	load host "$kind" "$file"
	judge "a $kind is loaded, used and closed twice, by threads that came before and after (with room for TLS)" "$status"
	unset GLIBC_TUNABLES
	load host_jemalloc "$kind" "$file"
	judge "the same with a $kind in a program that is linked with jemalloc" "$status"
	load host "$kind" "$file"
	[ "$status" = 0 ] || { [ "$status" = 2 ] && grep -q 'cannot allocate memory in static TLS block' out; }
	judge "a $kind loads without either, or dlopen() says that there is no room for TLS" $?
done

finish
