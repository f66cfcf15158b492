/* SPDX-License-Identifier: MIT
 *
 * The benchmarks' names are group/what/who/number: who is cgc or what it is compared with, number a size in bytes,
 * a length or how many objects the loop goes around. table.py knows them.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <benchmark/benchmark.h>

#include <string>

#include "loops.h"

/* What is reported is items per second of the time measured: the processor time of the calling thread, if the
 * benchmark does not say otherwise. */
template <typename Loop>
benchmark::internal::Benchmark *add_loop(const std::string &name, long items, Loop loop)
{
	return benchmark::RegisterBenchmark(name.c_str(), [items, loop](benchmark::State &state) {
		for (auto _ : state)
			loop();
		state.SetItemsProcessed(state.iterations() * items);
	});
}

void add_count();
void add_alloc();
void add_field();
void add_cycle();
void add_urcu();

#endif
