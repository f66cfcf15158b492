#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The demonstration: what it says of wrong files, and that its final check holds on the sample.
# usage: tests/test_demo.sh BUILD_DIR
set -u
demo=${1:?usage: tests/test_demo.sh BUILD_DIR}/demo
sample=$(dirname "$0")/data/packages-sample
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
		cat "$scratch/out" "$scratch/error"
	fi
}

# refuses NAME LINE REASON: exit status 1, and stderr ends with the line "NAME:LINE: ...REASON...".
refuses() {
	DURATION=1 "$demo" "$scratch/$1" >"$scratch/out" 2>"$scratch/error"
	status=$?
	ok=1
	if [ $status = 1 ]; then
		case $(tail -n 1 "$scratch/error") in
		"$scratch/$1:$2: "*"$3"*) ok=0 ;;
		esac
	fi
	judge "$1: exit status $status, wanted 1 and \"$scratch/$1:$2: ... $3 ...\"" $ok
}

good() {
	printf 'Package: a\nVersion: 1\nDepends: b (>= 1:2~) | c, d:any\n\nPackage: b\nVersion: 2-1\n'
}

mkdir "$scratch/directory"
refuses directory 0 'directory'
refuses nonexistent 0 'No such file'
: >"$scratch/empty"
refuses empty 0 'empty'
printf '\n\n\n' >"$scratch/blank"
refuses blank 3 'no stanza'

good | head -c -3 >"$scratch/cut-line"
refuses cut-line 6 'truncated stanza'
good | head -n 5 >"$scratch/cut-version"
refuses cut-version 5 'truncated stanza: package b has no field Version'
good | sed 1d >"$scratch/cut-package"
refuses cut-package 1 'truncated stanza: no field Package'
head -c 100000 "$sample" >"$scratch/cut-sample"
lines=$(wc -l <"$scratch/cut-sample")
refuses cut-sample $((lines + 1)) 'truncated stanza'

printf 'Package: a\nVersion: 1\nnonsense\n' >"$scratch/no-colon"
refuses no-colon 3 'neither a field'
printf '  begins inside\nPackage: a\nVersion: 1\n' >"$scratch/continuation"
refuses continuation 1 'continuation of no field'
printf 'Package: a\nVersion: 1\nVersion: 2\n' >"$scratch/twice"
refuses twice 3 'second field Version'
printf 'Package: a b\nVersion: 1\n' >"$scratch/name"
refuses name 1 'not a package name'
printf 'Package: a\nVersion: 1 2\n' >"$scratch/version"
refuses version 2 'not a version'
printf 'Package: a\nVersion: 1\nDepends: b (>> 1\n' >"$scratch/parenthesis"
refuses parenthesis 3 "no ')'"
printf 'Package: a\nVersion: 1\nDepends: b (~ 1)\n' >"$scratch/relation"
refuses relation 3 'no relation'
printf 'Package: a\nVersion: 1\nDepends: b c\n' >"$scratch/comma"
refuses comma 3 "',' expected"
printf 'Package: a\nVersion: 1\nDepends: b,,c\n' >"$scratch/nothing"
refuses nothing 3 'name is missing'
printf 'Package: a\n\000\001\002\n' >"$scratch/binary"
refuses binary 2 'zero byte'
# An ELF program is not a text file, and a broken archive cannot be decompressed.
cp "$demo" "$scratch/program"
refuses program 1 ''
gzip <"$sample" >"$scratch/broken.gz"
size=$(wc -c <"$scratch/broken.gz") # its last eight bytes are a checksum and the length
printf 'bad' | dd of="$scratch/broken.gz" bs=1 seek=$((size - 8)) conv=notrunc 2>"$scratch/dd"
refuses broken.gz 0 'decompress'

# A setting that is no number.
DURATION=soon "$demo" "$sample" >"$scratch/out" 2>"$scratch/error"
[ $? = 1 ] && grep -q 'DURATION=soon' "$scratch/error"
judge 'DURATION=soon is refused by name' $?

# What is right is read and runs: the smallest graph, the sample, and the sample compressed.
good >"$scratch/right"
DURATION=1 THREADS=2 "$demo" "$scratch/right" >"$scratch/out" 2>"$scratch/error"
judge 'two stanzas' $?
DURATION=2 THREADS=4 "$demo" "$sample" >"$scratch/out" 2>"$scratch/error" &&
	[ "$(grep -c '^check, .*: equal$' "$scratch/out")" = 2 ]
judge 'the sample' $?
if [ -x /usr/lib/apt/apt-helper ]; then
	gzip <"$sample" >"$scratch/sample.gz"
	DURATION=1 LIMIT=300 "$demo" "$scratch/sample.gz" >"$scratch/out" 2>"$scratch/error"
	judge 'the sample, compressed' $?
fi

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
