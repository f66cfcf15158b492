# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# What the checks look at. To be sourced from the top of the source tree.
# shellcheck disable=SC2034 # used by those who source this
shopt -s nullglob
code_files=({include,src,tests,stress,bench}/{,*/}*.{c,h,cc})
c_files=({src,tests,stress,bench}/{,*/}*.c)
cc_files=(bench/{,*/}*.cc)
script_files=(.ci/run {tests,bench,docs,stress}/{,*/}*.sh)
