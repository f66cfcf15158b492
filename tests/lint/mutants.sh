#!/bin/bash
# SPDX-License-Identifier: MIT
# The text that each fault of tests/mutants/list replaces is where the list says.
exec tests/mutants/run --check
