/* SPDX-License-Identifier: MIT
 *
 * `make compare`: libcgc.
 */
#include "cgc.h"

static void begin(void)
{
	if (cgc_start(NULL) != 0 || cgc_thread_attach() != 0)
		fail("cannot start the library");
}

static void thread_begin(void)
{
	if (cgc_thread_attach() != 0)
		fail("cannot attach a thread");
}

static const struct workload workloads[] = {
	{.name = "count", .prepare = count_prepare, .batch = count_batch},
	{.name = "hot", .prepare = hot_prepare, .batch = hot_batch},
	{.name = "header", .is_once = true, .batch = header_batch},
	{.name = "slots", .prepare = slots_prepare, .batch = slots_batch},
	{.name = "request", .prepare = request_prepare, .batch = requests_batch, .finish = request_finish},
	{.name = "rings", .prepare = rings_prepare, .batch = rings_batch},
	{.name = "beside", .is_once = true, .prepare = beside_prepare, .batch = beside_batch},
	{.name = "self-cycles", .is_once = true, .batch = self_cycles_batch},
	{.name = "alloc", .prepare = alloc_prepare, .batch = alloc_batch},
	{.name = "handover", .prepare = hand_over_prepare, .batch = hand_over_batch},
	{.name = "gcbench", .is_once = true, .prepare = gcbench_prepare, .batch = gcbench_batch},
	{0},
};

const struct peer peer = {.name = "cgc", .begin = begin, .thread_begin = thread_begin, .workloads = workloads};
